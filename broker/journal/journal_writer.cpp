// SPDX-License-Identifier: MIT
#include "broker/journal/journal_writer.hpp"

#include <sys/eventfd.h>

#include <exception>
#include <utility>

#include "common/system/blocked_signals.hpp"

namespace weft::broker {

namespace {

constexpr std::size_t kGroupBytesMax = 16 << 20;

/// Calls f(). Returns "", or the reason why f() threw.
template <class F>
std::string fault_of(F&& f) {
  try {
    f();
    return "";
  } catch (const std::exception& error) {
    return error.what();
  }
}

}  // namespace

JournalWriter::JournalWriter(JournalFile file, BlobDirectory folder)
    : file_(std::move(file)),
      folder_(std::move(folder)),
      bytes_(file_.bytes()),
      ready_(checked(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), "no descriptor for the journal")) {
  const BlockedSignals blocked;
  thread_ = std::thread([this] { run(); });
}

JournalWriter::~JournalWriter() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  given_.notify_one();
  thread_.join();
}

void JournalWriter::give(Order order) {
  bool first = false;
  {
    const std::lock_guard lock(mutex_);
    first = orders_.empty();
    orders_.push_back(std::move(order));
  }
  if (first) given_.notify_one();
}

std::vector<JournalWriter::Answer> JournalWriter::take() {
  const std::lock_guard lock(mutex_);
  eventfd_t count = 0;
  eventfd_read(ready_.get(), &count);
  return std::exchange(answers_, {});
}

void JournalWriter::answer(Answer answer) {
  bytes_ = file_.bytes();
  const std::lock_guard lock(mutex_);
  if (answers_.empty()) eventfd_write(ready_.get(), 1);
  answers_.push_back(std::move(answer));
}

void JournalWriter::run() {
  for (;;) {
    std::deque<Order> orders;
    {
      std::unique_lock lock(mutex_);
      given_.wait(lock, [this] { return ending_ || !orders_.empty(); });
      if (orders_.empty()) return;
      orders.swap(orders_);
    }
    while (!orders.empty()) perform_next(orders);
  }
}

void JournalWriter::perform_next(std::deque<Order>& orders) {
  if (std::holds_alternative<Append>(orders.front())) return append_group(orders);
  const Order order = std::move(orders.front());
  orders.pop_front();
  std::visit(
      [this](const auto& what) {
        if constexpr (!std::is_same_v<decltype(what), const Append&>) perform(what);
      },
      order);
}

void JournalWriter::append_group(std::deque<Order>& orders) {
  std::string row;
  std::vector<std::uint64_t> numbers;
  while (!orders.empty() && row.size() < kGroupBytesMax) {
    Append* append = std::get_if<Append>(&orders.front());
    if (!append) break;
    numbers.push_back(append->number);
    row.empty() ? row.swap(append->records) : void(row += append->records);
    orders.pop_front();
  }
  const std::string fault = fault_of([&] { file_.append(row); });
  if (fault.empty()) return answer(Appended{numbers.back(), ""});
  for (const std::uint64_t number : numbers) answer(Appended{number, fault});
}

void JournalWriter::perform(const Rewrite& order) {
  answer(Rewritten{order.number, fault_of([&] { file_.rewrite(order.rows); })});
}

void JournalWriter::perform(const StoreChunk& order) {
  if (chunk_fault_.contains(order.id)) return;
  std::string fault = fault_of([&] { folder_.save(order.id, order.size, order.offset, order.bytes.view()); });
  if (!fault.empty()) chunk_fault_.emplace(order.id, std::move(fault));
}

void JournalWriter::perform(const VerifyBlob& order) {
  std::string fault;
  if (const auto failed = chunk_fault_.extract(order.id)) {
    fault = failed.mapped();
  } else {
    fault = fault_of([&] { folder_.seal(order.id); });
  }
  answer(Verified{order.id, fault});
}

void JournalWriter::perform(const DropBlob& order) {
  chunk_fault_.erase(order.id);
  folder_.forget(order.id);
}

}  // namespace weft::broker
