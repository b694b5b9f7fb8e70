// SPDX-License-Identifier: MIT
// WorkerNode: the real worker::Session in a simulated process, with fake runners and blobs; does what
// worker/worker.cpp does with zmq and processes.
#pragma once

#include <memory>
#include <unordered_map>

#include "common/codec.hpp"
#include "tests/simulation/fake_runners.hpp"
#include "tests/simulation/node.hpp"
#include "tests/simulation/worker_blobs.hpp"
#include "worker/session.hpp"

namespace weft::sim {

class WorkerNode : public Node, public LinkListener {
 public:
  WorkerNode(World& world, Network& network, Oracle& oracle, const Scenario& scenario, std::size_t number);

  /// A new incarnation.
  void start();
  void crash(Network::Power how);
  /// SIGTERM. It comes back some time after it has left.
  void drain();
  FakeRunners& runners() { return runners_; }
  HostId host() const { return host_; }
  bool joined() const { return session_ && session_->joined(); }
  /// A frame that is not Weft goes out on its connection.
  void send_garbage();
  /// "" when it holds nothing of anybody.
  std::string leftovers() const;

  void on_link_up(ConnectionId id) override;
  void on_link_down(ConnectionId id, const std::string& reason) override;
  void on_frame(ConnectionId id, std::string frame) override;

 private:
  void tick() override;
  void flush() override;
  std::optional<Time> deadline() const override { return session_->deadline(); }
  void receive(const std::string& frame);
  void step(const worker::Event& event);
  void perform(const worker::OpenLink&);
  void perform(const worker::CloseLink&);
  void perform(const worker::Send& send);
  void perform(const worker::RunTask& run);
  void perform(const worker::ServeChunk& serve);
  void perform(const worker::Log& line);
  void perform(const worker::Exit& exit);
  void lose_link();

  Oracle& oracle_;
  const Scenario& scenario_;
  const WorkerPlan& plan_;
  HostId host_;
  FakeRunners runners_;
  WorkerBlobs blobs_;
  std::unique_ptr<worker::Session> session_;
  worker::Actions actions_;
  wire::Packer packer_;
  std::vector<wire::Data> served_;  // goes out behind everything else
  ConnectionId link_ = 0;
  Uuid incarnation_;
  std::uint64_t epoch_ = 0;
  std::unordered_map<TaskId, std::uint64_t> assigned_by_;  // epoch
  bool exiting_ = false;
};

}  // namespace weft::sim
