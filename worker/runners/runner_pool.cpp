// SPDX-License-Identifier: MIT
#include "worker/runners/runner_pool.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <csignal>

#include "common/system/crash_point.hpp"
#include "worker/runners/memory.hpp"
#include "worker/runners/task_setup.hpp"

namespace weft::worker {

namespace {

constexpr unsigned kSources = 4;  // at most, of each runner; part of the poller's keys
static_assert(RunnerMonitor::kMessagesACheck >= runner::kRingBytes / 4, "a full ring is read in one check");

std::int64_t unix_ms() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

bool has_size(const Fd& file, std::uint64_t bytes) {
  struct stat status {};
  return file && fstat(file.get(), &status) == 0 && static_cast<std::uint64_t>(status.st_size) == bytes;
}

}  // namespace

RunnerPool::RunnerPool(Settings settings, ForkServer& server, BlobStore& blobs)
    : settings_(std::move(settings)), blobs_(blobs), launcher_(settings_.launcher, server, blobs) {}

// ---- performing actions ----

void RunnerPool::start(const StartRunner& action, Events& events) {
  RunnerMonitor monitor({.id = action.runner,
                         .slot = action.slot,
                         .program = RunnerLauncher::name_of(action.program),
                         .worker = settings_.worker,
                         .memory_limit = launcher_.memory_limit()});
  Runner& runner = runners_.emplace(action.runner, Runner{std::move(monitor)}).first->second;
  try {
    if (!action.program.libraries.empty()) runner.restart = action.program;
    runner.process = launcher_.launch(action);
    for (const RunnerProcess::Polled& polled : runner.process->polls())
      poller_.add(polled.fd, action.runner * kSources + static_cast<unsigned>(polled.source));
    keep_polling(runner);
    runner.process->send(runner::RunnerWelcome{settings_.worker});
    crash_point("worker.runner_forked");
  } catch (const std::exception& error) {
    events.push_back(runner.monitor.failure_to_start(error.what()));
    erase(runner);
  }
}

void RunnerPool::send(Runner& runner, const RunTask& action) {
  const wire::TaskSpec& spec = *action.spec;
  runner::RunTask task{.ordinal = action.ordinal,
                       .id = action.id,
                       .function_index = action.function_index,
                       .execution = action.execution};
  if (needs_setup(action)) {
    task.setup = runner::encode_setup(setup_of(action, settings_.thread_variables));
  }
  int fd = -1;
  if (action.payload.is_blob()) {
    const wire::BlobRef ref = action.payload.blob();
    task.large_bytes = ref.size;
    fd = blobs_.fd(ref.id);
  } else {
    task.payload = action.payload.without_tail();
  }
  if (spec.kind == wire::TaskKind::program) {
    runner.process->send(std::move(task), fd);
  } else {
    runner.process->send(runner::RunNamed{spec.kind, spec.function, spec.signature, std::move(task)}, fd);
  }
}

void RunnerPool::clear() {
  for (auto& [id, runner] : runners_) runner.process->kill(SIGKILL);  // all, before waiting for any
  runners_.clear();
}

// ---- collecting events ----

void RunnerPool::collect(Time now, bool waited, bool readable, Events& events) {
  collected_ms_ = unix_ms();
  if (readable) take_ready_sources();
  check_all(now, waited, events);
  if (launcher_.memory_limit() && !launcher_.kernel_enforces_limit()) measure_memory(now, events);
}

void RunnerPool::take_ready_sources() {
  for (const epoll_event& event : poller_.take()) {
    Runner* runner = find(event.data.u64 / kSources);
    if (runner != nullptr) runner->monitor.on_readable(static_cast<RunnerSource>(event.data.u64 % kSources));
  }
}

void RunnerPool::on_socket_closed(Runner& runner) { poller_.remove(runner.process->socket()); }

void RunnerPool::read_output(Runner& runner, std::size_t bytes_max) {
  runner.process->read_output(bytes_max);
  runner.monitor.on_output(runner.process->has_output());
}

void RunnerPool::use(Runner& runner, RunnerMonitor::Use use, runner::Received received, Events& events) {
  Fd memory(received.fd);
  runner::Message& message = *received.message;
  switch (use) {
    case RunnerMonitor::Use::result:
      crash_point("worker.result_read");
      return take_result(runner, std::get<runner::TaskDone>(message), std::move(memory), events);
    case RunnerMonitor::Use::log_output:
      return log_printed(runner, std::get<runner::TaskPrinted>(message));
    case RunnerMonitor::Use::ready:
      runner.restart.reset();
      spdlog::debug("runner {} in slot {} is {}, pid {}", runner.monitor.id(), runner.monitor.slot(),
                    runner.monitor.program(), std::get<runner::RunnerHello>(message).pid);
      return;
    case RunnerMonitor::Use::none:
      return;
  }
}

void RunnerPool::take_result(Runner& runner, runner::TaskDone& done, Fd memory, Events& events) {
  const bool large = done.large_bytes > 0;
  const bool right_size = !large || has_size(memory, done.large_bytes);
  if (!runner.monitor.accepts(done, right_size, events)) return;
  wire::Payload payload;
  try {
    if (large) {
      payload = wire::Payload(
          wire::BlobRef{settings_.incarnation, blobs_.add_result(std::move(memory)), done.large_bytes});
    } else {
      payload = std::move(done.payload);
    }
  } catch (const std::exception& error) {
    return runner.monitor.on_unreadable_result(error.what(), events);
  }
  runner.monitor.on_result(done, std::move(payload), collected_ms_, events);
}

void RunnerPool::log_line(Runner& runner, const std::string& task, std::string_view line,
                          bool is_stderr) const {
  spdlog::info("[{} {} {}] {}", settings_.worker, runner.monitor.slot(), task, line);
  runner.monitor.on_line(line, is_stderr);
}

void RunnerPool::log_output(Runner& runner) {
  const std::string task = runner.monitor.running_task(runner.process->started());
  runner.process->log_output(
      [&](std::string_view line, bool is_stderr) { log_line(runner, task, line, is_stderr); });
  runner.monitor.on_output(runner.process->has_output());
}

void RunnerPool::log_printed(Runner& runner, const runner::TaskPrinted& totals) {
  const std::string task = runner.monitor.front_task();
  runner.process->log_output_until(
      totals, [&](std::string_view line, bool is_stderr) { log_line(runner, task, line, is_stderr); });
  runner.monitor.on_output(runner.process->has_output());
}

void RunnerPool::measure_memory(Time now, Events& events) {
  const bool busy = std::any_of(runners_.begin(), runners_.end(),
                                [](const auto& entry) { return entry.second.monitor.has_tasks(); });
  if (!plan_.measures_memory(now, busy)) return;
  const ProcessTable processes;
  for (auto& [id, runner] : runners_) {
    if (!runner.monitor.has_tasks()) continue;
    runner.monitor.on_memory(processes.resident_bytes_below(runner.process->reaper()), events);
  }
}

void RunnerPool::reap(Runner& runner, Events& events) {
  const RunnerMonitor& monitor = runner.monitor;
  if (runner.restart && monitor.lacks_static_tls() && launcher_.enlarge_tls(runner.restart->libraries)) {
    const StartRunner again{monitor.id(), monitor.slot(), std::move(*runner.restart)};
    erase(runner);
    return start(again, events);
  }
  const auto peak = monitor.is_ready() ? launcher_.exceeded(monitor.slot()) : std::nullopt;
  events.push_back(monitor.end_of_life(runner.process->started(), peak, unix_ms()));
  erase(runner);
}

}  // namespace weft::worker
