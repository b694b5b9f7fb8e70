// SPDX-License-Identifier: MIT
#include "tests/simulation/coverage.hpp"

#include <fmt/format.h>

#include <vector>

namespace weft::sim {

namespace {

constexpr std::uint64_t kSeedsMin = 250;

struct Minimum {
  const char* what;
  std::uint64_t of_thousand_seeds;
};
struct Group {
  const char* prefix;
  std::vector<Minimum> minimums;
};
// Minimums for a thousand seeds: about a quarter of the usual counts, to allow for chance.
const std::vector<Group> kGroups = {
    {"",
     {{"blob chunks to clients", 8'000},
      {"blob chunks to workers", 10'000},
      {"executions", 60'000},
      {"executions again", 4'000},
      {"executions in vain", 400},
      {"lost frames", 100},
      {"runner starts", 10'000},
      {"worker is refused", 30},
      {"worker leaves by itself", 90}}},
    {"fault: ",
     {{"broker is frozen", 100},
      {"broker is killed", 100},
      {"broker loses power", 40},
      {"client has no such argument any more", 10},
      {"client is cut off for long", 10},
      {"client is frozen", 100},
      {"client is killed", 50},
      {"client leaves early", 20},
      {"client loses power", 30},
      {"connection reset", 60},
      {"connection reset, seen by the broker", 60},
      {"connection reset, seen by the dialer", 70},
      {"disk is full", 200},
      {"disk is slow", 200},
      {"fetched blob is bad", 60},
      {"garbage to the broker", 70},
      {"half-open connection", 50},
      {"partition both ways", 100},
      {"partition from the broker", 40},
      {"partition to the broker", 50},
      {"program does not start", 700},
      {"result is damaged or too large", 20},
      {"runner breaks the rules", 60},
      {"runner crashes", 100},
      {"runner does not leave", 400},
      {"runner never gets ready", 10},
      {"slow link", 80},
      {"task hangs", 800},
      {"task takes its runner along", 3'000},
      {"task throws", 2'000},
      {"task throws on a broken worker", 200},
      {"worker is frozen", 100},
      {"worker is killed", 100},
      {"worker is told to leave", 90},
      {"worker loses power", 90}}},
    {"detached: ", {{"attached answers", 8'000}, {"kept", 10'000}, {"taken", 10'000}}},
    {"disk: ", {{"blobs", 2'000}, {"reads", 5'000}, {"rewrites", 500}, {"rows", 15'000}}},
    {"ladder: ", {{"SIGKILL", 700}, {"SIGTERM", 800}}},
    {"minors: ",
     {{"field of a newer client reaches a worker", 5'000},
      {"field of a newer worker reaches a client", 8'000},
      {"newer broker", 50},
      {"older broker", 70},
      {"option is refused", 600}}},
    {"outcome: ",
     {{"cancelled", 2'000},
      {"cannot_start", 1'000},
      {"crashed", 2'000},
      {"failed", 1'000},
      {"ok", 60'000},
      {"refused", 1'500},
      {"timed_out", 200},
      {"unschedulable", 2'000}}},
    {"to broker: ",
     {{"Ack", 50'000},        {"Cancel", 1'000},      {"Claims", 800},     {"Data", 10'000},
      {"Define", 3'000},      {"Draining", 80},       {"Drop", 8'000},     {"Forget", 2'000},
      {"Get", 20'000},        {"Gone", 30},           {"Goodbye", 800},    {"Heartbeat", 100'000},
      {"HelloClient", 1'000}, {"HelloWorker", 5'000}, {"Ready", 5'000},    {"Reannounce", 500},
      {"Results", 70'000},    {"Returned", 1'000},    {"Started", 40'000}, {"Submit", 3'000},
      {"Synced", 1'000},      {"Fetched", 10'000}}},
    {"to client: ",
     {{"Data", 8'000},
      {"Deliver", 60'000},
      {"Get", 9'000},
      {"Gone", 100},
      {"Heartbeat", 7'000},
      {"Journaled", 900},
      {"Received", 4'000},
      {"Refuse", 50},
      {"Running", 40'000},
      {"Welcome", 1'000}}},
    {"to worker: ",
     {{"Assign", 50'000},
      {"Data", 10'000},
      {"DefineFor", 10'000},
      {"Drop", 8'000},
      {"EndSession", 3'000},
      {"ForgetFor", 7'000},
      {"Get", 9'000},
      {"Gone", 50},
      {"Heartbeat", 100'000},
      {"Refuse", 100},
      {"Release", 50'000},
      {"Resend", 200},
      {"Revoke", 2'000},
      {"Welcome", 5'000}}},
};

}  // namespace

void Coverage::print() const {
  for (const auto& [what, times] : counts_) fmt::print("{:>10}  {}\n", times, what);
}

bool Coverage::sufficient(std::uint64_t seeds) const {
  if (seeds < kSeedsMin) return true;  // too few seeds for a verdict
  bool sufficient = true;
  for (const Group& group : kGroups) {
    for (const Minimum& minimum : group.minimums) {
      const std::string what = std::string(group.prefix) + minimum.what;
      const auto found = counts_.find(what);
      const std::uint64_t times = found != counts_.end() ? found->second : 0;
      const std::uint64_t needed = minimum.of_thousand_seeds * seeds / 1000;
      if (times >= needed) continue;
      sufficient = false;
      fmt::print(stderr, "'{}' occurred {} times in {} seeds; at least {} are needed\n", what, times, seeds,
                 needed);
    }
  }
  return sufficient;
}

}  // namespace weft::sim
