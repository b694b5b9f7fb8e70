// SPDX-License-Identifier: MIT
// Supervisor decides about the processes of a cluster, its members: one broker and workers. It starts them,
// restarts those that die, gives up those in a crash loop, and drains, scales, restarts and stops on request.
// Supervisor itself starts no process and reads no clock: SupervisorLoop feeds it events and performs its
// actions.
//
//   for (;;) {
//     poll(outputs, control socket, signals, until(supervisor.deadline()));
//     for each thing that happened:  supervisor.step(now, event, actions);
//     supervisor.step(now, Tick{}, actions);
//     for each action:               perform(action);
//   }
//
// Life of a member:
//
//   waiting --(the broker serves)--> running --(dies)--> backing_off --(delay)--> running
//                                     |   \--(drained, given up)--> out --(Scale, Revive)--> running
//                                     \--(told to leave)--> leaving --(ended)--> out, running or forgotten
//
// A member is given up when it has died kFastDeaths times in a row within kFastDeath of its start, and at
// once when its first process exits by itself within that time, since a program that cannot start would fail
// again. A death while a disk is full is not counted, so that all members are restarted once there is space.
//
// Invariants (see check_invariants):
//   1. There is at most one broker. Names are unique.
//   2. A worker runs only after the broker has reported its address.
//   3. backing_off has a due time, the other stages have none.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "client/cluster/supervisor_events.hpp"
#include "common/base/time.hpp"

namespace weft::cluster {

enum class Stage { waiting, running, backing_off, leaving, out };
const char* name_of(Stage stage);

/// What becomes of a member when it has left on request.
enum class Afterwards { out, start, forget };

struct Member {
  std::string name;
  bool broker = false;
  bool remote = false;
  Stage stage = Stage::waiting;
  Afterwards afterwards = Afterwards::out;  // in stage leaving
  bool drained = false;  // in stage out: true, it has left on request; false, it was given up
  bool first = true;     // this is its first process since it was added, revived or restarted
  int restarts = 0;
  int fast_deaths = 0;  // in a row
  Duration delay{};     // back-off: delay of the next restart
  std::optional<Time> due = {};
  std::string reason = {};  // why the member was given up, or is not running
};

class Supervisor {
 public:
  static constexpr Duration kFastDeath = std::chrono::seconds(5);
  static constexpr int kFastDeaths = 5;
  static constexpr Duration kDelayFirst = std::chrono::milliseconds(200);
  static constexpr Duration kDelayMax = std::chrono::seconds(5);
  static constexpr Duration kSteady = std::chrono::seconds(60);  // run time that resets the delay
  static constexpr Duration kBrokerGraceMax = std::chrono::seconds(2);

  /// Applies one event at `now` and appends the resulting actions to `actions`, in order.
  void step(Time now, const Event& event, Actions& actions);
  /// The latest time to deliver the next Tick.
  std::optional<Time> deadline() const;
  void check_invariants() const;

  /// The broker, then the workers in the order in which they were added.
  const std::vector<Member>& members() const { return members_; }
  const Member* find(const std::string& name) const;
  bool stopping() const { return stopping_; }

 private:
  void on(const Tick&);
  void on(const Serving&);
  void on(const Ended& event);
  void on(const AddBroker&);
  void on(const AddWorker& request);
  void on(const Scale& request);
  void on(const Revive&);
  void on(const DrainMember& request);
  void on(const RestartMember& request);
  void on(const KillMember& request);
  void on(const Stop& request);

  Member* find_member(const std::string& name);
  Member* worker_or_refuse(const std::string& name);
  void add(Member member);
  void start(Member& member);
  void start_afresh(Member& member);
  void tell_to_leave(Member& member, Afterwards afterwards);
  void died(Member& member, const Ended& event);
  void give_up(Member& member, std::string reason);
  void back_off(Member& member, const Ended& event);
  void retire(Member& member, Afterwards afterwards);
  void forget(const std::string& name);
  std::string next_worker() const;
  void remove_workers(std::vector<std::string> staying, std::size_t want);
  void stop_next();
  void force();
  template <class A>
  void act(A action) {
    actions_->push_back(std::move(action));
  }

  Time now_{};
  Actions* actions_ = nullptr;  // within step()
  std::vector<Member> members_;
  bool serving_ = false;  // the broker has reported its address
  bool stopping_ = false;
  bool stopped_ = false;
  Duration grace_{};
  std::optional<Time> force_at_;  // when Stop kills members that have not left
};

}  // namespace weft::cluster
