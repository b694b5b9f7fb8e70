// SPDX-License-Identifier: MIT
// The commands scale, drain, restart and down.
#include <fmt/format.h>

#include <csignal>
#include <thread>

#include "client/cluster/broker_view.hpp"
#include "client/cluster/commands.hpp"
#include "client/cluster/control.hpp"
#include "client/cluster/process.hpp"
#include "client/cluster/start.hpp"

namespace weft::cluster {

namespace {

constexpr milliseconds kForever = std::chrono::hours(24 * 365);

StateDirectory running_cluster() {
  StateDirectory directory = StateDirectory::locate();
  if (!directory.has_cluster()) throw Failed("no cluster is running");
  return directory;
}

void ask_or_fail(const StateDirectory& directory, const std::string& what, const std::string& name,
                 int workers = 0) {
  const Reply reply = ask(directory, what, name, workers);
  if (!reply.ok) throw Failed(reply.text);
}

/// Workers that are leaving.
std::vector<std::string> leaving(const ClusterView& view) {
  std::vector<std::string> out;
  for (const MemberState& member : view.state.members)
    if (member.stage == "leaving") out.push_back(member.name);
  return out;
}

bool has_left(const ClusterView& view, const std::string& name) {
  const MemberState* member = view.state.find(name);
  return member == nullptr || member->stage != "leaving";
}

void await_leaving(const StateDirectory& directory, const std::vector<std::string>& names,
                   milliseconds timeout) {
  std::vector<std::string> left;
  const auto all_left = [&](const ClusterView& view) {
    left = names;
    std::erase_if(left, [&](const std::string& name) { return has_left(view, name); });
    return left.empty();
  };
  if (wait_until(directory, timeout, all_left)) return;
  throw Failed(
      fmt::format("still busy; they will leave when their tasks are done: {}", fmt::join(left, " ")));
}

void require_broker(const ClusterView& view) {
  const MemberState* broker = view.state.find("broker");
  if (broker == nullptr || broker->stage == "out" || !view.anything_runs())
    throw Failed("the broker is not running; run down, then up");
}

// ---- restart ----

/// Identifies the current process of member `name`: its identity and, for a worker, the pid that has joined.
std::string process_of(const ClusterView& view, const std::string& name) {
  const MemberState* member = view.state.find(name);
  if (member == nullptr) throw Failed(fmt::format("this cluster has no {}", name));
  const auto joined = view.joined.find(name);
  return fmt::format("{} {}", member->process, joined == view.joined.end() ? 0 : joined->second);
}

/// Whether member `name` runs again, as another process than `before`, and serves: the broker answers, or the
/// worker has joined. Throws Failed if it was removed or given up.
bool is_back(const ClusterView& view, const std::string& name, const std::string& before) {
  const MemberState* member = view.state.find(name);
  if (member == nullptr) throw Failed(fmt::format("{} was removed during its restart", name));
  if (member->stage == "out") throw Failed(fmt::format("{} has been given up: it {}", name, member->reason));
  const bool serves = name == "broker" ? view.broker.has_value() : view.has_joined(name);
  return member->stage == "running" && serves && process_of(view, name) != before;
}

/// Restarts a member. The member may take as long as its tasks do to leave; `timeout` limits the time from
/// then until it is back.
void restart_one(const StateDirectory& directory, const std::string& name, milliseconds timeout) {
  const std::string before = process_of(look_at(directory, milliseconds(1000)), name);
  ask_or_fail(directory, "restart", name);
  wait_until(directory, kForever, [&](const ClusterView& view) { return has_left(view, name); });
  if (!wait_until(directory, timeout, [&](const ClusterView& view) { return is_back(view, name, before); }))
    throw Failed(explain_missing(look_at(directory, milliseconds(1000))));
  fmt::print("{} has been restarted\n", name);
  std::fflush(stdout);
}

// ---- down without a supervisor ----

void signal_all(const std::vector<std::string>& processes, int number) {
  for (const std::string& process : processes)
    if (const auto pid = living(process)) kill(*pid, number);
}

bool all_dead(const std::vector<std::string>& processes, milliseconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  for (;;) {
    bool dead = true;
    for (const std::string& process : processes) dead = dead && !living(process);
    if (dead || std::chrono::steady_clock::now() >= deadline) return dead;
    std::this_thread::sleep_for(milliseconds(20));
  }
}

/// Stops members whose supervisor is dead.
void stop_by_signals(const std::vector<MemberState>& members, milliseconds grace) {
  std::vector<std::string> processes;
  std::vector<pid_t> sessions;
  for (const MemberState& member : members)
    if (const auto pid = living(member.process)) {
      processes.push_back(member.process);
      sessions.push_back(*pid);
    }
  signal_all(processes, SIGTERM);
  if (!all_dead(processes, grace)) {
    for (const MemberState& member : members)
      if (living(member.process)) fmt::print("{} has not left in time and is killed\n", member.name);
    signal_all(processes, SIGKILL);
  }
  const bool dead = all_dead(processes, milliseconds(2000));
  for (const pid_t session : sessions) kill_session(session);
  if (!dead) throw Failed("some processes are still alive, see cluster.sh status");
}

void stop_unsupervised(const StateDirectory& directory, milliseconds grace) {
  std::vector<MemberState> members;
  try {
    members = state_from_json(directory.read_state()).members;
  } catch (const std::runtime_error&) {  // `up` was interrupted before it wrote the state
  }
  std::vector<MemberState> broker;
  if (!members.empty() && members.front().name == "broker") {
    broker.push_back(members.front());
    members.erase(members.begin());
  }
  stop_by_signals(members, grace);
  stop_by_signals(broker, std::min(grace, milliseconds(2000)));
  directory.remove_run();
}

}  // namespace

int scale(int workers, milliseconds timeout) {
  const StateDirectory directory = running_cluster();
  {
    const Fd lock = directory.lock();
    require_broker(look_at_processes(directory));
    ask_or_fail(directory, "scale", "", workers);
  }  // unlocked, since draining may take long and must not block `down`
  const std::vector<std::string> left = leaving(look_at_processes(directory));
  await_cluster(directory, timeout);
  await_leaving(directory, left, timeout);
  const ClusterView view = look_at(directory, milliseconds(5000));
  if (!view.broker) throw Failed("the broker does not answer");
  print_running(view, directory);
  return 0;
}

int drain(const std::vector<std::string>& names, milliseconds timeout) {
  const StateDirectory directory = running_cluster();
  {
    const Fd lock = directory.lock();
    for (const std::string& name : names) ask_or_fail(directory, "drain", name);
  }
  await_leaving(directory, names, timeout);
  for (const std::string& name : names) fmt::print("{} has left and stays out until scale or up\n", name);
  return 0;
}

int restart(const std::vector<std::string>& names, milliseconds timeout) {
  const StateDirectory directory = running_cluster();
  std::vector<std::string> chosen = names;
  if (chosen.empty())
    for (const MemberState* worker : look_at_processes(directory).staying_workers())
      chosen.push_back(worker->name);
  for (const std::string& name : chosen) restart_one(directory, name, timeout);
  return 0;
}

int down(milliseconds grace) {
  const StateDirectory directory = StateDirectory::locate();
  if (!directory.has_cluster()) {
    fmt::print("no cluster is running\n");
    return 0;
  }
  const Fd lock = directory.lock();
  const milliseconds patience = detail::bounded(grace) + milliseconds(20'000);
  const auto stopped = ask_to_stop(directory, grace, patience, [](const std::string& text) {
    fmt::print("{}\n", text);
    std::fflush(stdout);
  });
  if (!stopped) stop_unsupervised(directory, grace);
  if (stopped && !*stopped) throw Failed("some processes are still alive, see cluster.sh status");
  fmt::print("down; logs are in {}\n", directory.logs().string());
  return 0;
}

}  // namespace weft::cluster
