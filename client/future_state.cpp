// SPDX-License-Identifier: MIT
#include "weft/detail/future_state.hpp"

#include <vector>

#include "client/failure.hpp"
#include "client/fork_guard.hpp"
#include "client/futex.hpp"
#include "client/hub.hpp"
#include "common/check.hpp"
#include "common/codec.hpp"

namespace weft::detail {

namespace {

constexpr std::uint32_t kWaiters = 0x100;  // beside the phase in the word: somebody sleeps on it

template <class Phase>
constexpr std::uint32_t number(Phase phase) {
  return static_cast<std::uint32_t>(phase);
}

/// Stands in FutureState::continuations_ when they have run: no more may be added.
class Closed final : public Continuation {
 public:
  Closed() : Continuation(true) {}
  void run(FutureState&) override {}
};
Continuation* closed() {
  static Continuation* const mark = new Closed;  // never destroyed: compared with until the very end
  return mark;
}

TaskErrorKind kind_of(wire::Outcome outcome) {
  switch (outcome) {
    case wire::Outcome::crashed:
      return TaskErrorKind::crashed;
    case wire::Outcome::timed_out:
      return TaskErrorKind::timeout;
    case wire::Outcome::cancelled:
      return TaskErrorKind::cancelled;
    case wire::Outcome::unschedulable:
    case wire::Outcome::not_fetched:
    case wire::Outcome::refused:
      return TaskErrorKind::unschedulable;
    case wire::Outcome::ok:
    case wire::Outcome::failed:
    case wire::Outcome::cannot_start:
      break;
  }
  return TaskErrorKind::failed;
}

std::string text_of(const wire::ErrorInfo& info) {
  std::string text = info.message;
  if (!info.stderr_tail.empty()) text += "\nlast lines of stderr:\n" + info.stderr_tail;
  return text;
}

}  // namespace

FutureState::FutureState() = default;

FutureState::~FutureState() {
  Continuation* node = continuations_.load();
  while (node != nullptr && node != closed()) delete std::exchange(node, node->next_);
}

FutureState::Phase FutureState::phase() const noexcept {
  return static_cast<Phase>(word_.load(std::memory_order_acquire) & ~kWaiters);
}

/// From one phase to another, keeping the bit of the waiters; false: somebody was faster.
bool FutureState::set_phase(Phase from, Phase to) noexcept {
  std::uint32_t word = word_.load();
  while ((word & ~kWaiters) == number(from)) {
    if (word_.compare_exchange_weak(word, number(to) | (word & kWaiters))) return true;
  }
  return false;
}

/// Into a phase that others wait for.
void FutureState::enter(Phase to) noexcept {
  if ((word_.exchange(number(to)) & kWaiters) != 0) client::futex_wake_all(word_);
}

void FutureState::wait_while(Phase from, const Deadline& deadline) const {
  std::uint32_t word = word_.load();
  if ((word & ~kWaiters) != number(from)) return;
  if ((word & kWaiters) == 0 && !word_.compare_exchange_strong(word, number(from) | kWaiters)) return;
  client::futex_wait(word_, number(from) | kWaiters, deadline);
}

bool FutureState::awaited() const noexcept { return (word_.load() & kWaiters) != 0; }

bool FutureState::done() const noexcept { return phase() > Phase::settling; }

bool FutureState::wait_until(const Deadline& deadline) const {
  for (Phase now = phase(); now <= Phase::settling; now = phase()) {
    if (info_ && info_->hub->forked())
      throw Error("a weft::Future that is not done cannot be waited for after fork()");
    if (deadline && std::chrono::steady_clock::now() >= *deadline) return false;
    if (!info_ || !info_->hub->steer(*this, deadline)) wait_while(now, deadline);
  }
  return true;
}

TaskState FutureState::state() const noexcept {
  switch (phase()) {
    case Phase::queued:
      return TaskState::queued;
    case Phase::running:
    case Phase::settling:
      return TaskState::running;
    case Phase::raw:
    case Phase::decoding:
    case Phase::value:
    case Phase::taken:
      return TaskState::done;
    case Phase::failed:
      return TaskState::failed;
    case Phase::cancelled:
      return TaskState::cancelled;
  }
  return TaskState::queued;
}

TaskId FutureState::id() const { return {info_ ? info_->session : Uuid{}, seq_}; }

void FutureState::open(std::uint64_t seq, Ref<TaskInfo> info) {
  seq_ = seq;
  info_ = std::move(info);
}

void FutureState::mark_running(bool is_running) noexcept {
  is_running ? set_phase(Phase::queued, Phase::running) : set_phase(Phase::running, Phase::queued);
}

void FutureState::cancel() {
  if (done() || !info_) return;  // without info it was never handed over
  if (info_->hub->forked()) throw Error("a weft::Future cannot be cancelled after fork()");
  auto failure = std::make_unique<Failure>();
  failure->outcome = wire::Outcome::cancelled;
  if (!finish({}, std::move(failure))) return;
  info_->hub->cancel(seq_);
  if (info_->kept) info_->hub->taken(seq_);
}

bool FutureState::finish(std::string bytes, std::unique_ptr<Failure> failure) {
  while (!set_phase(Phase::queued, Phase::settling)) {
    if (set_phase(Phase::running, Phase::settling)) break;
    if (phase() >= Phase::settling) return false;
  }
  raw_ = std::move(bytes);
  failure_ = std::move(failure);
  const bool was_cancelled =
      failure_ && failure_->outcome == wire::Outcome::cancelled && !failure_->connection;
  enter(was_cancelled ? Phase::cancelled : failure_ ? Phase::failed : Phase::raw);

  if (Continuation* const newest = continuations_.exchange(closed())) run_all(newest);
  client::AnyFinished::instance().announce();
  return true;
}

void FutureState::run_all(Continuation* newest) {
  const Ref<FutureState> self(this);               // a continuation may drop the last handle
  std::vector<std::unique_ptr<Continuation>> due;  // newest first
  for (Continuation* node = newest; node != nullptr;) {
    due.emplace_back(node);
    node = std::exchange(node->next_, nullptr);
  }
  for (auto it = due.rbegin(); it != due.rend(); ++it) {
    if ((*it)->immediate_) {
      (*it)->run(*this);
    } else {
      info_->hub->callbacks->post(self, std::move(*it));
    }
  }
}

void FutureState::add(std::unique_ptr<Continuation> continuation) {
  Continuation* head = continuations_.load();
  while (head != closed()) {
    continuation->next_ = head;
    if (continuations_.compare_exchange_weak(head, continuation.get())) {
      (void)continuation.release();
      return;
    }
  }
  continuation->next_ = nullptr;
  const Ref<FutureState> self(this);
  CallbackThread::run(*this, *continuation);
}

void FutureState::need_value() {
  wait_until(std::nullopt);
  for (;;) {
    switch (phase()) {
      case Phase::value:
        return;
      case Phase::taken:
        throw Error("the result of task " + id().text() +
                    " was moved out before: std::move(future).result() does that");
      case Phase::failed:
      case Phase::cancelled:
        throw_error();
      case Phase::decoding:
        wait_while(Phase::decoding, std::nullopt);
        continue;
      default:
        break;
    }
    if (!set_phase(Phase::raw, Phase::decoding)) continue;
    try {
      decode_value(raw_);
      std::string().swap(raw_);
      enter(Phase::value);
      if (info_ && info_->kept) info_->hub->taken(seq_);
    } catch (const std::exception& error) {
      fail_decoding(error.what());
    } catch (...) {
      fail_decoding("an exception that is no std::exception");
    }
  }
}

void FutureState::fail_decoding(const char* why) {
  const wire::ErrorInfo info{.message = "the result cannot be decoded as " + value_type() + ": " + why};
  raw_ = wire::encode_error(info);
  failure_ = std::make_unique<Failure>();
  failure_->local = true;
  enter(Phase::failed);
}

void FutureState::take_value() { set_phase(Phase::value, Phase::taken); }

std::optional<TaskError> FutureState::error() const {
  const Phase now = phase();
  if (now != Phase::failed && now != Phase::cancelled) return std::nullopt;
  if (failure_->connection) throw ConnectionError(raw_);
  if (info_->kept && !failure_->local) info_->hub->taken(seq_);
  wire::ErrorInfo info;
  if (auto decoded = wire::decode_error(raw_)) info = *decoded;
  TaskErrorDetails details{.kind = kind_of(failure_->outcome),
                           .task = id(),
                           .function = info_->function,
                           .label = info_->label,
                           .worker = info.worker,
                           .host = info.host,
                           .attempt = failure_->attempts,
                           .type = info.type,
                           .text = text_of(info),
                           .history = failure_->history};
  return TaskError(std::move(details));
}

void FutureState::throw_error() const { error()->rethrow(); }

}  // namespace weft::detail
