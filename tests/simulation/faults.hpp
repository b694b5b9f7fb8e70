// SPDX-License-Identifier: MIT
// Faults: what the world does to a fabric: kills, power cuts, freezes, resets, partitions, slow links,
// garbage, disks. Each kind is a function of its own; which ones occur, when, and to whom is drawn from the
// seed.
#pragma once

#include <memory>
#include <vector>

#include "tests/simulation/broker_node.hpp"
#include "tests/simulation/client_node.hpp"
#include "tests/simulation/worker_node.hpp"

namespace weft::sim {

class Faults {
 public:
  struct Victims {
    BrokerNode& broker;
    Disk& disk;
    std::vector<std::unique_ptr<WorkerNode>>& workers;
    std::vector<std::unique_ptr<ClientNode>>& clients;
    std::function<void()> add_client;  // one more joins
    bool hunted = false;               // Scenario::hunts
  };

  Faults(World& world, Network& network, Oracle& oracle, Victims victims);
  /// `count` faults between now and `end`.
  void plan(std::uint32_t count, Time end);
  /// How many have happened.
  std::uint32_t struck() const { return struck_; }
  /// When the last one that has begun so far is over.
  Time over() const { return over_; }

 private:
  struct Kind {
    bool (Faults::*act)();  // false: it cannot happen to those who were drawn
    std::uint64_t weight;
  };
  std::vector<Kind> draw_kinds();
  std::vector<Kind> draw_hunt(const std::vector<Kind>& kinds);
  void strike();
  bool kill_broker();
  bool freeze_broker();
  bool kill_worker();
  bool freeze_worker();
  bool drain_worker();
  bool crash_runner();
  bool break_runner();
  bool kill_client();
  bool freeze_client();
  bool reset_link();
  bool partition();
  bool slow_link();
  bool send_garbage();
  bool fill_disk();
  bool slow_disk();

  struct Target {  // a dialer
    HostId host;
    WorkerNode* worker;  // or
    ClientNode* client;
  };
  Target any_dialer();
  WorkerNode& any_worker();
  ClientNode& any_client();
  void disturb(HostId host, Duration lasts);
  template <class Make>
  void note(Make make) {
    world_.note("fault", make);
  }

  World& world_;
  Network& network_;
  Oracle& oracle_;
  Victims victims_;
  Random random_;
  bool few_kinds_ = false;
  std::vector<Kind> kinds_;
  std::size_t same_worker_ = 0;
  std::size_t same_client_ = 0;
  std::uint32_t struck_ = 0;
  Time over_{};
};

}  // namespace weft::sim
