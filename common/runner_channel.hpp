// SPDX-License-Identifier: MIT
// What an agent (weft-worker) and a runner say to each other. Messages go through two rings in memory that
// both have mapped and that outlives the runner: what was said before it died is still there, and neither
// side makes a system call for a message. A socketpair beside it wakes whoever sleeps, carries the
// descriptors of large payloads, and ends when the other side does. PROTOCOL.md, "The runner channel", has
// the rules. The version below is in the environment variable, so that a program that was linked with
// another libclient is told apart before it says a word.
//
// Tasks are numbered by the agent with an ordinal: 1, 2, 3 ... for each runner. A runner executes
// them strictly in that order, so `started` and `finished` in the page say exactly which task was
// running when it died, whatever it did to its descriptors.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/messages.hpp"
#include "common/result.hpp"
#include "weft/detail/byte_buffer.hpp"

namespace weft::runner {

inline constexpr int kChannelVersion = 4;

/// WEFT_RUNNER="<kChannelVersion>:<channel fd>:<memory fd>" selects runner mode. Removed from the
/// environment as soon as it is read.
inline constexpr const char* kEnvironment = "WEFT_RUNNER";

/// How a runner ends whose processor lacks an instruction of the program, and the beginning of what it says.
inline constexpr int kExitInstructionSet = 118;
inline constexpr const char* kInstructionSetWords = "weft runner: this processor does not have ";

/// No message is larger; kInlineBytesMax and a small header fit.
inline constexpr std::size_t kChannelBytesMax = 128 << 10;
inline constexpr std::size_t kRingBytes = 256 << 10;  // of each ring; a power of two

/// What the agent puts into a new page: 0 would look like a page that a task has filled with zeros.
inline constexpr std::uint64_t kNoneStarted = 0x7765'6674'7061'6765;

/// Set in Page::started by the agent: what is in the ring is passed over, up to the next WELCOME.
inline constexpr std::uint64_t kRecalled = std::uint64_t{1} << 63;

/// How far a ring is written and read, in bytes since its beginning.
struct Ring {
  alignas(64) std::atomic<std::uint64_t> written;
  alignas(64) std::atomic<std::uint64_t> read;
  std::atomic<std::uint32_t> reader_sleeps;  // it is to be woken when there is something
  std::atomic<std::uint32_t> writer_sleeps;  // when there is room
};

/// Exit code of a runner that a task has left in a state in which no other one may run. It has begun nothing
/// since.
inline constexpr int kExitReplace = 123;

/// The first page of the shared memory (a sealed-size memfd, mapped by both). Of what is no ring only the
/// runner writes, but for `stop`, `output` and a bit of `started`.
struct Page {
  std::atomic<std::uint64_t> started;       // ordinal of the last task begun; kNoneStarted before the first
  std::atomic<std::uint64_t> finished;      // ordinal of the last task ended, and its result published
  std::atomic<std::int64_t> started_at_us;  // CLOCK_MONOTONIC
  alignas(64) std::atomic<std::uint64_t> stop;  // ordinal that this_task::stop_requested() is true for
  struct Output {
    std::atomic<std::uint64_t> read;     // bytes that the agent has taken from the pipe
    std::atomic<std::uint32_t> reading;  // it is just about that: `read` says nothing
  };
  alignas(64) Output output[2];  // stdout, stderr
  Ring runs;                     // agent to runner
  Ring results;                  // runner to agent
};
inline constexpr std::size_t kPageBytes = 4096;
static_assert(sizeof(Page) <= kPageBytes && std::atomic<std::uint64_t>::is_always_lock_free);
/// The page, then the ring of runs, then that of results.
inline constexpr std::size_t kMemoryBytes = kPageBytes + 2 * kRingBytes;

// ---- runner to agent ----

struct FunctionEntry {
  std::string name;  // for people; a library's task name
  std::string
      signature;  // "long(long,double)"; of a program's function its definition (program_functions.hpp)
  bool operator==(const FunctionEntry&) const = default;
};

/// The first message. RunTask::function_index counts its entries; a library's are found by name.
/// Sent in parts when the table is long; `total` is the size of the whole table.
struct RunnerHello {
  std::uint64_t pid = 0;
  std::uint32_t total = 0;
  std::vector<FunctionEntry> functions;
  bool operator==(const RunnerHello&) const = default;
};

struct TaskDone {
  std::uint64_t ordinal = 0;
  std::uint64_t run_us = 0;
  wire::Outcome outcome = wire::Outcome::ok;  // ok or failed
  std::uint64_t large_bytes = 0;              // when not 0: the payload is in the memfd that comes with it
  wire::Payload payload;                      // inline: the encoded result, or an encoded wire::ErrorInfo
  bool operator==(const TaskDone&) const = default;
};

/// What was printed up to these totals, in bytes since the start of the runner, is of the task that the next
/// DONE answers. Left out when that is nothing new.
struct TaskPrinted {
  std::uint64_t out = 0;
  std::uint64_t err = 0;
  bool operator==(const TaskPrinted&) const = default;
};

// ---- agent to runner ----

/// The first message: which worker this is (this_task::worker()). Later ones are without a name, and end what
/// was recalled.
struct RunnerWelcome {
  std::string worker;
  bool operator==(const RunnerWelcome&) const = default;
};

/// What few tasks ask for.
struct TaskSetup {
  std::string directory;                           // to run in; "": the runner's own
  std::map<std::string, std::string> environment;  // variables that differ from the runner's own
  std::vector<wire::StartCall> start;  // to be called first, unless this runner has done so already
  std::string indices;                 // of resources that it holds: "gpu=0,1" for each, one a line
  bool operator==(const TaskSetup&) const = default;
};
inline constexpr std::size_t kSetupBytesMax = 40 << 10;  // so that its message fits, with any payload
Bytes encode_setup(const TaskSetup& setup);
Result<TaskSetup> decode_setup(std::string_view bytes);

/// A function of the shipped program.
struct RunTask {
  std::uint64_t ordinal = 0;
  TaskId id;
  std::uint32_t function_index = 0;
  std::uint32_t execution = 1;
  std::uint64_t large_bytes = 0;  // as in TaskDone
  wire::Payload payload;
  Bytes setup;  // an encoded TaskSetup; empty: nothing. Apart, so that other tasks do not pay for it
  bool operator==(const RunTask&) const = default;
};

/// A task of a library, or a command.
struct RunNamed {
  wire::TaskKind kind = wire::TaskKind::library;
  std::string function;   // its name there
  std::string signature;  // what the caller believes
  RunTask task;
  bool operator==(const RunNamed&) const = default;
};

using Message = std::variant<RunnerHello, TaskDone, RunnerWelcome, RunTask, RunNamed, TaskPrinted>;

/// Appends the bytes of `message`: a Message, or what one holds.
template <class M>
void encode(detail::ByteBuffer& out, const M& message);
Result<Message> decode(std::string_view text);

/// The result of receive(): a message with the descriptor that came with it (-1: none; the caller
/// owns it), or why there is none.
struct Received {
  enum class Kind { message, again, garbage } kind = Kind::again;
  std::optional<Message> message;
  int fd = -1;
  std::string reason;  // for garbage
};

/// One end of a channel. The other end's memory is not trusted: indexes and messages are copied, then
/// checked. Not thread-safe.
class Channel {
 public:
  enum class Role : std::uint8_t { agent, runner };

