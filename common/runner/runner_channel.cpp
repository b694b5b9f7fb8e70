// SPDX-License-Identifier: MIT
#include "common/runner/runner_channel.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "common/wire/runner_layout.hpp"

namespace weft::runner {
namespace {

constexpr std::size_t kDescriptorsWaitingMax = 64;  // more than a correct runner has in flight

bool is_large(const Message& message) {
  if (const auto* done = std::get_if<TaskDone>(&message)) return done->large_bytes > 0;
  if (const auto* run = std::get_if<RunTask>(&message)) return run->large_bytes > 0;
  if (const auto* named = std::get_if<RunNamed>(&message)) return named->task.large_bytes > 0;
  return false;
}

/// Copy into or out of a ring, wrapping around its end.
void copy_in(char* ring, std::uint64_t at, const char* from, std::size_t size) {
  const std::size_t begin = at % kRingBytes;
  const std::size_t first = std::min(size, kRingBytes - begin);
  std::memcpy(ring + begin, from, first);
  if (first < size) std::memcpy(ring, from + first, size - first);
}
void copy_out(char* to, const char* ring, std::uint64_t at, std::size_t size) {
  const std::size_t begin = at % kRingBytes;
  const std::size_t first = std::min(size, kRingBytes - begin);
  std::memcpy(to, ring + begin, first);
  if (first < size) std::memcpy(to + first, ring, size - first);
}

}  // namespace

Channel::Channel(Bell& bell, void* memory, Role role)
    : bell_(bell), role_(role), copy_(std::make_unique<char[]>(kChannelBytesMax + kSlack)) {
  auto* page = static_cast<Page*>(memory);
  char* const rings = static_cast<char*>(memory) + kPageBytes;
  const bool agent = role == Role::agent;
  out_ = agent ? &page->runs : &page->results;
  in_ = agent ? &page->results : &page->runs;
  out_memory_ = agent ? rings : rings + kRingBytes;
  in_memory_ = agent ? rings + kRingBytes : rings;
}

Channel::~Channel() {
  for (const int fd : descriptors_) bell_.close(fd);
}

// ---- out ----

template <class M>
int Channel::send(const M& message, int fd) {
  if (fd < 0 && write_in_place(message)) return 0;
  buffer_.truncate(0);
  buffer_.append("\0\0\0", kSizeBytes);
  encode(buffer_, message);
  return publish(fd);
}
template int Channel::send(const Message& message, int fd);
template int Channel::send(const RunnerHello& message, int fd);
template int Channel::send(const TaskDone& message, int fd);
template int Channel::send(const RunnerWelcome& message, int fd);
template int Channel::send(const RunTask& message, int fd);
template int Channel::send(const RunNamed& message, int fd);
template int Channel::send(const TaskPrinted& message, int fd);

/// Encodes directly into the ring (zero-copy). False: there may be too little contiguous space.
template <class M>
bool Channel::write_in_place(const M& message) {
  if constexpr (wire::bytes_max_of<M>() > 0) {
    if (!wire::is_quick(message)) return false;
    const std::size_t most = kSizeBytes + 1 + wire::room_for(message);
    const std::size_t begin = written_ % kRingBytes;
    if (most > room() || most > kRingBytes - begin || most > kChannelBytesMax) return false;
    char* const at = out_memory_ + begin;
    at[kSizeBytes] = type_of<M>();
    const char* const end = wire::write_quickly(at + kSizeBytes + 1, message);
    const auto size = static_cast<std::uint32_t>(end - (at + kSizeBytes));
    std::memcpy(at, &size, kSizeBytes);
    publish_to(written_ + kSizeBytes + size);
    return true;
  } else {
    return false;
  }
}

/// Publishes the content of buffer_.
int Channel::publish(int fd) {
  const auto size = static_cast<std::uint32_t>(buffer_.size() - kSizeBytes);
  if (size > kChannelBytesMax) return EMSGSIZE;
  std::memcpy(buffer_.data(), &size, kSizeBytes);
  if (room() < buffer_.size() && room(Look::again) < buffer_.size()) return EAGAIN;
  if (fd >= 0) {
    if (const int error = bell_.wake(fd)) return error;
  }
  copy_in(out_memory_, written_, buffer_.data(), buffer_.size());
  publish_to(written_ + buffer_.size());
  return 0;
}

void Channel::publish_to(std::uint64_t written) {
  written_ = written;
  out_->written.store(written_, std::memory_order_release);
}

/// Free bytes of the outgoing ring: never more than its size, even if a task has overwritten the page.
std::uint64_t Channel::room(Look look) {
  if (look == Look::again) out_read_ = out_->read.load();
  const std::uint64_t used = written_ - out_read_;
  return used <= kRingBytes ? kRingBytes - used : 0;
}

bool Channel::above_half() { return room() < kRingBytes / 2 && room(Look::again) < kRingBytes / 2; }

bool Channel::was_read() {
  const std::uint64_t before = out_read_;
  room(Look::again);
  return out_read_ != before;
}

int Channel::wake() {
  // Dekker's pattern: this side publishes its positions, then checks whether the other side sleeps; the other
  // side announces that it sleeps, then checks the positions again. All four accesses are sequentially
  // consistent, so at least one side sees the other. The positions are stored again in case a task has
  // overwritten them.
  out_->written.store(written_);
  in_->read.store(read_);
  const bool reader =
      out_->reader_sleeps.load() != 0 && out_->read.load(std::memory_order_relaxed) != written_;
  const bool writer = in_->writer_sleeps.load() != 0;
  if (!reader && !writer) return 0;
  if (reader) out_->reader_sleeps.store(0, std::memory_order_relaxed);
  if (writer) in_->writer_sleeps.store(0, std::memory_order_relaxed);
  const int error = bell_.wake(-1);
  return error == EAGAIN ? 0 : error;  // EAGAIN: unread bytes in the socket will wake it anyway
}

// ---- in ----

/// The number of bytes to read. A number larger than the ring means that a task has overwritten the page; it
/// counts as 0, and the next message corrects the page.
std::uint64_t Channel::there() {
  if (in_written_ == read_) in_written_ = in_->written.load();
  const std::uint64_t bytes = in_written_ - read_;
  if (bytes <= kRingBytes) return bytes;
  in_written_ = read_;
  return 0;
}

/// A copy of the next message; empty: there is none, or there is a fault.
std::string_view Channel::next_text(std::string& fault) {
  const std::uint64_t bytes = there();
  if (bytes == 0) return {};
  std::uint32_t size = 0;
  if (bytes >= kSizeBytes) copy_out(reinterpret_cast<char*>(&size), in_memory_, read_, kSizeBytes);
  if (size == 0 || size > kChannelBytesMax || size + kSizeBytes > bytes) {
    fault = "a message of impossible size";
    return {};
  }
  copy_out(copy_.get(), in_memory_, read_ + kSizeBytes, size);
  read_ += kSizeBytes + size;
  in_->read.store(read_, std::memory_order_release);
  return {copy_.get(), size};
}

Received Channel::receive() {
  Received received;
  const std::string_view text = next_text(received.reason);
  if (text.empty()) {
    if (!received.reason.empty()) received.kind = Received::Kind::garbage;
    return received;
  }
  received.reason = decode_into(text, received.message);
  if (!received.reason.empty()) {
    received.kind = Received::Kind::garbage;
    received.message.reset();  // partially decoded
    return received;
  }
  received.kind = Received::Kind::message;
  if (is_large(*received.message)) received.fd = take_descriptor();
  return received;
}

/// Takes the descriptor of a large message, which is sent before it; -1: none was sent.
int Channel::take_descriptor() {
  while (descriptors_.empty()) {
    if (listen(role_ == Role::runner).kind != Bell::Heard::Kind::wake_up) return -1;
  }
  const int fd = descriptors_.front();
  descriptors_.pop_front();
  return fd;
}

/// Receives a wake-up, and queues the descriptor that comes with it, or closes it if too many are queued.
Bell::Heard Channel::listen(bool wait) {
  const Bell::Heard heard = bell_.listen(wait);
  if (heard.descriptor >= 0) {
    if (descriptors_.size() < kDescriptorsWaitingMax) {
      descriptors_.push_back(heard.descriptor);
    } else {
      bell_.close(heard.descriptor);
    }
  }
  return heard;
}

bool Channel::sleep() {
  in_->reader_sleeps.store(1);
  if (there() == 0) return true;
  awake();
  return false;
}

bool Channel::read_bell() {
  constexpr int kATurn = 64;
  for (int count = 0; count < kATurn; ++count) {
    const Bell::Heard::Kind heard = listen(false).kind;
    if (heard == Bell::Heard::Kind::nothing) return true;
    if (heard != Bell::Heard::Kind::wake_up) return false;
  }
  return true;
}

int Channel::wait(bool room) {
  auto& sleeps = room ? out_->writer_sleeps : in_->reader_sleeps;
  sleeps.store(1);
  const bool ready = room ? !above_half() : there() > 0;
  const Bell::Heard heard = ready ? Bell::Heard{Bell::Heard::Kind::wake_up} : listen(true);
  sleeps.store(0, std::memory_order_relaxed);
  if (heard.kind == Bell::Heard::Kind::end) return ECONNRESET;
  return heard.kind == Bell::Heard::Kind::error ? heard.error : 0;
}

}  // namespace weft::runner
