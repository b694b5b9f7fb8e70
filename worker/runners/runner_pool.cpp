// SPDX-License-Identifier: MIT
#include "worker/runners/runner_pool.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstring>

#include "common/base/byte_size.hpp"
#include "common/system/crash_point.hpp"
#include "worker/runners/loader_image.hpp"
#include "worker/runners/memory.hpp"
#include "worker/store/elf.hpp"

namespace weft::worker {

namespace {

constexpr std::size_t kOutputBytesATurn =
    64 << 10;  // of each pipe: a task that prints without end must not starve the other runners
// Of each runner: more than a full ring holds. The limit keeps a runner that sends without end from starving
// others.
constexpr std::size_t kMessagesATurn = runner::kRingBytes / 4;
constexpr Duration kUnpollableInterval =
    std::chrono::milliseconds(2);  // for polling runners that cannot wake us
constexpr unsigned kSources = 4;   // at most, of each runner; part of the poller's keys
constexpr Duration kMemoryInterval = std::chrono::milliseconds(100);

std::int64_t unix_ms() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

bool has_size(const Fd& file, std::uint64_t bytes) {
  struct stat status {};
  return file && fstat(file.get(), &status) == 0 && static_cast<std::uint64_t>(status.st_size) == bytes;
}

std::string how_it_ended(const RunnerProcess::Death& death) {
  if (death.signal == 0) return fmt::format("exit code {}", death.exit_code);
  const char* name = sigdescr_np(death.signal);
  return fmt::format("signal {}, {}", death.signal, name ? name : "unknown");
}

bool has_setup(const wire::TaskSpec& spec) {
  return !spec.directory.empty() || !spec.environment.empty() || !spec.start.empty() || spec.threads > 1;
}

/// Rejects paths: the name comes from a client.
void require_file_name(const std::string& name) {
  if (name.empty() || name == "." || name == ".." || name.find('/') != std::string::npos ||
      name.find('\0') != std::string::npos) {
    throw std::runtime_error(fmt::format("'{}' is not the name of a library", name));
  }
}

}  // namespace

RunnerPool::RunnerPool(Settings settings, ForkServer& server, BlobStore& blobs)
    : settings_(std::move(settings)), server_(server), blobs_(blobs) {
  if (!settings_.memory_limit) return;
  std::string why;
  cgroup_ = Cgroup::take_over(why);
  if (cgroup_) {
    spdlog::info("the kernel enforces the memory limit of {} for each slot",
                 format_bytes(*settings_.memory_limit));
  } else {
    spdlog::info("the worker enforces the memory limit of {} for each slot by polling: {}",
                 format_bytes(*settings_.memory_limit), why);
  }
}

std::string RunnerPool::memory_text(std::uint64_t peak) const {
  return fmt::format("memory limit of {} exceeded: peak {}", format_bytes(*settings_.memory_limit),
                     format_bytes(peak));
}

// ---- performing actions ----

void RunnerPool::start(const StartRunner& action, std::vector<Event>& events) {
  const bool shipped = action.program.kind == wire::TaskKind::program;
  const std::string name = shipped ? action.program.file.name : "weft-runner";
  try {
    Runner& runner = runners_[action.runner];
    runner.id = action.runner;
    runner.slot = action.slot;
    runner.program = name;
    if (!action.program.libraries.empty()) runner.restart = action.program;
    runner.process = launch(action);
    for (const RunnerProcess::Polled& polled : runner.process->polls())
      poller_.add(polled.fd, action.runner * kSources + static_cast<unsigned>(polled.source));
    keep_polling(runner);
    runner.process->send(runner::RunnerWelcome{settings_.worker});
    crash_point("worker.runner_forked");
  } catch (const std::exception& error) {
    runners_.erase(action.runner);
    events.push_back(RunnerFailedToStart{action.runner, fmt::format("{} does not start on worker {}: {}",
                                                                    name, settings_.worker, error.what())});
  }
}

std::unique_ptr<RunnerProcess> RunnerPool::launch(const StartRunner& action) {
  RunnerProcess::Launch launch;
  launch.scratch = fmt::format("{}/{}", settings_.directory, action.runner);
  const Fd cgroup = cgroup_ ? cgroup_->enter_slot(action.slot, *settings_.memory_limit) : Fd();
  launch.cgroup = cgroup.get();
  if (action.program.kind == wire::TaskKind::program) {
    launch.executable = blobs_.fd(action.program.file.id);
    launch.argv = {action.program.file.name};
    if (const std::string why = why_not_for_this_machine(launch.executable); !why.empty()) {
      throw std::runtime_error(why);
    }
    std::vector<Fd> copies;
    add_libraries(action.program, launch, copies);
    return std::make_unique<RunnerProcess>(launch, server_);
  }
  const Fd program =
      checked(open(settings_.runner_program.c_str(), O_RDONLY | O_CLOEXEC), settings_.runner_program);
  launch.executable = program.get();
  launch.argv = {"weft-runner"};
  for (const std::string& library : settings_.libraries) {
    launch.argv.push_back("--load");
    launch.argv.push_back(library);
  }
  return std::make_unique<RunnerProcess>(launch, server_);
}

/// Passes the verified bytes of the libraries, preceded by the loader's auditor that finds them.
void RunnerPool::add_libraries(const Program& program, RunnerProcess::Launch& launch,
                               std::vector<Fd>& copies) {
  if (program.libraries.empty()) return;
  // about as many descriptors as one message to the fork server holds
  constexpr std::size_t kLibrariesMax = 240;
  if (program.libraries.size() > kLibrariesMax)
    throw std::runtime_error(
        fmt::format("it ships {} shared libraries, and at most {} are possible: link some "
                    "of them statically",
                    program.libraries.size(), kLibrariesMax));
  if (!loader_) {
    loader_ = checked(memfd_create("weft-loader", MFD_CLOEXEC | MFD_ALLOW_SEALING), "cannot make memory");
    write_all_at(loader_.get(), loader_image(), 0);
    fcntl(loader_.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
  }
  launch.libraries = {loader_.get()};
  std::set<BlobId> seen;
  for (const wire::FileRef& library : program.libraries) {
    require_file_name(library.name);
    launch.library_names += (launch.library_names.empty() ? "" : "/") + library.name;
    launch.libraries.push_back(blobs_.fd(library.id));
    if (seen.insert(library.id).second) continue;
    // Two libraries with the same content are two objects with separate data, but the loader identifies
    // objects by inode, so the second one gets a copy.
    BlobId id;
    copies.push_back(sealed_copy(launch.libraries.back(), library.size, library.name, id));
    launch.libraries.back() = copies.back().get();
  }
  launch.large_tls = large_tls_.contains(program.libraries);
}

Bytes RunnerPool::setup_of(const RunTask& action) const {
  const wire::TaskSpec& spec = *action.spec;
  runner::TaskSetup setup{.directory = spec.directory, .environment = spec.environment, .start = spec.start};
  if (spec.threads > 1) {
    for (const std::string& name : settings_.thread_variables)
      setup.environment.try_emplace(name, std::to_string(spec.threads));
  }
  if (action.indices) {
    setup.indices = indices_text(*action.indices);
    if (const auto gpus = action.indices->find("gpu"); gpus != action.indices->end())
      setup.environment.try_emplace("CUDA_VISIBLE_DEVICES", fmt::format("{}", fmt::join(gpus->second, ",")));
  }
  return runner::encode_setup(setup);
}

void RunnerPool::run(const RunTask& action) {
  const auto found = runners_.find(action.runner);
  if (found == runners_.end()) return;  // it has died; the event that tells the session is queued
  Runner& runner = found->second;
  runner::RunTask task{.ordinal = action.ordinal,
                       .id = action.id,
                       .function_index = action.function_index,
                       .execution = action.execution};
  if (action.indices || has_setup(*action.spec)) task.setup = setup_of(action);
  int fd = -1;
  if (action.payload.is_blob()) {
    const wire::BlobRef ref = action.payload.blob();
    task.large_bytes = ref.size;
    fd = blobs_.fd(ref.id);
  } else {
    task.payload = action.payload.without_tail();
  }
  keep_polling(runner);
  if (runner.tasks.empty()) runner.tail.clear();
  runner.tasks.emplace_back(action.ordinal, action.id);
  const wire::TaskSpec& spec = *action.spec;
  if (spec.kind == wire::TaskKind::program) {
    runner.process->send(std::move(task), fd);
  } else {
    runner.process->send(runner::RunNamed{spec.kind, spec.function, spec.signature, std::move(task)}, fd);
  }
}

void RunnerPool::request_stop(const RequestStop& action) {
  if (const auto found = runners_.find(action.runner); found != runners_.end()) {
    found->second.process->request_stop(action.ordinal);
  }
}

TasksTakenBack RunnerPool::take_back_unstarted(const TakeBackTasks& action) {
  const auto found = runners_.find(action.runner);
  if (found == runners_.end() || found->second.tasks.empty()) return {action.runner, UINT64_MAX};
  keep_polling(found->second);
  auto& tasks = found->second.tasks;
  const std::uint64_t started =
      found->second.process->take_back_unstarted(tasks.front().first, tasks.back().first);
  while (!tasks.empty() && tasks.back().first > started) tasks.pop_back();
  return {action.runner, started};
}

void RunnerPool::end(const EndRunner& action) {
  if (const auto found = runners_.find(action.runner); found != runners_.end()) {
    found->second.broken = true;  // the end of its channel is expected
    found->second.process->end_channel();
  }
}

void RunnerPool::kill(const KillRunner& action) {
  if (const auto found = runners_.find(action.runner); found != runners_.end())
    found->second.process->kill(action.signal);
}

void RunnerPool::clear() {
  for (auto& [id, runner] : runners_) runner.process->kill(SIGKILL);  // all, before waiting for any
  runners_.clear();
}

// ---- collecting events ----

std::optional<Time> RunnerPool::deadline() const {
  std::optional<Time> due = memory_due_;
  if (unpollable_ > 0) due = earlier(due, checked_at_ + kUnpollableInterval);
  return due;
}

void RunnerPool::keep_polling(Runner& runner) {
  if (!std::exchange(runner.being_polled, true)) runner.process->awake();
}

bool RunnerPool::sleep() {
  bool quiet = true;
  for (auto& [id, runner] : runners_) {
    if (!runner.being_polled) continue;
    runner.process->flush();
    runner.being_polled = !runner.process->sleep();
    quiet = quiet && !runner.being_polled;
  }
  return quiet;
}

void RunnerPool::collect(Time now, bool waited, bool readable, std::vector<Event>& events) {
  collected_ms_ = unix_ms();
  if (readable) take_ready_sources();
  // A runner that is being polled does not wake us. Checking all of them takes a fraction of a microsecond
  // for each, so it is done at most once per microsecond and runner.
  const bool all = waited || now - checked_at_ >= Duration(static_cast<std::int64_t>(runners_.size()));
  if (all) checked_at_ = now;
  for (auto next = runners_.begin(); next != runners_.end();) {
    Runner& runner = (next++)->second;  // `runner` may be erased below
    if (all || runner.being_polled || runner.ready_sources != 0) check_runner(runner, now, events);
  }
  check_memory(now, events);
}

void RunnerPool::take_ready_sources() {
  for (const epoll_event& event : poller_.take()) {
    const auto found = runners_.find(event.data.u64 / kSources);
    if (found != runners_.end()) found->second.ready_sources |= 1U << event.data.u64 % kSources;
  }
}

void RunnerPool::check_runner(Runner& runner, Time now, std::vector<Event>& events) {
  const auto has = [ready_sources = std::exchange(runner.ready_sources, 0)](RunnerProcess::Source source) {
    return (ready_sources >> static_cast<unsigned>(source) & 1) != 0;
  };
  keep_polling(runner);
  // Death is checked first: everything that a dead runner has sent is then in the channel, and is read to its
  // end.
  const auto death = has(RunnerProcess::Source::line) ? runner.process->death() : std::nullopt;
  if (has(RunnerProcess::Source::socket) && !runner.process->read_socket()) {
    poller_.remove(runner.process->socket());
    ++unpollable_;
  }
  // Output is read before the channel, so that output of tasks that have ended is attributed by their DONE.
  if (death) {
    runner.process->read_output(SIZE_MAX);
  } else if (has(RunnerProcess::Source::output) && !runner.process->has_output()) {
    runner.process->read_output(kOutputBytesATurn);
  }
  // The remaining output belongs to the running task.
  if (read_channel(runner, events) && (death || runner.process->has_output())) {
    log_output(runner, nullptr);
  }
  check_page(runner, now, events);
  if (death) reap(runner, *death, events);
}

/// Logs output that has been read: all of it in the name of the running task; or, with `until`, what was
/// printed up to these totals in the name of the task that is answered next.
void RunnerPool::log_output(Runner& runner, const runner::TaskPrinted* until) {
  const bool is_of_front =
      !runner.tasks.empty() && (until != nullptr || runner.process->started() >= runner.tasks.front().first);
  const std::string task = is_of_front ? runner.tasks.front().second.text() : "-";
  const auto sink = [&](std::string_view line, bool is_stderr) {
    spdlog::info("[{} {} {}] {}", settings_.worker, runner.slot, task, line);
    if (is_stderr) runner.tail.add(line);
  };
  if (until != nullptr) {
    runner.process->log_output_until(*until, sink);
  } else {
    runner.process->log_output(sink);
  }
}

/// False: the turn's limit is reached, and there may be more.
bool RunnerPool::read_channel(Runner& runner, std::vector<Event>& events) {
  for (std::size_t count = 0; count < kMessagesATurn; ++count) {
    if (runner.unreadable) return true;
    runner::Received received = runner.process->receive();
    switch (received.kind) {
      case runner::Received::Kind::again:
        return true;
      case runner::Received::Kind::garbage:
        runner.unreadable = true;
        broken(runner, "its runner sent a malformed message: " + received.reason, events);
        return true;
      case runner::Received::Kind::message:
        receive(runner, received, events);
    }
  }
  return false;
}

void RunnerPool::receive(Runner& runner, runner::Received& received, std::vector<Event>& events) {
  Fd memory(received.fd);
  if (auto* done = std::get_if<runner::TaskDone>(&*received.message); done && runner.ready) {
    crash_point("worker.result_read");
    return on_done(runner, *done, std::move(memory), events);
  }
  if (const auto* printed = std::get_if<runner::TaskPrinted>(&*received.message)) {
    return log_output(runner, printed);
  }
  auto* hello = std::get_if<runner::RunnerHello>(&*received.message);
  if (!hello || runner.ready) return broken(runner, "its runner sent a message out of turn", events);
  std::move(hello->functions.begin(), hello->functions.end(), std::back_inserter(runner.functions));
  if (runner.functions.size() < hello->total) return;
  runner.ready = true;
  runner.restart.reset();
  runner.tail.clear();
  spdlog::debug("runner {} in slot {} is {}, pid {}", runner.id, runner.slot, runner.program, hello->pid);
  events.push_back(RunnerReady{runner.id, std::exchange(runner.functions, {})});
}

void RunnerPool::on_done(Runner& runner, runner::TaskDone& done, Fd memory, std::vector<Event>& events) {
  const bool large = done.large_bytes > 0;
  const bool right_size = !large || has_size(memory, done.large_bytes);
  const bool right_outcome =
      done.outcome == wire::Outcome::ok || (done.outcome == wire::Outcome::failed && !large);
  if (!right_size || !right_outcome || done.payload.is_blob()) {
    return broken(runner, "its runner sent an invalid answer", events);
  }
  wire::Payload payload;
  try {
    if (large) {
      payload = wire::Payload(
          wire::BlobRef{settings_.incarnation, blobs_.add_result(std::move(memory)), done.large_bytes});
    } else {
      payload = std::move(done.payload);
    }
  } catch (const std::exception& error) {
    return broken(runner, fmt::format("its result cannot be read: {}", error.what()), events);
  }
  if (!runner.tasks.empty()) runner.tasks.pop_front();
  runner.tail.clear();
  events.emplace_back(std::in_place_type<TaskFinished>, runner.id, done.ordinal, done.outcome, done.run_us,
                      std::move(payload), collected_ms_);
}

void RunnerPool::check_page(Runner& runner, Time now, std::vector<Event>& events) {
  if (!runner.ready || runner.tasks.empty()) return;
  const std::uint64_t front = runner.tasks.front().first;
  if (runner.last_started >= front || runner.process->started() != front) return;
  runner.last_started = front;
  events.push_back(TaskStarted{runner.id, front, std::min(runner.process->started_at(), now)});
}

void RunnerPool::check_memory(Time now, std::vector<Event>& events) {
  const bool busy = settings_.memory_limit && !cgroup_ &&
                    std::any_of(runners_.begin(), runners_.end(),
                                [](const auto& entry) { return !entry.second.tasks.empty(); });
  if (!busy) {
    memory_due_.reset();
    return;
  }
  if (!memory_due_) memory_due_ = now + kMemoryInterval;
  if (now < *memory_due_) return;
  memory_due_ = now + kMemoryInterval;
  const ProcessTable processes;
  for (auto& [id, runner] : runners_) {
    if (runner.tasks.empty()) continue;
    const std::uint64_t bytes = processes.resident_bytes_below(runner.process->reaper());
    if (bytes > *settings_.memory_limit) broken(runner, memory_text(bytes), events);
  }
}

void RunnerPool::broken(Runner& runner, const std::string& text, std::vector<Event>& events) {
  if (std::exchange(runner.broken, true)) return;
  events.push_back(RunnerBroken{runner.id, text});
}

void RunnerPool::reap(Runner& runner, const RunnerProcess::Death& death, std::vector<Event>& events) {
  const RunnerId id = runner.id;
  const std::string tail = runner.tail.text();
  if (runner.ready) {
    const auto peak = cgroup_ ? cgroup_->exceeded(runner.slot) : std::nullopt;
    events.push_back(RunnerDied{id, runner.process->started(), death.signal, death.exit_code, tail,
                                peak ? memory_text(*peak) : "", unix_ms()});
  } else {
    std::string why = tail;
    // Try again with more static TLS; see kTlsTunable.
    if (runner.restart && why.find("static TLS block") != std::string::npos &&
        large_tls_.insert(runner.restart->libraries).second) {
      const StartRunner again{id, runner.slot, std::move(*runner.restart)};
      if (runner.process->unpollable()) --unpollable_;
      runners_.erase(id);
      return start(again, events);
    }
    if (why.empty()) {
      why = death.signal != 0 || death.exit_code != 0
                ? "it ended before it was ready"
                : "it ended before it was ready: is it linked with weft::client?";
    }
    events.push_back(
        RunnerFailedToStart{id, fmt::format("{} does not start on worker {}: {} ({})", runner.program,
                                            settings_.worker, why, how_it_ended(death))});
  }
  if (runner.process->unpollable()) --unpollable_;
  runners_.erase(id);
}

}  // namespace weft::worker
