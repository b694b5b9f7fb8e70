// SPDX-License-Identifier: MIT
// Crash points (fault injection): named points at which a test can make this process die as by kill -9, with
// WEFT_CRASH_AT=name, or name:n for the n-th pass. Without that variable a point costs a load and a branch.
#pragma once

#include <array>
#include <string_view>

namespace weft {

/// All crash points, as "<program>.<moment>", so that a test can visit each.
inline constexpr std::array<std::string_view, 16> kCrashPoints = {
    "broker.received",          // a message has been received but not applied
    "broker.stepped",           // it has been applied, but none of the resulting messages has been sent
    "broker.sent",              // all messages of this turn have been given to libzmq
    "worker.received",          // the same three points in the worker
    "worker.stepped",           //
    "worker.sent",              //
    "worker.runner_forked",     // a runner has been forked, but has not reported that it started
    "worker.task_handed_over",  // a task is in a runner's channel
    "worker.result_read",       // a result has been read from the channel but not processed
    "journal.before_commit",    // an entry is about to be committed
    "journal.after_commit",     // it is durable, but has not been acknowledged
    "journal.rewriting",        // in the transaction that replaces the log
    "journal.chunk_written",    // a part of a blob is in its temporary file
    "journal.blob_synced",      // all of it is there and synced, but not renamed
    "journal.blob_named",       // it has been renamed, but not acknowledged
    "journal.blob_forgotten",   // a blob has been deleted
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
