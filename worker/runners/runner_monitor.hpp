// SPDX-License-Identifier: MIT
// RunnerMonitor: the decisions about one runner process, from its start to its end. It decides in which order
// the process is read, which messages are valid, to which task output belongs, which events WorkerCore gets,
// and whether the runner has to wake the agent. Pure: RunnerDriver performs the steps and reports what it has
// read.
//
// A check of a runner is a loop of steps:
//
//   monitor.begin_check();
//   for (Step step; (step = monitor.next_step()) != Step::none;)   perform the step, and report its outcome
//
// The steps come in this order; those that have nothing to read are left out:
//
//   read_death     First: everything that a dead runner has sent is then in its pipes and its channel, and
//                  is read to the end.
//   read_socket
//   read_output    Before the channel, so that output of tasks that have ended is attributed by their
//                  answers. Up to a limit: a task that prints without end must not starve other runners.
//   read_message   Until the channel is empty, up to a limit, for the same reason.
//   log_output     The channel is empty, so the remaining output belongs to the running task.
//   read_page      Has the task at the front started?
//   reap           The last step in the life of a runner.
//
// A runner that is started, given a task or checked is polled from then on, and sends no wake-ups, until the
// agent is about to wait and finds its channel empty. Not thread-safe.
//
// Invariants (see check_invariants):
//   1. The ordinals of the tasks in the channel are consecutive.
//   2. Only a ready runner has tasks, and only one that is not ready has an incomplete function table.
//   3. TaskStarted is reported for each task at most once, and for none behind the front.
//   4. A channel is abandoned only after its runner was reported as broken, or told to end.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/vector_queue.hpp"
#include "worker/core/events.hpp"
#include "worker/runners/lines.hpp"
#include "worker/runners/runner_source.hpp"

namespace weft::worker {

class RunnerMonitor {
 public:
  struct Settings {
    RunnerId id = 0;
    std::uint32_t slot = 0;
    std::string program;                        // name of the program, for messages
    std::string worker;                         // name of the worker, for messages
    std::optional<std::uint64_t> memory_limit;  // in bytes
  };
  static constexpr std::size_t kOutputBytesACheck = 64 << 10;  // of each pipe
  static constexpr std::size_t kMessagesACheck = 64 << 10;

  /// What to do next. The comment names the reports that answer the step.
  enum class Step : std::uint8_t {
    read_death,       // on_death(), if the process has ended
    read_socket,      // on_socket()
    read_output,      // at most kOutputBytesACheck of each pipe; on_output()
    read_all_output,  // to the end of each pipe; on_output()
    read_message,     // on_message(), on_no_message() or on_garbage()
    log_output,       // everything that was read, in the name of running_task(); on_output()
    read_page,        // on_page()
    reap,             // end_of_life()
    none,             // the check is complete
  };

  /// What a message asks for.
  enum class Use : std::uint8_t {
    none,
    ready,       // nothing; the runner has become ready
    log_output,  // log the output up to the totals in the message, in the name of front_task(); on_output()
    result,      // accepts(), then on_result() or on_unreadable_result()
  };

  explicit RunnerMonitor(Settings settings) : settings_(std::move(settings)) {}

  RunnerId id() const { return settings_.id; }
  std::uint32_t slot() const { return settings_.slot; }
  const std::string& program() const { return settings_.program; }
  bool is_ready() const { return ready_; }
  /// Whether tasks have been sent that are not answered.
  bool has_tasks() const { return !tasks_.empty(); }
  /// Ordinals of the first and the last unanswered task. REQUIRES: has_tasks().
  std::uint64_t first_ordinal() const { return tasks_.front().first; }
  std::uint64_t last_ordinal() const { return tasks_.back().first; }

  // ---- performed actions ----

  void on_run(std::uint64_t ordinal, const TaskId& id);
  /// The tasks behind `started` were taken back.
  void on_taken_back(std::uint64_t started);
  /// The channel was closed by EndRunner, so its end is expected.
  void on_end() { broken_ = true; }

  // ---- waking ----

