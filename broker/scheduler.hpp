// SPDX-License-Identifier: MIT
// Scheduler decides which worker runs which task, who hears of it and what happens when somebody
// dies. It never sends, sleeps or reads a clock: the shell feeds it events and performs the actions
// it returns. The loop is
//
//   for (;;) {
//     poll(sockets, until(scheduler.deadline()));
//     for each message received:  scheduler.step(now, Received{peer, message}, actions);
//     scheduler.step(now, Tick{}, actions);
//     for each action:            perform(action);   // a failed send becomes PeerGone
//   }
//
// A step first applies its event and then assigns whatever can be assigned. Not thread-safe; owned by
// one loop. common/PROTOCOL.md describes what it keeps to.
//
// Invariants (see check_invariants):
//   1. A task is in exactly one list, and that list fits its state.
//   2. A worker's assigned tasks never exceed its credit, nor their resources what it has.
//   3. An attempt number is given out once; a failure bearing another than the current one counts for
//   nothing.
//   4. Every task that arrived is answered by exactly one final delivery, or its session has ended.
//   5. A worker's result is released only when its client has it, or when nobody needs it.
#pragma once

#include <deque>
#include <queue>

#include "broker/blob_relay.hpp"
#include "broker/blob_vault.hpp"
#include "broker/events.hpp"
#include "broker/journal_queue.hpp"
#include "broker/state.hpp"

namespace weft::broker {

struct Settings {
  std::uint64_t epoch = 1;           // random, of this life of the broker
  std::int64_t unix_us_at_zero = 0;  // wall clock at Time{}
  std::string version = "0";
  std::uint8_t minor =
      wire::kMinor;  // version of the protocol that it speaks; another only in the simulation
  Duration heartbeat_interval = std::chrono::seconds(1);
  std::uint32_t heartbeat_liveness = 3;                        // the zguide: "3-5 is reasonable"
  Duration adoption_window = std::chrono::seconds(2);          // from the start, for claims
  Duration client_grace = std::chrono::seconds(2);             // of a client that closed its connection
  Duration max_client_silence = std::chrono::minutes(10);      // of any client, and at most its give_up
  Duration gone_grace = std::chrono::milliseconds(90);         // of a worker whose connection broke
  Duration explain_after = std::chrono::seconds(5);            // then a task that cannot run says why
  Duration stall_after = std::chrono::seconds(10);             // without progress, though there could be some
  Duration prefetch = std::chrono::milliseconds(4);            // of work that waits with a worker
  Duration prefetch_task_max = std::chrono::milliseconds(20);  // longer tasks are not prefetched
  Duration quantum = std::chrono::microseconds(200);           // of slot time, until the next client's turn
  Duration cannot_start_memory = std::chrono::seconds(10);     // how long a worker is not asked again, first
  Duration cannot_start_memory_max = std::chrono::hours(1);    // and after many times
  Duration avoid = std::chrono::seconds(60);             // a worker where nearly everything fails, first
  Duration avoid_max = std::chrono::hours(1);            // and after many times
  Duration retry_elsewhere = std::chrono::seconds(10);   // a retry waits for a worker that is busy so long
  std::uint16_t fetch_tries = 3;                         // again, when a program or argument did not come
  std::size_t prefetch_max = 2000;                       // tasks for each slot
  std::size_t shared_part = 8;                           // that part of both, while clients compete
  Duration shared_memory = std::chrono::seconds(1);      // since one submitted while tasks of another waited
  std::size_t delivery_bytes_max = 8 << 20;              // not acknowledged, under way to a client
  std::size_t backlog_bytes_max = 64 << 20;              // of results waiting, for a session to go on
  std::size_t program_bytes_max = std::size_t{1} << 30;  // of programs and their libraries, kept for workers
  std::size_t memory_budget = std::size_t{4} << 30;  // of tasks and results; beyond it SUBMITs are held back
  std::size_t submit_bytes_max = 8 << 20;            // without a RECEIVED: a client stops at half of it
  std::size_t received_bytes = 64 << 10;       // of SUBMIT that a RECEIVED stands for, at least, by itself
  bool journal = false;                        // there is one: detached tasks are accepted
  Duration keep = std::chrono::hours(24 * 7);  // of the answer of a detached task
  JournalQueue::Settings journal_queue;
  BlobVault::Settings blob_vault;
};

class Scheduler {
 public:
  /// `now` is the start of this broker's life.
  Scheduler(Settings settings, Time now);
  ~Scheduler();
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  /// Applies one event at `now`, appending what must be done to `actions` in order.
  /// REQUIRES: `now` never goes backwards between calls.
  void step(Time now, const Event& event, Actions& actions);

