// SPDX-License-Identifier: MIT
// The type-independent part of as_completed and wait_any.
#include <algorithm>

#include "client/connection/futex.hpp"
#include "weft/as_completed.hpp"
#include "weft/wait.hpp"

namespace weft::detail {

namespace {

class Arrival final : public Continuation {
 public:
  Arrival(std::shared_ptr<Arrivals> arrivals, std::size_t index)
      : Continuation(true), arrivals_(std::move(arrivals)), index_(index) {}
  void run(FutureState&) override { arrivals_->add(index_); }

 private:
  std::shared_ptr<Arrivals> arrivals_;
  std::size_t index_;
};

}  // namespace

void Arrivals::add(std::size_t index) {
  {
    const std::lock_guard lock(mutex_);
    indexes_.push_back(index);
  }
  changed_.notify_all();
}

std::optional<std::size_t> Arrivals::wait_for(std::size_t n, const FutureState::Deadline& deadline) {
  std::unique_lock lock(mutex_);
  const auto arrived = [&] { return n < indexes_.size(); };
  if (!deadline) {
    changed_.wait(lock, arrived);
  } else if (!changed_.wait_until(lock, *deadline, arrived)) {
    return std::nullopt;
  }
  return indexes_[n];
}

void report_to(FutureState& state, std::shared_ptr<Arrivals> arrivals, std::size_t index) {
  state.add(std::make_unique<Arrival>(std::move(arrivals), index));
}

void wait_for_any(const std::vector<FutureState*>& states, const FutureState::Deadline& deadline) {
  auto& any = client::AnyFinished::instance();
  any.begin();
  for (;;) {
    const std::uint32_t ticket = any.ticket();
    const bool found =
        std::any_of(states.begin(), states.end(), [](FutureState* state) { return state->done(); });
    if (found || states.empty()) break;
    if (deadline && std::chrono::steady_clock::now() >= *deadline) break;
    any.wait_past(ticket, deadline);
  }
  any.end();
}

}  // namespace weft::detail
