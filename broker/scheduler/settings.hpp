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
  std::uint64_t epoch = 1;           // random; identifies this run of the broker
  std::int64_t unix_us_at_zero = 0;  // wall clock at Time{}
  std::string version = "0";
  std::uint8_t minor =
      wire::kMinor;  // version of the protocol that it speaks; other values only in the simulation
  Duration heartbeat_interval = std::chrono::seconds(1);
  std::uint32_t heartbeat_liveness = 3;                      // the zguide: "3-5 is reasonable"
  Duration adoption_window = std::chrono::seconds(2);        // for claims of workers, from the start
  Duration client_grace = std::chrono::seconds(2);           // of a client that closed its connection
  Duration max_client_silence = std::chrono::minutes(10);    // upper bound of each client's own give_up
  Duration gone_grace = std::chrono::milliseconds(90);       // of a worker whose connection broke
  Duration explain_after = std::chrono::seconds(5);          // then the log says why a task cannot run
  Duration stall_after = std::chrono::seconds(10);           // watchdog: no progress though it is possible
  Duration prefetch = Pacing::kAssignedAhead;                // of work that waits with a worker
  Duration prefetch_task_max = Pacing::kAheadTaskMax;        // longer tasks are not prefetched
  Duration quantum = std::chrono::microseconds(200);         // fair queueing: slot time of a client's turn
  Duration cannot_start_memory = std::chrono::seconds(10);   // after a program did not start on a worker
  Duration cannot_start_memory_max = std::chrono::hours(1);  // doubles each time up to this
  Duration avoid = std::chrono::seconds(60);                 // a worker where nearly everything fails
  Duration avoid_max = std::chrono::hours(1);                // doubles each time up to this
  Duration retry_elsewhere = std::chrono::seconds(10);   // how long a retry waits for another, busy worker
  std::uint16_t fetch_tries = 3;                         // when a program or argument did not come
  std::size_t prefetch_max = 2000;                       // tasks for each slot
  std::size_t shared_part = Pacing::kSharedPart;         // divisor of both limits while clients compete
  Duration shared_memory = std::chrono::seconds(1);      // since one submitted while tasks of another waited
  std::size_t delivery_bytes_max = 8 << 20;              // sent to a client and not acknowledged
  std::size_t backlog_bytes_max = 64 << 20;              // of waiting results; then its tasks stop starting
  std::size_t program_bytes_max = std::size_t{1} << 30;  // cache of programs and libraries, for workers
  std::size_t memory_budget = std::size_t{4} << 30;      // of tasks and results; then backpressure on SUBMIT
  std::size_t submit_bytes_max = 8 << 20;                // without a RECEIVED: a client stops at half of it
  std::size_t received_bytes = 64 << 10;             // of SUBMIT before a RECEIVED is sent without a DELIVER
  bool journal = false;                              // the broker has a journal: detached tasks are accepted
  Duration result_ttl = std::chrono::hours(24 * 7);  // how long the answer of a detached task is stored
  JournalQueue::Settings journal_queue;
  BlobVault::Settings blob_vault;

  /// How long the broker waits for a silent client: as long as that client waits for a lost broker, and
  /// client_grace for the reconnect.
  Duration patience(Duration give_up) const { return std::min(give_up, max_client_silence) + client_grace; }
};

}  // namespace weft::broker
