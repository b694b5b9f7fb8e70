// SPDX-License-Identifier: MIT
#include "tests/simulation/network.hpp"

namespace weft::sim {

namespace {
constexpr Duration kRetransmitMax = std::chrono::seconds(2);
// The broker's kernel ends an unreachable connection after this time: broker.cpp.
constexpr Duration kGiveUpMin = std::chrono::seconds(5);
constexpr Duration kGiveUpMax = std::chrono::seconds(7);
}  // namespace

HostId Network::add_host(LinkListener& listener) {
  hosts_.push_back(Host{&listener});
  return hosts_.size() - 1;
}

LinkListener& Network::listener(const Connection& connection, Side side) const {
  return side == Side::broker ? *broker_ : *hosts_[connection.host].listener;
}

Network::Power Network::power(const Connection& connection, Side side) const {
  return side == Side::broker ? broker_power_ : hosts_[connection.host].power;
}

Duration Network::delay(HostId host) {
  Duration delay = random_.duration(settings_.delay_min, settings_.delay_max);
  if (random_.chance(settings_.spike_chance)) delay += random_.duration(Duration(0), settings_.spike_max);
  return delay + hosts_[host].extra_delay;
}

// ---- what processes do ----

ConnectionId Network::dial(HostId from) {
  const ConnectionId id = next_id_++;
  connections_[id].host = from;
  world_.after(delay(from) * 3, [this, id] { connect(id); });
  return id;
}

/// The handshake: the kernel does TCP's, the broker's process ZMTP's.
void Network::connect(ConnectionId id) {
  const auto found = connections_.find(id);
  if (found == connections_.end() || !found->second.open[0]) return;  // the dialer has closed it
  Connection& connection = found->second;
  const Host& host = hosts_[connection.host];
  if (broker_power_ == Power::off || broker_frozen_ || host.blocked[0] > 0 || host.blocked[1] > 0) {
    world_.after(std::chrono::milliseconds(200), [this, id] { connect(id); });
    return;
  }
  if (broker_power_ == Power::process_down) return end(id, Side::dialer, "connection refused");
  connection.open[1] = true;
  hosts_[connection.host].newest = id;
  host.listener->on_link_up(id);
}

bool Network::send(ConnectionId id, Side from, std::string frame) {
  const auto found = connections_.find(id);
  if (found == connections_.end() || !found->second.open[index(from)]) return false;
  put(id, from, Item{std::move(frame), false, ""});
  return true;
}

void Network::put(ConnectionId id, Side from, Item item) {
  Connection& connection = connections_.at(id);
  Pipe& pipe = connection.pipes[index(from)];
  if (pipe.broken && !item.end) return answer_with_reset(id, from);
  pipe.items.push_back(std::move(item));
  pipe.last = std::max(pipe.last, world_.now() + delay(connection.host));
  world_.at(pipe.last, [this, id, from] { arrive(id, from); });
}

void Network::arrive(ConnectionId id, Side from) {
  const auto found = connections_.find(id);
  if (found == connections_.end()) return;
  Connection& connection = found->second;
  Pipe& pipe = connection.pipes[index(from)];
  if (pipe.items.empty()) return;  // the item was lost with its connection
  if (hosts_[connection.host].blocked[index(from)] > 0) {
    ++pipe.owed;
    return;
  }
  const Side to = other(from);
  Item item = std::move(pipe.items.front());
  pipe.items.pop_front();
  if (!connection.open[index(to)]) return item.end ? forget_if_dead(id) : answer_with_reset(id, from);
  if (item.end) return end(id, to, item.reason);
  if (to == Side::broker && id < hosts_[connection.host].newest)
    world_.coverage().count("late: frames of an older connection");
  listener(connection, to).on_frame(id, std::move(item.frame));
}

/// A frame has reached a host that does not know the connection, or no longer.
void Network::answer_with_reset(ConnectionId id, Side to) {
  Connection& connection = connections_.at(id);
  if (power(connection, other(to)) == Power::off || !connection.open[index(to)]) return;
  world_.after(delay(connection.host), [this, id, to] {
    const auto found = connections_.find(id);
    if (found == connections_.end() || hosts_[found->second.host].blocked[index(other(to))] > 0) return;
    end(id, to, "connection reset by peer");
  });
}

void Network::end(ConnectionId id, Side side, const std::string& reason) {
  const auto found = connections_.find(id);
  if (found == connections_.end() || !found->second.open[index(side)]) return;
  found->second.open[index(side)] = false;
  LinkListener& who = listener(found->second, side);
  forget_if_dead(id);
  who.on_link_down(id, reason);
}

void Network::forget_if_dead(ConnectionId id) {
  const auto found = connections_.find(id);
  if (found == connections_.end()) return;
  const Connection& connection = found->second;
  if (!connection.open[0] && !connection.open[1]) connections_.erase(found);
}

/// Loses the newest frames under way.
void Network::lose_some(Pipe& pipe) {
  const std::size_t kept = random_.below(pipe.items.size() + 1);
  if (kept < pipe.items.size()) world_.coverage().count("lost frames", pipe.items.size() - kept);
  pipe.items.resize(kept);
}

void Network::close(ConnectionId id, bool linger) {
  const auto found = connections_.find(id);
  if (found == connections_.end() || !found->second.open[0]) return;
  Connection& connection = found->second;
  connection.open[0] = false;
  connection.pipes[1].items.clear();
  if (!connection.open[1]) return forget_if_dead(id);
  Pipe& pipe = connection.pipes[0];
  if (hosts_[connection.host].blocked[0] > 0 && !linger && random_.chance(0.7)) {
    pipe.items.clear();  // the close does not arrive either: half open, until the broker sends
    pipe.owed = 0;
    world_.coverage().count("fault: half-open connection");
    return;
  }
  if (!linger) lose_some(pipe);
  put(id, Side::dialer, Item{"", true, "closed by peer"});
}

// ---- faults ----

void Network::broker_down(Power how) {
  broker_power_ = how;
  std::vector<ConnectionId> ids;
  for (const auto& [id, connection] : connections_) ids.push_back(id);
  for (const ConnectionId id : ids) {
    Connection& connection = connections_.at(id);
    if (!connection.open[1]) continue;
    connection.open[1] = false;
    connection.pipes[0].items.clear();
    lose_some(connection.pipes[1]);
    if (how == Power::process_down) put(id, Side::broker, Item{"", true, "closed by peer"});
    forget_if_dead(id);
  }
}

void Network::host_down(HostId host, Power how) {
  hosts_[host].power = how;
  if (how == Power::off) give_up_later(host);
  std::vector<ConnectionId> ids;
  for (const auto& [id, connection] : connections_) {
    if (connection.host == host) ids.push_back(id);
  }
  for (const ConnectionId id : ids) {
    Connection& connection = connections_.at(id);
    if (!connection.open[0]) continue;
    connection.open[0] = false;
    connection.pipes[1].items.clear();
    lose_some(connection.pipes[0]);
    if (how == Power::process_down && connection.open[1])
      put(id, Side::dialer, Item{"", true, "closed by peer"});
    forget_if_dead(id);
  }
}

void Network::reset(HostId host, bool dialer_sees, bool broker_sees) {
  std::vector<ConnectionId> ids;
  for (const auto& [id, connection] : connections_) {
    if (connection.host == host && connection.open[0] && connection.open[1]) ids.push_back(id);
  }
  for (const ConnectionId id : ids) {
    Connection& connection = connections_.at(id);
    for (const Side side : {Side::dialer, Side::broker}) {
      const bool sees = side == Side::dialer ? dialer_sees : broker_sees;
      Pipe& pipe = connection.pipes[index(other(side))];
      lose_some(pipe);
      pipe.broken = true;
      // A side that does not see the reset hears of it when it sends.
      if (sees) put(id, other(side), Item{"", true, "connection reset"});
    }
  }
}

void Network::block(HostId host, Side from) {
  ++hosts_[host].blocked[index(from)];
  give_up_later(host);
}

/// The broker's kernel ends the host's connections if the host is still unreachable after that time.
void Network::give_up_later(HostId host) {
  const std::uint64_t cut = ++hosts_[host].cuts;
  world_.after(random_.duration(kGiveUpMin, kGiveUpMax), [this, host, cut, newer = next_id_] {
    if (hosts_[host].cuts != cut) return;
    std::vector<ConnectionId> ids;
    for (const auto& [id, connection] : connections_) {
      if (connection.host == host && connection.open[1] && id < newer) ids.push_back(id);
    }
    for (const ConnectionId id : ids) end(id, Side::broker, kUnreachable);
  });
}

void Network::unblock(HostId host, Side from) {
  if (--hosts_[host].blocked[index(from)] > 0) return;
  if (hosts_[host].blocked[index(other(from))] == 0) ++hosts_[host].cuts;
  for (auto& [id, connection] : connections_) {
    if (connection.host != host) continue;
    Pipe& pipe = connection.pipes[index(from)];
    // TCP's retransmission backs off with the length of a partition: a newer connection may be faster.
    if (random_.chance(0.5))
      pipe.last = std::max(pipe.last, world_.now() + random_.duration(Duration(0), kRetransmitMax));
    for (; pipe.owed > 0; --pipe.owed) {
      pipe.last = std::max(pipe.last, world_.now() + delay(host));
      world_.at(pipe.last, [this, id = id, from] { arrive(id, from); });
    }
  }
}

}  // namespace weft::sim
