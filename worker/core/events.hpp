// SPDX-License-Identifier: MIT
// Events into worker::WorkerCore and actions out of it, all plain values. The shell (worker.cpp) or a
// simulator turns what happens into events, and performs the actions in order. The comment of an action names
// the event that answers it, if there is one. The events and actions about blobs are shared by all three
// roles, in common/wire/blob_verbs.hpp: the worker fetches and stores programs (in its cache on disk, too)
// and large arguments, and serves large results.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "common/base/indirect.hpp"
#include "common/base/local_shared_ptr.hpp"
#include "common/base/time.hpp"
#include "common/wire/blob_verbs.hpp"
#include "common/wire/messages.hpp"
#include "common/wire/notice.hpp"
#include "common/wire/runner_messages.hpp"
#include "worker/core/resources.hpp"

namespace weft::worker {

/// Identifies a runner process for its whole life. Assigned by WorkerCore: 1, 2, 3 ...
using RunnerId = std::uint64_t;

/// What a runner executes: a shipped program with its shared libraries; or, for the kinds library and
/// command, weft-runner with the task libraries that this worker has loaded (`file` is empty then).
struct Program {
  wire::TaskKind kind = wire::TaskKind::program;  // program, or library for weft-runner
  wire::FileRef file;
  std::vector<wire::FileRef> libraries;
  bool operator==(const Program&) const = default;
};

// ---- events ----

/// The connection that OpenLink requested is up.
struct LinkUp {};
/// The connection could not be made, or was lost. Does not answer CloseLink.
struct LinkDown {
  std::string reason;
};
/// A message from the broker, over the link that is up.
struct Received {
  Indirect<wire::Message> message;
  std::uint8_t minor = wire::kMinor;  // the broker's minor version
};

/// How much of this worker's memory limit is in use. Reported every second.
struct MemoryUsed {
  std::uint64_t used = 0;
  std::uint64_t limit = 1;  // not 0
  std::string of;           // "its memory (--memory) of 2.0 GiB": follows "it has used 93 % of"
};

/// The runner has sent HELLO with this function table.
struct RunnerReady {
  RunnerId runner = 0;
  std::vector<runner::FunctionEntry> functions;
};
/// The runner ended before HELLO, or could not be started at all. RunnerDied does not follow.
struct RunnerFailedToStart {
  RunnerId runner = 0;
  std::string text;  // why, with the loader's message
};
/// The runner's page shows that this task started at `at`. May arrive late, or not at all for a task that
/// ended before the page was read; without it there is neither STARTED nor a timeout.
struct TaskStarted {
  RunnerId runner = 0;
  std::uint64_t ordinal = 0;
  Time at;
};
/// The runner has answered a task. Answers arrive strictly in the order of RunTask.
struct TaskFinished {
  RunnerId runner = 0;
  std::uint64_t ordinal = 0;
  wire::Outcome outcome = wire::Outcome::ok;  // ok or failed
  std::uint64_t run_us = 0;
  wire::Payload payload;      // a large one: BlobRef{incarnation, id, size}, which the shell has stored
  std::int64_t ended_ms = 0;  // since 1970
};
/// Answers TakeBackTasks: of the tasks in its channel, the runner has started those up to ordinal `started`
/// and will start no others. The next RunTask has the ordinal after that.
struct TasksTakenBack {
  RunnerId runner = 0;
  std::uint64_t started = 0;
};
/// The runner must be killed: it broke the channel's rules or exceeded its memory limit.
struct RunnerBroken {
  RunnerId runner = 0;
  std::string text;
};
/// The process of a runner that had sent HELLO has ended, on its own or by KillRunner or EndRunner. All its
/// answers were delivered before, as TaskFinished.
struct RunnerDied {
  RunnerId runner = 0;
  std::uint64_t started = 0;  // `started` of the page; a task can write anything there
  std::int32_t signal = 0;
  std::int32_t exit_code = 0;
  std::string stderr_tail;
  std::string reason;         // "": described by signal or exit code
  std::int64_t ended_ms = 0;  // since 1970
};

/// SIGTERM: finish the running tasks, return the others, then leave.
struct Drain {};
/// A second SIGTERM: leave now.
struct Stop {};
/// Time has passed. Delivered in every turn of the loop, and no later than deadline().
struct Tick {};

using Event = std::variant<LinkUp, LinkDown, Received, RunnerReady, RunnerFailedToStart, TaskStarted,
                           TaskFinished, TasksTakenBack, RunnerBroken, RunnerDied, BlobReady, BlobMissing,
                           BlobBad, MemoryUsed, Drain, Stop, Tick>;

// ---- actions ----

/// Connect to the broker. Answered by LinkUp or LinkDown, unless CloseLink comes first.
struct OpenLink {
  bool operator==(const OpenLink&) const = default;
};
/// Drop the connection and everything not yet sent. No event answers.
struct CloseLink {
  bool operator==(const CloseLink&) const = default;
};
/// Send over the link. Issued only while the link is up.
struct Send {
  Indirect<wire::Message> message;
  bool operator==(const Send&) const = default;
};

/// Start a process. All blobs of the program are BlobReady. Answered by RunnerReady or RunnerFailedToStart.
struct StartRunner {
  RunnerId runner = 0;
  std::uint32_t slot = 0;  // 0 .. slots - 1; no other runner is in it
  Program program;
  bool operator==(const StartRunner&) const = default;
};
/// Put the task in the runner's channel. Answered by TaskFinished, TasksTakenBack or RunnerDied.
struct RunTask {
  RunnerId runner = 0;
  std::uint64_t ordinal = 0;  // 1, 2, 3 ..., counted for each runner
  TaskId id;
  LocalSharedPtr<const wire::TaskSpec> spec;  // shared by all tasks of one submit or map
  std::uint32_t execution = 1;
  wire::Payload payload;                  // if a blob: it is BlobReady
  std::uint32_t function_index = 0;       // in the function table of the program's runners
  LocalSharedPtr<const Indices> indices;  // resource indices that the task holds; null: none
  friend bool operator==(const RunTask& a, const RunTask& b) {
    return a.runner == b.runner && a.ordinal == b.ordinal && a.id == b.id && a.execution == b.execution &&
           a.payload == b.payload && a.function_index == b.function_index && same(a.spec, b.spec) &&
           same(a.indices, b.indices);
  }

