// SPDX-License-Identifier: MIT
// The client's state machine. ClientCore retains every task with its arguments until the final answer, sends
// HELLO, announces open tasks (again after a reconnect), acknowledges deliveries, and fetches large results.
// ClientCore never sends, sleeps, hashes or reads a clock: the shell feeds it events and performs the actions
// that it returns. The loop is
//
//   for (;;) {
//     poll(link, inbox, until(core.deadline()));
//     for each thing that happened:  core.step(now, event, actions);
//     core.step(now, Tick{}, actions);            // once per iteration: acknowledges
//     for each action:               perform(action);
//   }
//
// Not thread-safe; owned by one loop. The rules are in common/PROTOCOL.md, sections 3 to 5 and 7. After
// GaveUp or Close, ClientCore is over(): it ignores every event and has no deadline.
//
// Life of a task:
//
//   Submit --> open --(final, inline)--> Complete, forgotten
//               | ^ \--(final, blob)--> pulling --(verified)--> DROP, Complete, forgotten
//               | +------ REANNOUNCE ------+ (lost)
//               +--(CancelTasks)--> Complete; if the broker may have the task: cancelled until it answers
//
// Invariants (see check_invariants):
//   1. Each submitted task is completed exactly once, unless the session is over.
//   2. Deliveries are taken in order, each once; only taken ones are acknowledged.
//   3. Flow control: the bytes of tasks in flight (sent, not RECEIVED) stay below the window plus one task.
//   4. A spec is retained while a task refers to it, and forgotten when it is retired and unused.
//   5. A task is pulling exactly while the fetcher fetches its result.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "client/core/broker_loss.hpp"
#include "client/core/delivery_acks.hpp"
#include "client/core/durable_tasks.hpp"
#include "client/core/events.hpp"
#include "client/core/fetcher.hpp"
#include "common/base/sequence_map.hpp"
#include "common/base/time.hpp"
#include "common/wire/presence.hpp"

namespace weft::client {

class ClientCore {
 public:
  struct Settings {
    Uuid id;                        // random id of this session
    std::uint64_t jitter_seed = 1;  // random
    std::string name;               // shown in status
    std::string host;
    std::uint64_t pid = 0;
    std::string address;                                  // of the broker, for messages
    Duration connect_timeout = std::chrono::seconds(10);  // until the first WELCOME
    Duration give_up = std::chrono::seconds(60);          // how long to wait for a lost broker
    std::size_t window_bytes = 4 << 20;  // flow control: bytes of tasks sent and not RECEIVED
    std::size_t history_max = 50;        // lines of TaskErrorDetails::history retained for a task
    DeliveryAcks::Settings acks;
    Presence::Settings presence;
    BlobFetch::Settings fetch;  // how large results are fetched
  };

  /// `now`: when the search for a broker begins.
  ClientCore(Settings settings, Time now);

  /// Applies one event at `now` and appends the resulting actions to `actions`, in order. REQUIRES: `now`
  /// never goes backwards between calls.
  void step(Time now, const Event& event, Actions& actions);

  /// The latest time to deliver the next Tick; nullopt when over().
  std::optional<Time> deadline() const;

  /// Aborts if an invariant is broken. Called after every step in tests and simulation.
  void check_invariants() const;

  // ---- queries ----
  bool joined() const { return !over_ && presence_.joined(); }
  bool ever_joined() const { return epoch_ != 0; }
  bool over() const { return over_; }
  /// Why there is no connection; "" if unknown.
  const std::string& last_reason() const { return loss_.reason(); }
  std::uint64_t epoch() const { return epoch_; }
  /// Number of tasks without a final answer.
  std::size_t open_tasks() const { return tasks_.size(); }