  /// When to deliver the next Tick at the latest.
  Time deadline() const;

  /// Aborts if an invariant is broken. Called after every step in tests and simulation.
  void check_invariants() const;

  // ---- queries ----
  wire::Status status(bool details) const;
  bool knows(PeerId peer) const { return peers_.contains(peer); }
  bool has_session(const Uuid& id) const { return sessions_.contains(id); }
  std::uint64_t finished() const { return finished_; }

 private:
  enum class TimerKind : std::uint8_t {
    worker_gone,
    client_grace,
    task_due,
    queue_timeout,
    adoption,
    orphans,
    keep,
    found,
    rebalance,
    avoided,
  };
  struct Timer {
    Time at;
    TimerKind kind;
    Uuid who;
    std::uint64_t seq;
    bool operator>(const Timer& other) const { return at > other.at; }
  };

  // scheduler.cpp: presence, timers, dispatch
  void on(const Received& event);
  void on(const ReceivedGarbage& event);
  void on(const PeerGone& event);
  void on(const ProcessGone& event);
  void on(const Tick& event);
  void on(const Shutdown& event);
  void on(const Recovered& event);
  void on(const Persisted& event);
  void on(const BlobStored& event);
  void on_timer(const Timer& timer);
  void scan_peers();
  void refuse(PeerId peer, wire::RefuseCode code, std::string text);
  /// How it is known that a peer is lost.
  enum class Loss : std::uint8_t {
    closed,       // by its kernel: it has ended, or is about to come back
    unreachable,  // nothing says that it has ended
  };
  void lose_peer(PeerId peer, const std::string& why, Loss loss);
  void thaw();
  void expect(const Uuid& session);
  void finish_dirty();
  void drop_peer(PeerId peer);
  void send(PeerId peer, wire::Message message);
  void log(Log::Level level, std::string text);
  void start_timer(Time at, TimerKind kind, const Uuid& who, std::uint64_t seq = 0);

  // on_client.cpp: one function for each message of a client
  void on_hello(PeerId peer, const wire::HelloClient& hello, std::uint8_t minor);
  Session& add_session(const Uuid& id);
  void on_client_message(Session& session, const wire::Message& message);
  void on(Session& session, const wire::Define& define);
  void on(Session& session, const wire::Forget& forget);
  void on(Session& session, const wire::Submit& submit);
  void on(Session& session, const wire::Reannounce& reannounce);
  void want_again(Task& task, const wire::ReannounceRecord& record);
  void on(Session& session, const wire::Synced& synced);
  void on(Session& session, const wire::Cancel& cancel);
  void on(Session& session, const wire::Ack& ack);
  void owe_received(Session& session);
  void acknowledge_submits(Session& session);
  bool within_credit(Session& session, std::size_t bytes);
  static std::size_t held_by(const Session& session);
  void ask_again(Session& session);
  Spec* spec_of(Session& session, std::uint64_t seq, std::uint32_t number);
  Task& add_task(Session& session, std::uint64_t seq, Spec& spec, const wire::Payload& payload);
  void lose_session(Session& session, const std::string& why, Loss loss);
  void fall_silent(Session& session, const std::string& why);
  void hear_again(Session& session);
  Duration patience(Duration give_up) const;
  void end_session(Session& session, const std::string& why);
  void finish_ending(Session& session);
  void define(Session& session, std::uint32_t number, const wire::TaskSpec& wanted, std::string refusal);
  void settle_orphans(Session& session);
  void end_at_workers(const Uuid& session);

