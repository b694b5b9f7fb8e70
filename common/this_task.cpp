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

RunningTask::RunningTask(const RunTask& task, const Page& page) {
  {
    const std::lock_guard lock(current().mutex);
    current().id = task.id;
    current().execution = task.execution;
  }
  page_now.store(&page, std::memory_order_release);
  ordinal_now.store(task.ordinal, std::memory_order_release);
}

RunningTask::~RunningTask() {
  ordinal_now.store(0, std::memory_order_release);
  page_now.store(nullptr, std::memory_order_release);
}

void RunningTask::set_worker(const std::string& worker) {
  const std::lock_guard lock(current().mutex);
  current().worker = worker;
}

std::string RunningTask::worker() {
  const std::lock_guard lock(current().mutex);
  return current().worker;
}

}  // namespace runner

namespace this_task {

TaskId id() {
  const std::lock_guard lock(current().mutex);
  return ordinal_now != 0 ? current().id : TaskId{};
}

std::uint32_t attempt() {
  const std::lock_guard lock(current().mutex);
  return ordinal_now != 0 ? current().execution : 0;
}

std::string worker() {
  const std::lock_guard lock(current().mutex);
  return ordinal_now != 0 ? current().worker : "";
}

bool stop_requested() noexcept {
  const std::uint64_t ordinal = ordinal_now.load(std::memory_order_relaxed);
  const runner::Page* page = page_now.load(std::memory_order_acquire);
  return ordinal != 0 && page != nullptr && page->stop.load(std::memory_order_relaxed) == ordinal;
}

}  // namespace this_task
}  // namespace weft
