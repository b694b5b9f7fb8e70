// SPDX-License-Identifier: MIT
// Hub: what a program's threads share with the client's I/O thread: an inbox, the large arguments
// and the callback thread. It outlives the Client, since futures do. Used from any thread.
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

#include "client/blob_store.hpp"
#include "client/callback_thread.hpp"
#include "client/helm.hpp"
#include "client/spec_table.hpp"

namespace weft::detail {

class Hub {
 public:
  /// `address`: of the broker.
  Hub(const Uuid& session, std::string address);
  ~Hub();
  Hub(const Hub&) = delete;
  Hub& operator=(const Hub&) = delete;

  /// True in a child that was forked after this was made: there is no I/O thread there.
  bool forked() const;

  // ---- for the program's threads ----

  /// Tasks with their futures (as many), which are moved out; numbers and specs are filled in here, so
  /// that they arrive in order. Throws ConnectionError or Error after close().
  void submit(const std::shared_ptr<Hub>& self, const CallTarget& target, const TaskOptions* options,
              std::span<wire::SubmitRecord> records, std::span<Ref<FutureState>> states);
  /// One task more, of a spec that some task had before.
  void submit_again(const Ref<TaskInfo>& info, const wire::Payload& arguments, Ref<FutureState> state);
  /// A call in every runner of this program, before its first task of those that are submitted from now on.
  void add_start_call(std::uint32_t function_index, std::string_view encoded);
  /// Encoded arguments as a payload: large ones become a blob that is kept here.
  wire::Payload payload_of(std::string_view arguments);
  /// What only this client knows, and would be lost with it.
  struct Unsettled {
    std::size_t tasks = 0;    // detached ones that are not in the broker's journal, nor answered
    std::size_t cancels = 0;  // of detached and attached tasks, that the broker does not have
    bool none() const { return tasks == 0 && cancels == 0; }
  };
  /// Waits until that is nothing, at most for `patience`; with `all`, also for the cancels of other tasks.
  /// Returns what is left. Throws ConnectionError when the broker is gone for good.
  Unsettled settle(std::optional<std::chrono::milliseconds> patience, bool all);
  Unsettled unsettled();
  struct Refusals {
    std::size_t tasks = 0;  // detached ones that the broker does not keep
    std::string reason;     // of the first
  };
  /// Those since the last call.
  Refusals take_refusals();
  /// Tells the broker; the future is cancelled already. `lasting`: the broker goes on with it when we are
  /// gone.
  void cancel(std::uint64_t seq, bool lasting);

  /// Runs the loop in this thread until `state` is done, at most until `deadline`. False: it is not to be
  /// had.
  bool steer(const FutureState& state, const FutureState::Deadline& deadline);

  /// The program has the answer, which the broker has kept for it.
  void taken(std::uint64_t seq);

  // ---- for the I/O thread ----

  /// Readable when there is something in the inbox, until clear_wake(), which goes before take().
  int wake_fd() const { return wake_fd_; }
  void clear_wake();
  /// There is something in the inbox.
  bool has_news();
  /// Moves the inbox out. State i belongs to the task number `first` + i.
  void take(std::vector<client::Event>& events, std::vector<Ref<FutureState>>& opened, std::uint64_t& first);
  /// From now on submit() throws: ConnectionError with `reason`, or Error when that is "".
  void close(const std::string& reason);
  void mark_kept(const client::MarkKept& mark);
  void mark_settled(const client::CancelsSettled& settled);
  /// Puts `event` into the inbox.
  void post(client::Event event);

  const std::string address;
  client::Helm helm;
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
  std::uint64_t loads_ = 0;     // loader_changes() when specs_ was told of the libraries
  std::uint64_t loads_at_ = 0;  // TickClock::ticks() when that was compared last
  std::shared_ptr<Hub> self_;   // within submit(): for the infos of new specs
  std::vector<client::Event> events_;
  std::vector<Ref<FutureState>> opened_;
  std::uint64_t next_seq_ = 1;
  std::unordered_map<std::uint64_t, bool> cancels_;  // not known to be with the broker: whether `lasting`
  Unsettled unsettled_;
  Refusals refusals_;
  std::condition_variable settled_;
  bool woken_ = false;
  bool closed_ = false;
  std::string reason_;
};

}  // namespace weft::detail
