// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include "client/cluster/broker_view.hpp"
#include "client/cluster/commands.hpp"
#include "client/cluster/process.hpp"

namespace weft::cluster {

namespace {

constexpr const char* kUnsupervised = "nothing supervises it; run down, then up";

/// The line of a member in the output of `status`.
struct Line {
  bool alive = false;
  std::string text;
  bool well = true;
};

Line of_living(const ClusterView& view, const MemberState& member) {
  const auto pid = living(member.process).value_or(0);
  Line line{true,
            member.host.empty() ? fmt::format("pid {}", pid)
                                : fmt::format("on {}, ssh is pid {}", member.host, pid),
            true};
  if (!view.supervised) {
    line.text += fmt::format(", but {}", kUnsupervised);
    line.well = false;
  } else if (member.name == "broker" && !view.broker) {
    line.text += ", but it does not answer";
  } else if (member.stage == "leaving") {
    line.text += ", leaving";
  } else if (member.name != "broker" && view.broker && !view.has_joined(member.name)) {
    line.text += ", but it has not joined";
    line.well = false;
  }
  return line;
}

Line of_dead(const ClusterView& view, const MemberState& member) {
  if (member.stage == "out" && member.drained) return {false, "drained: out until scale or up", true};
  if (member.stage == "out") return {false, fmt::format("given up: it {}", member.reason), false};
  if (!view.supervised) return {false, kUnsupervised, member.stage == "leaving"};
  if (member.stage == "waiting") return {false, "waiting for the broker", false};
  return {false, "will be restarted soon" + (member.reason.empty() ? "" : ": " + member.reason),
          member.stage == "leaving"};
}

Line line_of(const ClusterView& view, const MemberState& member) {
  Line line = view.runs(member) ? of_living(view, member) : of_dead(view, member);
  if (member.restarts > 0)
    line.text += fmt::format(", restarted {} {}", member.restarts, member.restarts == 1 ? "time" : "times");
  if (member.name == "broker" && !view.state.address.empty())
    line.text = fmt::format("tcp://{}, {}", view.state.address, line.text);
  return line;
}

void print_line(const std::string& name, bool alive, const std::string& text) {
  fmt::print("{:<10} {:<5}  {}\n", name, alive ? "alive" : "dead", text);
}

void print_tasks(const wire::Status& broker) {
  fmt::print("slots      {}: {} busy, {} idle\n", broker.slots, broker.slots_busy,
             broker.slots - broker.slots_busy);
  fmt::print("tasks      {} queued, {} assigned, {} finished\n", broker.queued, broker.assigned,
             broker.finished);
}

}  // namespace

int status() {
  const StateDirectory directory = StateDirectory::locate();
  if (!directory.has_cluster()) {
    fmt::print("no cluster is running\n");
    return 1;
  }
  ClusterView view = look_at(directory, milliseconds(5000));
  bool well = view.broker.has_value();
  for (const MemberState& member : view.state.members) {
    const Line line = line_of(view, member);
    print_line(member.name, line.alive, line.text);
    well = well && line.well;
    view.joined.erase(member.name);
  }
  for (const auto& [name, pid] : view.joined) print_line(name, true, "not started by this cluster");
  if (view.broker) print_tasks(*view.broker);
  fmt::print("logs       {}\n", directory.logs().string());
  return well ? 0 : 1;
}

}  // namespace weft::cluster
