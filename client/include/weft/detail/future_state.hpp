// SPDX-License-Identifier: MIT
// FutureState: what all copies of one Future share. Written once, by whoever finishes the task first
// (the client's I/O thread, a cancel() or ~Client), read by any thread. The bytes of a result are
// decoded by the first thread that asks for the value.
//
//   queued <-> running --> raw --> decoding --> value --> taken
//                     \--> failed <---/
//                      \-> cancelled (by cancel(): what comes of the task is not wanted)
//
// Its size counts: a program may hold a million. tests/unit/test_client_api.cpp has a limit.
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
#include "weft/detail/ref.hpp"
#include "weft/error.hpp"
#include "weft/ids.hpp"
#include "weft/serialise.hpp"

namespace weft {

/// Where a task is, as far as its client knows.
enum class TaskState { queued, running, done, failed, cancelled };

namespace detail {

class FutureState;
class Hub;
class TaskInfo;  // what tasks of one call have in common: session, function, label
struct Failure;  // why there is no value

/// Something to do when a task is finished; a list of them hangs on its FutureState.
class Continuation {
 public:
  /// `immediate`: runs in the thread that finishes the task, must be short and must not throw; else
  /// it runs in the client's callback thread.
  explicit Continuation(bool immediate) : immediate_(immediate) {}
  virtual ~Continuation() = default;
  Continuation(const Continuation&) = delete;
  Continuation& operator=(const Continuation&) = delete;
  virtual void run(FutureState& state) = 0;

 private:
  friend class FutureState;
  friend class CallbackThread;
  const bool immediate_;
  Ref<FutureState> state_;  // while it waits to run
  Continuation* next_ = nullptr;
};

class FutureState : public RefCounted {
 public:
  using Deadline = std::optional<std::chrono::steady_clock::time_point>;  // nullopt: never

  FutureState() noexcept;

  // ---- for Future ----
  bool done() const noexcept;
  /// True when done, false when `deadline` came first. Throws Error in a process that was forked from
  /// the client's, where nothing would ever come.
  bool wait_until(const Deadline& deadline) const;
  /// False: every callback that was added has returned.
  bool has_callbacks() const noexcept { return word_.load() >= kCallback; }
  /// Of a task that is done: waits until every callback that was added has returned; false when `deadline`
  /// came first. On the callback thread, and in one of these callbacks, it does not wait.
  bool wait_for_callbacks(const Deadline& deadline) const {
    return !has_callbacks() || sleep_for_callbacks(deadline);
  }
  TaskState state() const noexcept;
  virtual TaskId id() const;
  /// Of a task that is done: its error, or nullopt. Throws ConnectionError when that is the reason.
  std::optional<TaskError> error() const;
  void cancel();
  /// Runs it when the task is done: at once, here, when it is already.
  void add(std::unique_ptr<Continuation> continuation);

  // ---- for the client ----
  /// Before anybody else sees it.
  void open(std::uint64_t seq, Ref<TaskInfo> info);
  void mark_running(bool running) noexcept;
  /// Ends it, unless a cancel() has: with an encoded result, or with an encoded error and why. What has to
  /// run in the callback thread is handed to it. For one thread at a time. True: threads sleep until it is
  /// done, which wake() tells.
  bool finish(std::string raw, std::unique_ptr<Failure> failure);
  void wake() const noexcept;
  /// One of the callbacks that were added has returned.
  void callback_returned() noexcept;
  const TaskInfo* info() const noexcept { return info_.get(); }
  /// Submits the task, which has failed, once more by `hub`, as that of `fresh`. Throws Error.
  void submit_again(Hub& hub, Ref<FutureState> fresh) const;

 protected:
  ~FutureState() override;

  /// Waits and decodes; throws the task's error.
  void need_value();
  /// Marks the value as moved out.
  void take_value();
  /// Turns `raw` into the value. Called once.
  virtual void decode_value(std::string_view raw) = 0;
  virtual std::string value_type() const = 0;

 private:
  enum class Phase : std::uint32_t { queued, running, raw, decoding, value, taken, failed, cancelled };

  // What word_ consists of.
  static constexpr std::uint32_t kPhase = 0xff;
  static constexpr std::uint32_t kWaiters = 0x100;   // a thread sleeps on it
  static constexpr std::uint32_t kCallback = 0x200;  // times the callbacks that have not returned

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
  Ref<TaskInfo> info_;
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

/// The state of a Future<R> for a detached task that another client may have submitted.
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
