// SPDX-License-Identifier: MIT
// What goes into worker::Session (events) and what comes out of it (actions), all plain values. The
// shell (worker.cpp) or a simulator turns the world into events and performs actions, in order.
// Every action that is answered says by which event.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "common/box.hpp"
#include "common/local_ref.hpp"
#include "common/messages.hpp"
#include "common/runner_channel.hpp"
#include "common/time.hpp"
#include "worker/resources.hpp"

namespace weft::worker {

/// Names a runner process for its whole life. Given by the session: 1, 2, 3 ...
using RunnerId = std::uint64_t;

/// What a runner executes: a shipped program with its shared libraries, or (kinds library and
/// command: the file is empty) weft-runner with the libraries that this worker has loaded.
struct Program {
  wire::TaskKind kind = wire::TaskKind::program;  // program, or library for weft-runner
  wire::FileRef file;
  std::vector<wire::FileRef> libraries;
  bool operator==(const Program&) const = default;
};

/// Where the shell keeps a blob.
enum class BlobPlace : std::uint8_t {
  file = 0,      // a program or library: on disk in the cache, and in memory while it is wanted
  argument = 1,  // in memory, while tasks need it
  result = 2,    // in memory, made here; served to those who ask
};

struct BlobKey {
  BlobPlace place = BlobPlace::file;
  BlobId id;
  auto operator<=>(const BlobKey&) const = default;
};

// ---- events ----

/// The connection that OpenLink asked for is there.
struct LinkUp {};
/// It could not be made, or is lost. Answers no CloseLink.
struct LinkDown {
  std::string reason;
};
/// A message from the broker, over the link that is up.
struct Received {
  Box<wire::Message> message;
  std::uint8_t minor = wire::kMinor;  // version of the broker
};

/// How much of the memory that this worker may use is in use. Said every second.
struct MemoryUsed {
  std::uint64_t used = 0;
  std::uint64_t limit = 1;  // not 0
  std::string of;           // "its memory (--memory) of 2.0 GiB": behind "it has used 93 % of"
};

/// The runner has said HELLO; this is its function table.
struct RunnerReady {
  RunnerId runner = 0;
  std::vector<runner::FunctionEntry> functions;
};
/// It ended before HELLO, or could not be started at all. No RunnerDied follows.
struct RunnerFailedToStart {
  RunnerId runner = 0;
  std::string text;  // why, with the loader's own words
};
/// Seen in the runner's page: this task has begun, at `at`. May come late, and be left out for a task
/// that has ended before anybody looked; without it there is neither STARTED nor a timeout.
struct TaskStarted {
  RunnerId runner = 0;
  std::uint64_t ordinal = 0;
  Time at;
};
/// The runner has answered; strictly in the order of RunTask.
struct TaskFinished {
  RunnerId runner = 0;
  std::uint64_t ordinal = 0;
  wire::Outcome outcome = wire::Outcome::ok;  // ok or failed
  std::uint64_t run_us = 0;
  wire::Payload
      payload;  // a large one: BlobRef{incarnation, id, size}, kept by the shell as BlobPlace::result
  std::int64_t ended_ms = 0;  // since 1970
};
/// Of what its channel holds, the runner has begun what comes up to ordinal `started`, and will begin nothing
/// else of it: the next RunTask has the ordinal after that. Answers RecallTasks.
struct TasksRecalled {
  RunnerId runner = 0;
  std::uint64_t started = 0;
};
/// The runner must not live on: it broke the channel's rules or exceeded its memory limit.
struct RunnerBroken {
  RunnerId runner = 0;
  std::string text;
};
/// The process of a runner that had said HELLO has ended, by itself or by KillRunner or EndRunner.
/// Everything that it had answered came before, as TaskFinished.
struct RunnerDied {
  RunnerId runner = 0;
  std::uint64_t started = 0;  // the page's `started`; believed only where it makes sense
  std::int32_t signal = 0;
  std::int32_t exit_code = 0;
  std::string stderr_tail;
  std::string reason;         // "": say it by signal or exit code
  std::int64_t ended_ms = 0;  // since 1970
};

/// The blob is there and its bytes have the hash. Answers FindBlob and AdmitBlob.
struct BlobReady {
  BlobKey key;
};
/// The blob is not there: fetch it. Answers FindBlob.
struct BlobMissing {
  BlobKey key;
};
/// It cannot be kept: wrong hash, disk full. Answers FindBlob, StoreChunk and AdmitBlob; what was
/// stored of it is gone.
struct BlobBad {
  BlobKey key;
  std::string text;
};

/// SIGTERM: finish what runs, give back the rest, leave.
struct Drain {};
/// A second SIGTERM: leave now.
struct Stop {};
/// Time has passed; send at deadline().
struct Tick {};

using Event = std::variant<LinkUp, LinkDown, Received, RunnerReady, RunnerFailedToStart, TaskStarted,
                           TaskFinished, TasksRecalled, RunnerBroken, RunnerDied, BlobReady, BlobMissing,
                           BlobBad, MemoryUsed, Drain, Stop, Tick>;

// ---- actions ----

/// Connect to the broker. Answered by LinkUp or LinkDown, unless CloseLink comes first.
struct OpenLink {
  bool operator==(const OpenLink&) const = default;
};
/// Drop the connection and everything not yet sent. Nothing answers.
struct CloseLink {
  bool operator==(const CloseLink&) const = default;
};
/// Send over the link; never when it is not up.
struct Send {
  Box<wire::Message> message;
  bool operator==(const Send&) const = default;
};

/// Start a process. All its blobs are BlobReady. Answered by RunnerReady or RunnerFailedToStart.
struct StartRunner {
  RunnerId runner = 0;
  std::uint32_t slot = 0;  // 0 .. slots - 1; nobody else is in it
  Program program;
  bool operator==(const StartRunner&) const = default;
};
/// Put the task in the runner's channel. Answered by TaskFinished or RunnerDied.
struct RunTask {
  RunnerId runner = 0;
  std::uint64_t ordinal = 0;  // 1, 2, 3 ... for each runner
  TaskId id;
  LocalRef<const wire::TaskSpec> spec;  // shared by all tasks of one submit or map
  std::uint32_t execution = 1;
  wire::Payload payload;             // a blob: it is BlobReady as BlobPlace::argument
  std::uint32_t function_index = 0;  // of a program: in the table of its runners
  LocalRef<const Indices> indices;   // of resources that it holds; null: none
  friend bool operator==(const RunTask& a, const RunTask& b) {
    return a.runner == b.runner && a.ordinal == b.ordinal && a.id == b.id && a.execution == b.execution &&
           a.payload == b.payload && a.function_index == b.function_index && same(a.spec, b.spec) &&
           same(a.indices, b.indices);
  }

