// SPDX-License-Identifier: MIT
// What a row of the ready tables describes, built in a Scheduler: a broker, a client with one task, the
// worker that says READY, and another worker that may have the task. PROTOCOL.md section 4.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tests/unit/scheduler_harness.hpp"

namespace weft::broker {

inline constexpr std::uint64_t kOldEpoch = 5;

/// What becomes of the task if the claim is not adopted.
enum class Otherwise : std::uint8_t {
  assigned,   // it is given to the next worker that is free
  elsewhere,  // it has another attempt, which goes on
  closed,     // it is not open
};

struct Situation {
  Harness h;
  TestClient client{uuid(101), "client"};
  TestWorker worker{uuid(102), "worker"};  // says READY
  TestWorker other{uuid(103), "other"};
  TestWorker spare{uuid(104), "spare"};  // comes when READY has been answered
  TestWorker* holder = &other;           // of the current attempt; nullptr: no worker can have it
  wire::TaskSpec spec = any_spec();
  std::uint32_t spec_number = 1;
  std::uint32_t execution = 2;  // of the task: 1 + retries used + crashes
  wire::ClaimRecord claim{1, {kOldEpoch, 12}, wire::ClaimState::running, 2};
  bool claims = true;
  bool must_run = false;       // the claim would not be the later one if it was done
  wire::ClaimRecord current;   // what the holder has; attempt number 0: the task has no current attempt
  bool being_stopped = false;  // the current attempt
  Otherwise otherwise = Otherwise::assigned;
  std::function<void()> then;                // the event that a held claim waits for
  wire::Outcome ending = wire::Outcome::ok;  // how the claimed attempt ends
  std::uint64_t assigned_before = 0;
  Actions after;  // what READY led to, or `then`

  Situation();

  // ---- steps ----
  void client_comes();
  /// The client says that task 1 is all that it has open; the task has crashed once, if it may.
  void announce();
  /// A task of this broker.
  void submit();
  void joins(TestWorker& by);
  /// The only queued task goes to a worker that joins.
  wire::Attempt given_to(TestWorker& to);
  void lost(TestWorker& by);
  void adopted_by(TestWorker& by, const wire::ClaimRecord& claimed);
  void until(Duration since_start);
  /// The worker says HELLO, CLAIMS and READY.
  void say_ready();
  /// What the broker does when this attempt has ended.
  Actions say_result(TestWorker& by, const wire::Attempt& attempt, wire::Outcome outcome);
};

/// The outcomes of all deliveries in `actions`.
std::vector<wire::Outcome> delivered(const Actions& actions);

/// What each cell of a column means.
using SetUp = void (*)(Situation&);
using Column = std::map<std::string, SetUp>;

/// The columns of tables A to D in the order in which they are set up, by table and by the text of their
/// header.
struct NamedColumn {
  std::string header;
  Column cells;
};
const std::vector<NamedColumn>& ready_columns(char table);

}  // namespace weft::broker
