// SPDX-License-Identifier: MIT
#include "client/helm.hpp"

#include <utility>

#include "client/futex.hpp"

namespace weft::client {

namespace {
// Longer than a program needs between an answer and its next task. An answer that a thread waits for in
// another way may be late by this much, once.
constexpr std::chrono::milliseconds kPatience(1);
}  // namespace

Helm::Lock Helm::begin(Loop& loop) {
  Lock lock(mutex_);
  loop_ = &loop;
  return lock;
}

void Helm::end(Lock lock) {
  loop_ = nullptr;
  lock.unlock();
}

void Helm::step_back(Lock& lock, const std::function<bool()>& wanted) {
  const std::uint32_t ticket = recalls_.load();
  used_ = submitted_ = false;
  free_.store(true);
  if (!wanted()) {  // otherwise work may have arrived before other threads could see that the loop is free
    lock.unlock();
    while (recalls_.load() == ticket) {
      futex_wait(recalls_, ticket, std::chrono::steady_clock::now() + kPatience);
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
Helm::Lock Helm::take() {
  if (!free_.load()) return {};
  Lock lock(mutex_, std::try_to_lock);
  if (!lock || loop_ == nullptr || loop_->over() || !free_.load()) return {};
  used_ = true;
  return lock;
}

bool Helm::steer(const std::function<bool()>& done, const Deadline& deadline) {
  const Lock lock = take();
  if (!lock) return false;
  submitted_ = false;
  while (!done() && !loop_->over()) {
    if (deadline && std::chrono::steady_clock::now() >= *deadline) break;
    loop_->turn(deadline);
  }
  if (loop_->busy() || loop_->over()) recall();
  return true;
}

bool Helm::submit() {
  const Lock lock = take();
  if (!lock || std::exchange(submitted_, true)) return false;
  loop_->turn(std::chrono::steady_clock::now());
  return true;
}

void Helm::recall() {
  recalls_.fetch_add(1);
  futex_wake_all(recalls_);
}

}  // namespace weft::client