 private:
  enum class TaskState : std::uint8_t { open, running, pulling, cancelled };
  /// Data that few tasks have.
  struct Extra {
    std::vector<std::string> history;
    std::uint32_t attempts = 0;      // executions that have been charged
    std::uint32_t retries_used = 0;  // as counted by the broker
    std::uint32_t crashes = 0;
    Duration waited{};    // time queued before `since`
    bool remake = false;  // its result was lost: the task has been announced again, out of turn
    wire::BlobRef blob;   // the result that is being fetched
  };
  struct Task {
    wire::Payload payload;
    std::unique_ptr<Extra> extra;
    Time since{};  // when the task was submitted, or queued again
    std::uint32_t spec = 0;
    TaskState state = TaskState::open;
  };
  struct Spec {
    wire::TaskSpec content;
    std::uint64_t tasks = 0;
    std::uint8_t minor = 0;  // minor version that a broker must have, for its essential options
    bool retired = false;
    bool defined = false;  // DEFINE was sent on this connection
    bool known = false;    // the broker of this epoch knows the spec
  };
  /// A SUBMIT or REANNOUNCE that has not been RECEIVED.
  struct UnderWay {
    std::uint64_t last_seq = 0;
    std::size_t bytes = 0;
  };

  // client_core.cpp: presence and dispatch
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
  void log_no_answer();
  void break_link(const std::string& reason);
  void give_up(const std::string& reason);
  void begin_epoch(const wire::Welcome& welcome);
  void resume_epoch(const wire::Welcome& welcome);
  void send(wire::Message message);
  void notify(Notice notice) { actions_->push_back(Notify{std::move(notice)}); }

  // tasks.cpp: submission, announcement, cancellation, answers
  void on(const DefineSpec& event);
  void on(const RetireSpec& event);
  void on(const Submit& event);
  void on(const CancelTasks& event);
  void on(const Taken& event);
  void on(const BlobReady& event);
  void on(const BlobBad& event);
  Task& end_fetch(const Fetcher::Needer& needer);
  void send_cancels(const std::vector<std::uint64_t>& seqs);
  void send_fetched(const std::vector<wire::TaskRef>& tasks);
  void repeat_fetched();
  void settle_cancel(std::uint64_t seq);
  bool outlives_us(const Task& task);
  void on_message(const wire::Received& received);
  void on_message(const wire::Deliver& deliver);
  void on_message(const wire::Running& running);
  void on_message(const wire::Journaled& kept);
  void mark_journaled(std::uint64_t seq, const wire::Payload* refusal = nullptr);
  void note_detached(std::uint64_t seq, const wire::TaskSpec& spec, const wire::Payload& payload);
  void send_ack();
  void reannounce(wire::Reannounce message);
  void take(const wire::DeliveryRecord& record);
  void take_charge(std::uint64_t seq, Task& task, const wire::DeliveryRecord& record);
  void take_final(std::uint64_t seq, Task& task, const wire::DeliveryRecord& record);
  void log_crash(std::uint64_t seq, const Task& task, const wire::DeliveryRecord& record);
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
  Time now_;                         // time of the current step
  std::uint8_t received_minor_ = 0;  // the broker's minor version, from the current message
  Actions* actions_ = nullptr;       // of the current step
  bool over_ = false;
  BrokerLoss loss_;
  Time crash_log_at_{};               // earliest time of the next log line about a crash
  std::size_t crashes_unlogged_ = 0;  // crashes since the last log line

  SequenceMap<Task> tasks_;
  std::unordered_map<std::uint32_t, Spec> specs_;
  // cache of the last lookup, since consecutive tasks mostly share a spec
  std::pair<std::uint32_t, Spec*> recent_spec_;
  std::uint64_t submitted_ = 0;  // highest task number
  DurableTasks durable_;

  // State of the broker's epoch:
  std::uint64_t epoch_ = 0;
  DeliveryAcks acks_{settings_.acks};
  std::uint64_t reannounce_upto_ = 0;  // tasks up to this number are older than the epoch

  // State of the connection:
  std::uint64_t next_ = 1;       // number of the next task to announce
  std::uint64_t sent_max_ = 0;   // highest number ever announced, on any connection
  std::uint64_t sync_upto_ = 0;  // SYNCED follows when all tasks up to this number have been announced
  bool synced_ = false;
  std::vector<std::uint64_t> cancel_again_;  // cancelled tasks that have been announced again
  std::deque<UnderWay> under_way_;
  std::size_t under_way_bytes_ = 0;
  // filled by pump(), sent by flush_announced()
  wire::Submit submit_;
  wire::Reannounce reannounce_;
};

}  // namespace weft::client
