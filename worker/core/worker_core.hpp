// SPDX-License-Identifier: MIT
// The worker's state machine. WorkerCore decides which task goes to which runner; when a runner is started,
// stopped or killed; what the broker is told; which results are retained until they are released; and which
// blobs are fetched. It never sends, forks, sleeps, or reads a clock or a file: the shell feeds it events and
// performs the actions that it returns. The loop is
//
//   for (;;) {
//     poll(link, runners, signals, until(core.deadline()));
//     for each thing that happened:  core.step(now, event, actions);
//     core.step(now, Tick{}, actions);
//     for each action, in order:     perform(action);   // Exit is the last
//   }
//
// Running tasks and unreleased results survive the loss of the broker. The worker claims them when it has
// joined the broker again, or a successor with another epoch. Not thread-safe: owned by one loop.
//
// Invariants (see check_invariants):
//   1. A task is in exactly one stage: waiting for blobs, in its run queue, or in one runner's channel.
//   2. There are at most `slots` runners, each in a slot that it does not share. Only a ready or ending
//      runner has tasks, and one that serves `alone` tasks never has more than one.
//   3. The ordinals in a channel are consecutive and end at the last one sent.
//   4. No attempt is both in the task table and in an outbox: every attempt is answered once.
//   5. A task waits exactly as long as one of its blobs is missing.
//   6. A runner that is being stopped has a time for the next stop stage, except in the last one.
//   7. A worker that has not joined sends nothing but HELLO.
#pragma once

#include <list>
#include <set>
#include <span>
#include <vector>

#include "common/base/pacing.hpp"
#include "common/wire/presence.hpp"
#include "worker/core/blob_table.hpp"
#include "worker/core/events.hpp"
#include "worker/core/memory_hold.hpp"
#include "worker/core/task_table.hpp"

namespace weft::worker {

class WorkerCore {
 public:
  struct Settings {
    wire::HelloWorker hello;  // how this worker introduces itself: incarnation, name, slots, ...
    std::string broker;       // address of the broker, for the log
    Indices indices;          // of those resources in `hello` that have indices
    std::uint64_t jitter_seed = 1;
    Presence::Settings presence;
    BlobTable::Settings blobs;
    // STARTED is sent once a task has run for start_notice and for twice its estimate, but after
    // start_notice_max at the latest.
    Duration start_notice = Pacing::kStartNotice;
    Duration start_notice_max = Pacing::kStartNoticeMax;
    Duration recheck_interval = Pacing::kStartRecheck;  // when the page does not show the task as started
    Duration escalation_interval = std::chrono::seconds(1);  // between stop stages: request, SIGTERM, SIGKILL
    Duration start_timeout = std::chrono::seconds(10);       // from StartRunner to RunnerReady
    Duration bad_program = std::chrono::seconds(5);  // how long a program that failed to start is refused
    // Refused as well: a program of which this many runners in succession ended before they began a task.
    std::uint32_t early_deaths_max = 3;
    // How long a new runner whose run queue has tasks is spared when another program needs its slot.
    Duration min_runner_lifetime = std::chrono::milliseconds(50);
    // After which an idle runner is ended if no session has defined a spec of its program.
    Duration idle_runner = std::chrono::seconds(30);
    // While draining: how long to wait for results to be released, or for a broker to return.
    Duration leave_wait = std::chrono::seconds(10);
    std::uint64_t runner_max_tasks = 0;  // a runner is replaced after so many; 0: no limit
    // Prefetching: one task of at most behind_max may be queued behind the running one in a channel. Further
    // tasks take at most half of prefetch_time each, and are added while the channel holds no more work than
    // prefetch_time.
    std::uint32_t prefetch_max = 1000;
    Duration prefetch_time = Pacing::kChannelAhead;
    Duration behind_max = Pacing::kAheadTaskMax;
    MemoryHold::Settings memory_hold;
    Duration worth_rebalancing = std::chrono::microseconds(500);  // queued work to move to an idle runner
  };

  explicit WorkerCore(Settings settings);
  WorkerCore(const WorkerCore&) = delete;
  WorkerCore& operator=(const WorkerCore&) = delete;

