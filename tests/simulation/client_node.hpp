// SPDX-License-Identifier: MIT
// ClientNode: the real client::ClientCore in a simulated process, with a program that submits, cancels and
// waits; stands in for client/connection/client.cpp, its threads and libzmq.
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
  /// The program cancels up to `tasks` of its newest tasks.
  void cancel_some(std::uint64_t tasks);
  /// The client's present or last session.
  const Uuid& session() const { return id_; }
  /// Submitted tasks without an answer.
  std::size_t open() const { return open_; }
  /// The program has submitted all its tasks, and has closed or has every answer.
  bool finished() const { return waves_left_ == 0 && (closed_ || open_ == 0); }
  /// The program ends: GOODBYE.
  void close();
  /// "" if the client has released everything: what it still holds otherwise.
  std::string leftovers() const;

 private:
  struct Own {  // a task that this client has submitted; attached ones belong to other clients
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
  void perform(const client::MarkJournaled& action);
  void perform(const client::CancelsSettled& action);
  void perform(const StoreChunk& chunk);
  void perform(const VerifyBlob& verify);
  void perform(const ServeChunk& wanted);
  void perform(const DropBlob& drop);
  void perform(const client::ReleaseArgument& action);
  void release(const BlobId& argument);
  void perform(const client::GaveUp& gave_up);
  void perform(const client::Notify& line);

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
  std::map<BlobId, std::uint64_t> arguments_;  // number of tasks that need each
  std::map<BlobId, std::uint64_t> files_;      // sizes
  std::map<BlobId, Result> results_;
  std::map<std::uint64_t, TaskId> takes_;  // tasks whose answers the program will ask for
};

}  // namespace weft::sim
