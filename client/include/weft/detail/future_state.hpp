// SPDX-License-Identifier: MIT
// FutureState: the state that all copies of a Future share. Written once, by the first that finishes the task
// (the client's I/O thread, a cancel() or ~Client), and read by any thread. The first thread that asks for
// the value decodes it.
//
//   queued <-> running --> raw --> decoding --> value --> taken
//                     \--> failed <---/
//                      \-> cancelled (by cancel(): the outcome of the task is ignored)
//
// A program may hold a million of them, so tests/unit/test_client_api.cpp checks the size of a FutureState.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "weft/detail/duration.hpp"
#include "weft/detail/intrusive_ptr.hpp"
#include "weft/error.hpp"
#include "weft/ids.hpp"
#include "weft/serialise.hpp"

namespace weft {

/// The state of a task, as known to its client.
enum class TaskState { queued, running, done, failed, cancelled };

namespace detail {

class FutureState;
class Inbox;
class TaskInfo;  // shared by the tasks of one call: session, function, label
struct Failure;  // why there is no value

/// An action to run when a task is finished; FutureState has a list of them.
class Continuation {
 public:
  /// `immediate`: runs in the thread that finishes the task, and must be short and not throw; otherwise runs
  /// in the client's callback thread.
  explicit Continuation(bool immediate) : immediate_(immediate) {}
  virtual ~Continuation() = default;
  Continuation(const Continuation&) = delete;
  Continuation& operator=(const Continuation&) = delete;
  virtual void run(FutureState& state) = 0;

 private:
  friend class FutureState;
  friend class CallbackThread;
  const bool immediate_;
  IntrusivePtr<FutureState> state_;  // set while the continuation is queued
  Continuation* next_ = nullptr;
};

class FutureState : public RefCounted {
 public:
  using Deadline = std::optional<std::chrono::steady_clock::time_point>;  // nullopt: never

  FutureState() noexcept;

  // ---- for Future ----
  bool done() const noexcept;
  /// True: done; false: `deadline` has passed. Throws Error in a child forked from the client's process,
  /// where no answer can arrive.
  bool wait_until(const Deadline& deadline) const;
  /// Whether an added callback has not returned yet.
  bool has_callbacks() const noexcept { return word_.load() >= kCallback; }
  /// For a task that is done: waits until every added callback has returned; false: `deadline` has passed.
  /// Does not wait on the callback thread or inside one of these callbacks.
  bool wait_for_callbacks(const Deadline& deadline) const {
    return !has_callbacks() || sleep_for_callbacks(deadline);
  }
  TaskState state() const noexcept;
  virtual TaskId id() const;
  /// For a task that is done: its error, or nullopt. Throws ConnectionError if the broker was lost for good.
  std::optional<TaskError> error() const;
  /// See Future::cancel. Throws Error in a forked child.
  void cancel();
  /// Runs `continuation` when the task is done, or at once in this thread if the task is done already.
  void add(std::unique_ptr<Continuation> continuation);

  // ---- for the client ----
  /// Sets the number and the data of the task. Called before other threads can see this object.
  void open(std::uint64_t seq, IntrusivePtr<TaskInfo> info);
  void mark_running(bool running) noexcept;
  /// Finishes the task, unless cancel() has: with an encoded result, or with an encoded error and a Failure.
  /// Queues callbacks for the callback thread. Called by one thread at a time. True: threads sleep until the
  /// task is done, so call wake().
  bool finish(std::string raw, std::unique_ptr<Failure> failure);
  void wake() const noexcept;
  /// An added callback has returned.
  void callback_returned() noexcept;
  const TaskInfo* info() const noexcept { return info_.get(); }
  /// Submits the failed task again through `inbox`, for the future `fresh`. Throws Error.
  void submit_again(Inbox& inbox, IntrusivePtr<FutureState> fresh) const;

 protected:
  ~FutureState() override;

  /// Waits for the value and decodes it; throws the task's error.
  void need_value();
  /// Marks the value as moved out.
  void take_value();
  /// Turns `raw` into the value. Called once.
  virtual void decode_value(std::string_view raw) = 0;
  virtual std::string value_type() const = 0;

 private:
  enum class Phase : std::uint32_t { queued, running, raw, decoding, value, taken, failed, cancelled };

  // The parts of word_.
  static constexpr std::uint32_t kPhase = 0xff;
  static constexpr std::uint32_t kWaiters = 0x100;  // a thread sleeps on word_
  // added for each callback that has not returned
  static constexpr std::uint32_t kCallback = 0x200;

  Phase phase() const noexcept;
  bool set_phase(Phase from, Phase to) noexcept;
  std::optional<bool> end(Phase to) noexcept;
  void enter(Phase to) noexcept;
  void wait_while(Phase phase, const Deadline& deadline) const;
  void sleep(std::uint32_t word, const Deadline& deadline) const;
  bool sleep_for_callbacks(const Deadline& deadline) const;
  void run_continuations();
  void fail_decoding(const char* why);
  TaskErrorDetails details_of(TaskErrorKind kind) const;
  [[noreturn]] void throw_error() const;

  mutable std::atomic<std::uint32_t> word_{0};  // a futex
  std::uint64_t seq_ = 0;
  IntrusivePtr<TaskInfo> info_;
  std::string raw_;  // the encoded result, or an encoded error
  std::unique_ptr<Failure> failure_;
  std::atomic<Continuation*> continuations_{nullptr};  // newest first
};

template <class Rep, class Period>
FutureState::Deadline deadline_after(std::chrono::duration<Rep, Period> time) {
  const std::chrono::milliseconds left = bounded(time);
  if (left == kForever) return std::nullopt;
  return std::chrono::steady_clock::now() + left;
}
inline FutureState::Deadline deadline_after(const std::optional<std::chrono::milliseconds>& time) {
  return time ? deadline_after(*time) : std::nullopt;
}

/// The state of a Future<R>.
template <class R>
class TypedState : public FutureState {
 public:
  const R& get() {
    need_value();
    return *value_;
  }
  R take() {
    need_value();
    R out = std::move(*value_);
    take_value();
    value_.reset();
    return out;
  }

 private:
  void decode_value(std::string_view raw) override { value_.emplace(decode<R>(raw)); }
  std::string value_type() const override { return type_name<R>(); }

  std::optional<R> value_;
};

template <>
class TypedState<void> : public FutureState {
 public:
  void get() { need_value(); }
  void take() { need_value(); }

 private:
  void decode_value(std::string_view) override {}
  std::string value_type() const override { return "void"; }
};

/// The state of a Future<R> for a detached task, possibly of another client (Client::attach).
template <class R>
class AttachedState final : public TypedState<R> {
 public:
  explicit AttachedState(const TaskId& id) : id_(id) {}
  TaskId id() const override { return id_; }

 private:
  const TaskId id_;
};

}  // namespace detail
}  // namespace weft
