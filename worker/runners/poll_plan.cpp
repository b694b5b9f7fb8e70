// SPDX-License-Identifier: MIT
#include "worker/runners/poll_plan.hpp"

namespace weft::worker {

bool PollPlan::measures_memory(Time now, bool busy) {
  if (!busy) {
    memory_due_.reset();
    return false;
  }
  if (!memory_due_) memory_due_ = now + kMemoryInterval;
  if (now < *memory_due_) return false;
  memory_due_ = now + kMemoryInterval;
  return true;
}

std::optional<Time> PollPlan::deadline() const {
  std::optional<Time> due = memory_due_;
  if (unpollable_ > 0) due = earlier(due, checked_at_ + kUnpollableInterval);
  return due;
}

}  // namespace weft::worker
