// SPDX-License-Identifier: MIT
#include "tests/simulation/fabric.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace weft::sim {

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Duration kFinishWithin = seconds(600);  // after the last fault
constexpr Duration kSilenceMax = seconds(75);     // of a client, before the broker ends its session
constexpr Duration kForgetWithin = seconds(120);  // after the last client has left
constexpr Duration kRejoinWithin = seconds(10);
constexpr std::uint32_t kFaultsMin = 3;
constexpr std::size_t kTasksOfLatecomer = 30;
constexpr std::size_t kWarmUp = 12;  // tasks for each slot

/// The broker's view of the cluster, to find the reason of a standstill.
std::string describe(const wire::Status& status) {
  std::string text;
  for (const wire::WorkerStatus& worker : status.worker_list) {
    text += fmt::format("\n  {} is {}: {} of {} slots, {} assigned", worker.name, worker.state,
                        worker.running, worker.slots, worker.assigned);
    for (const auto& [name, free] : worker.resources_free) text += fmt::format(", {} {} free", free, name);
  }
  for (const wire::ClientStatus& client : status.client_list) {
    text += fmt::format("\n  {} is {}: {} queued, {} assigned", client.name, client.state, client.queued,
                        client.assigned);
  }
  for (const wire::WaitingStatus& waiting : status.waiting_list) {
    text += fmt::format("\n  {} tasks of {} wait: {}", waiting.tasks, waiting.client, waiting.reason);
  }
  return text;
}

}  // namespace

Fabric::Fabric(std::uint64_t seed, Trace& trace, Coverage& coverage)
    : scenario_(seed),
      world_(seed, trace, coverage),
      network_(world_, scenario_.network),
      oracle_(world_, scenario_),
      disk_(world_, oracle_, scenario_.disk_write_max),
      witness_(world_) {
  BrokerNode::Settings settings;
  settings.check_every = scenario_.large ? 16 : 1;
  if (scenario_.mixed_minors) settings.minors = Random(scenario_.seed ^ 0x31410cULL);
  settings.scheduler.journal = scenario_.journal;
  settings.scheduler.result_ttl = scenario_.keep;
  settings.scheduler.max_client_silence = kSilenceMax;
  settings.scheduler.journal_queue.rewrite_bytes = scenario_.rewrite_bytes;
  broker_ = std::make_unique<BrokerNode>(world_, network_, disk_, oracle_, witness_, settings);
  for (std::size_t i = 0; i < scenario_.workers.size(); ++i) {
    workers_.push_back(std::make_unique<WorkerNode>(world_, network_, oracle_, scenario_, i));
    oracle_.joined(workers_.back()->host(), false);
  }
}

void Fabric::add_client(ClientPlan plan, Duration joins) {
  clients_.push_back(std::make_unique<ClientNode>(world_, network_, oracle_, scenario_, std::move(plan)));
  ClientNode& client = *clients_.back();
  oracle_.joined(client.host(), false);
  world_.after(joins, [&client] { client.start(); });
}

void Fabric::start() {
  Random& random = world_.random();
  world_.after(random.duration(Duration(0), seconds(1)), [this] { broker_->start(); });
  for (const auto& worker : workers_) {
    world_.after(random.duration(Duration(0), seconds(2)), [&worker = *worker] { worker.start(); });
  }
  for (const ClientPlan& plan : scenario_.clients) add_client(plan, plan.joins);
  faults_ = std::make_unique<Faults>(
      world_, network_, oracle_,
      Faults::Victims{*broker_, disk_, workers_, clients_,
                      [this] {
                        add_client(scenario_.next_client(world_.random(), clients_.size(), kTasksOfLatecomer),
                                   milliseconds(100));
                      },
                      kSilenceMax + broker::Settings{}.adoption_window + broker::Settings{}.client_grace,
                      scenario_.hunts});
  faults_->plan(scenario_.faults, Time{} + scenario_.fault_phase);
}

void Fabric::run() {
  start();
  world_.run_until(Time{} + scenario_.fault_phase);
  while (world_.now() < faults_->over()) world_.run_until(faults_->over());
  if (faults_->struck() < kFaultsMin) fail(fmt::format("only {} faults happened", faults_->struck()));
  finish_work();
  sweep();
  if (scenario_.competes()) compete();
  leave();
  restart_and_look();
}

