// SPDX-License-Identifier: MIT
#include "tests/simulation/faults.hpp"

#include <fmt/format.h>

namespace weft::sim {

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// A shorter freeze must have no effect: it delays heartbeats by one and a half intervals, and peers wait for
// three.
constexpr Duration kHarmlessFreeze = milliseconds(1500);
constexpr int kTriesMax = 50;          // to find a fault that is possible for its victim
constexpr std::uint32_t kOftener = 3;  // at most, where there are few kinds
constexpr std::uint32_t kBurst = 4;    // faults within some seconds
constexpr double kSameVictim = 0.5;    // chance, where there are few kinds
// A client that was unreachable for this long continues its session without loss.
constexpr Duration kOutageMax = seconds(59);
constexpr double kStoryChance = 0.6;  // that a hunting world has stories, and little besides

}  // namespace

Faults::Faults(World& world, Network& network, Oracle& oracle, Victims victims)
    : world_(world),
      network_(network),
      oracle_(oracle),
      victims_(std::move(victims)),
      random_(world.random().fork()),
      kinds_(draw_kinds()) {
  if (!victims_.hunted) return;
  same_worker_ = random_.below(victims_.workers.size());
  same_client_ = random_.below(victims_.clients.size());
}

void Faults::plan(std::uint32_t count, Time end) {
  if (victims_.hunted && random_.chance(kStoryChance)) return plan_stories(end);
  if (few_kinds_)
    count *= victims_.hunted ? static_cast<std::uint32_t>(random_.between(1, kOftener)) : kOftener;
  const bool in_bursts = few_kinds_ && random_.chance(0.5);
  Duration at{};
  for (std::uint32_t i = 0; i < count; ++i) {
    if (!in_bursts || i % kBurst == 0) at = random_.duration(milliseconds(300), end - world_.now());
    const Duration burst = std::min<Duration>(seconds(4), end - world_.now() - at);
    const Duration later = in_bursts ? random_.duration(Duration(0), burst) : Duration(0);
    world_.at(world_.now() + at + later, [this] { strike(); });
  }
}

// ---- which kinds and victims ----

/// Draws how often each kind occurs in this world, or that it does not. Many worlds have only one to three
/// kinds, and many faults of each (swarm testing): other kinds would mask their rare consequences.
std::vector<Faults::Kind> Faults::draw_kinds() {
  std::vector<Kind> kinds = {
      {&Faults::kill_broker, 10},   {&Faults::freeze_broker, 6}, {&Faults::kill_worker, 14},
      {&Faults::freeze_worker, 10}, {&Faults::drain_worker, 6},  {&Faults::crash_runner, 10},
      {&Faults::break_runner, 5},   {&Faults::kill_client, 5},   {&Faults::freeze_client, 6},
      {&Faults::reset_link, 12},    {&Faults::partition, 12},    {&Faults::slow_link, 5},
      {&Faults::send_garbage, 4},   {&Faults::fill_disk, 5},     {&Faults::slow_disk, 4},
  };
  few_kinds_ = random_.chance(victims_.hunted ? 0.5 : 0.4);
  if (few_kinds_ && victims_.hunted) return draw_hunt(kinds);
  if (few_kinds_) {
    std::vector<Kind> few = {kinds[random_.below(kinds.size())]};
    if (random_.chance(0.5)) few.push_back(kinds[random_.below(kinds.size())]);
    return few;
  }
  if (random_.chance(0.3)) return kinds;
  for (Kind& kind : kinds) kind.weight *= random_.below(5);
  kinds.push_back({&Faults::freeze_worker, 1});  // so that the list is not empty
  return kinds;
}

/// Most bugs show when the broker restarts or a connection breaks just after another event: two of three
/// worlds have these kinds.
std::vector<Faults::Kind> Faults::draw_hunt(const std::vector<Kind>& kinds) {
  std::vector<Kind> few;
  std::vector<Kind> others = kinds;
  const std::uint64_t theme = random_.below(6);
  if (theme < 3) {
    few.push_back({&Faults::kill_broker, 2});
    others = {{&Faults::freeze_worker, 1}, {&Faults::freeze_client, 1}, {&Faults::partition, 2},
              {&Faults::reset_link, 1},    {&Faults::kill_client, 1},   {&Faults::slow_disk, 1},
              {&Faults::fill_disk, 1}};
  } else if (theme == 3) {
    few.push_back({&Faults::reset_link, 10});
  }
  const std::size_t count = std::max<std::size_t>(few.size() + random_.below(3), 1);
  while (few.size() < count) few.push_back(others[random_.below(others.size())]);
  return few;
}

