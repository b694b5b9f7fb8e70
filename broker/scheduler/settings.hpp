// SPDX-License-Identifier: MIT
// The scheduler's times and limits. broker/DEFAULTS.md says which of them users can set.
#pragma once

#include <algorithm>

#include "broker/scheduler/blob_vault.hpp"
#include "broker/scheduler/journal_queue.hpp"
#include "common/base/pacing.hpp"
#include "common/base/time.hpp"
#include "common/wire/messages.hpp"

namespace weft::broker {

struct Settings {
  std::uint64_t epoch = 1;           // random, another one each time a broker starts
  std::int64_t unix_us_at_zero = 0;  // wall clock at Time{}
  std::string version = "0";
  std::uint8_t minor =
      wire::kMinor;  // protocol version that this broker speaks; differs from kMinor only in the simulation
  Duration heartbeat_interval = std::chrono::seconds(1);
  std::uint32_t heartbeat_liveness = 3;                      // the zguide: "3-5 is reasonable"
  Duration adoption_window = std::chrono::seconds(2);        // from the start, for claims
  Duration client_grace = std::chrono::seconds(2);           // of a client that closed its connection
  Duration max_client_silence = std::chrono::minutes(10);    // upper bound of each client's own give_up
  Duration gone_grace = std::chrono::milliseconds(90);       // of a worker whose connection broke
  Duration explain_after = std::chrono::seconds(5);          // then a task that cannot run says why
  Duration stall_after = std::chrono::seconds(10);           // without progress that would be possible
  Duration prefetch = Pacing::kAssignedAhead;                // of assigned work that waits at a worker
  Duration prefetch_task_max = Pacing::kAheadTaskMax;        // longer tasks are not prefetched
  Duration quantum = std::chrono::microseconds(200);         // fair queueing: slot time per turn of a client
  Duration cannot_start_memory = std::chrono::seconds(10);   // a refused program is not tried there: first
  Duration cannot_start_memory_max = std::chrono::hours(1);  // and at most, as it doubles each time
  Duration avoid = std::chrono::seconds(60);                 // of a worker where nearly all fails: first
  Duration avoid_max = std::chrono::hours(1);                // and at most, as it doubles each time
  Duration retry_elsewhere = std::chrono::seconds(10);   // a retry waits for a worker that is busy so long
  std::uint16_t fetch_tries = 3;                         // retries after a program or argument did not arrive
  std::size_t prefetch_max = 2000;                       // tasks for each slot
  std::size_t shared_part = Pacing::kSharedPart;         // divides both while clients compete
  Duration shared_memory = std::chrono::seconds(1);      // clients count as competing for so long
  std::size_t delivery_bytes_max = 8 << 20;              // flow control: unacknowledged, to one client
  std::size_t backlog_bytes_max = 64 << 20;              // backpressure: no task starts beyond these results
  std::size_t program_bytes_max = std::size_t{1} << 30;  // cached programs and libraries, for workers
  std::size_t memory_budget = std::size_t{4} << 30;      // of tasks and results; backpressure beyond it
  std::size_t submit_bytes_max = 8 << 20;                // without a RECEIVED: a client stops at half of it
  std::size_t received_bytes = 64 << 10;                 // of SUBMIT that trigger a RECEIVED of their own
  bool journal = false;                                  // there is a journal: detached tasks are accepted
  Duration keep = std::chrono::hours(24 * 7);  // retention of the answer of a detached task (--keep)
  JournalQueue::Settings journal_queue;
  BlobVault::Settings blob_vault;

  /// How long the broker waits for a client that itself waits `give_up` for its broker: as long, plus the
  /// time that it takes to come back.
  Duration patience(Duration give_up) const { return std::min(give_up, max_client_silence) + client_grace; }
};

}  // namespace weft::broker
