// SPDX-License-Identifier: MIT
// Named places where a test can make this very process die as kill -9 would: WEFT_CRASH_AT=name, or
// name:n for the n-th time that it is passed. Without that variable a place costs one load and a branch.
#pragma once

#include <array>
#include <string_view>

namespace weft {

/// All of them, so that a test can visit each. "<program>.<moment>".
inline constexpr std::array<std::string_view, 16> kCrashPoints = {
    "broker.received",          // a message has arrived and nothing was done about it
    "broker.stepped",           // it was applied, and nothing of what follows was sent
    "broker.sent",              // everything that this turn had to send is with libzmq
    "worker.received",          // the same three in the worker's agent
    "worker.stepped",           //
    "worker.sent",              //
    "worker.runner_forked",     // a runner was forked and is not known to have started
    "worker.task_handed_over",  // a task is in a runner's channel
    "worker.result_read",       // a result was read from the channel, and nothing was done about it
    "journal.before_commit",    // a row is about to be committed
    "journal.after_commit",     // it is durable, and nobody was told
    "journal.rewriting",        // inside the transaction that replaces the log
    "journal.chunk_written",    // part of a blob is in its temporary file
    "journal.blob_synced",      // all of it is, and it has not got its name
    "journal.blob_named",       // it has, and nobody was told
    "journal.blob_forgotten",   // a blob was deleted
};

namespace detail {
extern const bool crash_wanted;
void crash_if_named(std::string_view name);
}  // namespace detail

/// REQUIRES: `name` is one of kCrashPoints.
inline void crash_point(std::string_view name) {
  if (detail::crash_wanted) [[unlikely]]
    detail::crash_if_named(name);
}

}  // namespace weft
