// SPDX-License-Identifier: MIT
#include "tests/simulation/coverage.hpp"

#include <fmt/format.h>

namespace weft::sim {

namespace {

constexpr std::uint64_t kSeedsMin = 250;

struct Minimum {
  const char* what;
  std::uint64_t of_thousand_seeds;
};
// About a quarter of what is usual.
constexpr Minimum kMinimums[] = {
    {"blob chunks to clients", 8'000},
    {"blob chunks to workers", 10'000},
    {"executions", 60'000},
    {"executions again", 4'000},
    {"executions in vain", 400},
    {"fault: broker is frozen", 100},
    {"fault: broker is killed", 100},
    {"fault: broker loses power", 40},
    {"fault: client has no such argument any more", 10},
    {"fault: client is frozen", 100},
    {"fault: client is killed", 50},
    {"fault: client leaves early", 20},
    {"fault: client loses power", 30},
    {"fault: connection reset", 60},
    {"fault: connection reset, seen by the broker", 60},
    {"fault: connection reset, seen by the dialer", 70},
    {"fault: fetched blob is bad", 60},
    {"fault: garbage to the broker", 70},
    {"fault: half-open connection", 50},
    {"fault: partition both ways", 100},
    {"fault: partition from the broker", 40},
    {"fault: partition to the broker", 50},
    {"fault: program does not start", 700},
    {"fault: result is damaged or too large", 20},
    {"fault: runner breaks the rules", 60},
    {"fault: runner crashes", 100},
    {"fault: runner does not leave", 400},
    {"fault: runner never gets ready", 10},
    {"fault: slow link", 80},
    {"fault: task hangs", 800},
    {"fault: task takes its runner along", 3'000},
    {"fault: task throws", 2'000},
    {"fault: worker is frozen", 100},
    {"fault: worker is killed", 100},
    {"fault: worker is told to leave", 90},
    {"fault: worker loses power", 90},
    {"ladder: SIGKILL", 700},
    {"ladder: SIGTERM", 800},
    {"lost frames", 100},
    {"outcome: cancelled", 2'000},
    {"outcome: cannot_start", 1'000},
    {"outcome: crashed", 2'000},
    {"outcome: failed", 1'000},
    {"outcome: ok", 60'000},
    {"outcome: timed_out", 200},
    {"outcome: unschedulable", 2'000},
    {"runner starts", 10'000},
    {"to broker: Ack", 50'000},
    {"to broker: Cancel", 1'000},
    {"to broker: Claims", 800},
    {"to broker: Data", 10'000},
    {"to broker: Define", 3'000},
    {"to broker: Draining", 80},
    {"to broker: Drop", 8'000},
    {"to broker: Forget", 2'000},
    {"to broker: Get", 20'000},
    {"to broker: Gone", 30},
    {"to broker: Goodbye", 800},
    {"to broker: Heartbeat", 100'000},
    {"to broker: HelloClient", 1'000},
    {"to broker: HelloWorker", 5'000},
    {"to broker: Ready", 5'000},
    {"to broker: Reannounce", 500},
    {"to broker: Results", 70'000},
    {"to broker: Returned", 1'000},
    {"to broker: Started", 40'000},
    {"to broker: Submit", 3'000},
    {"to broker: Synced", 1'000},
    {"to client: Data", 8'000},
    {"to client: Deliver", 60'000},
    {"to client: Get", 9'000},
    {"to client: Gone", 100},
    {"to client: Heartbeat", 7'000},
    {"to client: Received", 4'000},
    {"to client: Refuse", 50},
    {"to client: Running", 40'000},
    {"to client: Welcome", 1'000},
    {"to worker: Assign", 50'000},
    {"to worker: Data", 10'000},
    {"to worker: DefineFor", 10'000},
    {"to worker: Drop", 8'000},
    {"to worker: EndSession", 3'000},
    {"to worker: ForgetFor", 7'000},
    {"to worker: Get", 9'000},
    {"to worker: Gone", 50},
    {"to worker: Heartbeat", 100'000},
    {"to worker: Refuse", 100},
    {"to worker: Release", 50'000},
    {"to worker: Resend", 200},
    {"to worker: Revoke", 2'000},
    {"to worker: Welcome", 5'000},
    {"worker is refused", 30},
    {"worker leaves by itself", 90},
};

}  // namespace

void Coverage::print() const {
  for (const auto& [what, times] : counts_) fmt::print("{:>10}  {}\n", times, what);
}

bool Coverage::sufficient(std::uint64_t seeds) const {
  if (seeds < kSeedsMin) return true;  // too few to say
  bool sufficient = true;
  for (const Minimum& minimum : kMinimums) {
    const auto found = counts_.find(std::string_view(minimum.what));
    const std::uint64_t times = found != counts_.end() ? found->second : 0;
    const std::uint64_t needed = minimum.of_thousand_seeds * seeds / 1000;
    if (times >= needed) continue;
    sufficient = false;
    fmt::print(stderr, "'{}' occurred {} times in {} seeds; at least {} are needed\n", minimum.what, times,
               seeds, needed);
  }
  return sufficient;
}

}  // namespace weft::sim
