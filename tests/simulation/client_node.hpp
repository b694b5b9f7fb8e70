// SPDX-License-Identifier: MIT
// ClientNode: the real client::ClientCore in a simulated process, with a program that submits, cancels and
// waits; it does what client/connection/client.cpp does with zmq and threads.
#pragma once

#include <map>
#include <memory>

#include "client/core/client_core.hpp"
#include "tests/simulation/blobs.hpp"
#include "tests/simulation/node.hpp"

namespace weft::sim {

class ClientNode : public DialerNode {
 public:
  ClientNode(World& world, Network& network, Oracle& oracle, const Scenario& scenario, ClientPlan plan);

  void start();
  void crash(Network::Power how);
  /// The program cancels some of its newest tasks.
  void cancel_some(std::uint64_t tasks);
  /// The client's session, also after its end.
  const Uuid& session() const { return id_; }
  /// Tasks that the client has submitted and that have no answer yet.
  std::size_t open() const { return open_; }
  /// The client has submitted everything, and has every answer.
  bool finished() const { return waves_left_ == 0 && (closed_ || open_ == 0); }
  /// The program ends: GOODBYE.
  void close();
  /// What the client still holds and should not; "" if nothing.
  std::string leftovers() const;

 private:
  struct Own {  // a task that this client has submitted, unless it is an attached one
    std::uint64_t seq = 0;
    bool detached = false;
  };
  struct Result {
    std::uint64_t size = 0;
    PartialBlob partial;
  };

  void tick() override;
  void link_is_up() override;
  void link_is_down(const std::string& reason) override;
  void receive(wire::Message message, std::uint8_t broker_minor) override;
  std::optional<Time> deadline() const override { return core_->deadline(); }
  void submit(const Wave& wave);
  void cancel(const Own& task);
  void attach(const Wave& wave);
  void take(std::uint64_t seq);
  void step(const client::Event& event);
  void perform(const client::OpenLink&);
  void perform(const client::CloseLink&);
  void perform(const client::Send& sent);
  void perform(const client::Complete& complete);
  void perform(const client::MarkRunning& mark);
  void perform(const client::MarkKept& action);
  void perform(const client::CancelsSettled& action);
  void perform(const StoreChunk& chunk);
  void perform(const VerifyBlob& verify);
  void perform(const ServeChunk& wanted);
  void perform(const DropBlob& drop);
  void perform(const client::ReleaseArgument& action);
  void release(const BlobId& argument);
  void perform(const client::GaveUp& gave_up);
  void perform(const client::Log& line);

  const Scenario& scenario_;
  ClientPlan plan_;
  std::unique_ptr<client::ClientCore> core_;
  client::Actions actions_;
  Uuid id_;
  bool closing_ = false;
  bool closed_ = false;
  std::size_t waves_left_ = 0;
  std::size_t open_ = 0;  // tasks without an answer
  std::uint64_t next_seq_ = 1;
  std::vector<Own> own_;
  std::uint32_t next_spec_ = 1;
  std::map<BlobId, std::uint64_t> arguments_;  // how many tasks need each argument
  std::map<BlobId, std::uint64_t> files_;      // sizes
  std::map<BlobId, Result> results_;
  std::map<std::uint64_t, TaskId> takes_;  // detached and attached: the program will ask for the answers
};

}  // namespace weft::sim
