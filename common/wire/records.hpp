// SPDX-License-Identifier: MIT
// What several messages carry: programs, specs of tasks, errors, attempts; and the versions and limits of the
// wire.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "common/base/bytes.hpp"
#include "common/wire/payload.hpp"
#include "weft/ids.hpp"

namespace weft::wire {

inline constexpr std::uint8_t kMajor = 2;  // must be equal on both sides
inline constexpr std::uint8_t kMinor = 3;

inline constexpr std::size_t kMessageBytesMax = 1 << 20;  // no message is larger
inline constexpr std::size_t kChunkBytes = 512 << 10;     // of a blob, in one DATA message
inline constexpr std::size_t kChunksInFlight = 8;  // outstanding GETs per blob: its flow-control window

/// The holder id for blobs that are stored with the broker's journal.
inline constexpr Uuid kJournalHolder{
    {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255}};

/// An executable or shared object, shipped as a blob.
struct FileRef {
  std::string name;
  BlobId id;
  std::uint64_t size = 0;
  auto operator<=>(const FileRef&) const = default;
};

enum class TaskKind : std::uint8_t { program = 0, library = 1, command = 2, attached = 3, unknown = 255 };

/// A call that each runner makes before its first task (Client::on_worker_start).
struct StartCall {
  std::string signature;  // as in TaskSpec
  Bytes arguments;
  bool operator==(const StartCall&) const = default;
};

/// What the tasks of one `submit` or `map` have in common. A session defines each spec once, and its tasks
/// refer to it by number.
struct TaskSpec {
  TaskKind kind = TaskKind::program;
  FileRef program;
  std::vector<FileRef> libraries;
  std::uint32_t function_index = 0;
  std::string function;
  std::string signature;
  std::string label;
  std::int32_t priority = 0;
  std::uint32_t retries = 0;
  std::uint64_t retry_delay_ms = 0;
  std::uint64_t timeout_ms = 0;
  std::uint64_t queue_timeout_ms = 0;
  std::uint32_t crash_limit = 3;
  std::map<std::string, double> resources;
  std::vector<std::string> workers;
  std::vector<std::string> prefer;
  bool detach = false;
  std::string directory;
  std::uint32_t threads = 1;
  std::map<std::string, std::string> environment;
  std::vector<StartCall> start;
  Tail tail;
  bool operator==(const TaskSpec&) const = default;
};

/// How an attempt ended.
enum class Outcome : std::uint8_t {
  ok = 0,
  failed = 1,
  crashed = 2,
  timed_out = 3,
  cancelled = 4,
  cannot_start = 5,
  unschedulable = 6,
  not_fetched = 7,
  refused = 8,
  unknown = 255
};

/// The payload of every outcome except ok. The broker writes one only for losses that it has detected itself.
struct ErrorInfo {
  std::string type;
  std::string message;
  std::string worker;
  std::string host;
  std::int32_t signal = 0;
  std::int32_t exit_code = 0;
  std::int64_t started_ms = 0;
  std::int64_t ended_ms = 0;
  std::string stderr_tail;
  std::string directory;
  bool operator==(const ErrorInfo&) const = default;
};

/// ErrorInfo::type of a cannot_start that concerns one function only: the program itself starts.
inline constexpr std::string_view kMissingFunction = "weft::MissingFunction";

/// Identifies one assignment of a task: the broker's epoch, and a number that is never reused in that epoch.
struct Attempt {
  std::uint64_t epoch = 0;
  std::uint64_t number = 0;
  auto operator<=>(const Attempt&) const = default;
};

}  // namespace weft::wire
