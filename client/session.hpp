// SPDX-License-Identifier: MIT
// Session is a client as the broker sees it: it keeps every task with its arguments until the final
// answer, says HELLO, announces (again) what is open, acknowledges what was delivered, and fetches large
// results. It never sends, sleeps, hashes or reads a clock: the shell feeds it events and performs
// the actions it returns. The loop is
//
//   for (;;) {
//     poll(link, inbox, until(session.deadline()));
//     for each thing that happened:  session.step(now, event, actions);
//     session.step(now, Tick{}, actions);            // once a turn: acknowledges
//     for each action:               perform(action);
//   }
//
// Not thread-safe; owned by one loop. common/PROTOCOL.md, sections 3 to 5 and 7, is what it keeps to.
// After GaveUp or Close it is over(): it ignores every event and has no deadline.
//
// Life of a task here:
//
//   Submit --> open --(final, inline)--> Complete, forgotten
//               | ^ \--(final, blob)--> pulling --(verified)--> DROP, Complete, forgotten
//               | +------ REANNOUNCE ------+ (lost)
//               +--(CancelTasks)--> Complete; if the broker may have it: cancelled, until its final answer
//
// Invariants (see check_invariants):
//   1. Each task that was submitted is completed exactly once, or the session is over.
//   2. Deliveries are taken in order, each once; what is acknowledged was taken.
//   3. Bytes of tasks under way (sent, not RECEIVED) stay below the window plus one task.
//   4. A spec is kept while a task names it, and forgotten when it is retired and none does.
//   5. A task is pulling exactly when the fetcher works for it.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "client/fetcher.hpp"
#include "client/session_events.hpp"
#include "common/presence.hpp"
#include "common/seq_table.hpp"
#include "common/time.hpp"

namespace weft::client {

class Session {
 public:
  struct Settings {
    Uuid id;                        // random, of this session
    std::uint64_t jitter_seed = 1;  // random
    std::string name;               // shown in status
    std::string host;
    std::uint64_t pid = 0;
    std::string address;                                    // of the broker, for messages to people
    Duration connect_timeout = std::chrono::seconds(10);    // until the first WELCOME
    Duration give_up = std::chrono::seconds(60);            // a lost broker is waited for this long
    std::size_t window_bytes = 4 << 20;                     // of tasks sent and not RECEIVED
    std::size_t history_max = 50;                           // lines kept for a task
    Duration ack_interval = std::chrono::milliseconds(20);  // between two ACKs, which are cumulative,
    std::uint64_t ack_deliveries = 1000;                    // unless so much was delivered meanwhile
    std::size_t ack_bytes = 256 << 10;                      // or as many bytes of results
    Presence::Settings presence;
    BlobFetch::Settings fetch;  // of large results
  };

  /// `now` is when its search for a broker begins.
  Session(Settings settings, Time now);

  /// Applies one event at `now`, appending what must be done to `actions` in order.
  /// REQUIRES: `now` never goes backwards between calls.
  void step(Time now, const Event& event, Actions& actions);

  /// When to deliver the next Tick at the latest; nullopt when over().
  std::optional<Time> deadline() const;

  /// Aborts if an invariant is broken. Called after every step in tests and simulation.
  void check_invariants() const;

  // ---- queries ----
  bool joined() const { return !over_ && presence_.joined(); }
  bool ever_joined() const { return epoch_ != 0; }
  bool over() const { return over_; }
  /// Why there is no connection, as far as is known.
  const std::string& last_reason() const { return last_reason_; }
  std::uint64_t epoch() const { return epoch_; }
  /// Tasks that have no final answer yet.
  std::size_t open_tasks() const { return tasks_.size(); }

 private:
  enum class TaskState : std::uint8_t { open, running, pulling, cancelled };
  /// What few tasks have.
  struct Extra {
    std::vector<std::string> history;
    std::uint32_t attempts = 0;      // executions that were charged
    std::uint32_t retries_used = 0;  // as the broker counts
    std::uint32_t crashes = 0;
    Duration waited{};    // before `since`, queued
    bool remake = false;  // its result was lost: announced again out of turn
    wire::BlobRef blob;   // pulling
  };
  struct Task {
    wire::Payload payload;
    std::unique_ptr<Extra> extra;
    Time since{};  // when it was submitted or queued again
    std::uint32_t spec = 0;
    TaskState state = TaskState::open;
  };
  struct Spec {
    wire::TaskSpec content;
    std::uint64_t tasks = 0;
    std::uint8_t minor = 0;  // version of the protocol that a broker must know, for its essential options
    bool retired = false;
    bool defined = false;  // on this connection
    bool known = false;    // to the broker of this epoch
  };
  /// One SUBMIT or REANNOUNCE that was not RECEIVED.
  struct UnderWay {
    std::uint64_t last_seq = 0;
    std::size_t bytes = 0;
  };

