// SPDX-License-Identifier: MIT
// Story: a small fabric that is driven by the commands of a scenario file (tests/scenarios/fabric_*.txt),
// with fixed faults and without noise: every frame takes 1 ms, clocks agree.
//
//   fabric workers=2 slots=2           a new world: broker and workers start, and join
//   client NAME tasks=6 run=300ms      a program that submits tasks, and waits for all answers
//   run 1500ms
//   kill broker | NAME
//   start broker | NAME
//   cut NAME 10s                       nothing passes between NAME and the broker
//   finish                             runs until every client has all its answers
//   leave                              clients close; then no process may hold any task or result
//
// The output is the trace since the last command: what each process receives and does, in whole virtual
// milliseconds, without heartbeats and log lines. The oracle checks a story as it checks a seed.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/simulation/broker_node.hpp"
#include "tests/simulation/client_node.hpp"
#include "tests/simulation/worker_node.hpp"
#include "tests/support/scenario_file.hpp"

namespace weft::sim {

class Story {
 public:
  explicit Story(support::ScenarioCommand& fabric);

  /// Performs a command and returns its output, a line for each entry of the trace.
  std::string perform(support::ScenarioCommand& command);

 private:
  using Words = support::ScenarioCommand;
  static Scenario scenario_of(Words& fabric);
  static BrokerNode::Settings broker_settings();
  void join();
  void add_client(Words& words);
  void kill(const std::string& name);
  void start(const std::string& name);
  void cut(const std::string& name, Duration lasts);
  void finish();
  void leave();
  void run_for(Duration time) { world_.run_until(world_.now() + time); }
  WorkerNode* worker_called(const std::string& name);
  ClientNode* client_called(const std::string& name);
  DialerNode& dialer_called(const std::string& name);
  void name_ids(const std::string& line);
  std::string take_trace();

  std::map<std::string, std::string> names_;  // by random id, the name in the output
  int lives_ = 0;                             // of the broker so far
  Trace trace_;
  Coverage coverage_;
  Scenario scenario_;
  World world_;
  Network network_;
  Oracle oracle_;
  Disk disk_;
  Witness witness_;
  BrokerNode broker_;
  std::vector<std::unique_ptr<WorkerNode>> workers_;
  std::vector<std::unique_ptr<ClientNode>> clients_;
};

/// Runs a scenario file. Returns the blocks whose output differs; "" if none does.
std::string check_story(const std::string& file);

}  // namespace weft::sim
