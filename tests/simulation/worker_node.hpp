// SPDX-License-Identifier: MIT
// WorkerNode: the real worker::WorkerCore in a simulated process, with fake runners and blobs; stands in for
// worker/worker.cpp, libzmq and processes.
#pragma once

#include <memory>
#include <unordered_map>

#include "tests/simulation/fake_runners.hpp"
#include "tests/simulation/node.hpp"
#include "tests/simulation/worker_blobs.hpp"
#include "worker/core/worker_core.hpp"

namespace weft::sim {

class WorkerNode : public DialerNode {
 public:
  WorkerNode(World& world, Network& network, Oracle& oracle, const Scenario& scenario, std::size_t number);

  /// Starts a new incarnation.
  void start();
  void crash(Network::Power how);
  /// Sends SIGTERM: the worker drains and leaves, and a new incarnation starts some time later.
  void drain();
  FakeRunners& runners() { return runners_; }
  /// "" if the worker has released all tasks, results and runners: what it still holds otherwise.
  std::string leftovers() const;

 private:
  void tick() override;
  void link_is_up() override;
  void link_is_down(const std::string& reason) override;
  void receive(wire::Message message, std::uint8_t broker_minor) override;
  void check_newer(const wire::Message& message) const;
  std::optional<Time> deadline() const override { return earlier(core_->deadline(), runners_.deadline()); }
  void step(const worker::Event& event);
  void read_memory();
  void perform(const worker::OpenLink&);
  void perform(const worker::CloseLink&);
  void perform(const worker::Send& sent);
  void perform(const worker::RunTask& run);
  void perform(const ServeChunk& chunk);
  void perform(const worker::Notify& line);
  void perform(const worker::Exit& exit);

  const Scenario& scenario_;
  const WorkerPlan& plan_;
  FakeRunners runners_;
  WorkerBlobs blobs_;
  std::unique_ptr<worker::WorkerCore> core_;
  worker::Actions actions_;
  Uuid incarnation_;
  std::uint64_t epoch_ = 0;
  std::unordered_map<TaskId, std::uint64_t> assigned_by_;  // epoch of the broker that assigned the task
  bool exiting_ = false;
};

}  // namespace weft::sim