  // on_worker.cpp: one function for each message of a worker
  void on_hello(PeerId peer, const wire::HelloWorker& hello, std::uint8_t minor);
  void on_worker_message(Worker& worker, const wire::Message& message);
  void on(Worker& worker, const wire::Claims& claims);
  void on(Worker& worker, const wire::Ready& ready);
  void on(Worker& worker, const wire::Results& results);
  void on(Worker& worker, const wire::Started& started);
  void on(Worker& worker, const wire::Returned& returned);
  void on(Worker& worker, const wire::Draining& draining);
  void claim(Worker& worker, const Uuid& session_id, const wire::ClaimRecord& claim);
  void adopt(Worker& worker, Task& task, const wire::ClaimRecord& claim);
  bool take_up(Worker& worker, Task& task, const wire::ClaimRecord& claim);
  static bool is_left_behind(const Task& task, const wire::ClaimRecord& claim);
  bool is_over(const Task& task, const wire::ClaimRecord& claim) const;
  static HeldClaim adopted_claim(const Task& task);
  static bool is_later(const HeldClaim& one, const HeldClaim& other);
  void take_stray(Worker& worker, const TaskId& task, const wire::Attempt& attempt);
  void drop_stray(Worker& worker, const TaskId& task, const wire::Attempt& attempt);
  void drop_strays(Worker& worker);
  bool is_being_stopped(const Session& session) const;
  void leave_behind(Task& task);
  void disown(Worker& worker, const Uuid& session, const wire::ClaimRecord& claim);
  enum class Blame : std::uint8_t { running, nobody };  // nobody: it left by its own will
  void lose_worker(Worker& worker, const std::string& why, Blame blame = Blame::running);
  void lose_connection(Worker& worker);

  // lifecycle.cpp: what happens to a task
  void queue(Task& task);
  void attach(Task& task, Worker& worker, const wire::Attempt& attempt, TaskState state);
  void detach(Task& task);
  void erase(Task& task);
  void take_out(Task& task);
  void take_results(Worker& worker, const wire::Results& results);
  void take_result(Worker& worker, Task& task, const wire::Attempt& attempt,
                   const wire::ResultRecord& record);
  void take_failure(Worker& worker, Task& task, const wire::ResultRecord& record);
  void answer_all(ReadyQueue& queue, wire::Outcome outcome, const wire::Payload& payload);
  void note_refusal(Worker& worker, const BlobId& program, const wire::Payload& reason);
  void note_failure(Worker& worker, wire::Outcome outcome);
  void charge(Task& task, wire::Outcome outcome, wire::Payload error);
  static bool is_last(const Task& task, wire::Outcome outcome);
  void count(Task& task, wire::Outcome outcome, wire::Payload error);
  void fail_for_good(Task& task, wire::Outcome outcome, wire::Payload error);
  void count_untold(const Worker& worker, Task& task, const wire::Attempt& attempt,
                    const wire::ResultRecord& record);
  void requeue(Task& task, Duration delay);
  void put_back(Task& task);
  bool may_be_elsewhere(const Task& task) const;
  void await_claim(Task& task);
  void start_unclaimed(Task& task);
  void start_again(Task& task);
  void charge_unknown_start(Task& task);
  void answer(Task& task, wire::Outcome outcome, wire::Payload payload);
  void forget_spec(Session& session, std::uint32_t number);
  void fail_unschedulable(Task& task);
  void refuse_task(Task& task, const std::string& reason);
  void answer_cancelled(Task& task);
  void cancel(Task& task);
  void revoke(const Task& task, wire::RevokeMode mode);
  void deliver(Session& session, wire::DeliveryRecord record);
  void mark_dirty(Session& session);
  void pump(Session& session);
  void release_after_deliveries(Session& session, const Worker& worker, std::uint64_t outbox,
                                std::uint64_t seq);
  void flush_releases(Session& session);
  void acknowledge(Session& session, std::uint64_t delivered);
  wire::ErrorInfo loss_of(const Worker& worker, const Task& task, const std::string& how) const;

