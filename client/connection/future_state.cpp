// SPDX-License-Identifier: MIT
#include "weft/detail/future_state.hpp"

#include <vector>

#include "client/connection/fork_guard.hpp"
#include "client/connection/futex.hpp"
#include "client/connection/inbox.hpp"
#include "client/core/failure.hpp"
#include "common/base/check.hpp"
#include "common/wire/codec.hpp"

namespace weft::detail {

namespace {

template <class Phase>
constexpr std::uint32_t number(Phase phase) {
  return static_cast<std::uint32_t>(phase);
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
    case wire::Outcome::unknown:
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

FutureState::FutureState() noexcept = default;

FutureState::~FutureState() {
  Continuation* node = continuations_.load(std::memory_order_acquire);
  while (node != nullptr) delete std::exchange(node, node->next_);
}

FutureState::Phase FutureState::phase() const noexcept { return static_cast<Phase>(word_.load() & kPhase); }

/// Changes the phase; false: the phase is not `from`.
bool FutureState::set_phase(Phase from, Phase to) noexcept {
  std::uint32_t word = word_.load();
  while ((word & kPhase) == number(from)) {
    if (word_.compare_exchange_weak(word, number(to) | (word & ~kPhase))) return true;
  }
  return false;
}

/// Leaves queued or running for `to`. Returns whether threads sleep until the task is done; nullopt: the task
/// was done already.
std::optional<bool> FutureState::end(Phase to) noexcept {
  std::uint32_t word = word_.load();
  while ((word & kPhase) <= number(Phase::running)) {
    if (word_.compare_exchange_weak(word, number(to) | (word & ~(kPhase | kWaiters))))
      return (word & kWaiters) != 0;
  }
  return std::nullopt;
}

/// Leaves decoding for `to`, and wakes the threads that wait for the end of decoding.
void FutureState::enter(Phase to) noexcept {
  std::uint32_t word = word_.load();
  while (!word_.compare_exchange_weak(word, number(to) | (word & ~(kPhase | kWaiters)))) {
  }
  if ((word & kWaiters) != 0) wake();
}

void FutureState::wake() const noexcept { client::futex_wake_all(word_); }

void FutureState::wait_while(Phase from, const Deadline& deadline) const {
  const std::uint32_t word = word_.load();
  if ((word & kPhase) == number(from)) sleep(word, deadline);
}

/// Sleeps while word_ equals `word`. May return early.
void FutureState::sleep(std::uint32_t word, const Deadline& deadline) const {
  if ((word & kWaiters) == 0 && !word_.compare_exchange_strong(word, word | kWaiters)) return;
  client::futex_wait(word_, word | kWaiters, deadline);
}

bool FutureState::sleep_for_callbacks(const Deadline& deadline) const {
  if (CallbackThread::must_not_wait_for(*this) || info_->inbox->forked()) return true;
  for (std::uint32_t word = word_.load(); word >= kCallback; word = word_.load()) {
    if (deadline && std::chrono::steady_clock::now() >= *deadline) return false;
    sleep(word, deadline);
  }
  return true;
}

void FutureState::callback_returned() noexcept {
  std::uint32_t word = word_.load();
  std::uint32_t left = 0;
  do {
    left = word - kCallback;
    if (left < kCallback) left &= ~kWaiters;
  } while (!word_.compare_exchange_weak(word, left));
  if (left < kCallback && (word & kWaiters) != 0) wake();
}

bool FutureState::done() const noexcept { return phase() > Phase::running; }

bool FutureState::wait_until(const Deadline& deadline) const {
  for (Phase now = phase(); now <= Phase::running; now = phase()) {
    if (info_ && info_->inbox->forked())
      throw Error("a weft::Future that is not done cannot be waited for after fork()");
    if (deadline && std::chrono::steady_clock::now() >= *deadline) return false;
    if (!info_ || !info_->inbox->run_until(*this, deadline)) wait_while(now, deadline);
  }
  return true;
}

TaskState FutureState::state() const noexcept {
  switch (phase()) {
    case Phase::queued:
      return TaskState::queued;
    case Phase::running:
      return TaskState::running;
    case Phase::raw:
    case Phase::decoding:
    case Phase::value:
    case Phase::taken:
      return TaskState::done;
    case Phase::failed:
      return failure_->outcome == wire::Outcome::cancelled && !failure_->connection ? TaskState::cancelled
                                                                                    : TaskState::failed;
    case Phase::cancelled:
      return TaskState::cancelled;
  }
  return TaskState::queued;
}

TaskId FutureState::id() const { return {info_ ? info_->session : Uuid{}, seq_}; }

void FutureState::open(std::uint64_t seq, IntrusivePtr<TaskInfo> info) {
  seq_ = seq;
  info_ = std::move(info);
}

void FutureState::mark_running(bool is_running) noexcept {
  is_running ? set_phase(Phase::queued, Phase::running) : set_phase(Phase::running, Phase::queued);
}

void FutureState::cancel() {
  if (done() || !info_) return;  // without info the task has never been submitted
  if (info_->inbox->forked()) throw Error("a weft::Future cannot be cancelled after fork()");
  const std::optional<bool> awaited = end(Phase::cancelled);
  if (!awaited) return;
  if (*awaited) wake();
  run_continuations();
  client::AnyFinished::instance().announce();
  info_->inbox->cancel(seq_, info_->kept);
}

bool FutureState::finish(std::string bytes, std::unique_ptr<Failure> failure) {
  if (done()) return false;
  // Other threads read raw_ and failure_ only once the future is done, and never after a cancel().
  raw_ = std::move(bytes);
  failure_ = std::move(failure);
  const std::optional<bool> awaited = end(failure_ ? Phase::failed : Phase::raw);
  if (awaited) run_continuations();
  return awaited.value_or(false);
}

/// Runs the continuations of a future that is done. A continuation that is added concurrently is run either
/// here or by add(): the exchange of the list gives it to one of them.
void FutureState::run_continuations() {
  if (continuations_.load() == nullptr) return;
  std::vector<std::unique_ptr<Continuation>> due;  // newest first
  for (Continuation* node = continuations_.exchange(nullptr); node != nullptr;) {
    due.emplace_back(node);
    node = std::exchange(node->next_, nullptr);
  }
  const IntrusivePtr<FutureState> self(this);  // a continuation may drop the last handle
  for (auto it = due.rbegin(); it != due.rend(); ++it) {
    if ((*it)->immediate_) {
      (*it)->run(*this);
    } else {
      info_->inbox->callbacks->post(self, std::move(*it));
    }
  }
}

void FutureState::add(std::unique_ptr<Continuation> continuation) {
  const bool immediate = continuation->immediate_;
  if (immediate && done()) return continuation->run(*this);
  if (!immediate) {
    // counted before done() is checked, so that wait_for_callbacks() waits for this callback too
    word_.fetch_add(kCallback);
    if (done()) return info_->inbox->callbacks->run(IntrusivePtr<FutureState>(this), std::move(continuation));
  }
  Continuation* const added = continuation.release();
  added->next_ = continuations_.load();
  while (!continuations_.compare_exchange_weak(added->next_, added)) {
  }
  if (done()) run_continuations();
}

void FutureState::need_value() {
  wait_until(std::nullopt);
  for (;;) {
    switch (phase()) {
      case Phase::value:
        return;
      case Phase::taken:
        throw Error("the result of task " + id().text() +
                    " has already been moved out by std::move(future).result()");
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
      if (info_ && info_->kept) info_->inbox->taken(seq_);
    } catch (const std::exception& error) {
      fail_decoding(error.what());
    } catch (...) {
      fail_decoding("an exception that is not a std::exception");
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
  if (now == Phase::cancelled) return TaskError(details_of(TaskErrorKind::cancelled));
  // nullopt is an answer too: the caller has learned that the task succeeded
  if (now == Phase::raw && info_->kept) info_->inbox->taken(seq_);
  if (now != Phase::failed) return std::nullopt;
  if (failure_->connection) throw ConnectionError(raw_);
  if (info_->kept && !failure_->local) info_->inbox->taken(seq_);
  wire::ErrorInfo info;
  if (auto decoded = wire::decode_error(raw_)) info = *decoded;
  TaskErrorDetails details = details_of(kind_of(failure_->outcome));
  details.worker = info.worker;
  details.host = info.host;
  details.directory = info.directory;
  details.attempt = failure_->attempts;
  details.type = info.type;
  details.text = text_of(info);
  details.history = failure_->history;
  return TaskError(std::move(details));
}

void FutureState::submit_again(Inbox& inbox, IntrusivePtr<FutureState> fresh) const {
  const Phase now = phase();
  const auto refuse = [this](const char* why) {
    throw Error("task " + id().text() + " cannot be tried again: " + why);
  };
  if (now <= Phase::running) refuse("it is not done");
  if (now == Phase::cancelled) refuse("it was cancelled by this program");
  if (now != Phase::failed) refuse("it has succeeded");
  if (failure_->connection) refuse("its broker was lost; submit it to another weft::Client");
  if (failure_->local) refuse("it has succeeded, but its result cannot be decoded");
  if (info_->inbox.get() != &inbox) refuse("another weft::Client has submitted it");
  if (info_->content.kind == wire::TaskKind::attached)
    refuse(
        "it was attached, and the broker does not retain the arguments of a finished task: submit it "
        "again in a program that has them");
  if (failure_->outcome == wire::Outcome::cancelled) refuse("it was cancelled");
  inbox.submit_again(info_, failure_->arguments, std::move(fresh));
}

TaskErrorDetails FutureState::details_of(TaskErrorKind kind) const {
  return {.kind = kind, .task = id(), .function = info_->function, .label = info_->label};
}

void FutureState::throw_error() const { error()->rethrow(); }

}  // namespace weft::detail
