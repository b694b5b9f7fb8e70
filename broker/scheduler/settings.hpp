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
  std::uint64_t epoch = 1;           // random, of this life of the broker
  std::int64_t unix_us_at_zero = 0;  // wall clock at Time{}
  std::string version = "0";
  std::uint8_t minor =
      wire::kMinor;  // version of the protocol that it speaks; another only in the simulation
  Duration heartbeat_interval = std::chrono::seconds(1);
  std::uint32_t heartbeat_liveness = 3;                      // the zguide: "3-5 is reasonable"
  Duration adoption_window = std::chrono::seconds(2);        // from the start, for claims
  Duration client_grace = std::chrono::seconds(2);           // of a client that closed its connection
  Duration max_client_silence = std::chrono::minutes(10);    // of any client, and at most its give_up
  Duration gone_grace = std::chrono::milliseconds(90);       // of a worker whose connection broke
  Duration explain_after = std::chrono::seconds(5);          // then a task that cannot run says why
  Duration stall_after = std::chrono::seconds(10);           // without progress, though there could be some
  Duration prefetch = Pacing::kAssignedAhead;                // of work that waits with a worker
  Duration prefetch_task_max = Pacing::kAheadTaskMax;        // longer tasks are not prefetched
  Duration quantum = std::chrono::microseconds(200);         // of slot time, until the next client's turn
  Duration cannot_start_memory = std::chrono::seconds(10);   // how long a worker is not asked again, first
  Duration cannot_start_memory_max = std::chrono::hours(1);  // and after many times
  Duration avoid = std::chrono::seconds(60);                 // a worker where nearly everything fails, first
  Duration avoid_max = std::chrono::hours(1);                // and after many times
  Duration retry_elsewhere = std::chrono::seconds(10);   // a retry waits for a worker that is busy so long
  std::uint16_t fetch_tries = 3;                         // again, when a program or argument did not come
  std::size_t prefetch_max = 2000;                       // tasks for each slot
  std::size_t shared_part = Pacing::kSharedPart;         // that part of both, while clients compete
  Duration shared_memory = std::chrono::seconds(1);      // since one submitted while tasks of another waited
  std::size_t delivery_bytes_max = 8 << 20;              // not acknowledged, under way to a client
  std::size_t backlog_bytes_max = 64 << 20;              // of results waiting, for a session to go on
  std::size_t program_bytes_max = std::size_t{1} << 30;  // of programs and their libraries, kept for workers
  std::size_t memory_budget = std::size_t{4} << 30;  // of tasks and results; beyond it SUBMITs are held back
  std::size_t submit_bytes_max = 8 << 20;            // without a RECEIVED: a client stops at half of it
  std::size_t received_bytes = 64 << 10;       // of SUBMIT that a RECEIVED stands for, at least, by itself
  bool journal = false;                        // there is one: detached tasks are accepted
  Duration keep = std::chrono::hours(24 * 7);  // of the answer of a detached task
  JournalQueue::Settings journal_queue;
  BlobVault::Settings blob_vault;

  /// A client that waits `give_up` for its broker is waited for as long, and for its way back.
  Duration patience(Duration give_up) const { return std::min(give_up, max_client_silence) + client_grace; }
};

}  // namespace weft::broker
