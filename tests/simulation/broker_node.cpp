// SPDX-License-Identifier: MIT
#include "tests/simulation/broker_node.hpp"

#include <fmt/format.h>

namespace weft::sim {

BrokerNode::BrokerNode(World& world, Network& network, Disk& disk, Oracle& oracle, Witness& witness,
                       Settings settings)
    : Node(world, network, "broker"),
      disk_(disk),
      oracle_(oracle),
      witness_(witness),
      settings_(std::move(settings)) {
  network.set_broker(*this);
  disk.answer_to([this](broker::Event event) { post([this, event = std::move(event)] { step(event); }); });
}

void BrokerNode::start() {
  settings_.scheduler.epoch = random_.next() | 1;
  if (settings_.minors) settings_.scheduler.minor = minor_ = draw_minor(*settings_.minors);
  scheduler_ = std::make_unique<broker::Scheduler>(settings_.scheduler, clock());
  next_peer_ = 1;
  if (minor_ != wire::kMinor) count(minor_ < wire::kMinor ? "minors: older broker" : "minors: newer broker");
  oracle_.broker_started();
  witness_.broker_started(settings_.scheduler.epoch, minor_);
  network_.broker_up();
  note([&] { return fmt::format("starts, epoch {:x}", settings_.scheduler.epoch); });
  start_process();
  if (settings_.scheduler.journal) step(disk_.recover(minor_));
}

void BrokerNode::crash(Network::Power how) {
  if (!running()) return;
  note([&] { return how == Network::Power::off ? "loses power" : "is killed"; });
  oracle_.broker_lost();
  stop_process();
  disk_.process_down(how);
  by_connection_.clear();
  unreachable_.clear();
  peers_.clear();
  touched_.clear();
  actions_.clear();
  network_.broker_frozen(false);
  network_.broker_down(how);
}

void BrokerNode::freeze_for(Duration duration) {
  if (!running() || frozen()) return;
  network_.broker_frozen(true);
  freeze(duration);
}

void BrokerNode::on_thaw() {
  network_.broker_frozen(false);
  witness_.broker_woke(frozen_since());
}

void BrokerNode::process_gone(const Uuid& session) {
  post([this, session] { step(broker::ProcessGone{session}); });
}

wire::Found BrokerNode::find(const std::string& label) {
  found_ = {};
  step(broker::Received{next_peer_++, wire::Find{label}});
  return std::exchange(found_, {});
}

void BrokerNode::on_frame(ConnectionId id, std::string frame) {
  post([this, id, host = network_.host_of(id), frame = std::move(frame)] { receive(id, host, frame); });
}

void BrokerNode::on_link_down(ConnectionId id, const std::string& reason) {
  note([&] { return fmt::format("connection {} is down: {}", id, reason); });
  if (reason == kUnreachable) unreachable_.insert(id);
  post([this, id] {
    const auto known = by_connection_.find(id);
    if (known == by_connection_.end()) return;
    const broker::PeerId peer = known->second;
    if (!peers_.at(peer).forgotten) lose(peer, peers_.at(peer));
    const auto found = peers_.find(peer);
    if (found == peers_.end()) return;
    found->second.forgotten = true;
    touch(peer, found->second);
  });
}

void BrokerNode::lose(broker::PeerId id, const Peer& peer) {
  const bool by_peer = !unreachable_.contains(peer.connection);
  if (by_peer) oracle_.broker_saw_end(peer.host);
  step(broker::PeerGone{id, by_peer});
}

void BrokerNode::receive(ConnectionId id, HostId host, const std::string& frame) {
  const auto [known, added] = by_connection_.try_emplace(id, next_peer_);
  const broker::PeerId peer = known->second;
  if (added) {
    ++next_peer_;
    peers_[peer] = {.connection = id, .host = host, .packer = wire::Packer(minor_)};
  }
  if (!peers_.at(peer).forgotten) oracle_.broker_heard(host);
  auto message = decode_as(minor_, frame);
  note(frame, [&] {
    return fmt::format("<- {} {}", peer, message ? wire::describe(*message) : "garbage: " + message.fault());
  });
  if (!message) {
    return step(broker::ReceivedGarbage{peer, message.fault(), wire::version_mismatch(frame).has_value()});
  }
  count_message("to broker: ", *message);
  step(broker::Received{peer, std::move(*message), wire::minor_of(frame)});
}

void BrokerNode::step(const broker::Event& event) {
  witness_.heard(event);
  // GUARANTEES: "detached tasks are refused with that reason": also those that arrive after the write has
  // failed and before the broker learns of it.
  const auto* persisted = std::get_if<broker::Persisted>(&event);
  const auto* bad = std::get_if<BlobBad>(&event);
  if (persisted != nullptr && !persisted->fault.empty()) oracle_.disk_failed();
  if (bad != nullptr && bad->reason == Disk::kFull) oracle_.disk_failed();
  scheduler_->step(clock(), event, actions_);
  if (++steps_ % settings_.check_every == 0) scheduler_->check_invariants();
  for (broker::Action& action : actions_) {
    witness_.did(action);
    perform(action);
  }
  actions_.clear();
}

void BrokerNode::perform(broker::Action& action) {
  if (auto* send = std::get_if<broker::Send>(&action)) {
    if (const auto* found = std::get_if<wire::Found>(&send->message)) found_ = *found;
    const auto found = peers_.find(send->peer);
    if (found == peers_.end()) return;
    if (std::holds_alternative<wire::Welcome>(send->message)) oracle_.broker_welcomed(found->second.host);
    found->second.packer.add(send->message);
    touch(send->peer, found->second);
  } else if (const auto* forget = std::get_if<broker::ForgetPeer>(&action)) {
    const auto found = peers_.find(forget->peer);
    if (found == peers_.end()) return;
    found->second.forgotten = true;
    touch(forget->peer, found->second);
  } else if (const auto* line = std::get_if<broker::Notify>(&action)) {
    const std::string text = text_of(*line->notice);
    note(text, [&] { return "log: " + text; });
  } else if (const auto* wanted = std::get_if<broker::ServeChunk>(&action)) {
    broker::Action answer = broker::Send{wanted->peer, disk_.read(wanted->get)};
    perform(answer);
  } else {
    disk_.give(std::move(action));
  }
}

void BrokerNode::touch(broker::PeerId id, Peer& peer) {
  if (std::exchange(peer.touched, true)) return;
  touched_.push_back(id);
}

void BrokerNode::flush() {
  while (!touched_.empty()) {  // a failed send can cause messages to other peers
    const std::vector<broker::PeerId> now_touched = std::exchange(touched_, {});
    for (const broker::PeerId id : now_touched) {
      const auto found = peers_.find(id);
      if (found == peers_.end()) continue;
      Peer& peer = found->second;
      peer.touched = false;
      while (auto frame = peer.packer.take()) {
        if (network_.send(peer.connection, Side::broker,
                          frame_of(minor_, std::move(*frame), wire::Origin::forwarded)))
          continue;
        peer.packer = {};
        if (!std::exchange(peer.forgotten, true)) lose(id, peer);
        break;
      }
      if (!peer.forgotten) continue;
      by_connection_.erase(peer.connection);
      peers_.erase(found);
    }
  }
}

}  // namespace weft::sim
