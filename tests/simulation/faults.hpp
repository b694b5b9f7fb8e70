// SPDX-License-Identifier: MIT
// Faults: fault injection: kills, power cuts, freezes, resets, partitions, slow links, garbage, full and slow
// disks. Each kind of fault is one function; the seed decides which kinds occur, when, and to which process.
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
    Duration given_up_after{};         // for a client that does not come to a new broker
    bool hunted = false;               // Scenario::hunts
  };

  Faults(World& world, Network& network, Oracle& oracle, Victims victims);
  /// `count` faults between now and `end`.
  void plan(std::uint32_t count, Time end);
  /// The number of faults that have happened.
  std::uint32_t struck() const { return struck_; }
  /// When the last of the faults that have begun will be over.
  Time over() const { return over_; }

 private:
  /// The longest time from the end of a fault until all processes have noticed its effects.
  static constexpr Duration kAftermath = std::chrono::seconds(6);
  struct Kind {
    bool (Faults::*act)();  // false: impossible for the victim that was drawn
    std::uint64_t weight;
  };
  struct Target {  // a host that opens connections: of a worker or of a client
    HostId host;
    WorkerNode* worker;  // either `worker` or `client` is set
    ClientNode* client;
  };
  std::vector<Kind> draw_kinds();
  std::vector<Kind> draw_hunt(const std::vector<Kind>& kinds);
  void strike();
  // Stories (fault_stories.cpp).
  void plan_stories(Time end);
  void lose_workers();
  void shake_workers();
  void miss_restarts();
  void cancel_a_lot();
  void lose_clients();
  Duration restarts_after(Duration delay);
  void hold(const Target& target, Duration lasts);
  void delay_clients(Duration from, Duration back);
  void trouble_disk(Duration delay);
  // Faults.
  bool kill_broker();
  void kill_broker_for(Duration down, bool power);
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
  void cut_off(const Target& target, Duration lasts, bool to_broker, bool from_broker);
  bool slow_link();
  void slow_down(const Target& target, Duration lasts);
  bool send_garbage();
  bool fill_disk();
  bool slow_disk();

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