void Faults::strike() {
  std::uint64_t total = 0;
  for (const Kind& kind : kinds_) total += kind.weight;
  for (int tries = 0; tries < kTriesMax; ++tries) {
    auto draw = random_.below(total);
    auto kind = kinds_.begin();
    while (draw >= kind->weight) draw -= (kind++)->weight;
    if (!(this->*kind->act)()) continue;  // not possible for the victim
    ++struck_;
    return;
  }
  struck_ += reset_link();  // always possible, whatever else was drawn
}

/// Where there are few kinds of faults, one victim is hit more often than others, since a sequence of faults
/// can lead to states that no single fault reaches.
WorkerNode& Faults::any_worker() {
  const bool same = victims_.hunted && few_kinds_ && random_.chance(kSameVictim);
  return *victims_.workers[same ? same_worker_ : random_.below(victims_.workers.size())];
}

ClientNode& Faults::any_client() {
  const bool same = victims_.hunted && few_kinds_ && random_.chance(kSameVictim);
  return *victims_.clients[same ? same_client_ : random_.below(victims_.clients.size())];
}

Faults::Target Faults::any_dialer() {
  if (random_.chance(0.6)) {
    WorkerNode& worker = any_worker();
    return {worker.host(), &worker, nullptr};
  }
  ClientNode& client = any_client();
  return {client.host(), nullptr, &client};
}

void Faults::disturb(HostId host, Duration lasts) {
  over_ = std::max(over_, world_.now() + lasts);
  oracle_.disturb(host, world_.now() + lasts + kAftermath);
}

// ---- processes ----

bool Faults::kill_broker() {
  if (!victims_.broker.running()) return false;
  const bool power = random_.chance(0.3);
  const Duration down = random_.chance(0.7) ? random_.duration(milliseconds(50), seconds(1))
                                            : random_.duration(seconds(1), seconds(8));
  kill_broker_for(down, power);
  return true;
}

void Faults::kill_broker_for(Duration down, bool power) {
  world_.coverage().count(power ? "fault: broker loses power" : "fault: broker is killed");
  over_ = std::max(over_, world_.now() + down + kAftermath);
  victims_.broker.crash(power ? Network::Power::off : Network::Power::process_down);
  world_.after(down, [this] {
    if (!victims_.broker.running()) victims_.broker.start();
  });
}

bool Faults::freeze_broker() {
  if (!victims_.broker.running() || victims_.broker.frozen()) return false;
  const Duration lasts = random_.duration(milliseconds(100), seconds(8));
  world_.coverage().count("fault: broker is frozen");
  over_ = std::max(over_, world_.now() + lasts);
  victims_.broker.freeze_for(lasts);
  return true;
}

bool Faults::kill_worker() {
  WorkerNode& worker = any_worker();
  if (!worker.running()) return false;
  const bool power = random_.chance(0.4);
  const Duration down = random_.duration(milliseconds(50), seconds(5));
  world_.coverage().count(power ? "fault: worker loses power" : "fault: worker is killed");
  disturb(worker.host(), down);
  worker.crash(power ? Network::Power::off : Network::Power::process_down);
  world_.after(down, [&worker] {
    if (!worker.running()) worker.start();
  });
  return true;
}

bool Faults::freeze_worker() {
  WorkerNode& worker = any_worker();
  if (!worker.running() || worker.frozen()) return false;
  const Duration lasts = random_.chance(0.4) ? random_.duration(milliseconds(50), kHarmlessFreeze)
                                             : random_.duration(kHarmlessFreeze, seconds(9));
  world_.coverage().count("fault: worker is frozen");
  over_ = std::max(over_, world_.now() + lasts);
  if (lasts > kHarmlessFreeze) disturb(worker.host(), lasts);
  worker.freeze(lasts);
  return true;
}

bool Faults::drain_worker() {
  WorkerNode& worker = any_worker();
  if (!worker.running()) return false;
  world_.coverage().count("fault: worker is told to leave");
  disturb(worker.host(), seconds(1));
  worker.drain();
  return true;
}

bool Faults::crash_runner() {
  if (!any_worker().runners().crash_one()) return false;
  world_.coverage().count("fault: runner crashes");
  return true;
}

bool Faults::break_runner() {
  if (!any_worker().runners().break_one()) return false;
  world_.coverage().count("fault: runner breaks the rules");
  return true;
}

