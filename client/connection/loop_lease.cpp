// SPDX-License-Identifier: MIT
#include "client/connection/loop_lease.hpp"

#include <utility>

#include "client/connection/futex.hpp"

namespace weft::client {

namespace {
// Longer than a program needs between an answer and its next task. If a thread waits for an answer other than
// by run_until(), the answer may be late by this much, once.
constexpr std::chrono::milliseconds kPatience(1);
}  // namespace

LoopLease::Lock LoopLease::begin(Loop& loop) {
  Lock lock(mutex_);
  loop_ = &loop;
  return lock;
}

void LoopLease::end(Lock lock) {
  loop_ = nullptr;
  lock.unlock();
}

void LoopLease::yield(Lock& lock, const std::function<bool()>& wanted) {
  const std::uint32_t ticket = reclaims_.load();
  used_ = submitted_ = false;
  free_.store(true);
  if (!wanted()) {  // wanted() if work arrived before its thread could see that the loop is free
    lock.unlock();
    while (reclaims_.load() == ticket) {
      futex_wait(reclaims_, ticket, std::chrono::steady_clock::now() + kPatience);
      Lock mine(mutex_, std::try_to_lock);
      if (!mine || (std::exchange(used_, false) && !loop_->busy())) continue;
      lock = std::move(mine);
      break;
    }
  }
  free_.store(false);
  if (!lock) lock.lock();
}

/// Takes the loop if it is free.
LoopLease::Lock LoopLease::take() {
  if (!free_.load()) return {};
  Lock lock(mutex_, std::try_to_lock);
  if (!lock || loop_ == nullptr || loop_->over() || !free_.load()) return {};
  used_ = true;
  return lock;
}

bool LoopLease::run_until(const std::function<bool()>& done, const Deadline& deadline) {
  const Lock lock = take();
  if (!lock) return false;
  submitted_ = false;
  while (!done() && !loop_->over()) {
    if (deadline && std::chrono::steady_clock::now() >= *deadline) break;
    loop_->poll_once(deadline);
  }
  if (loop_->busy() || loop_->over()) reclaim();
  return true;
}

bool LoopLease::submit() {
  const Lock lock = take();
  if (!lock || std::exchange(submitted_, true)) return false;
  loop_->poll_once(std::chrono::steady_clock::now());
  return true;
}

void LoopLease::reclaim() {
  reclaims_.fetch_add(1);
  futex_wake_all(reclaims_);
}

}  // namespace weft::client