 private:
  template <class T>
  static bool same(const LocalSharedPtr<T>& a, const LocalSharedPtr<T>& b) {
    return a == b || (a && b && *a == *b);
  }
};
/// this_task::stop_requested() becomes true for this task (Page::stop).
struct RequestStop {
  RunnerId runner = 0;
  std::uint64_t ordinal = 0;
  bool operator==(const RequestStop&) const = default;
};
/// Take back the tasks that this runner has not started. Answered by TasksTakenBack.
struct TakeBackTasks {
  RunnerId runner = 0;
  bool operator==(const TakeBackTasks&) const = default;
};
/// Close the channel of an idle runner, which then exits. Answered by RunnerDied.
struct EndRunner {
  RunnerId runner = 0;
  bool operator==(const EndRunner&) const = default;
};
/// Send `signal` to the runner's whole process group. Answered eventually by RunnerDied or
/// RunnerFailedToStart.
struct KillRunner {
  RunnerId runner = 0;
  int signal = 0;
  bool operator==(const KillRunner&) const = default;
};

/// Write a line to the log.
struct Notify {
  Indirect<Notice> notice;
  bool operator==(const Notify&) const = default;
};
/// The last action: send what is queued for the link, kill every runner, end with this exit code.
struct Exit {
  int code = 0;
  std::string reason;
  bool operator==(const Exit&) const = default;
};

using Action =
    std::variant<OpenLink, CloseLink, Send, StartRunner, RunTask, RequestStop, TakeBackTasks, EndRunner,
                 KillRunner, FindBlob, StoreChunk, VerifyBlob, ServeChunk, DropBlob, Notify, Exit>;
using Actions = std::vector<Action>;

/// One line, for traces and messages of failed tests.
std::string describe(const Action& action);
std::string describe(const Event& event);

}  // namespace weft::worker