  /// `socket` and `memory` (kMemoryBytes) stay the caller's and must outlive it. Whether its calls block is
  /// decided by the socket.
  Channel(int socket, void* memory, Role role);
  ~Channel();
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  /// Publishes one message, with descriptor `fd` when it is not -1 (which stays the caller's). Returns 0, or
  /// EAGAIN when there is no room now, EMSGSIZE, or what the socket says. The other side may sleep: wake() is
  /// owed, at the latest before one sleeps oneself.
  template <class M>
  int send(const M& message, int fd = -1);
  /// Wakes the other side, if it sleeps. Returns 0, or errno when the socket is no more.
  int wake();
  /// What was sent and not read yet fills more than half of the ring.
  bool crowded();
  /// The other side has read something since we looked last.
  bool was_read();

  /// The next message; never blocks, but for a descriptor that belongs to it.
  Received receive();

  /// Agent: from now on it is woken by the socket. False: there is something to receive.
  bool sleep();
  void awake() { in_->reader_sleeps.store(0, std::memory_order_relaxed); }
  /// What the socket has: only that there is something, or descriptors. False: it has come to its end.
  bool read_socket();

  /// Runner: blocks until there may be something to receive, or (`room`) room for a message. Returns 0,
  /// ECONNRESET when the other side has ended, or what the socket says.
  int wait(bool room);

 private:
  static constexpr std::size_t kSizeBytes = sizeof(std::uint32_t);  // in front of each message in a ring

  template <class M>
  bool write_in_place(const M& message);
  int publish(int fd);
  void publish_to(std::uint64_t written);
  enum class Taken { something, nothing, end, error };
  Taken take_from_socket(bool wait);
  int take_descriptor();
  enum class Look { known, again };
  std::uint64_t room(Look look = Look::known);
  std::uint64_t there();
  std::string_view next_text(std::string& fault);
  int ring_bell(char what, int fd);

  int socket_;
  Role role_;
  Ring* out_;
  Ring* in_;
  char* out_memory_;
  char* in_memory_;
  std::uint64_t written_ = 0;  // of out_, as we know it
  std::uint64_t read_ = 0;     // of in_
  // As they were when they mattered last: to look costs both sides a trip between their caches.
  std::uint64_t out_read_ = 0;
  std::uint64_t in_written_ = 0;
  std::deque<int> descriptors_;   // that came, for messages in their order
  detail::ByteBuffer buffer_;     // a message on its way out that cannot be written in place
  std::unique_ptr<char[]> copy_;  // and in
};

}  // namespace weft::runner
