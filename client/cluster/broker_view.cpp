// SPDX-License-Identifier: MIT
#include "client/cluster/broker_view.hpp"

#include <fmt/format.h>

#include <csignal>
#include <thread>

#include "client/cluster/binaries.hpp"
#include "client/cluster/control.hpp"
#include "client/cluster/process.hpp"
#include "client/connection/query.hpp"
#include "weft/error.hpp"

namespace weft::cluster {

namespace {

constexpr std::chrono::milliseconds kPoll{20};
constexpr std::chrono::milliseconds kAnswer{1000};

volatile std::sig_atomic_t stop_signal = 0;

void set_handler(void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  for (const int number : {SIGINT, SIGTERM}) sigaction(number, &action, nullptr);
}

void ask_broker(ClusterView& view, std::chrono::milliseconds timeout) {
  const MemberState* broker = view.state.find("broker");
  if (view.state.address.empty() || broker == nullptr || !view.runs(*broker)) return;
  try {
    view.broker = client::query_status(view.state.address, true, timeout);
  } catch (const ConnectionError&) {
    return;
  }
  for (const auto& worker : view.broker->worker_list)
    if (worker.state != "lost") view.joined[worker.name] = worker.pid;
}

bool is_leaving(const MemberState& member) { return member.stage == "leaving"; }
bool is_out(const MemberState& member) { return member.stage == "out"; }

}  // namespace

void heed_signals() {
  set_handler([](int number) { stop_signal = number; });
}

void ignore_signals() { set_handler(SIG_IGN); }

bool ClusterView::runs(const MemberState& member) const { return living(member.process).has_value(); }

bool ClusterView::anything_runs() const {
  if (supervised) return true;
  for (const MemberState& member : state.members)
    if (runs(member)) return true;
  return false;
}

std::vector<const MemberState*> ClusterView::staying_workers() const {
  std::vector<const MemberState*> out;
  for (const MemberState& member : state.members)
    if (member.name != "broker" && !is_leaving(member) && !(is_out(member) && member.drained))
      out.push_back(&member);
  return out;
}

ClusterView look_at_processes(const StateDirectory& directory) {
  ClusterView view;
  if (auto state = ask_state(directory)) {
    view.state = std::move(*state);
    view.supervised = true;
  } else {
    view.state = state_from_json(directory.read_state());
    view.supervised = living(view.state.supervisor).has_value();
  }
  return view;
}

ClusterView look_at(const StateDirectory& directory, std::chrono::milliseconds timeout) {
  ClusterView view = look_at_processes(directory);
  ask_broker(view, timeout);
  return view;
}

bool wait_until(const StateDirectory& directory, std::chrono::milliseconds timeout,
                const std::function<bool(const ClusterView&)>& done) {
  const auto deadline = std::chrono::steady_clock::now() + detail::bounded(timeout);
  for (;;) {
    if (stop_signal != 0) throw Interrupted{stop_signal};
    const auto before = std::chrono::steady_clock::now();
    if (done(look_at(directory, kAnswer))) return true;
    if (before >= deadline) return false;
    std::this_thread::sleep_for(kPoll);
  }
}

bool all_joined(const ClusterView& view, const StateDirectory& directory) {
  bool all = view.broker.has_value();
  const auto check = [&](const MemberState& member) {
    if (is_out(member)) throw Failed(fmt::format("{} has been given up: it {}", member.name, member.reason));
    if (!view.supervised && !view.runs(member))
      throw Failed(fmt::format("{} and its supervisor are dead, see {}/{}.log", member.name,
                               directory.logs().string(), member.name));
  };
  if (const MemberState* broker = view.state.find("broker")) check(*broker);
  for (const MemberState* worker : view.staying_workers()) {
    check(*worker);
    all = all && view.has_joined(worker->name);
  }
  return all;
}

std::string explain_missing(const ClusterView& view) {
  std::string text = "not all members have joined in time:";
  for (const MemberState& member : view.state.members) {
    if (member.name == "broker" && view.state.address.empty())
      text += "\n  the broker has not printed its address; the end of its log:";
    else if (member.name == "broker" && !view.broker)
      text += "\n  the broker does not answer; the end of its log:";
    else if (member.name != "broker" && !is_leaving(member) && !is_out(member) &&
             !view.has_joined(member.name))
      text += fmt::format("\n  {} has not joined; the end of its log:", member.name);
    else
      continue;
    for (const std::string& line : member.last_lines) text += fmt::format("\n    {} | {}", member.name, line);
  }
  return text;
}

void print_running(const ClusterView& view, const StateDirectory& directory) {
  fmt::print("address: tcp://{}\nslots:   {} on {} {}\nlogs:    {}\nexport WEFT_BROKER={}\n",
             view.state.address, view.broker ? view.broker->slots : 0, view.joined.size(),
             view.joined.size() == 1 ? "worker" : "workers", directory.logs().string(), view.state.address);
}

}  // namespace weft::cluster