  /// The runner is checked before the next wait, so it need not wake the agent. True: the runner was not
  /// polled before, and must be told (RunnerProcess::awake()).
  bool keep_polling() { return !std::exchange(being_polled_, true); }
  bool is_being_polled() const { return being_polled_; }
  /// The agent is about to wait. `asleep`: the channel is empty, and the runner wakes the agent for its next
  /// message.
  void on_sleep(bool asleep) { being_polled_ = !asleep; }
  /// Whether the runner's end of the socket is closed: the runner cannot wake the agent, but may still run.
  bool is_unpollable() const { return !socket_open_; }
  void on_readable(RunnerSource source) {
    readable_ = static_cast<std::uint8_t>(readable_ | 1U << static_cast<unsigned>(source));
  }
  /// Whether there may be something to read.
  bool is_due() const { return being_polled_ || readable_ != 0; }

  // ---- a check ----

  void begin_check();
  Step next_step();
  void on_death(int signal, int exit_code) { death_ = Death{signal, exit_code}; }
  void on_socket(bool open) { socket_open_ = open; }
  /// `left`: some of the output that was read has not been logged.
  void on_output(bool left) { has_output_ = left; }
  Use on_message(runner::Message& message, std::vector<Event>& events);
  void on_no_message() { channel_empty_ = true; }
  /// The channel is not read any further.
  void on_garbage(const std::string& reason, std::vector<Event>& events);
  /// Whether this answer is valid. `right_size`: it is not large, or came with a memfd of the stated size.
  bool accepts(const runner::TaskDone& done, bool right_size, std::vector<Event>& events);
  /// An accepted answer, with its payload as stored.
  void on_result(const runner::TaskDone& done, wire::Payload&& payload, std::int64_t now_ms,
                 std::vector<Event>& events);
  void on_unreadable_result(std::string_view why, std::vector<Event>& events);
  /// `started`, `at`: of the page.
  void on_page(std::uint64_t started, Time at, Time now, std::vector<Event>& events);

  // ---- output ----

  /// The task that the runner executes by its page, for log lines; "-": none.
  std::string running_task(std::uint64_t started) const;
  /// The task that is answered next; "-": none.
  std::string front_task() const { return tasks_.empty() ? "-" : tasks_.front().second.text(); }
  /// A line was logged. The last ones of stderr since the last answer explain a death.
  void on_line(std::string_view line, bool is_stderr) {
    if (is_stderr) tail_.add(line);
  }

  // ---- memory and the end ----

  /// The processes of this runner have `bytes` of resident memory. REQUIRES: there is a memory limit.
  void on_memory(std::uint64_t bytes, std::vector<Event>& events);
  /// Whether the runner failed to start for lack of static TLS, of which the loader can be given more.
  bool lacks_static_tls() const;
  /// The event of a reaped runner. `started`: of the page. `peak`: its memory use in bytes, if the kernel has
  /// killed it for exceeding the limit.
  Event end_of_life(std::uint64_t started, std::optional<std::uint64_t> peak, std::int64_t now_ms) const;
  Event failure_to_start(std::string_view why) const;

  /// Aborts if an invariant is broken. Called after every report in tests.
  void check_invariants() const;

 private:
  struct Death {
    int signal = 0;
    int exit_code = 0;
  };
  enum class Stage : std::uint8_t { death, socket, output, channel, page, reap, none };

  bool is_readable(RunnerSource source) const { return (checked_ >> static_cast<unsigned>(source) & 1) != 0; }
  Step output_step() const;
  Step channel_step();
  bool awaits_start() const { return ready_ && !tasks_.empty() && last_started_ < tasks_.front().first; }
  Use on_hello(runner::RunnerHello& hello, std::vector<Event>& events);
  void broken(std::string text, std::vector<Event>& events);
  std::string over_limit(std::uint64_t peak) const;

  Settings settings_;
  bool ready_ = false;
  std::vector<runner::FunctionEntry> functions_;         // the parts of an incomplete HELLO
  VectorQueue<std::pair<std::uint64_t, TaskId>> tasks_;  // tasks sent and not answered, with their ordinals
  std::uint64_t last_started_ = 0;                       // ordinal of the last TaskStarted
  Tail tail_;
  bool being_polled_ = false;
  bool socket_open_ = true;
  bool has_output_ = false;    // read, and not yet logged
  bool broken_ = false;        // RunnerBroken was reported, or the end is expected
  bool unreadable_ = false;    // the runner sent a malformed message: nothing more is read
  std::uint8_t readable_ = 0;  // a bit for each RunnerSource
  std::optional<Death> death_;

  // During one check:
  Stage stage_ = Stage::none;
  std::uint8_t checked_ = 0;  // readable_, as of its beginning
  bool channel_empty_ = false;
  std::size_t messages_ = 0;  // read so far
};

}  // namespace weft::worker
