// SPDX-License-Identifier: MIT
// Faults: what the world does to a fabric: kills, power cuts, freezes, resets, partitions, slow links,
// garbage. Each kind is a function of its own; which ones occur, when, and to whom is drawn from the seed.
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
    std::vector<std::unique_ptr<WorkerNode>>& workers;
    std::vector<std::unique_ptr<ClientNode>>& clients;
    std::function<void()> add_client;  // one more joins
  };

  Faults(World& world, Network& network, Oracle& oracle, Victims victims);
  /// `count` faults between now and `end`.
  void plan(std::uint32_t count, Time end);
  /// When the last one that has begun so far is over.
  Time over() const { return over_; }

 private:
  void strike();
  void kill_broker();
  void freeze_broker();
  void kill_worker();
  void freeze_worker();
  void drain_worker();
  void crash_runner();
  void break_runner();
  void kill_client();
  void freeze_client();
  void reset_link();
  void partition();
  void slow_link();
  void send_garbage();

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
  Time over_{};
};

}  // namespace weft::sim
