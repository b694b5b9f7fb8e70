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

RunnerPool::Runner* RunnerPool::find(RunnerId id) {
  const auto found = runners_.find(id);
  return found == runners_.end() ? nullptr : &found->second;
}

void RunnerPool::erase(const Runner& runner) {
  if (runner.monitor.is_unpollable()) plan_.remove_unpollable();
  runners_.erase(runner.monitor.id());
}

// ---- performing actions ----

void RunnerPool::start(const StartRunner& action, std::vector<Event>& events) {
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

void RunnerPool::run(const RunTask& action) {
  Runner* runner = find(action.runner);
  if (runner == nullptr) return;
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
  keep_polling(*runner);
  runner->monitor.on_run(action.ordinal, action.id);
  runner->process->withdraw_stop(action.ordinal);
  if (spec.kind == wire::TaskKind::program) {
    runner->process->send(std::move(task), fd);
  } else {
    runner->process->send(runner::RunNamed{spec.kind, spec.function, spec.signature, std::move(task)}, fd);
  }
}

void RunnerPool::request_stop(const RequestStop& action) {
  if (Runner* runner = find(action.runner)) runner->process->request_stop(action.ordinal);
}

TasksTakenBack RunnerPool::take_back_unstarted(const TakeBackTasks& action) {
  Runner* runner = find(action.runner);
  if (runner == nullptr || !runner->monitor.has_tasks()) return {action.runner, UINT64_MAX};
  keep_polling(*runner);
  RunnerMonitor& monitor = runner->monitor;
  const std::uint64_t started =
      runner->process->take_back_unstarted(monitor.first_ordinal(), monitor.last_ordinal());
  monitor.on_taken_back(started);
  return {action.runner, started};
}

void RunnerPool::end(const EndRunner& action) {
  if (Runner* runner = find(action.runner)) {
    runner->monitor.on_end();
    runner->process->end_channel();
  }
}

void RunnerPool::kill(const KillRunner& action) {
  if (Runner* runner = find(action.runner)) runner->process->kill(action.signal);
}

void RunnerPool::clear() {
  for (auto& [id, runner] : runners_) runner.process->kill(SIGKILL);  // all, before waiting for any
  runners_.clear();
}

// ---- collecting events ----

void RunnerPool::keep_polling(Runner& runner) {
  if (runner.monitor.keep_polling()) runner.process->awake();
}

bool RunnerPool::sleep() {
  bool quiet = true;
  for (auto& [id, runner] : runners_) {
    if (!runner.monitor.is_being_polled()) continue;
    runner.process->flush();
    const bool asleep = runner.process->sleep();
    runner.monitor.on_sleep(asleep);
    quiet = quiet && asleep;
  }
  return quiet;
}

void RunnerPool::collect(Time now, bool waited, bool readable, std::vector<Event>& events) {
  collected_ms_ = unix_ms();
  if (readable) take_ready_sources();
  plan_.begin_turn(now, waited, runners_.size());
  for (auto next = runners_.begin(); next != runners_.end();) {
    Runner& runner = (next++)->second;  // `runner` may be erased below
    if (plan_.checks(runner.monitor)) check_runner(runner, now, events);
  }
  if (launcher_.memory_limit() && !launcher_.kernel_enforces_limit()) measure_memory(now, events);
}

void RunnerPool::take_ready_sources() {
  for (const epoll_event& event : poller_.take()) {
    Runner* runner = find(event.data.u64 / kSources);
    if (runner != nullptr) runner->monitor.on_readable(static_cast<RunnerSource>(event.data.u64 % kSources));
  }
}

void RunnerPool::check_runner(Runner& runner, Time now, std::vector<Event>& events) {
  using Step = RunnerMonitor::Step;
  RunnerMonitor& monitor = runner.monitor;
  RunnerProcess& process = *runner.process;
  keep_polling(runner);
  monitor.begin_check();
  for (;;) {
    switch (monitor.next_step()) {
      case Step::read_death:
        if (const auto death = process.death()) monitor.on_death(death->signal, death->exit_code);
        break;
      case Step::read_socket:
        read_socket(runner);
        break;
      case Step::read_output:
        process.read_output(RunnerMonitor::kOutputBytesACheck);
        monitor.on_output(process.has_output());
        break;
      case Step::read_all_output:
        process.read_output(SIZE_MAX);
        monitor.on_output(process.has_output());
        break;
      case Step::read_message:
        read_message(runner, events);
        break;
      case Step::log_output:
        log_output(runner);
        break;
      case Step::read_page: {
        const std::uint64_t started = process.started();  // before its time, which the runner writes first
        monitor.on_page(started, process.started_at(), now, events);
        break;
      }
      case Step::reap:
        return reap(runner, events);
      case Step::none:
        return;
    }
  }
}

void RunnerPool::read_socket(Runner& runner) {
  const bool open = runner.process->read_socket();
  runner.monitor.on_socket(open);
  if (open) return;
  poller_.remove(runner.process->socket());
  plan_.add_unpollable();
}

void RunnerPool::read_message(Runner& runner, std::vector<Event>& events) {
  runner::Received received = runner.process->receive();
  if (received.kind == runner::Received::Kind::again) return runner.monitor.on_no_message();
  if (received.kind == runner::Received::Kind::garbage) {
    return runner.monitor.on_garbage(received.reason, events);
  }
  Fd memory(received.fd);
  runner::Message& message = *received.message;
  switch (runner.monitor.on_message(message, events)) {
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

void RunnerPool::take_result(Runner& runner, runner::TaskDone& done, Fd memory, std::vector<Event>& events) {
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

void RunnerPool::measure_memory(Time now, std::vector<Event>& events) {
  const bool busy = std::any_of(runners_.begin(), runners_.end(),
                                [](const auto& entry) { return entry.second.monitor.has_tasks(); });
  if (!plan_.measures_memory(now, busy)) return;
  const ProcessTable processes;
  for (auto& [id, runner] : runners_) {
    if (!runner.monitor.has_tasks()) continue;
    runner.monitor.on_memory(processes.resident_bytes_below(runner.process->reaper()), events);
  }
}

void RunnerPool::reap(Runner& runner, std::vector<Event>& events) {
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