 private:
  template <class T>
  static bool same(const LocalRef<T>& a, const LocalRef<T>& b) {
    return a == b || (a && b && *a == *b);
  }
};
/// this_task::stop_requested() becomes true for this task (Page::stop).
struct RequestStop {
  RunnerId runner = 0;
  std::uint64_t ordinal = 0;
  bool operator==(const RequestStop&) const = default;
};
/// Take back what this runner has not begun. Answered by TasksRecalled.
struct RecallTasks {
  RunnerId runner = 0;
  bool operator==(const RecallTasks&) const = default;
};
/// Close the channel of an idle runner, which then leaves. Answered by RunnerDied.
struct EndRunner {
  RunnerId runner = 0;
  bool operator==(const EndRunner&) const = default;
};
/// To the runner's whole process group. Answered in time by RunnerDied or RunnerFailedToStart.
struct KillRunner {
  RunnerId runner = 0;
  int signal = 0;
  bool operator==(const KillRunner&) const = default;
};

/// Is it there already? Answered by BlobReady, BlobMissing or BlobBad.
struct FindBlob {
  BlobKey key;
  std::uint64_t size = 0;
  std::string name;  // of a file
  bool operator==(const FindBlob&) const = default;
};
/// A part of a blob that was BlobMissing. Answered only when it fails, by BlobBad.
struct StoreChunk {
  BlobKey key;
  std::uint64_t offset = 0;
  Bytes bytes;
  bool operator==(const StoreChunk&) const = default;
};
/// All parts are stored: check the hash and keep it. Answered by BlobReady or BlobBad.
struct AdmitBlob {
  BlobKey key;
  bool operator==(const AdmitBlob&) const = default;
};
/// Forget the search and every chunk of a blob that did not become BlobReady. No answer to it follows.
struct AbandonBlob {
  BlobKey key;
  bool operator==(const AbandonBlob&) const = default;
};
/// It need not be in memory any more (a file stays in the cache on disk).
struct ReleaseBlob {
  BlobKey key;
  bool operator==(const ReleaseBlob&) const = default;
};
/// Send DATA with this part of a result; the range is inside it. Behind everything else.
struct ServeChunk {
  BlobId id;
  std::uint64_t offset = 0;
  std::uint32_t bytes = 0;
  bool operator==(const ServeChunk&) const = default;
};

enum class LogLevel : std::uint8_t { debug, info, warning, error };
struct Log {
  LogLevel level = LogLevel::info;
  std::string text;
  bool operator==(const Log&) const = default;
};
/// The last action: send what is queued for the link, kill every runner, end with this exit code.
struct Exit {
  int code = 0;
  std::string reason;
  bool operator==(const Exit&) const = default;
};

using Action = std::variant<OpenLink, CloseLink, Send, StartRunner, RunTask, RequestStop, RecallTasks,
                            EndRunner, KillRunner, FindBlob, StoreChunk, AdmitBlob, AbandonBlob, ReleaseBlob,
                            ServeChunk, Log, Exit>;
using Actions = std::vector<Action>;

/// One line for traces and failed tests.
std::string describe(const Action& action);
std::string describe(const Event& event);

}  // namespace weft::worker
