// SPDX-License-Identifier: MIT
// The channel between an agent (weft-worker) and a runner. Messages go through two rings in shared memory,
// which outlives the runner: messages that it sent before it died can still be read, and no message costs a
// system call. A Bell (a socketpair) wakes a side that sleeps, carries the descriptors of large payloads, and
// tells when the other side has ended. The channel itself is pure: memory and a Bell. The rules are in
// PROTOCOL.md, "The runner channel". The version is in the environment variable, so that a program linked
// with another libclient is recognised before the first message.
//
// The agent numbers the tasks of each runner with ordinals: 1, 2, 3 ... A runner executes them strictly in
// that order, so `started` and `finished` in the page tell exactly which task was running when it died,
// whatever the task did to its descriptors.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/runner/bell.hpp"
#include "common/wire/runner_messages.hpp"
#include "weft/detail/byte_buffer.hpp"

namespace weft::runner {

inline constexpr int kChannelVersion = 4;

/// WEFT_RUNNER="<kChannelVersion>:<channel fd>:<memory fd>" selects runner mode. Removed from the environment
/// as soon as it has been read.
inline constexpr const char* kEnvironment = "WEFT_RUNNER";

/// Maximum size of a message; an inline payload of kInlineBytesMax and a header fit.
inline constexpr std::size_t kChannelBytesMax = 128 << 10;
inline constexpr std::size_t kRingBytes = 256 << 10;  // of each ring; a power of two

/// Initial value of Page::started; 0 would look like a page that a task has overwritten with zeros.
inline constexpr std::uint64_t kNoneStarted = 0x7765'6674'7061'6765;

/// Set in Page::started by the agent to take back tasks that have not started (rebalancing): the runner skips
/// the messages in the ring, up to the next WELCOME.
inline constexpr std::uint64_t kTakenBack = std::uint64_t{1} << 63;

/// How many bytes have been written to and read from a ring since its creation.
struct Ring {
  alignas(64) std::atomic<std::uint64_t> written;
  alignas(64) std::atomic<std::uint64_t> read;
  std::atomic<std::uint32_t> reader_sleeps;  // the reader must be woken when there is data
  std::atomic<std::uint32_t> writer_sleeps;  // the writer must be woken when there is room
};

/// The first page of the shared memory (a memfd of sealed size, mapped by both). Besides the rings, the agent
/// writes only `stop`, `output` and one bit of `started`; the runner writes the rest.
struct Page {
  std::atomic<std::uint64_t> started;       // ordinal of the last task started; kNoneStarted before the first
  std::atomic<std::uint64_t> finished;      // ordinal of the last task whose result has been published
  std::atomic<std::int64_t> started_at_us;  // CLOCK_MONOTONIC
  // ordinal of the task for which this_task::stop_requested() is true
  alignas(64) std::atomic<std::uint64_t> stop;
  struct Output {
    std::atomic<std::uint64_t> read;     // bytes that the agent has read from the pipe
    std::atomic<std::uint32_t> reading;  // the agent is reading: `read` is not valid
  };
  alignas(64) Output output[2];  // stdout, stderr
  Ring runs;                     // agent to runner
  Ring results;                  // runner to agent
};
inline constexpr std::size_t kPageBytes = 4096;
static_assert(sizeof(Page) <= kPageBytes && std::atomic<std::uint64_t>::is_always_lock_free);
/// The page, then the ring `runs`, then the ring `results`.
inline constexpr std::size_t kMemoryBytes = kPageBytes + 2 * kRingBytes;

/// The result of receive(): a message with its descriptor (-1: none), which the caller owns, or the reason
/// why there is no message.
struct Received {
  enum class Kind { message, again, garbage } kind = Kind::again;
  std::optional<Message> message;
  int fd = -1;
  std::string reason;  // for garbage
};

/// One end of a channel. The other end is not trusted: indexes and messages that it has written are copied
/// before they are checked. Not thread-safe.
class Channel {
 public:
  enum class Role : std::uint8_t { agent, runner };

  /// `bell` and `memory` (kMemoryBytes) are owned by the caller and must outlive this object.
  Channel(Bell& bell, void* memory, Role role);
  ~Channel();
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  /// Publishes one message, with a copy of descriptor `fd` if it is not -1. Returns 0, EAGAIN if the ring is
  /// full (backpressure), EMSGSIZE, or the error of the bell. The other side may be sleeping, so the caller
  /// must call wake() before it sleeps itself.
  template <class M>
  int send(const M& message, int fd = -1);
  /// Wakes the other side if it sleeps. Returns 0, or errno if it has ended.
  int wake();
  /// Whether unread messages fill more than half of the outgoing ring.
  bool above_half();
  /// Whether the other side has read from the outgoing ring since the last check.
  bool was_read();

  /// The next message. Never blocks, except in a runner, for the descriptor of a large message.
  Received receive();

  /// Agent: asks to be woken by the bell, until awake(). False: there is a message already.
  bool sleep();
  void awake() { in_->reader_sleeps.store(0, std::memory_order_relaxed); }
  /// Consumes wake-ups, and queues the descriptors that come with them. False: the other end is closed.
  bool read_bell();

  /// Runner: blocks until there may be a message or, with `room`, until the outgoing ring is at most half
  /// full. Returns 0, ECONNRESET when the other side has ended, or the error of the bell.
  int wait(bool room);

 private:
  // bytes of the size field that precedes each message in a ring
  static constexpr std::size_t kSizeBytes = sizeof(std::uint32_t);

  template <class M>
  bool write_in_place(const M& message);
  int publish(int fd);
  void publish_to(std::uint64_t written);
  Bell::Heard listen(bool wait);
  int take_descriptor();
  enum class Look { known, again };
  std::uint64_t room(Look look = Look::known);
  std::uint64_t there();
  std::string_view next_text(std::string& fault);

  Bell& bell_;
  Role role_;
  Ring* out_;
  Ring* in_;
  char* out_memory_;
  char* in_memory_;
  std::uint64_t written_ = 0;  // position in out_, not read back from shared memory
  std::uint64_t read_ = 0;     // position in in_
  // Cached positions of the other side: reading the shared ones moves a cache line between both cores.
  std::uint64_t out_read_ = 0;
  std::uint64_t in_written_ = 0;
  std::deque<int> descriptors_;   // received, in the order of their messages
  detail::ByteBuffer buffer_;     // for an outgoing message that cannot be encoded in place
  std::unique_ptr<char[]> copy_;  // for an incoming message
};

}  // namespace weft::runner
