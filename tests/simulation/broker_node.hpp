// SPDX-License-Identifier: MIT
// BrokerNode: the real Scheduler in a simulated process; stands in for broker/broker.cpp and libzmq.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <vector>

#include "broker/scheduler/scheduler.hpp"
#include "common/wire/codec.hpp"
#include "tests/simulation/disk.hpp"
#include "tests/simulation/node.hpp"
#include "tests/simulation/witness.hpp"

namespace weft::sim {

class BrokerNode : public Node, public LinkListener {
 public:
  struct Settings {
    broker::Settings scheduler;     // without the epoch, which each life draws
    std::uint64_t check_every = 1;  // steps from one check_invariants() to the next
    std::optional<Random> minors;   // draws the protocol version of each life; none: the present version
  };

  BrokerNode(World& world, Network& network, Disk& disk, Oracle& oracle, Witness& witness, Settings settings);

  /// Starts a new life, with a new epoch.
  void start();
  void crash(Network::Power how);
  void freeze_for(Duration duration);
  wire::Status status() const { return scheduler_->status(true); }
  /// This client's process was on the broker's host, and has ended.
  void process_gone(const Uuid& session);
  /// The broker's answer to FIND: the detached tasks with this label.
  wire::Found find(const std::string& label);

  void on_link_down(ConnectionId id, const std::string& reason) override;
  void on_frame(ConnectionId id, std::string frame) override;

 private:
  struct Peer {
    ConnectionId connection = 0;
    HostId host = 0;
    wire::Packer packer;  // of the version that this broker speaks
    bool forgotten = false;
    bool touched = false;
  };

  void tick() override { step(broker::Tick{}); }
  void flush() override;
  std::optional<Time> deadline() const override { return scheduler_->deadline(); }
  void on_thaw() override;
  void receive(ConnectionId id, HostId host, const std::string& frame);
  void step(const broker::Event& event);
  void perform(broker::Action& action);
  void touch(broker::PeerId id, Peer& peer);
  void lose(broker::PeerId id, const Peer& peer);

  Disk& disk_;
  Oracle& oracle_;
  Witness& witness_;
  Settings settings_;
  std::unique_ptr<broker::Scheduler> scheduler_;
  broker::Actions actions_;
  std::map<ConnectionId, broker::PeerId> by_connection_;
  std::set<ConnectionId> unreachable_;  // connections that ended with kUnreachable
  std::map<broker::PeerId, Peer> peers_;
  std::vector<broker::PeerId> touched_;
  broker::PeerId next_peer_ = 1;
  wire::Found found_;  // the last answer to FIND
  std::uint64_t steps_ = 0;
  std::uint8_t minor_ = wire::kMinor;  // protocol version that this life speaks
};

}  // namespace weft::sim