  // session.cpp: presence and dispatch
  void on(const LinkUp&);
  void on(const LinkDown& event);
  void on(const Received& event);
  void on(const ReceivedGarbage& event);
  void on(const Close&);
  void on(const Tick&);
  void on_message(const wire::Welcome& welcome);
  void on_message(const wire::Refuse& refuse);
  void on_message(const wire::Goodbye& goodbye);
  void lose_link(const std::string& reason);
  void note_progress() { loss_logged_ = back_logged_ = false; }
  void tell_that_nobody_answers();
  void break_link(const std::string& reason);
  void give_up(const std::string& reason);
  void begin_epoch(const wire::Welcome& welcome);
  void resume_epoch(const wire::Welcome& welcome);
  void send(wire::Message message);
  void log(Log::Level level, std::string text);

  // session_tasks.cpp: what happens to tasks
  void on(const DefineSpec& event);
  void on(const RetireSpec& event);
  void on(const Submit& event);
  void on(const CancelTasks& event);
  void on(const Taken& event);
  void on(const BlobVerified& event);
  void send_cancels(const std::vector<std::uint64_t>& seqs);
  void send_fetched(const std::vector<wire::TaskRef>& tasks);
  void repeat_fetched();
  void settle_cancel(std::uint64_t seq);
  bool outlives_us(const Task& task);
  void on_message(const wire::Received& received);
  void on_message(const wire::Deliver& deliver);
  void on_message(const wire::Running& running);
  void on_message(const wire::Kept& kept);
  void mark_kept(std::uint64_t seq, const wire::Payload* refusal = nullptr);
  void note_detached(std::uint64_t seq, const wire::TaskSpec& spec, const wire::Payload& payload);
  bool must_ack() const;
  void take(const wire::DeliveryRecord& record);
  void take_charge(std::uint64_t seq, Task& task, const wire::DeliveryRecord& record);
  void take_final(std::uint64_t seq, Task& task, const wire::DeliveryRecord& record);
  void tell_of_crash(std::uint64_t seq, const Task& task, const wire::DeliveryRecord& record);
  void add_history(Extra& extra, const wire::DeliveryRecord& record);
  void remake(std::uint64_t seq);
  void remake_lost();
  void pump();
  void announce(std::uint64_t seq, Task& task, bool again);
  void refuse_too_new(std::uint64_t seq, const Task& task);
  void flush_announced();
  void define(std::uint32_t number);
  Spec& spec_of(std::uint32_t number);
  wire::ReannounceRecord again(std::uint64_t seq, const Task& task) const;
  void forget(std::uint64_t seq);
  void drop_if_unused(std::uint32_t number);
  void drop_cancelled(std::uint64_t beyond);
  void complete(Completion&& completion);
  Duration waited(const Task& task) const;
  static Extra& extra_of(Task& task);

  Settings settings_;
  Presence presence_;
  Fetcher fetcher_;
  Time now_;                         // of the current step
  std::uint8_t received_minor_ = 0;  // version of the broker, as of the message in hand
  Actions* actions_ = nullptr;       // of the current step
  bool over_ = false;
  Time lost_since_;           // the first loss since a connection made progress; while not joined
  bool loss_logged_ = false;  // and no connection has made progress since
  bool back_logged_ = false;
  bool nobody_logged_ = false;  // that no broker answers
  Time joined_at_{};
  Time crash_log_at_{};               // not before
  std::size_t crashes_unlogged_ = 0;  // since the last
  std::string last_reason_;

  SeqTable<Task> tasks_;
  std::unordered_map<std::uint32_t, Spec> specs_;
  std::pair<std::uint32_t, Spec*> recent_spec_;  // that was asked for last: neighbours have the same
  std::uint64_t submitted_ = 0;                  // highest task number
  std::unordered_set<std::uint64_t> unkept_;     // detached tasks that only we have
  std::unordered_map<std::uint64_t, wire::TaskRef> untaken_;  // what the broker keeps for us: by task number
  struct TakenTask {
    std::uint64_t seq;  // of ours
    wire::TaskRef ref;
  };
  std::vector<TakenTask> taken_;  // which the broker need not keep any longer: repeated on each connection

  // of the broker's epoch
  std::uint64_t epoch_ = 0;
  std::uint64_t delivered_ = 0;  // highest delivery number taken
  std::uint64_t acked_ = 0;      // and acknowledged on this connection
  bool ack_due_ = false;
  std::size_t unacked_bytes_ = 0;      // that were delivered since the last ACK
  Time ack_at_{};                      // not before
  std::uint64_t reannounce_upto_ = 0;  // tasks up to here are older than the epoch

  // of the connection
  std::uint64_t next_ = 1;       // task number to announce next
  std::uint64_t sent_max_ = 0;   // highest number ever announced, on any connection
  std::uint64_t sync_upto_ = 0;  // SYNCED follows when all up to here are announced
  bool synced_ = false;
  std::vector<std::uint64_t> cancel_again_;  // announced again, and cancelled
  std::deque<UnderWay> under_way_;
  std::size_t under_way_bytes_ = 0;
  wire::Submit submit_;  // being gathered by pump()
  wire::Reannounce reannounce_;
};

}  // namespace weft::client
