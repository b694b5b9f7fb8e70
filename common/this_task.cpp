// SPDX-License-Identifier: MIT
#include "weft/this_task.hpp"

#include <atomic>
#include <mutex>

#include "common/running_task.hpp"

namespace weft {
namespace {

// A thread that a task left behind may ask while the next task begins: hence the mutex.
struct Current {
  std::mutex mutex;
  TaskId id;
  std::uint32_t execution = 0;
  std::string worker;
};

// Never destroyed: such a thread may even ask while the process ends.
Current& current() {
  static auto* const the_current = new Current;
  return *the_current;
}

// Apart from the others, since stop_requested() is asked in inner loops.
std::atomic<const runner::Page*> page_now{nullptr};
std::atomic<std::uint64_t> ordinal_now{0};  // 0: no task

}  // namespace

namespace runner {

RunningTask::RunningTask(TaskId id, std::uint32_t execution, const std::string& worker, std::uint64_t ordinal,
                         const Page& page) {
  {
    const std::lock_guard lock(current().mutex);
    current().id = id;
    current().execution = execution;
    current().worker = worker;
  }
  page_now = &page;
  ordinal_now = ordinal;
}

RunningTask::~RunningTask() {
  ordinal_now = 0;
  page_now = nullptr;
  const std::lock_guard lock(current().mutex);
  current().id = {};
  current().execution = 0;
  current().worker.clear();
}

}  // namespace runner

namespace this_task {

TaskId id() {
  const std::lock_guard lock(current().mutex);
  return current().id;
}

std::uint32_t attempt() {
  const std::lock_guard lock(current().mutex);
  return current().execution;
}

std::string worker() {
  const std::lock_guard lock(current().mutex);
  return current().worker;
}

bool stop_requested() noexcept {
  const std::uint64_t ordinal = ordinal_now.load(std::memory_order_relaxed);
  const runner::Page* page = page_now.load(std::memory_order_acquire);
  return ordinal != 0 && page != nullptr && page->stop.load(std::memory_order_relaxed) == ordinal;
}

}  // namespace this_task
}  // namespace weft
