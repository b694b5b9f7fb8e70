// SPDX-License-Identifier: MIT
// FakeRunnerProcess: one simulated runner, with both ends of its channel: the real rings and the real page,
// in memory of the simulation. Its loop is that of common/runner/runner_loop.cpp, on virtual time: it reads
// tasks, executes their scripts, writes results, announces them, and sleeps. It runs while its agent is
// frozen, and the agent can read its results after its death.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/runner/announcement.hpp"
#include "common/runner/runner_channel.hpp"
#include "tests/simulation/fake_bell.hpp"
#include "tests/simulation/oracle.hpp"
#include "worker/core/events.hpp"
#include "worker/runners/runner_page.hpp"

namespace weft::sim {

/// What a runner needs of its agent and their host.
struct FakeAgent {
  HostId host = 0;
  std::string name;
  std::uint32_t slots = 0;
  std::vector<std::string> functions;
  std::function<void(worker::Event)> emit;
  std::function<void()> wake;  // something of a runner is readable
  std::function<Time()> clock;
  std::function<Uuid()> incarnation;
  std::function<std::uint64_t(const TaskId&)> epoch_of;  // of the broker that assigned it
};

class FakeRunnerProcess {
 public:
  struct Death {
    int signal = 0;
    int exit_code = 0;
  };
  FakeRunnerProcess(World& world, Oracle& oracle, const Scenario& scenario, const FakeAgent& agent,
                    worker::Program program);
  FakeRunnerProcess(const FakeRunnerProcess&) = delete;
  FakeRunnerProcess& operator=(const FakeRunnerProcess&) = delete;

  // ---- the agent's end, as worker::RunnerProcess has it ----

  void run(const worker::RunTask& task);
  runner::Received receive() { return agent_end_.receive(); }
  /// The bytes behind a descriptor that came with a message.
  const wire::Payload& content_of(int descriptor) const { return contents_.at(descriptor); }
  void flush();
  bool sleep() { return agent_end_.sleep(); }
  void awake() { agent_end_.awake(); }
  bool read_socket() { return socket_open_ = agent_end_.read_bell(); }
  void request_stop(std::uint64_t ordinal);
  void withdraw_stop(std::uint64_t ordinal) { page_.withdraw_stop(ordinal); }
  std::uint64_t take_back_unstarted(std::uint64_t first, std::uint64_t last);
  void end_channel();
  void kill(int signal);
  std::uint64_t started() const { return page_.started(); }
  Time started_at() const { return page_.started_at(); }
  std::optional<Death> death() const { return death_is_known_ ? death_ : std::nullopt; }
  std::string read_output() { return std::exchange(output_, {}); }

  bool line_is_readable() const { return death_is_known_; }
  bool socket_is_readable() const { return socket_open_ && agent_bell_.has_something(); }
  bool output_is_readable() const { return !output_.empty(); }

  // ---- from the world ----

  bool is_alive() const { return !death_; }
  bool is_ready() const { return ready_; }
  bool has_begun() const { return started() != 0; }  // a task, now or before
  /// Ends the process at once.
  void die(int signal, int exit_code, End end);
  /// The runner writes garbage to its channel, and hangs.
  void write_garbage();
  /// The runner ends with its host, and no worker hears of its death.
  void vanish();
  /// The fraction of the worker's memory that this runner uses.
  double memory() const;

 private:
  template <class M>
  void send(M message, int descriptor = -1);
  void later(Duration delay, std::function<void()> act);
  /// As later(), but only if the runner still executes the same task by then.
  void later_in_turn(Duration delay, std::function<void()> act);
  const Program* program_of(const worker::Program& program) const;
  void get_ready();
  void serve();
  void idle();
  void hear();
  bool take(const runner::Message& message, int descriptor);
  bool begin(std::uint64_t ordinal);
  void execute(const runner::RunTask& task, const wire::Payload& argument);
  void heed_stop();
  void finish(End end);
  void report(const runner::TaskDone& done, int descriptor);
  int descriptor_of(const wire::Payload& content);
  runner::Page& shared() { return *static_cast<runner::Page*>(memory_.get()); }

  World& world_;
  Oracle& oracle_;
  const Scenario& scenario_;
  const FakeAgent& agent_;
  Random random_;
  worker::Program program_;
  bool stubborn_ = false;  // ignores the order to end

  struct Free {
    void operator()(void* memory) const;
  };
  std::unique_ptr<void, Free> memory_;
  worker::RunnerPage page_;
  FakeBell agent_bell_;
  FakeBell runner_bell_;
  runner::Channel agent_end_;
  runner::Channel runner_end_;
  bool socket_open_ = true;                             // as far as the agent knows
  std::deque<std::pair<runner::Message, int>> queued_;  // messages for which the ring is full (backpressure)
  int last_descriptor_ = 0;
  std::map<int, wire::Payload> contents_;               // by descriptor
  std::map<std::uint64_t, worker::RunTask> last_sent_;  // by ordinal, until that or a later task begins

  bool ready_ = false;
  bool hangs_ = false;     // it has written garbage
  bool asked_ = false;     // asked to stop or to end, or found broken: the agent may kill it
  bool sleeping_ = false;  // until its bell rings
  bool skipping_ = false;  // tasks are skipped until the next WELCOME
  std::uint64_t started_ = runner::kNoneStarted;
  runner::Announcement announcement_;
  std::optional<Oracle::ExecutionId> execution_;
  worker::RunTask task_;  // being executed
  Time since_{};
  double memory_left_ = 0;  // leaked by earlier tasks
  std::uint64_t turn_ = 0;  // counts executions, so that a timer of an earlier one has no effect
  std::string output_;
  std::optional<Death> death_;
  bool death_is_known_ = false;                              // its reaper has reported it
  std::shared_ptr<bool> exists_ = std::make_shared<bool>();  // as long as this object
};

}  // namespace weft::sim
