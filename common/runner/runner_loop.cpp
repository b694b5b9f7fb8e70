// SPDX-License-Identifier: MIT
#include "common/runner/runner_loop.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <map>
#include <unordered_map>
#include <utility>

#include "common/runner/announcement.hpp"
#include "common/runner/output_meter.hpp"
#include "common/runner/process_state.hpp"
#include "common/runner/program_functions.hpp"
#include "common/runner/runner_libraries.hpp"
#include "common/runner/running_task.hpp"
#include "common/runner/socket_bell.hpp"
#include "common/runner/task_execution.hpp"
#include "common/runner/tick_clock.hpp"
#include "common/system/fd.hpp"
#include "common/wire/codec.hpp"
#include "weft/detail/exception_text.hpp"
#include "weft/function.hpp"

namespace weft::runner {
namespace {

constexpr std::size_t kHelloPartBytes = 64 << 10;  // approximate size of names and signatures in one message
constexpr std::uint32_t kMeasureEvery = 256;       // tasks
constexpr std::int64_t kLong_us = 200;  // after a task that takes this long, everything is restored

/// Maps the memory that is shared with the agent; nullptr if `fd` does not refer to it.
void* map_memory(int fd) {
  struct stat status {};
  if (fstat(fd, &status) != 0 || status.st_size < static_cast<off_t>(kMemoryBytes)) return nullptr;
  void* memory = mmap(nullptr, kMemoryBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  return memory == MAP_FAILED ? nullptr : memory;
}

/// The exit code when the channel is closed. If a task has closed the channel, reports that on stderr;
/// otherwise the agent is gone, and the runner ends quietly.
int exit_code_of(int error) {
  if (error != EBADF && error != ENOTSOCK) return 0;
  std::fprintf(stderr, "weft runner: the task has closed the channel to the worker\n");
  return kExitChannel;
}

class Loop {
 public:
  Loop(int socket, void* memory, const Source& source)
      : bell_(socket),
        channel_(bell_, memory, Channel::Role::runner),
        page_(*static_cast<Page*>(memory)),
        source_(source),
        meter_(page_, {state_.copy_of(STDOUT_FILENO), state_.copy_of(STDERR_FILENO)}) {}

  int run();

 private:
  int say_hello();
  template <class M>
  int send_soon(const M& message, int fd = -1);
  int sleep();
  std::optional<int> take(Received& received);
  bool begin(std::uint64_t ordinal, std::int64_t now_us);
  int perform(const RunTask& task, const RunNamed* named, int fd);
  std::pair<wire::Outcome, detail::ByteBuffer> execute(const RunTask& task, const RunNamed* named, int fd);
  detail::ByteBuffer call(const RunTask& task, const RunNamed* named, std::string_view payload);
  detail::ByteBuffer execute_set_up(const RunTask& task, const RunNamed* named, std::string_view payload);
  std::uint64_t set_ended();
  void measure_a_call();
  void prepare(const std::vector<wire::StartCall>& calls);
  int report(TaskDone& done, std::string_view payload);
  void restore(const RunTask& task, const RunNamed* named, std::int64_t run_us);

  SocketBell bell_;
  Channel channel_;
  Page& page_;
  const Source& source_;
  const ForkMark fork_mark_;
  ProcessState state_;
  OutputMeter meter_;
  Habits habits_;
  std::vector<wire::StartCall> prepared_;  // calls already made
  TickClock clock_;
  CallGate gate_;
  std::uint32_t performed_ = 0;
  std::uint64_t started_ = kNoneStarted;  // expected value in the page
  std::string failed_in_;                 // working directory of the task that has just thrown
  bool skipping_ = false;                 // the agent has taken tasks back: skip them until the next WELCOME
  std::int64_t ended_us_ = 0;             // when the last task ended; 0: the runner has slept since
  Announcement announcement_;
};

/// Sends, and waits for space in the ring if necessary (backpressure). Returns 0 or errno.
template <class M>
int Loop::send_soon(const M& message, int fd) {
  for (;;) {
    const int error = channel_.send(message, fd);
    if (error != EAGAIN) return error;
    if (const int lost = channel_.wake()) return lost;
    if (const int lost = channel_.wait(true)) return lost;
  }
}

/// Returns 0 or errno.
int Loop::say_hello() {
  state_.flush_output();
  // Output of static initialisers does not belong to any task.
  if (const auto printed = meter_.more()) {
    if (const int error = send_soon(*printed)) return error;
  }
  RunnerHello hello{.pid = static_cast<std::uint64_t>(getpid()),
                    .total = static_cast<std::uint32_t>(source_.functions.size())};
  std::size_t bytes = 0;
  for (const FunctionEntry& entry : source_.functions) {
    hello.functions.push_back({cut(entry.name, kNameBytesMax), cut(entry.signature, kNameBytesMax)});
    bytes += hello.functions.back().name.size() + hello.functions.back().signature.size();
    if (bytes < kHelloPartBytes) continue;
    if (const int error = send_soon(hello)) return error;
    hello.functions.clear();
    bytes = 0;
  }
  // The last part, or the only part of an empty table.
  if (!hello.functions.empty() || hello.total == 0) {
    if (const int error = send_soon(hello)) return error;
  }
  return channel_.wake();
}

int Loop::run() {
  for (int i = 0; i < 16; ++i) measure_a_call();
  if (say_hello() != 0) return 0;  // the agent is gone
  for (;;) {
    Received received = channel_.receive();
    switch (received.kind) {
      case Received::Kind::again:
        if (const int error = sleep()) return exit_code_of(error);
        break;
      case Received::Kind::garbage:
        std::fprintf(stderr, "weft runner: the worker sent a malformed message: %s\n",
                     received.reason.c_str());
        return kExitChannel;
      case Received::Kind::message:
        if (const auto code = take(received)) return *code;
    }
  }
}

/// Announces all results to the agent, then waits for a message. Returns 0 or errno.
int Loop::sleep() {
  ended_us_ = 0;
  announcement_.on_idle();
  if (const int error = channel_.wake()) return error;
  measure_a_call();
  const int error = channel_.wait(false);
  (void)channel_.was_read();  // reads during the sleep do not count as recent
  return error;
}

/// Handles one message. Returns the exit code if the runner must end.
std::optional<int> Loop::take(Received& received) {
  int error = 0;
  if (const auto* task = std::get_if<RunTask>(&*received.message)) {
    error = perform(*task, nullptr, received.fd);
  } else if (const auto* named = std::get_if<RunNamed>(&*received.message)) {
    error = perform(named->task, named, received.fd);
  } else if (const auto* welcome = std::get_if<RunnerWelcome>(&*received.message)) {
    // The first WELCOME, which has the name, does not end the skipping: the agent may have taken back tasks
    // before we read it.
    if (!welcome->worker.empty()) {
      RunningTask::set_worker(welcome->worker);
    } else {
      skipping_ = false;
      page_.started.store(started_, std::memory_order_release);
    }
  } else {
    std::fprintf(stderr, "weft runner: the worker sent an unexpected message\n");
    return kExitChannel;
  }
  if (error != 0) return exit_code_of(error);
  if (!state_.unusable().empty()) {
    if (const int lost = channel_.wake()) return exit_code_of(lost);
    std::fprintf(stderr, "weft runner: this runner is being replaced: %s\n", state_.unusable().c_str());
    return kExitReplace;
  }
  return std::nullopt;
}

/// Announces in the page that a task starts. False: the agent has taken it back. Both sides decide by
/// compare-and-swap on `started`.
bool Loop::begin(std::uint64_t ordinal, std::int64_t now_us) {
  if (skipping_) return false;
  page_.started_at_us.store(now_us, std::memory_order_relaxed);
  std::uint64_t value = started_;
  if (!page_.started.compare_exchange_strong(value, ordinal)) {
    skipping_ = value == (started_ | kTakenBack);
    if (skipping_) return false;
    page_.started.store(ordinal);  // a task has overwritten it
  }
  started_ = ordinal;
  return true;
}

/// Runs one task and reports its result. Returns 0, or errno if the channel is closed.
int Loop::perform(const RunTask& task, const RunNamed* named, int fd) {
  // The run time of a task that follows another one counts from the end of that one.
  const std::int64_t started_us = ended_us_ != 0 ? ended_us_ : clock_.us_at(TickClock::ticks());
  const Fd owned(fd);
  if (!begin(task.ordinal, started_us)) return 0;
  if (++performed_ % kMeasureEvery == 1) measure_a_call();
  const std::uint64_t begun = TickClock::ticks();
  auto [outcome, payload] = execute(task, named, fd);
  // The child of a task that forked has returned here instead of calling _exit(): it is not a runner.
  if (fork_mark_.in_child()) _exit(1);
  // All output of a task is in the pipes before its result is announced.
  const bool flushed = state_.flush_output();
  const std::uint64_t took = set_ended() - begun;
  const bool may_have_called = flushed || gate_.may_have_called(took);
  // negative after the clock was corrected
  const std::int64_t run_us = std::max(std::int64_t{0}, ended_us_ - started_us);
  TaskDone done{.ordinal = task.ordinal, .run_us = static_cast<std::uint64_t>(run_us), .outcome = outcome};
  if (may_have_called) {
    if (const auto printed = meter_.more()) {
      if (const int error = send_soon(*printed)) return error;
    }
  }
  if (const int error = report(done, payload)) return error;
  page_.finished.store(task.ordinal, std::memory_order_release);
  state_.restore_memory(gate_.may_have_changed_locale(took));
  if (may_have_called) {
    restore(task, named, run_us);
    set_ended();  // not counted as run time of the next task
  }
  return announcement_.is_due(channel_, ended_us_, run_us) ? channel_.wake() : 0;
}

/// Records the end of a task. Returns the current ticks.
std::uint64_t Loop::set_ended() {
  const std::uint64_t now = TickClock::ticks();
  ended_us_ = clock_.us_at(now);
  return now;
}

void Loop::measure_a_call() {
  const std::uint64_t before = TickClock::ticks();
  syscall(SYS_getppid);
  gate_.saw_call(TickClock::ticks() - before);
}

/// Restores as much of the process state in the kernel as this call may have changed.
void Loop::restore(const RunTask& task, const RunNamed* named, std::int64_t run_us) {
  const std::uint64_t function =
      named != nullptr ? std::hash<std::string>()(named->function) : task.function_index;
  if (run_us >= kLong_us || habits_.suspicious(function)) {
    habits_.saw(function, state_.restore_everything());
  } else if (state_.restore_kernel()) {
    habits_.saw(function, true);
  }
}

std::pair<wire::Outcome, detail::ByteBuffer> Loop::execute(const RunTask& task, const RunNamed* named,
                                                           int fd) {
  const RunningTask running(task, page_);
  try {
    const Arguments arguments(task, fd);
    if (!task.setup.empty()) return {wire::Outcome::ok, execute_set_up(task, named, arguments.view())};
    return {wire::Outcome::ok, call(task, named, arguments.view())};
  } catch (Failure& failure) {
    return {wire::Outcome::failed, encode_failure(std::move(failure.type), std::move(failure.message),
                                                  std::exchange(failed_in_, {}))};
  } catch (...) {
    detail::ExceptionText text = detail::current_exception_text();
    return {wire::Outcome::failed,
            encode_failure(std::move(text.type), std::move(text.message), std::exchange(failed_in_, {}))};
  }
}

/// Records the working directory when a task throws: relative paths in its message refer to it.
detail::ByteBuffer Loop::call(const RunTask& task, const RunNamed* named, std::string_view payload) {
  try {
    return source_.execute({task, named}, payload);
  } catch (...) {
    failed_in_ = current_directory();
    throw;
  }
}

detail::ByteBuffer Loop::execute_set_up(const RunTask& task, const RunNamed* named,
                                        std::string_view payload) {
  const auto setup = decode_setup(task.setup.view());
  if (!setup) throw Failure{"", setup.fault()};
  if (!setup->start.empty()) prepare(setup->start);
  if (!setup->environment.empty()) state_.set_variables(setup->environment);
  const WorkingDirectory directory(setup->directory);
  const HeldIndices indices(setup->indices);
  return call(task, named, payload);
}

/// Makes those calls that this runner has not made yet. The process state after them is the one in which
/// tasks start.
void Loop::prepare(const std::vector<wire::StartCall>& calls) {
  for (const wire::StartCall& call : calls) {
    if (std::find(prepared_.begin(), prepared_.end(), call) != prepared_.end()) continue;
    const auto function =
        std::find_if(source_.functions.begin(), source_.functions.end(),
                     [&](const FunctionEntry& entry) { return entry.signature == call.signature; });
    if (function == source_.functions.end())
      throw Failure{"", "the function that has to run before (on_worker_start) is not in this program: " +
                            call.signature};
    try {
      const auto index = static_cast<std::uint32_t>(function - source_.functions.begin());
      source_.execute({RunTask{.function_index = index}}, call.arguments.view());
    } catch (...) {
      detail::ExceptionText text = detail::current_exception_text();
      throw Failure{std::move(text.type),
                    function->name + ", which has to run before (on_worker_start), threw: " + text.message};
    }
    prepared_.push_back(call);
    state_.keep();
  }
}

int Loop::report(TaskDone& done, std::string_view payload) {
  if (payload.size() <= wire::kInlineBytesMax) {
    done.payload = wire::Payload(payload);
    return send_soon(done);
  }
  const Fd memory(make_memfd(payload));
  if (memory.get() < 0) {
    done.outcome = wire::Outcome::failed;
    done.payload = wire::Payload(encode_failure(
        "", system_text("cannot store its result") + " (" + std::to_string(payload.size()) + " bytes)"));
    return send_soon(done);
  }
  done.large_bytes = payload.size();
  return send_soon(done, memory.get());
}

}  // namespace

int serve(const Start& start, const Source& source) {
  if (start.version != kChannelVersion) {
    std::fprintf(
        stderr,
        "weft runner: this program was linked with a libclient whose runner channel has version %d, the "
        "worker's has version %d: build both with the same Weft\n",
        kChannelVersion, start.version);
    return kExitVersion;
  }
  void* memory = map_memory(start.memory);
  if (memory == nullptr) {
    std::fprintf(stderr, "weft runner: %s does not refer to memory that can be mapped\n", kEnvironment);
    return kExitChannel;
  }
  close(start.memory);
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // runners die with their reaper, whatever a task does
  // Processes started by a task expect default SIGPIPE and no blocked signals, which may differ in the agent.
  std::signal(SIGPIPE, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  pthread_sigmask(SIG_SETMASK, &none, nullptr);
  const int flags = fcntl(start.channel, F_GETFL);
  if (flags >= 0 && (flags & O_NONBLOCK) != 0) fcntl(start.channel, F_SETFL, flags & ~O_NONBLOCK);
  // The memory stays mapped: a thread that a task has left running may still read the page.
  return Loop(start.channel, memory, source).run();
}

}  // namespace weft::runner
