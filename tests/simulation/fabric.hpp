// SPDX-License-Identifier: MIT
// Fabric: one whole simulated cluster, from a seed: broker, workers, clients, network, faults, oracle. run()
// has phases: work with faults, work without faults until every task is answered, then checks that no process
// holds anything.
#pragma once

#include <memory>
#include <vector>

#include "tests/simulation/faults.hpp"

namespace weft::sim {

class Fabric {
 public:
  Fabric(std::uint64_t seed, Trace& trace, Coverage& coverage);

  /// Calls fail() if a promise is broken.
  void run();

  std::uint64_t events() const { return world_.events(); }
  std::size_t tasks() const { return oracle_.tasks(); }

 private:
  void start();
  void add_client(ClientPlan plan, Duration joins);
  void finish_work();
  void sweep();
  void compete();
  void leave();
  void restart_and_look();

  Scenario scenario_;
  World world_;
  Network network_;
  Oracle oracle_;
  Disk disk_;
  Witness witness_;
  std::unique_ptr<BrokerNode> broker_;
  std::vector<std::unique_ptr<WorkerNode>> workers_;
  std::vector<std::unique_ptr<ClientNode>> clients_;
  std::unique_ptr<Faults> faults_;
};

}  // namespace weft::sim
