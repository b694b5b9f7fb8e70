// SPDX-License-Identifier: MIT
#include "client/cluster/supervisor.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/base/check.hpp"

namespace weft::cluster {

namespace {

constexpr const char* kWorkerPrefix = "worker-";

int number_of(const std::string& worker) {
  const std::string prefix = kWorkerPrefix;
  int number = 0;
  for (const char c : worker.starts_with(prefix) ? worker.substr(prefix.size()) : "") {
    if (c < '0' || c > '9' || number > 1'000'000) return 0;
    number = number * 10 + (c - '0');
  }
  return number;
}

/// Whether the event is a request, which is rejected while the cluster is going down.
bool is_change(const Event& event) {
  return !std::holds_alternative<Tick>(event) && !std::holds_alternative<Serving>(event) &&
         !std::holds_alternative<Ended>(event) && !std::holds_alternative<Stop>(event);
}

bool stays(const Member& member) { return member.stage != Stage::leaving && member.stage != Stage::out; }

}  // namespace

const char* name_of(Stage stage) {
  switch (stage) {
    case Stage::waiting:
      return "waiting";
    case Stage::running:
      return "running";
    case Stage::backing_off:
      return "backing off";
    case Stage::leaving:
      return "leaving";
    case Stage::out:
      return "out";
  }
  return "";
}

void Supervisor::step(Time now, const Event& event, Actions& actions) {
  now_ = now;
  actions_ = &actions;
  if (stopping_ && is_change(event))
    act(Answer{false, "the cluster is going down"});
  else
    std::visit([this](const auto& e) { on(e); }, event);
  actions_ = nullptr;
}

std::optional<Time> Supervisor::deadline() const {
  std::optional<Time> first = force_at_;
  for (const Member& member : members_) first = earlier(first, member.due);
  return first;
}

const Member* Supervisor::find(const std::string& name) const {
  const auto found =
      std::find_if(members_.begin(), members_.end(), [&](const Member& m) { return m.name == name; });
  return found == members_.end() ? nullptr : &*found;
}

Member* Supervisor::find_member(const std::string& name) { return const_cast<Member*>(find(name)); }

// ---- time and processes ----

void Supervisor::on(const Tick&) {
  for (Member& member : members_)
    if (member.due && *member.due <= now_) {
      ++member.restarts;
      start(member);
    }
  if (force_at_ && *force_at_ <= now_) force();
}

void Supervisor::on(const Serving&) {
  serving_ = true;
  for (Member& member : members_)
    if (member.stage == Stage::waiting) start(member);
}

void Supervisor::on(const Ended& event) {
  Member* member = find_member(event.name);
  if (member == nullptr) return;
  if (member->stage == Stage::leaving) return retire(*member, member->afterwards);
  if (member->stage == Stage::running) died(*member, event);
}

void Supervisor::died(Member& member, const Ended& event) {
  // A worker exits with code 0 when it was drained by the broker (`weft drain`) or by a SIGTERM.
  if (!member.broker && event.by_code && event.code == 0) {
    member.drained = true;
    return retire(member, Afterwards::out);
  }
  const bool fast = event.lived < kFastDeath;
  if (member.first && fast && event.by_code && event.full_disk.empty())
    return give_up(member, fmt::format("{}: {}", event.how, event.last_words));
  member.first = false;
  if (event.full_disk.empty()) member.fast_deaths = fast ? member.fast_deaths + 1 : 0;
  if (member.fast_deaths >= kFastDeaths)
    return give_up(
        member,
        fmt::format("died {} times in a row within {} s of its start; the last time it {}: {}",
                    member.fast_deaths, kFastDeath / std::chrono::seconds(1), event.how, event.last_words));
  back_off(member, event);
}

void Supervisor::give_up(Member& member, std::string reason) {
  act(Note{member.name, fmt::format("{} has been given up: it {}", member.name, reason)});
  member.stage = Stage::out;
  member.drained = false;
  member.reason = std::move(reason);
}

void Supervisor::back_off(Member& member, const Ended& event) {
  if (member.delay == Duration{} || event.lived >= kSteady) member.delay = kDelayFirst;
  member.stage = Stage::backing_off;
  member.due = now_ + member.delay;
  member.reason = event.full_disk.empty() ? "" : fmt::format("no space is left in {}", event.full_disk);
  act(Note{member.name, fmt::format("{} {}{}{}; restarting it in {} ms", member.name, event.how,
                                    member.reason.empty() ? "" : ": ", member.reason,
                                    member.delay / std::chrono::milliseconds(1))});
  member.delay = std::min(member.delay * 2, kDelayMax);
}

void Supervisor::start(Member& member) {
  member.due.reset();
  member.reason.clear();
  if (!member.broker && !serving_) {
    member.stage = Stage::waiting;
    return;
  }
  member.stage = Stage::running;
  act(Start{member.name});
}

void Supervisor::start_afresh(Member& member) {
  member.first = true;
  member.drained = false;
  member.fast_deaths = 0;
  member.delay = Duration{};
  start(member);
}

/// Tells a member to leave; a member without a process has left at once.
void Supervisor::tell_to_leave(Member& member, Afterwards afterwards) {
  if (member.stage == Stage::leaving) {
    member.afterwards = afterwards;
  } else if (member.stage == Stage::running) {
    member.stage = Stage::leaving;
    member.afterwards = afterwards;
    act(TellToLeave{member.name, false});
  } else {
    retire(member, afterwards);
  }
}

void Supervisor::retire(Member& member, Afterwards afterwards) {
  member.due.reset();
  if (afterwards == Afterwards::start) return start_afresh(member);
  if (afterwards == Afterwards::out) {
    member.stage = Stage::out;
    act(Note{member.name, fmt::format("{} has left and stays out until scale or up", member.name)});
    return;
  }
  act(Note{member.name, fmt::format("{} has left", member.name)});
  forget(member.name);
  if (stopping_) stop_next();
}

void Supervisor::forget(const std::string& name) {
  std::erase_if(members_, [name](const Member& member) { return member.name == name; });
}

// ---- requests ----

void Supervisor::add(Member member) {
  members_.push_back(std::move(member));
  start(members_.back());
}

void Supervisor::on(const AddBroker&) {
  if (find("broker") == nullptr) add({.name = "broker", .broker = true});
  act(Answer{});
}

void Supervisor::on(const AddWorker& request) {
  const std::string name = request.name.empty() ? next_worker() : request.name;
  if (find(name) == nullptr) add({.name = name, .remote = request.remote});
  act(Answer{true, name});
}

void Supervisor::on(const Scale& request) {
  const auto want = static_cast<std::size_t>(std::max(0, request.workers));
  std::vector<std::string> staying;
  std::vector<std::string> out;
  for (const Member& member : members_) {
    if (member.broker) continue;
    if (stays(member)) staying.push_back(member.name);
    if (member.stage == Stage::out) out.push_back(member.name);
  }
  for (const std::string& name : out) {
    if (staying.size() >= want) {
      forget(name);
    } else {
      start_afresh(*find_member(name));
      staying.push_back(name);
    }
  }
  for (; staying.size() < want; staying.push_back(members_.back().name)) add({.name = next_worker()});
  if (staying.size() > want) remove_workers(std::move(staying), want);
  act(Answer{});
}

std::string Supervisor::next_worker() const {
  int last = 0;
  for (const Member& member : members_) last = std::max(last, number_of(member.name));
  return kWorkerPrefix + std::to_string(last + 1);
}

void Supervisor::remove_workers(std::vector<std::string> staying, std::size_t want) {
  const auto older = [](const std::string& a, const std::string& b) { return number_of(a) < number_of(b); };
  std::stable_sort(staying.begin(), staying.end(), older);
  for (; staying.size() > want; staying.pop_back())
    tell_to_leave(*find_member(staying.back()), Afterwards::forget);
}

void Supervisor::on(const Revive&) {
  std::string names;
  for (Member& member : members_)
    if (member.stage == Stage::out) {
      names += (names.empty() ? "" : ", ") + member.name;
      start_afresh(member);
    }
  act(Answer{true, names});
}

/// Nullptr: the request has been answered with a refusal.
Member* Supervisor::worker_or_refuse(const std::string& name) {
  Member* member = find_member(name);
  if (member != nullptr && !member->broker) return member;
  act(Answer{false, member == nullptr
                        ? fmt::format("this cluster has no worker {}", name)
                        : "only workers can be drained; for the broker use restart broker, or down"});
  return nullptr;
}

void Supervisor::on(const DrainMember& request) {
  Member* member = worker_or_refuse(request.name);
  if (member == nullptr) return;
  member->drained = true;
  tell_to_leave(*member, Afterwards::out);
  act(Answer{});
}

void Supervisor::on(const RestartMember& request) {
  Member* member = find_member(request.name);
  if (member == nullptr) return act(Answer{false, fmt::format("this cluster has no {}", request.name)});
  tell_to_leave(*member, Afterwards::start);
  act(Answer{});
}

void Supervisor::on(const KillMember& request) {
  Member* member = worker_or_refuse(request.name);
  if (member == nullptr) return;
  member->drained = true;
  if (member->stage == Stage::running || member->stage == Stage::leaving) {
    member->stage = Stage::leaving;
    member->afterwards = Afterwards::out;
    act(TellToLeave{member->name, true});
  } else {
    retire(*member, Afterwards::out);
  }
  act(Answer{});
}

// ---- the end ----

void Supervisor::on(const Stop& request) {
  act(Answer{});
  stopping_ = true;
  grace_ = request.grace;
  force_at_ = now_ + grace_;
  std::vector<std::string> workers;
  for (const Member& member : members_)
    if (!member.broker) workers.push_back(member.name);
  for (const std::string& name : workers) tell_to_leave(*find_member(name), Afterwards::forget);
  if (workers.empty()) stop_next();
}

/// Tells the broker to leave once the last worker has left, since draining workers still send their results
/// to the broker. When the broker has left, too, the cluster is stopped.
void Supervisor::stop_next() {
  if (members_.empty()) {
    force_at_.reset();
    if (!std::exchange(stopped_, true)) act(Stopped{});
    return;
  }
  Member& member = members_.front();
  if (!member.broker || members_.size() > 1 || member.stage == Stage::leaving) return;
  force_at_ = now_ + std::min(grace_, kBrokerGraceMax);
  tell_to_leave(member, Afterwards::forget);
}

void Supervisor::force() {
  force_at_.reset();
  for (const Member& member : members_) {
    if (member.stage != Stage::leaving) continue;
    act(Say{fmt::format("{} has not left in time and is killed", member.name)});
    act(TellToLeave{member.name, true});
  }
}

void Supervisor::check_invariants() const {
  for (std::size_t i = 0; i < members_.size(); ++i) {
    const Member& member = members_[i];
    WEFT_CHECK(find(member.name) == &member);
    WEFT_CHECK(!member.broker || i == 0);
    WEFT_CHECK(member.due.has_value() == (member.stage == Stage::backing_off));
    WEFT_CHECK(serving_ || member.broker || member.stage == Stage::waiting || member.stage == Stage::out);
  }
}

}  // namespace weft::cluster