bool Faults::kill_client() {
  ClientNode& client = any_client();
  if (!client.running()) return false;
  const bool power = random_.chance(0.4);
  world_.coverage().count(power ? "fault: client loses power" : "fault: client is killed");
  client.crash(power ? Network::Power::off : Network::Power::process_down);
  if (!power && random_.chance(0.3)) {  // the client was on the broker's host
    world_.after(random_.duration(Duration(0), milliseconds(500)),
                 [this, session = client.session()] { victims_.broker.process_gone(session); });
  }
  if (random_.chance(0.7)) victims_.add_client();
  return true;
}

bool Faults::freeze_client() {
  ClientNode& client = any_client();
  if (!client.running() || client.frozen()) return false;
  const Duration lasts = random_.duration(milliseconds(100), seconds(10));
  world_.coverage().count("fault: client is frozen");
  disturb(client.host(), lasts);
  client.freeze(lasts);
  return true;
}

// ---- the network ----

bool Faults::reset_link() {
  const Target target = any_dialer();
  const std::uint64_t who = random_.below(3);
  world_.coverage().count(who == 0   ? "fault: connection reset"
                          : who == 1 ? "fault: connection reset, seen by the dialer"
                                     : "fault: connection reset, seen by the broker");
  note([&] { return fmt::format("connections of host {} are reset, seen by {}", target.host, who); });
  disturb(target.host, seconds(1));
  network_.reset(target.host, who != 2, who != 1);
  return true;
}

bool Faults::partition() {
  const Target target = any_dialer();
  const std::uint64_t way = random_.below(4);  // 0: to the broker, 1: from the broker, 2 and 3: both ways
  const bool for_long = target.client != nullptr && random_.chance(0.2);
  const Duration lasts = random_.duration(milliseconds(100), for_long ? kOutageMax : seconds(9));
  const bool to_broker = way != 1;
  const bool from_broker = way != 0;
  world_.coverage().count(way == 0   ? "fault: partition to the broker"
                          : way == 1 ? "fault: partition from the broker"
                                     : "fault: partition both ways");
  if (for_long) world_.coverage().count("fault: client is cut off for long");
  cut_off(target, lasts, to_broker, from_broker);
  return true;
}

void Faults::cut_off(const Target& target, Duration lasts, bool to_broker, bool from_broker) {
  note([&] {
    return fmt::format("host {} is cut off{}{}", target.host, to_broker ? ", to the broker" : "",
                       from_broker ? ", from the broker" : "");
  });
  disturb(target.host, lasts);
  if (to_broker) network_.block(target.host, Side::dialer);
  if (from_broker) network_.block(target.host, Side::broker);
  world_.after(lasts, [this, target, to_broker, from_broker] {
    note([&] { return fmt::format("host {} is reached again", target.host); });
    if (to_broker) network_.unblock(target.host, Side::dialer);
    if (from_broker) network_.unblock(target.host, Side::broker);
  });
}

bool Faults::slow_link() {
  const Target target = any_dialer();
  slow_down(target, random_.duration(milliseconds(500), seconds(5)));
  return true;
}

void Faults::slow_down(const Target& target, Duration lasts) {
  world_.coverage().count("fault: slow link");
  over_ = std::max(over_, world_.now() + lasts);
  network_.slow(target.host, random_.duration(milliseconds(10), milliseconds(300)));
  world_.after(lasts, [this, target] { network_.slow(target.host, Duration(0)); });
}

bool Faults::send_garbage() {
  const Target target = any_dialer();
  world_.coverage().count("fault: garbage to the broker");
  note([&] { return fmt::format("host {} sends garbage", target.host); });
  disturb(target.host, seconds(1));
  if (target.worker != nullptr) target.worker->send_garbage();
  if (target.client != nullptr) target.client->send_garbage();
  return true;
}

// ---- the disk ----

bool Faults::fill_disk() {
  const Duration lasts = random_.duration(milliseconds(100), seconds(5));
  note([&] { return "the disk is full"; });
  over_ = std::max(over_, world_.now() + lasts);
  victims_.disk.fill_up(lasts);
  return true;
}

bool Faults::slow_disk() {
  const Duration lasts = random_.duration(milliseconds(500), seconds(5));
  note([&] { return "the disk is slow"; });
  over_ = std::max(over_, world_.now() + lasts);
  victims_.disk.slow_down(lasts);
  return true;
}

}  // namespace weft::sim
