// SPDX-License-Identifier: MIT
#include "weft/this_task.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <cstring>
#include <mutex>

#include "common/runner/running_task.hpp"

namespace weft {
namespace {

// A thread that a task has left running may read this while the next task starts. So the strings have a
// mutex, and the fields that change with every task a sequence lock, which costs 8 ns less.
struct Current {
  std::mutex mutex;
  std::string worker;
  std::string indices;  // in the format of TaskSetup

  std::atomic<std::uint64_t> version{0};              // odd: `words` is being written
  std::array<std::atomic<std::uint64_t>, 4> words{};  // session, seq, execution
};

struct Facts {
  TaskId id;
  std::uint32_t execution = 0;
};

// Never destroyed, since such a thread may read it even while the process ends.
Current& current() {
  static auto* const the_current = new Current;
  return *the_current;
}

// Separate from the others, since stop_requested() is called in inner loops.
std::atomic<const runner::Page*> page_now{nullptr};
std::atomic<std::uint64_t> ordinal_now{0};  // 0: no task

void write_facts(const TaskId& id, std::uint32_t execution) {
  Current& now = current();
  std::array<std::uint64_t, 2> session;
  static_assert(sizeof session == sizeof(Uuid));
  std::memcpy(session.data(), id.session.bytes.data(), sizeof session);
  const std::uint64_t version = now.version.load(std::memory_order_relaxed);
  now.version.store(version + 1, std::memory_order_relaxed);
  std::size_t at = 0;
  for (const std::uint64_t word : {session[0], session[1], id.seq, std::uint64_t{execution}})
    now.words[at++].store(word, std::memory_order_release);
  now.version.store(version + 2, std::memory_order_release);
}

Facts read_facts() {
  const Current& now = current();
  for (;;) {
    const std::uint64_t before = now.version.load(std::memory_order_acquire);
    std::array<std::uint64_t, 4> words;
    for (std::size_t at = 0; at < words.size(); ++at)
      words[at] = now.words[at].load(std::memory_order_acquire);
    if (before % 2 == 1 || now.version.load(std::memory_order_relaxed) != before) continue;
    Facts out{.id = {}, .execution = static_cast<std::uint32_t>(words[3])};
    std::memcpy(out.id.session.bytes.data(), words.data(), sizeof out.id.session);
    out.id.seq = words[2];
    return out;
  }
}

}  // namespace

namespace runner {

RunningTask::RunningTask(const RunTask& task, const Page& page) {
  write_facts(task.id, task.execution);
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

HeldIndices::HeldIndices(const std::string& indices) {
  const std::lock_guard lock(current().mutex);
  current().indices = indices;
}

HeldIndices::~HeldIndices() {
  const std::lock_guard lock(current().mutex);
  current().indices.clear();
}

std::vector<int> indices_of(std::string_view text, std::string_view name) {
  std::vector<int> out;
  for (std::string_view line; !text.empty(); text.remove_prefix(std::min(line.size() + 1, text.size()))) {
    line = text.substr(0, text.find('\n'));
    if (!line.starts_with(name) || line.substr(name.size(), 1) != "=") continue;
    const char* at = line.data() + name.size() + 1;
    const char* const end = line.data() + line.size();
    for (int index = 0; at < end; ++at) {
      const auto [next, error] = std::from_chars(at, end, index);
      if (error != std::errc{}) break;
      out.push_back(index);
      at = next;
    }
  }
  return out;
}

std::string RunningTask::worker() {
  const std::lock_guard lock(current().mutex);
  return current().worker;
}

}  // namespace runner

namespace this_task {

TaskId id() { return ordinal_now != 0 ? read_facts().id : TaskId{}; }

std::uint32_t attempt() { return ordinal_now != 0 ? read_facts().execution : 0; }

std::string worker() {
  const std::lock_guard lock(current().mutex);
  return ordinal_now != 0 ? current().worker : "";
}

std::vector<int> resource(const std::string& name) {
  std::string text;
  {
    const std::lock_guard lock(current().mutex);
    if (ordinal_now != 0) text = current().indices;
  }
  return runner::indices_of(text, name);
}

bool stop_requested() noexcept {
  const std::uint64_t ordinal = ordinal_now.load(std::memory_order_relaxed);
  const runner::Page* page = page_now.load(std::memory_order_acquire);
  return ordinal != 0 && page != nullptr && page->stop.load(std::memory_order_relaxed) == ordinal;
}

}  // namespace this_task
}  // namespace weft