  // detached.cpp: tasks that outlive their client
  void on(Session& session, const wire::Fetched& fetched);
  static Detached* find_detached(Session& session, std::uint64_t seq);
  void keep(Task& task);
  void hold_files(const Session& session, Spec& spec);
  void await_blob(Detached& entry, const TaskId& id, const BlobId& blob);
  void record_task(Task& task);
  void refuse_detached(Task& task, const std::string& reason);
  void accepted(const TaskRecord& record);
  void take_charge(const Session& session, Detached& entry, const wire::DeliveryRecord& charge);
  void take_answer(Detached& entry, Task& task, wire::DeliveryRecord answer);
  bool take_blob_result(Worker& worker, Task& task, bool current, const wire::ResultRecord& record);
  void fetch_result(Task& task, Detached& entry, const wire::Payload& result);
  void result_lost(Task& task, Detached& entry);
  void settle_blobs();
  void result_kept(Session& session, std::uint64_t seq, Detached& entry);
  void charged(const ChargeRecord& record);
  void finished(const FinalRecord& record);
  void hand_over(Session& session, std::uint64_t seq, const Detached& entry);
  void drop_when_free(Session& session, std::uint64_t seq);
  void forget_watchers(Detached& entry);
  void expire(const TaskId& id);
  void stop_watching(Session& session);
  static bool has_client(const Session& session);
  void drop_detached(Session& session, std::uint64_t seq);
  void release_blobs(std::vector<BlobId>& blobs);
  bool take_charges_of_client(Session& session, Detached& entry, Task& task,
                              const wire::ReannounceRecord& record);
  bool again_detached(Session& session, const wire::ReannounceRecord& record);
  void watch(Session& session, std::uint64_t seq, const wire::Payload& payload,
             std::uint32_t charges_known = 0);
  void cancel_watched(Session& session, std::uint64_t seq);
  void leave_detached(Session& session);
  void forget_deliveries(Session& session);
  void tell_kept(Session& session);
  void renew_found_grace(Session& session) const;
  void answer_find(PeerId peer, const wire::Find& find, std::uint8_t minor);
  void tend_vault();
  void write_journal();

  // recovery.cpp: the journal, read and written anew
  void replay(const SessionRecord& record);
  void replay(const SpecRecord& record);
  void replay(const TaskRecord& record);
  void replay(const ChargeRecord& record);
  void replay(const FinalRecord& record);
  void replay(const GoneRecord& record);
  void hold_again(Session& session);
  std::vector<std::string> journal_rows() const;

  // assign.cpp: who gets what
  void schedule();
  void serve(Session& session, double used_us_max);
  ReadyQueue* best_queue(const Session& session) const;
  std::pair<Task*, Worker*> next_of(ReadyQueue& queue);
  std::pair<Task*, Worker*> next_retry(ReadyQueue& queue);
  Worker* place(ReadyQueue& queue);
  Worker* place_retry(ReadyQueue& queue, const Task& task);
  bool failed_on(const Task& task, const Worker& worker) const;
  void avoid_bad_workers();
  void avoid(Worker& worker, double elsewhere);
  std::string why_avoided(const Worker& worker) const;
  Worker* place_wide(const Placement& placement) const;
  Worker* place_among(const std::vector<Worker*>& candidates, const Placement& placement) const;
  const std::vector<Worker*>& candidates_of(ReadyQueue& queue);
  static bool is_preferred(const Worker& worker, const Placement& placement);
  static bool may_ever_run(const Worker& worker, const Placement& placement);
  bool fits_now(const Worker& worker, const Placement& placement, const Task* large = nullptr) const;
  bool could_run(const Worker& worker, const Placement& placement) const;
  bool is_possible_elsewhere(const Worker& worker, const Placement& placement, const Task* large) const;
  bool has_function(const Worker& worker, const Placement& placement) const;
  std::optional<std::uint8_t> too_old_for(const Placement& placement) const;
  void refuse_too_new(ReadyQueue& queue, std::uint8_t minor);
  const Refusal* refused_everywhere(const Placement& placement, const Task* large = nullptr) const;
  void fail_refused(ReadyQueue& queue, const Refusal& latest);
  double assign(Task& task, Worker& worker);
  void define_for(Worker& worker, const Session& session, const Spec& spec);
  void note_competition(const Session& session);
  void update_credit(Worker& worker);
  static bool has_room(const Worker& worker);
  static std::uint32_t load_level(std::size_t tasks, std::uint32_t slots);
  void update_open(Worker& worker);
  static bool may_start(const Session& session);
  void update_turn(Session& session);
  void flush_assignments();
  void rebalance();
  void plan_rebalance(Time at);
  /// Why no present worker can run this, or "" when one could if it were free.
  std::string explain(const Placement& placement) const;
  void explain_waiting();

