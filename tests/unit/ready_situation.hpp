// SPDX-License-Identifier: MIT
// ReadySituation: the situation of a row of the ready tables, built in a Scheduler: a broker, a client with
// one task, the worker that sends READY, and another worker that may have the task. PROTOCOL.md section 4.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tests/unit/scheduler_harness.hpp"

namespace weft::broker {

inline constexpr std::uint64_t kOldEpoch = 5;

/// The state of the task if the claim is not adopted.
enum class Otherwise : std::uint8_t {
  assigned,   // it is given to the next worker that is free
  elsewhere,  // it has another attempt, which goes on
  closed,     // the task is no longer open
};

struct Situation {
  Harness h;
  TestClient client{uuid(101), "client"};
  TestWorker worker{uuid(102), "worker"};  // sends READY
  TestWorker other{uuid(103), "other"};
  TestWorker spare{uuid(104), "spare"};  // joins after READY has been answered
  TestWorker* holder = &other;           // of the current attempt; nullptr: no worker can have it
  wire::TaskSpec spec = any_spec();
  std::uint32_t spec_number = 1;
  std::uint32_t execution = 2;  // of the task: 1 + retries used + crashes
  wire::ClaimRecord claim{1, {kOldEpoch, 12}, wire::ClaimState::running, 2};
  bool claims = true;
  bool must_run = false;       // the claim would not be the later one if it was done
  wire::ClaimRecord current;   // the holder's; attempt number 0: the task has no current attempt
  bool being_stopped = false;  // the current attempt
  Otherwise otherwise = Otherwise::assigned;
  std::function<void()> then;                // the event that a held claim waits for
  wire::Outcome ending = wire::Outcome::ok;  // how the claimed attempt ends
  std::uint64_t assigned_before = 0;
  Actions after;  // the actions after READY, or after `then`

  Situation();

  // ---- steps ----
  void client_comes();
  /// The client announces task 1 as its only open task, with one crash if its limit allows one.
  void announce();
  /// Submits a task to this broker, in contrast to one that an earlier broker has had.
  void submit();
  void joins(TestWorker& by);
  /// A worker joins, and gets the only queued task.
  wire::Attempt given_to(TestWorker& to);
  void lost(TestWorker& by);
  void adopted_by(TestWorker& by, const wire::ClaimRecord& claimed);
  void until(Duration since_start);
  /// The worker sends HELLO, CLAIMS and READY.
  void say_ready();
  /// The broker's actions when this attempt has ended.
  Actions say_result(TestWorker& by, const wire::Attempt& attempt, wire::Outcome outcome);
};

/// The outcomes of all deliveries in `actions`.
std::vector<wire::Outcome> delivered(const Actions& actions);

/// A column: the setup for each cell.
using SetUp = void (*)(Situation&);
using Column = std::map<std::string, SetUp>;

/// The columns of tables A to D by table, in the order of their setup, with the text of their header.
struct NamedColumn {
  std::string header;
  Column cells;
};
const std::vector<NamedColumn>& ready_columns(char table);

}  // namespace weft::broker