  /// Applies one event at `now` and appends the resulting actions to `actions`, in order. REQUIRES: `now`
  /// never goes backwards between calls.
  void step(Time now, const Event& event, Actions& actions) { step(now, std::span(&event, 1), actions); }
  /// Applies several events that arrived together, with a single dispatch() at the end.
  void step(Time now, std::span<const Event> events, Actions& actions);

  /// When to deliver the next Tick; nullopt only after Exit.
  std::optional<Time> deadline() const;

  /// Aborts if an invariant is broken. Called after every step in tests and simulation.
  void check_invariants() const;

  bool joined() const { return presence_.joined(); }
  bool exited() const { return exited_; }
  std::size_t task_count() const { return tasks_.size(); }
  std::size_t runner_count() const { return runners_.size(); }

 private:
  // worker_core.cpp: broker, presence, leaving
  void on(const LinkUp&);
  void on(const LinkDown&);
  void on(const Received&);
  void on(const Drain&);
  void on(const Stop&);
  void on(const Tick&);
  void receive(const wire::Welcome&);
  void receive(const wire::Refuse&);
  void receive(const wire::Goodbye&);
  void receive(const wire::Get&);
  void receive(const wire::Data&);
  void receive(const wire::Gone&);
  void receive(const wire::Drop&);
  void receive(const wire::Leave&);
  void lose_broker(const std::string& reason);
  void tell_of_waiting(const std::string& reason);
  void claim_everything();
  void forget_idle_clients();
  std::map<Uuid, ClientState>::iterator forget_client(std::map<Uuid, ClientState>::iterator client);
  void tick_presence();
  void leave_if_done();
  void exit(int code, const std::string& reason);
  void send(wire::Message message);
  void notify(Notice notice) { actions_->push_back(Notify{std::move(notice)}); }

  // memory.cpp: backpressure when memory is short
  void on(const MemoryUsed&);
  void begin_hold();

  // tasks.cpp: assigning, revoking and answering tasks
  void receive(const wire::DefineFor&);
  void receive(const wire::ForgetFor&);
  void receive(const wire::Assign&);
  void receive(const wire::Revoke&);
  void receive(const wire::Release&);
  void receive(const wire::Resend&);
  void receive(const wire::EndSession&);
  void on(const BlobReady&);
  void on(const BlobMissing&);
  void on(const BlobBad&);
  void settle_blobs();
  ClientState& client(const Uuid& session);
  ProgramState& program_of(const wire::TaskSpec& spec);
  void forget_spec(SpecState& spec);
  void release_files(const SpecState& spec);
  void assign(ClientState& owner, const AttemptKey& key, const LocalSharedPtr<SpecState>* spec,
              const wire::AssignRecord& record);
  std::vector<Task*> tasks_in_order();
  bool is_known(const AttemptKey& key, std::uint64_t& last);
  void want_needs(Task& task);
  static std::vector<wire::FileRef> files_of(const wire::TaskSpec& spec);
  void enqueue(Task& task);
  void cancel(Task& task);
  void give_back(Task& task);
  void finish(Task& task, wire::Outcome outcome, wire::Payload payload, std::uint64_t run_us = 0);
  void fail(Task& task, wire::Outcome outcome, wire::ErrorInfo info, std::uint64_t run_us = 0);
  void answer(ClientState& owner, const AttemptKey& key, std::uint32_t execution, wire::Outcome outcome,
              wire::Payload payload, std::uint64_t run_us);
  void erase(Task& task);
  void stop_needing(const Task& task);
  Task* find(const AttemptKey& key);
  wire::ErrorInfo error(std::string message) const;

  // dispatch.cpp: which task goes to which runner
  void dispatch();
  RunQueue* next_queue(std::uint64_t& until);
  bool serve(RunQueue& run_queue, std::uint64_t until);
  bool prefetch(RunQueue& run_queue, std::uint64_t until);
  void start_runners(RunQueue& run_queue);
  void end_idle_runners_for(RunQueue& run_queue);
  void rebalance();
  bool may_prefetch(const Runner& runner) const;
  bool has_room(const Runner& runner, const Task& task) const;
  bool is_used_up(const Runner& runner) const {
    return settings_.runner_max_tasks != 0 && runner.sent >= settings_.runner_max_tasks;
  }
  bool older_queue_waits(const RunQueue& run_queue) const;
  void run(Runner& runner, Task& task);
  bool take_indices(Runner& runner, const Task& task);
  void release_indices(const Runner& runner, const Task& task);
  void end_unsuited(const RunQueue& run_queue);
  bool may_wait_behind(const Task& task) const;
  void count_out(Runner& runner, const Task& task);
  static bool has_function(const Task& task) {
    return task.spec->function_known || find_function(*task.spec);
  }
  static bool find_function(SpecState& spec);
  std::uint32_t slots_of(const Task& task) const;
  std::uint32_t busy_slots() const;
  bool has_slots_for(const Task& task);
  std::size_t count(const RunQueue& run_queue, Runner::State state) const;