  // worker_memory.cpp: workers whose memory is short, and arguments that are larger than it
  void on(Worker& worker, const wire::Heartbeat& beat);
  void set_hold(Worker& worker, const wire::Heartbeat& beat);
  static std::string why_held(const wire::Heartbeat& hold);
  std::string why_held(const Placement& placement) const;
  /// Larger than what some worker has. What is inline never is.
  bool is_large(const Task& task) const {
    return task.payload.is_blob() && task.payload.blob().size > least_memory_;
  }
  static bool has_memory_for(const Task* task, const Worker& worker);
  void count_memory(std::uint64_t bytes, bool joins);
  void set_apart(Task& task) const;
  void set_large_apart();
  const Worker* largest_for(const Placement& placement) const;
  std::string why_too_large(const Task& task) const;
  void refuse_too_large(ReadyQueue& queue);

  // questions.cpp: from people, and what is found without being asked
  bool answer_question(PeerId peer, const wire::Message& message, std::uint8_t minor);
  wire::Answer drain(const std::string& name);
  wire::Answer why(const std::string& text) const;
  std::string why_here(const Session& session, const Task& task) const;
  std::string failed_where(const Task& task) const;
  std::string why_waiting(const Session& session, const ReadyQueue& queue) const;
  void watch_worker(Worker& worker);

  // blobs
  void pass_on(BlobRelay::Outbox& outbox);
  void remove_holder(const Uuid& holder);
  void fall_back_from(const Uuid& holder);
  void on_blob_message(PeerId peer, const Uuid& holder, const wire::Message& message);
  BlobRelay::Reachable reachable() const;

  std::int64_t unix_ms(Time time) const;
  bool adopting() const { return now_ < adoption_ends_; }
  Session* find_session(const Uuid& id);
  Worker* find_worker(const Uuid& incarnation);
  static Task* find_task(Session& session, std::uint64_t seq);

  Settings settings_;
  Time now_;  // of the current step
  Time started_;
  Time stepped_;        // the previous step
  Time adoption_ends_;  // until then workers may claim what an earlier broker gave them
  Time next_scan_;
  Time next_explain_;
  Actions* actions_ = nullptr;  // of the current step

  SeqTable<Peer> peers_;                                      // by PeerId
  std::vector<std::pair<Worker*, std::uint64_t>> releasing_;  // with outbox: that flush_releases() is at
  std::unordered_map<Uuid, std::unique_ptr<Session>> sessions_;
  std::unordered_map<Uuid, std::unique_ptr<Worker>> workers_;  // by incarnation
  std::unordered_map<std::string, Worker*> names_;
  std::unordered_map<Uuid, Time> expected_;  // sessions that workers claim, without HELLO yet: until when
  std::unordered_map<TaskId, std::vector<std::uint64_t>> failed_on_;  // workers, by their order of joining
  std::unordered_map<TaskId, HeldClaim> orphans_;  // claims for tasks that were not announced yet
  std::priority_queue<Timer, std::vector<Timer>, std::greater<>> timers_;
  BlobRelay blobs_;
  JournalQueue journal_queue_;
  BlobVault blob_vault_;
  std::unordered_map<BlobId, std::vector<TaskId>> savers_;  // detached tasks that wait for a blob to be kept

  FairTurns turns_;
  LoadIndex<&Worker::open> open_workers_;         // have credit
  std::vector<Session*> dirty_;                   // to pump or to end when the step is done
  std::vector<Worker*> assigned_to_;              // in this scheduling pass
  std::map<std::string, std::size_t> functions_;  // in libraries: how many workers have each
  bool rebalance_planned_ = false;
  Time shared_until_{};          // clients compete
  std::size_t backlog_max_ = 0;  // of results that may wait for one client before no more of its tasks go out
  std::uint64_t members_ = 1;    // counts the workers that came and went
  std::map<std::uint64_t, std::size_t> memories_;      // of workers, in bytes: how many have so much
  std::uint64_t least_memory_ = UINT64_MAX;            // the first of them
  std::size_t crowded_ = 0;                            // workers that have more tasks than slots
  Time rebalance_due_{};                               // not before
  Time avoid_due_{};                                   // as above
  std::deque<std::pair<Time, std::string>> departed_;  // clients that left open tasks lately, for people
  std::uint64_t next_attempt_ = 1;
  std::uint64_t next_serial_ = 1;
  std::size_t queued_bytes_ = 0;
  std::uint64_t finished_ = 0;
};

}  // namespace weft::broker