/// The liveness phase: without new faults, every task must be answered.
void Fabric::finish_work() {
  const Time limit = world_.now() + kFinishWithin;
  const auto finished = [](const auto& client) { return client->finished(); };
  while (!std::all_of(clients_.begin(), clients_.end(), finished)) {
    if (world_.now() >= limit) {
      fail(fmt::format("{} tasks have no answer {} s after the last fault:{}\nThe broker:{}", oracle_.open(),
                       std::chrono::duration_cast<seconds>(kFinishWithin).count(), oracle_.describe_open(),
                       broker_->running() ? describe(broker_->status()) : " is not there"));
    }
    world_.run_until(world_.now() + milliseconds(500));
  }
  if (oracle_.open() != 0) fail("an answer is missing, and the clients believe that they have all");
}

/// A new client finds all detached tasks, waits for their answers and takes them.
void Fabric::sweep() {
  world_.run_until(world_.now() + seconds(5));  // no frame is on its way by then
  std::vector<TaskId> tasks;
  for (const std::string& label : Scenario::labels()) {
    const std::vector<TaskId> found = oracle_.found(label, broker_->find(label).tasks);
    tasks.insert(tasks.end(), found.begin(), found.end());
  }
  add_client(Scenario::sweeper(std::move(tasks)), Duration(0));
  finish_work();
}

/// Fair queueing: two clients compete for all workers, and the later one, with fewer tasks, must have its
/// share at once.
void Fabric::compete() {
  world_.run_until(world_.now() + seconds(4));  // workers that left are back by then
  const std::size_t slots = scenario_.slots();
  const auto add = [&](const char* name, std::size_t tasks) -> ClientNode& {
    add_client(scenario_.rival(name, tasks), Duration(0));
    return *clients_.back();
  };
  const auto work = [&](const auto& goes_on) {
    const Time limit = world_.now() + kFinishWithin;
    while (goes_on() && world_.now() < limit) world_.run_until(world_.now() + milliseconds(1));
  };
  // First, tasks from which the broker learns the usual run time.
  ClientNode& first = add("first", slots * kWarmUp);
  work([&] { return !first.finished(); });

  // By the broker's count, since the time that a client takes to connect does not concern fairness.
  const auto status_of = [&](const char* name) {
    for (wire::ClientStatus& client : broker_->status().client_list) {
      if (client.name == name) return std::move(client);
    }
    return wire::ClientStatus{};
  };
  constexpr std::size_t kSmall = 10;
  add("big", slots * 20 + kSmall * 2);
  world_.run_until(world_.now() + milliseconds(100));
  add("small", kSmall);
  work([&] { return status_of("small").queued + status_of("small").assigned == 0; });
  const std::uint64_t before = status_of("big").finished;
  work([&] { return status_of("small").finished < kSmall; });
  const std::uint64_t meanwhile = status_of("big").finished - before;
  world_.coverage().count("competitions");
  if (meanwhile > kSmall * 2 + slots * 3) {
    fail(fmt::format("{} tasks of one client were answered before all {} of another, on {} slots", meanwhile,
                     kSmall, slots));
  }
  finish_work();
}

void Fabric::leave() {
  world_.run_until(world_.now() + seconds(3));
  for (const auto& client : clients_) {
    if (const std::string left = client->leftovers(); !left.empty())
      fail(client->name() + " has left " + left);
    client->close();
  }
  world_.run_until(world_.now() + kForgetWithin);
  const broker::Recovered kept = disk_.recover(wire::kMinor);
  oracle_.left_on_disk(kept.records);
  if (!kept.blobs.empty()) {
    fail(fmt::format("{} blobs are left in the folder, for one {}", kept.blobs.size(),
                     kept.blobs.front().text(8)));
  }
  const wire::Status status = broker_->status();
  if (status.clients != 0) fail(fmt::format("the broker still has {} clients", status.clients));
  if (status.queued + status.assigned != 0) fail("the broker still has tasks");
  if (status.queued_bytes != 0) fail("the broker still counts payload");
  if (status.workers != workers_.size()) {
    fail(fmt::format("{} of {} workers are with the broker", status.workers, workers_.size()));
  }
  for (const auto& worker : workers_) {
    if (const std::string left = worker->leftovers(); !left.empty())
      fail(worker->name() + " has left " + left);
  }
}

/// A new broker asks all processes what they hold: none may hold anything.
void Fabric::restart_and_look() {
  witness_.everybody_left();
  broker_->crash(Network::Power::process_down);
  broker_->start();
  world_.run_until(world_.now() + kRejoinWithin);
  if (broker_->status().workers != workers_.size()) fail("not every worker has come back to the new broker");
  if (!broker_->status().client_list.empty()) fail("the new broker has sessions");
}

}  // namespace weft::sim
