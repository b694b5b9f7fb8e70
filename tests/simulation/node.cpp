// SPDX-License-Identifier: MIT
#include "tests/simulation/node.hpp"

#include <fmt/format.h>

#include <map>

namespace weft::sim {

namespace {

constexpr int kInputsPerTurn = 1000;  // as in the shells

}  // namespace

Node::Node(World& world, Network& network, std::string name)
    : world_(world), network_(network), random_(world.random().fork()), name_(std::move(name)) {
  offset_us_ = static_cast<std::int64_t>(random_.below(1'000'000'000));
  const std::int64_t drift_max = world.noise().drift_ppm_max;
  if (drift_max > 0)
    drift_ppm_ =
        static_cast<std::int64_t>(random_.below(static_cast<std::uint64_t>(2 * drift_max))) - drift_max;
}

void Node::start_process() {
  running_ = true;
  frozen_until_ = {};
  wake();
}

void Node::stop_process() {
  running_ = false;
  turn_planned_ = false;
  ++life_;
  inbox_.clear();
}

void Node::freeze(Duration duration) {
  if (!running_ || frozen()) return;
  frozen_since_ = world_.now();
  frozen_until_ = world_.now() + duration;
  note([&] { return "is frozen"; });
  world_.at(frozen_until_, [this, life = life_] {
    if (life == life_) on_thaw();
  });
}

void Node::post(std::function<void()> handle) {
  if (!running_) return;
  inbox_.push_back(std::move(handle));
  wake();
}

void Node::post_after(Duration delay, std::function<void()> handle) {
  world_.after(delay, [this, life = life_, handle = std::move(handle)]() mutable {
    if (life == life_) post(std::move(handle));
  });
}

void Node::count_message(std::string_view direction, const wire::Message& message) {
  static std::map<std::pair<std::string_view, std::size_t>, std::string> names;  // since describe() is slow
  std::string& name = names[{direction, message.index()}];
  if (name.empty()) {
    name = wire::describe(message);
    name = std::string(direction) + name.substr(0, name.find_first_of("(["));
  }
  count(name);
}

void Node::wake() {
  if (turn_planned_ || in_turn_) return;
  turn_planned_ = true;
  const Time when =
      std::max(world_.now() + random_.duration(Duration(0), world_.noise().turn_max), frozen_until_);
  world_.at(when, [this, life = life_] {
    if (life == life_) turn();
  });
}

void Node::turn() {
  turn_planned_ = false;
  if (frozen()) return wake();
  in_turn_ = true;
  const std::uint64_t life = life_;
  for (int i = 0; i < kInputsPerTurn && !inbox_.empty(); ++i) {
    const std::function<void()> handle = std::move(inbox_.front());
    inbox_.pop_front();
    handle();
    if (life != life_) break;  // this event ended the process
  }
  if (life == life_) tick();
  if (life == life_) flush();
  in_turn_ = false;
  if (life != life_) return;
  if (!inbox_.empty()) wake();
  set_alarm();
}

void Node::set_alarm() {
  const auto due = deadline();
  if (!due) return;
  // The process's clock may be slow: the alarm may ring too early, and then another one is set.
  const Duration wait = std::max(*due - clock(), Duration(0)) + std::chrono::milliseconds(1);
  world_.after(wait, [this, life = life_, alarm = ++alarm_] {
    if (life == life_ && alarm == alarm_) wake();
  });
}

// ---- DialerNode ----

std::string frame_of(std::uint8_t minor, std::string frame, wire::Origin origin) {
  if (minor <= wire::kMinor) return frame;
  const auto message = wire::decode(frame, minor);
  if (!message) fail("a frame cannot be decoded by its own writer: " + message.fault());
  return wire::encode_newer(*message, origin);
}

DialerNode::DialerNode(World& world, Network& network, Oracle& oracle, std::string name, std::uint8_t minor)
    : Node(world, network, std::move(name)),
      oracle_(oracle),
      minor_(minor),
      host_(network.add_host(*this)),
      packer_(minor) {}

void DialerNode::send_garbage() {
  if (link_ != 0) network_.send(link_, Side::dialer, std::string("WEFT\x02\x00\x09\x00 not msgpack", 20));
}

void DialerNode::end_process(Network::Power how) {
  note([&] { return how == Network::Power::off ? "loses power" : "is killed"; });
  oracle_.disturb(host_, world_.now() + std::chrono::seconds(1));
  stop_process();
  lose_link();
  network_.host_down(host_, how);
}

void DialerNode::on_link_up(ConnectionId id) {
  post([this, id] {
    if (id == link_) link_is_up();
  });
}

void DialerNode::on_link_down(ConnectionId id, const std::string& reason) {
  note([&] { return fmt::format("connection {} is down: {}", id, reason); });
  oracle_.joined(host_, false);
  post([this, id, reason] {
    if (id != link_) return;
    lose_link();
    link_is_down(reason);
  });
}

void DialerNode::on_frame(ConnectionId id, std::string frame) {
  post([this, id, frame = std::move(frame)] {
    if (id != link_) return;
    auto message = decode_as(minor_, frame);
    if (!message) fail("the broker sends what cannot be decoded: " + message.fault());
    note(frame, [&] { return "<- " + wire::describe(*message); });
    receive(std::move(*message), wire::minor_of(frame));
  });
}

void DialerNode::open_link() {
  if (link_ != 0) fail(name() + " opens a second link");
  link_ = network_.dial(host_);
}

void DialerNode::close_link(bool linger) {
  if (linger) flush();  // as the shells, which send GOODBYE first
  if (link_ != 0) network_.close(link_, linger);
  lose_link();
}

void DialerNode::lose_link() {
  oracle_.joined(host_, false);
  link_ = 0;
  packer_ = wire::Packer(minor_);
  served_.clear();
}

void DialerNode::send(const wire::Message& message) {
  if (link_ == 0) fail(name() + " sends without a link: " + wire::describe(message));
  packer_.add(message);
}

void DialerNode::flush() {
  for (const wire::Message& message : std::exchange(served_, {})) packer_.add(message);
  while (auto frame = packer_.take()) {
    if (link_ != 0)
      network_.send(link_, Side::dialer, frame_of(minor_, std::move(*frame), wire::Origin::own));
  }
}

}  // namespace weft::sim
