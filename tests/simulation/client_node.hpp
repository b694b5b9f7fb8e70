// SPDX-License-Identifier: MIT
// ClientNode: the real client::Session in a simulated process, with a program that submits, cancels and
// waits; does what client/client.cpp does with zmq and threads.
#pragma once

#include <map>
#include <memory>

#include "client/session.hpp"
#include "common/codec.hpp"
#include "tests/simulation/blobs.hpp"
#include "tests/simulation/node.hpp"
#include "tests/simulation/oracle.hpp"

namespace weft::sim {

class ClientNode : public Node, public LinkListener {
 public:
  ClientNode(World& world, Network& network, Oracle& oracle, const Scenario& scenario, ClientPlan plan);

  void start();
  void crash(Network::Power how);
  HostId host() const { return host_; }
  void send_garbage();
  /// It has submitted everything.
  bool done_submitting() const { return waves_left_ == 0; }
  bool finished() const { return done_submitting() && (closed_ || open_ == 0); }
  /// The program ends: GOODBYE.
  void close();
  /// "" when it holds nothing that it should not.
  std::string leftovers() const;

  void on_link_up(ConnectionId id) override;
  void on_link_down(ConnectionId id, const std::string& reason) override;
  void on_frame(ConnectionId id, std::string frame) override;

 private:
  void tick() override;
  void flush() override;
  std::optional<Time> deadline() const override { return session_->deadline(); }
  void submit(const Wave& wave);
  void receive(const std::string& frame);
  void step(const client::Event& event);
  void perform(const client::OpenLink&);
  void perform(const client::CloseLink&);
  void perform(const client::Send& send);
  void perform(const client::Complete& complete);
  void perform(const client::MarkRunning& mark);
  void perform(const client::MarkKept& action);
  void perform(const client::StoreChunk& chunk);
  void perform(const client::VerifyBlob& verify);
  void perform(const client::DropBlob& drop);
  void perform(const client::ReleaseArgument& release);
  void perform(const client::ServeChunk& serve);
  void perform(const client::GaveUp& gave_up);
  void perform(const client::Log& line);

  struct Result {
    std::uint64_t size = 0;
    PartialBlob partial;
  };

  Oracle& oracle_;
  const Scenario& scenario_;
  ClientPlan plan_;
  HostId host_;
  std::unique_ptr<client::Session> session_;
  client::Actions actions_;
  wire::Packer packer_;
  std::vector<wire::Message> served_;  // goes out behind everything else
  ConnectionId link_ = 0;
  Uuid id_;
  bool closing_ = false;
  bool closed_ = false;
  std::size_t waves_left_ = 0;
  std::size_t open_ = 0;  // tasks without an answer
  std::uint64_t next_seq_ = 1;
  std::uint32_t next_spec_ = 1;
  std::map<BlobId, std::uint64_t> arguments_;  // tasks that need each
  std::map<BlobId, std::uint64_t> files_;      // sizes
  std::map<BlobId, Result> results_;
};

}  // namespace weft::sim
