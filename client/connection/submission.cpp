// SPDX-License-Identifier: MIT
#include "weft/detail/submission.hpp"

#include <algorithm>
#include <climits>
#include <cmath>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "client/connection/connection.hpp"
#include "client/connection/query.hpp"
#include "client/connection/spec_table.hpp"
#include "common/runner/runner_loop.hpp"
#include "common/wire/codec.hpp"

namespace weft::detail {

namespace {

constexpr std::size_t kStartBytesMax = 8 << 10;         // arguments of one on_worker_start() call
constexpr std::size_t kEnvironmentBytesMax = 16 << 10;  // both are sent to the runner with each task
constexpr std::size_t kBundleTasks = 512;
constexpr std::size_t kBundleBytes = 128 << 10;

Connection& usable(Connection* connection) {
  if (connection == nullptr)
    throw Error(
        runner::is_serving()
            ? "this weft::Client was made inside a task, which cannot submit tasks: return the next work to "
              "the program that submitted this one"
            : "a static initialiser of this program submits a task, and static initialisers run in a weft "
              "runner too: submit in main, or only if !weft::in_runner()");
  connection->check_usable();
  return *connection;
}

[[noreturn]] void refuse(const std::string& what) { throw std::invalid_argument("TaskOptions::" + what); }

/// The largest option with its size, such as "label has 100 bytes".
std::string largest_of(const TaskOptions& options) {
  std::size_t resources = 0;
  for (const auto& [name, amount] : options.resources) resources += name.size() + sizeof amount;
  const auto total = [](const std::vector<std::string>& names) {
    std::size_t bytes = 0;
    for (const std::string& name : names) bytes += name.size();
    return bytes;
  };
  const std::pair<std::size_t, const char*> sizes[] = {{options.label.size(), "label has"},
                                                       {total(options.workers), "workers have"},
                                                       {total(options.prefer), "prefer has"},
                                                       {resources, "resources have"}};
  const auto largest = *std::max_element(std::begin(sizes), std::end(sizes));
  return std::string(largest.second) + " " + std::to_string(largest.first) + " bytes";
}

}  // namespace

WEFT_LAYOUT_BEGIN

struct Submission::Bundle {
  Connection& connection;
  const CallTarget target;
  const TaskOptions* const options;
  std::vector<wire::SubmitRecord> records;
  std::vector<IntrusivePtr<FutureState>> states;
  std::size_t bytes = 0;
};

Submission::Submission(Connection* connection, const CallTarget& target, const TaskOptions* options)
    : bundle_(new Bundle{.connection = usable(connection),
                         .target = target,
                         .options = options,
                         .records = {},
                         .states = {}}) {}

Submission::~Submission() {
  for (const wire::SubmitRecord& record : bundle_->records) {
    if (record.payload.is_blob()) bundle_->connection.inbox()->arguments.release(record.payload.blob().id);
  }
}

void Submission::add(std::string_view arguments, IntrusivePtr<FutureState> state) {
  bundle_->records.push_back(
      {.seq = 0, .spec = 0, .payload = bundle_->connection.inbox()->payload_of(arguments)});
  bundle_->states.push_back(std::move(state));
  bundle_->bytes += arguments.size();
  if (bundle_->records.size() >= kBundleTasks || bundle_->bytes >= kBundleBytes) flush();
}

void Submission::flush() {
  if (bundle_->records.empty()) return;
  const auto& inbox = bundle_->connection.inbox();
  inbox->submit(inbox, bundle_->target, bundle_->options, bundle_->records, bundle_->states);
  bundle_->records.clear();
  bundle_->states.clear();
  bundle_->bytes = 0;
}

void submit_one(Connection* connection, const CallTarget& target, const TaskOptions* options,
                std::string_view arguments, IntrusivePtr<FutureState> state) {
  const auto& inbox = usable(connection).inbox();
  wire::SubmitRecord record{.seq = 0, .spec = 0, .payload = inbox->payload_of(arguments)};
  inbox->submit(inbox, target, options, {&record, 1}, {&state, 1});
}

void add_start_call(Connection* connection, std::uint32_t function_index, std::string_view arguments) {
  const auto& inbox = usable(connection).inbox();
  if (arguments.size() > kStartBytesMax) {
    throw std::length_error("on_worker_start: its arguments take " + std::to_string(arguments.size()) +
                            " bytes; at most " + std::to_string(kStartBytesMax) + " are possible");
  }
  inbox->add_start_call(function_index, arguments);
}

WEFT_LAYOUT_END

void submit_again(Connection* connection, const FutureState& failed, IntrusivePtr<FutureState> fresh) {
  failed.submit_again(*usable(connection).inbox(), std::move(fresh));
}

std::string DetachedTask::arguments() const { return wire::encode_ref({id.session, id.seq}); }

DetachedTasks find_detached(Connection* connection, const std::string& label) {
  check_options({.label = label});
  const wire::Found found =
      client::query_detached(usable(connection).address(), label, std::chrono::seconds(10));
  DetachedTasks out;
  for (const wire::Sweep& sweep : found.sweeps) {
    out.sweeps.push_back(
        {.label = label,
         .function = sweep.function,
         .client = sweep.client,
         .host = sweep.host,
         .session = sweep.session.text(),
         .submitted = std::chrono::system_clock::time_point(std::chrono::milliseconds(sweep.submitted_ms))});
  }
  std::map<Uuid, std::size_t> unreported;  // sweeps from a broker that is too old to report them
  for (const wire::FoundRecord& task : found.tasks) {
    std::size_t index = task.sweep - 1;
    if (task.sweep == 0 || task.sweep > found.sweeps.size()) {
      const auto [known, added] = unreported.try_emplace(task.session, out.sweeps.size());
      if (added)
        out.sweeps.push_back({.label = label, .function = "detached task", .session = task.session.text()});
      index = known->second;
    }
    ++out.sweeps[index].tasks;
    out.sweeps[index].finished += task.finished ? 1 : 0;
    out.tasks.push_back({{task.session, task.seq}, index, task.finished});
  }
  return out;
}

void await_finished(const std::vector<FutureState*>& states) {
  const auto deadline = deadline_after(std::chrono::seconds(1));
  for (const FutureState* state : states) {
    if (!state->wait_until(deadline)) return;
  }
}

void check_options(const TaskOptions& options) {
  constexpr std::chrono::milliseconds kZero(0);
  if (options.retries < 0) refuse("retries must not be negative");
  if (options.retry_delay < kZero) refuse("retry_delay must not be negative");
  if (options.timeout < kZero) refuse("timeout must not be negative (0: none)");
  if (options.queue_timeout < kZero) refuse("queue_timeout must not be negative (0: none)");
  if (options.crash_limit < 1) refuse("crash_limit must be at least 1 (1: run at most once)");
  for (const auto& [name, amount] : options.resources) {
    if (name.empty()) refuse("resources must have names");
    if (!std::isfinite(amount) || amount <= 0) refuse("resources: \"" + name + "\" must be more than 0");
  }
  for (const auto* names : {&options.workers, &options.prefer}) {
    for (const std::string& name : *names) {
      if (name.empty())
        refuse(std::string(names == &options.workers ? "workers" : "prefer") + " must not have empty names");
    }
  }
  if (options.directory.find('\0') != std::string::npos) refuse("directory must not contain a zero byte");
  if (options.directory.size() >= PATH_MAX) refuse("directory is longer than a path can be");
  if (options.threads < 1) refuse("threads must be at least 1");
  std::size_t environment_bytes = 0;
  for (const auto& [name, value] : options.environment) {
    environment_bytes += name.size() + value.size() + 10;
    if (environment_bytes > kEnvironmentBytesMax) refuse("environment takes more than 16 KiB");
    if (name.empty() || name.find('=') != std::string::npos || name.find('\0') != std::string::npos)
      refuse("environment: \"" + name + "\" cannot be the name of a variable");
    if (value.find('\0') != std::string::npos)
      refuse("environment: the value of \"" + name + "\" must not contain a zero byte");
  }
  if (options.detach && options.label.empty())
    refuse("detach needs a label, by which attach() finds the tasks again");
  if (const std::size_t bytes = client::encoded_size(options); bytes > client::kOptionsBytesMax) {
    refuse(largest_of(options) + ": all options together take " + std::to_string(bytes) +
           " bytes, and at most " + std::to_string(client::kOptionsBytesMax) +
           " are possible; pass larger data as an argument");
  }
}

}  // namespace weft::detail
