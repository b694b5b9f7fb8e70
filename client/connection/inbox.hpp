// SPDX-License-Identifier: MIT
// Inbox: the state that a program's threads share with the client's I/O thread: the submission queue, the
// large arguments and the callback thread. An Inbox outlives its Client, since futures do. Thread-safe.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "client/connection/blob_store.hpp"
#include "client/connection/callback_thread.hpp"
#include "client/connection/loop_lease.hpp"
#include "client/connection/spec_table.hpp"

namespace weft::detail {

class Inbox {
 public:
  /// `address`: address of the broker.
  Inbox(const Uuid& session, std::string address);
  ~Inbox();
  Inbox(const Inbox&) = delete;
  Inbox& operator=(const Inbox&) = delete;

  /// Whether this is a child forked after construction, which has no I/O thread.
  bool forked() const;

  // ---- for the program's threads ----

  /// Submits tasks with their futures, both of which are moved from; returns without waiting. Numbers and
  /// specs are assigned here, so that tasks reach ClientCore in order. Throws ConnectionError or Error after
  /// close().
  void submit(const std::shared_ptr<Inbox>& self, const CallTarget& target, const TaskOptions* options,
              std::span<wire::SubmitRecord> records, std::span<IntrusivePtr<FutureState>> states);
  /// Submits a task with the spec of an earlier one.
  void submit_again(const IntrusivePtr<TaskInfo>& info, const wire::Payload& arguments,
                    IntrusivePtr<FutureState> state);
  /// Registers a call that every runner of this program makes before its first task among those submitted
  /// later.
  void add_start_call(std::uint32_t function_index, std::string_view encoded);
  /// Encoded arguments as a payload: large ones become a blob in `arguments`.
  wire::Payload payload_of(std::string_view arguments);
  /// The tasks and cancels that would be lost with this client, because the broker does not have them yet.
  struct Unsettled {
    std::size_t tasks = 0;    // detached tasks that are neither in the broker's journal nor answered
    std::size_t cancels = 0;  // cancels of detached and attached tasks that the broker does not have
    bool none() const { return tasks == 0 && cancels == 0; }
  };
  /// Waits until nothing is unsettled, at most for `patience`; with `all`, also until the broker has the
  /// cancels of other tasks. Returns what is still unsettled. Throws ConnectionError when the broker is lost
  /// for good.
  Unsettled settle(std::optional<std::chrono::milliseconds> patience, bool all);
  Unsettled unsettled();
  struct Refusals {
    std::size_t tasks = 0;  // detached tasks that the broker has refused
    std::string reason;     // reason of the first one
  };
  /// The refusals since the last call.
  Refusals take_refusals();
  /// Cancels a task at the broker; its future is already cancelled. `lasting`: the task would outlive this
  /// client.
  void cancel(std::uint64_t seq, bool lasting);

  /// Runs the loop in this thread until `state` is done, at most until `deadline`. False: another thread has
  /// the loop.
  bool run_until(const FutureState& state, const FutureState::Deadline& deadline);

  /// The program has the answer of detached or attached task `seq`, so the broker no longer needs to retain
  /// it.
  void taken(std::uint64_t seq);

  // ---- for the I/O thread ----

  /// Descriptor that is readable when the inbox is not empty, until clear_wake(), which must be called before
  /// take().
  int wake_fd() const { return wake_fd_; }
  void clear_wake();
  /// Whether the inbox is not empty.
  bool has_news();
  /// Takes the content of the inbox. opened[i] belongs to task number `first` + i.
  void take(std::vector<client::Event>& events, std::vector<IntrusivePtr<FutureState>>& opened,
            std::uint64_t& first);
  /// Makes submit() throw: ConnectionError with `reason`, or Error if `reason` is "".
  void close(const std::string& reason);
  void mark_journaled(const client::MarkJournaled& mark);
  void mark_settled(const client::CancelsSettled& settled);
  /// Adds `event` to the inbox.
  void post(client::Event event);

  const std::string address;
  client::LoopLease lease;
  client::ArgumentStore arguments;
  const std::shared_ptr<CallbackThread> callbacks;

 private:
  void check_open() const;
  void notice_libraries();
  void wake(bool needed);

  const Uuid session_;
  const unsigned generation_;
  const int wake_fd_;

  std::mutex mutex_;
  client::SpecTable specs_;
  std::uint64_t loads_ = 0;      // loader_changes() when the libraries of specs_ were last updated
  std::uint64_t loads_at_ = 0;   // TickClock::ticks() of the last check
  std::shared_ptr<Inbox> self_;  // set during submit(), for the TaskInfo of new specs
  std::vector<client::Event> events_;
  std::vector<IntrusivePtr<FutureState>> opened_;
  std::uint64_t next_seq_ = 1;
  // cancels that the broker may not have, by task number: whether `lasting`
  std::unordered_map<std::uint64_t, bool> cancels_;
  Unsettled unsettled_;
  Refusals refusals_;
  std::condition_variable settled_;
  bool woken_ = false;
  bool closed_ = false;
  std::string reason_;
};

}  // namespace weft::detail
