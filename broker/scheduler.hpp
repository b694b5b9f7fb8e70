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

#include "broker/blob_relay.hpp"
#include "broker/delivery.hpp"
#include "broker/eligibility.hpp"
#include "broker/events.hpp"
#include "broker/fair_queue.hpp"
#include "broker/keeper.hpp"
#include "broker/placer.hpp"
#include "broker/roster.hpp"
#include "broker/settings.hpp"
#include "broker/step.hpp"
#include "broker/worker_health.hpp"

namespace weft::broker {

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
  bool knows(PeerId peer) const { return roster_.peers().contains(peer); }
  bool has_session(const Uuid& id) const { return roster_.sessions().contains(id); }
  std::uint64_t finished() const { return finished_; }

 private:
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
  bool within_credit(Session& session, std::size_t bytes);
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
  void on(Worker& worker, const wire::Heartbeat& beat);
  void set_hold(Worker& worker, const wire::Heartbeat& beat);
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
  void take_results(Worker& worker, const wire::Results& results);
  void take_result(Worker& worker, Task& task, const wire::Attempt& attempt,
                   const wire::ResultRecord& record);
  void take_failure(Worker& worker, Task& task, const wire::ResultRecord& record);
  void answer_all(ReadyQueue& queue, wire::Outcome outcome, const wire::Payload& payload);
  void note_end(Worker& worker, const Task& task, wire::Outcome outcome);
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
  void renew_found_grace(Session& session) const;
  void answer_find(PeerId peer, const wire::Find& find, std::uint8_t minor);
  void tend_keeper();
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
  std::pair<Task*, Worker*> next_of(ReadyQueue& queue);
  std::pair<Task*, Worker*> next_retry(ReadyQueue& queue);
  void avoid_bad_workers();
  void refuse_too_new(ReadyQueue& queue, std::uint8_t minor);
  void fail_refused(ReadyQueue& queue, const Refusal& latest);
  double assign(Task& task, Worker& worker);
  void define_for(Worker& worker, const Session& session, const Spec& spec);
  void flush_assignments();
  void rebalance();
  void refuse_too_large(ReadyQueue& queue);
  void explain_waiting();

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

  bool adopting() const { return step_.now() < adoption_ends_; }
  static Task* find_task(Session& session, std::uint64_t seq);

  Settings settings_;
  Roster roster_;
  Step step_;
  Time started_;
  Time stepped_;        // the previous step
  Time adoption_ends_;  // until then workers may claim what an earlier broker gave them
  Time next_scan_;
  Time next_explain_;

  std::unordered_map<Uuid, Time> expected_;  // sessions that workers claim, without HELLO yet: until when
  std::unordered_map<TaskId, HeldClaim> orphans_;  // claims for tasks that were not announced yet
  BlobRelay blobs_;
  Keeper keeper_;
  std::unordered_map<BlobId, std::vector<TaskId>> savers_;  // detached tasks that wait for a blob to be kept

  Eligibility eligibility_{settings_, roster_, step_};
  FairQueue fair_queue_{settings_, roster_, eligibility_};
  Delivery delivery_{settings_, roster_, fair_queue_, step_};
  Placer placer_{settings_, roster_, eligibility_, step_};
  WorkerHealth health_{settings_, roster_, step_};
  std::vector<Worker*> assigned_to_;                   // in this scheduling pass
  std::deque<std::pair<Time, std::string>> departed_;  // clients that left open tasks lately, for people
  std::uint64_t next_attempt_ = 1;
  std::size_t queued_bytes_ = 0;
  std::uint64_t finished_ = 0;
};

}  // namespace weft::broker