  // runners.cpp: events of runners, and stopping them
  void on(const RunnerReady&);
  void on(const RunnerFailedToStart&);
  void on(const TaskStarted&);
  void on(const TaskFinished&);
  void on(const TasksTakenBack&);
  void on(const RunnerBroken&);
  void end(Runner& runner);
  static bool died_early(const Runner& runner, const RunnerDied& death);
  void count_early_death(const Runner& runner, const RunnerDied& death);
  void kill_runner(Runner& runner, const std::string& text);
  void stop_front(Runner& runner, StopReason reason);
  void next_front(Runner& runner);
  void escalate(Runner& runner);
  Duration start_notice_of(const Runner& runner) const;
  void check_started(Runner& runner);
  void take_back_unstarted(Runner& runner);
  void fail_queued(ProgramState& program);
  void refuse_program(ProgramState& program, const std::string& why);
  void tick_runners();
  void forget_unused_programs();
  void remove(RunnerId id);
  Runner* find(RunnerId id);
  std::optional<Time> runners_deadline() const;

  // runner_deaths.cpp: what follows from the death of a runner
  void on(const RunnerDied&);
  void settle_dead(const RunnerDied& death, const Runner& runner, Task& task);
  wire::ErrorInfo crash_of(const RunnerDied& death, const Runner& runner, const Task& task) const;
  void put_back(Task& task);
  void fail_in_runner(Task& task, wire::Outcome outcome, std::string message, std::int64_t ended_ms,
                      std::uint64_t run_us = 0);
  void fail_timed_out(Task& task, std::int64_t ended_ms, std::uint64_t run_us = 0);

  Settings settings_;
  Presence presence_;
  BlobTable blobs_;
  IndexAllocator indices_;
  std::uint64_t epoch_ = 0;  // of the broker that this worker has joined, or had last

  std::map<Uuid, ClientState> clients_;
  // First number of a new outbox, above all numbers of earlier ones: results of a session that has ended may
  // still be in flight when the session returns, and must not be mistaken for those of its new outbox.
  std::uint64_t unused_outbox_ = 1;
  TaskTable tasks_;
  std::map<std::uint64_t, std::uint64_t> assigned_last_;  // the highest attempt number, by epoch
  std::map<BlobId, std::vector<AttemptKey>> waiters_;     // tasks that wait for a blob
  std::map<std::string, ProgramState> programs_;          // by the ids and names of their files
  std::map<RunnerId, Runner> runners_;
  std::set<std::uint32_t> free_slots_;  // those without a runner
  RunnerId runner_last_ = 0;
  std::uint64_t order_last_ = 0;
  std::size_t wide_ = 0;  // number of tasks here that take more than one slot
  // In this pass of dispatch(): slots reserved for tasks of several slots that cannot start yet.
  std::uint32_t held_back_ = 0;
  bool dispatch_needed_ = false;
  std::optional<Time> dispatch_due_;  // when a bad program may be tried again
  bool programs_changed_ = false;     // some programs may be unused now

  MemoryHold hold_{settings_.memory_hold};

  bool draining_ = false;
  // While draining: when to leave at the latest. Set only while no task is left or no broker is joined.
  std::optional<Time> leave_at_;
  bool exited_ = false;
  std::string log_reason_;  // reason of the last "waiting for a broker"

  std::vector<Runner*> candidates_;  // during one pass of serve()

  // During one step:
  Time now_{};
  std::uint8_t received_minor_ = 0;  // the broker's minor version, from the current message
  Actions* actions_ = nullptr;
};

}  // namespace weft::worker
