// SPDX-License-Identifier: MIT
#include "tests/simulation/story.hpp"

#include <fmt/format.h>

#include <limits>
#include <stdexcept>

namespace weft::sim {

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::uint64_t kSeed = 1;           // of ids and jitters
constexpr Duration kAftermath = seconds(6);  // until all processes have noticed a fault
constexpr Duration kFinishWithin = seconds(120);

/// Columns of a line of the trace: "[  1234.567] node     text".
constexpr std::size_t kPointAt = 7;
constexpr std::size_t kNodeAt = 13;

}  // namespace

/// The scenario of a story: fixed values in place of those that Scenario draws from a seed.
Scenario Story::scenario_of(Words& fabric) {
  Scenario scenario(kSeed);
  scenario.network = {.delay_min = milliseconds(1), .delay_max = milliseconds(1), .spike_chance = 0};
  scenario.corrupt_chance = scenario.late_start_chance = scenario.stubborn_chance = 0;
  scenario.prefetch_max = 16;
  scenario.broken_worker.clear();
  scenario.large = scenario.short_of_memory = scenario.mixed_minors = scenario.journal = false;
  scenario.disk_write_max = milliseconds(1);
  scenario.programs.clear();
  scenario.clients.clear();
  scenario.workers.assign(fabric.number("workers", 1), {});
  const auto slots = static_cast<std::uint32_t>(fabric.number("slots", 1));
  for (std::size_t i = 0; i < scenario.workers.size(); ++i) {
    scenario.workers[i].name = fmt::format("worker{}", i);
    scenario.workers[i].slots = slots;
  }
  return scenario;
}

BrokerNode::Settings Story::broker_settings() {
  BrokerNode::Settings settings;
  settings.scheduler.journal = false;
  return settings;
}

Story::Story(Words& fabric)
    : trace_(Trace::Text::tail, std::numeric_limits<std::size_t>::max()),
      scenario_(scenario_of(fabric)),
      world_(kSeed, trace_, coverage_, World::Noise::none()),
      network_(world_, scenario_.network),
      oracle_(world_, scenario_),
      disk_(world_, oracle_, scenario_.disk_write_max),
      witness_(world_),
      broker_(world_, network_, disk_, oracle_, witness_, broker_settings()) {
  for (std::size_t i = 0; i < scenario_.workers.size(); ++i) {
    workers_.push_back(std::make_unique<WorkerNode>(world_, network_, oracle_, scenario_, i));
    oracle_.joined(workers_.back()->host(), false);
  }
  join();
}

void Story::join() {
  broker_.start();
  run_for(milliseconds(100));
  for (const auto& worker : workers_) worker->start();
  run_for(milliseconds(100));
}

std::string Story::perform(Words& words) {
  const std::string& name = words.name();
  if (name == "client") {
    add_client(words);
  } else if (name == "run") {
    run_for(support::scenario_duration(words.word(0)));
  } else if (name == "kill") {
    kill(words.word(0));
  } else if (name == "start") {
    start(words.word(0));
  } else if (name == "cut") {
    cut(words.word(0), support::scenario_duration(words.word(1)));
  } else if (name == "finish") {
    finish();
  } else if (name == "leave") {
    leave();
  } else if (name != "fabric") {  // the constructor has performed it
    throw std::runtime_error("unknown command '" + name + "'");
  }
  return take_trace();
}

// ---- processes ----

void Story::add_client(Words& words) {
  Wave wave;
  wave.spec.kind = wire::TaskKind::command;
  wave.spec.retries = static_cast<std::uint32_t>(words.number("retries", 0));
  wave.tasks.assign(words.number("tasks", 1), TaskScript{.run = words.duration("run", milliseconds(100))});
  ClientPlan plan{.name = words.word(0), .waves = {std::move(wave)}};
  clients_.push_back(std::make_unique<ClientNode>(world_, network_, oracle_, scenario_, std::move(plan)));
  oracle_.joined(clients_.back()->host(), false);
  clients_.back()->start();
}

WorkerNode* Story::worker_called(const std::string& name) {
  for (const auto& worker : workers_) {
    if (worker->name() == name) return worker.get();
  }
  return nullptr;
}

ClientNode* Story::client_called(const std::string& name) {
  for (const auto& client : clients_) {
    if (client->name() == name) return client.get();
  }
  return nullptr;
}

DialerNode& Story::dialer_called(const std::string& name) {
  if (WorkerNode* worker = worker_called(name)) return *worker;
  if (ClientNode* client = client_called(name)) return *client;
  throw std::runtime_error("nobody is called " + name);
}

void Story::kill(const std::string& name) {
  if (name == "broker") return broker_.crash(Network::Power::process_down);
  const HostId host = dialer_called(name).host();
  oracle_.disturb(host, world_.now() + kAftermath);
  if (WorkerNode* worker = worker_called(name)) return worker->crash(Network::Power::process_down);
  client_called(name)->crash(Network::Power::process_down);
}

void Story::start(const std::string& name) {
  if (name == "broker") return broker_.start();
  if (WorkerNode* worker = worker_called(name)) return worker->start();
  throw std::runtime_error("only the broker and workers start again");
}

void Story::cut(const std::string& name, Duration lasts) {
  const HostId host = dialer_called(name).host();
  oracle_.disturb(host, world_.now() + lasts + kAftermath);
  for (const Side side : {Side::dialer, Side::broker}) {
    network_.block(host, side);
    world_.after(lasts, [this, host, side] { network_.unblock(host, side); });
  }
}

void Story::finish() {
  const Time limit = world_.now() + kFinishWithin;
  const auto finished = [](const auto& client) { return client->finished(); };
  while (!std::all_of(clients_.begin(), clients_.end(), finished)) {
    if (world_.now() >= limit)
      fail(fmt::format("{} tasks have no answer{}", oracle_.open(), oracle_.describe_open()));
    run_for(milliseconds(10));
  }
}

void Story::leave() {
  run_for(seconds(1));
  for (const auto& client : clients_) {
    if (const std::string left = client->leftovers(); !left.empty())
      fail(client->name() + " has left " + left);
    client->close();
  }
  run_for(seconds(1));
  const wire::Status status = broker_.status();
  if (status.clients + status.queued + status.assigned != 0) fail("the broker still has clients or tasks");
  for (const auto& worker : workers_) {
    if (const std::string left = worker->leftovers(); !left.empty())
      fail(worker->name() + " has left " + left);
  }
}

// ---- output ----

/// Gives lives of the broker and sessions of clients readable names in place of their random ids.
void Story::name_ids(const std::string& line) {
  static const std::string kLife = "starts, epoch ";
  const std::size_t at = line.find(kLife);
  if (at != std::string::npos) {
    const std::string epoch = line.substr(at + kLife.size(), line.size() - at - kLife.size() - 1);
    const std::string name = fmt::format("life{}", ++lives_);
    names_[epoch] = name;
    names_[std::to_string(std::stoull(epoch, nullptr, 16))] = name;
  }
  for (const auto& client : clients_) names_[client->session().text(8)] = client->name();
}

std::string Story::take_trace() {
  std::string text;
  for (std::string& line : trace_.take()) {
    if (line.find(" log: ") != std::string::npos || line.find(" Heartbeat(") != std::string::npos) continue;
    name_ids(line);
    for (const auto& [id, name] : names_) {
      for (std::size_t at = line.find(id); at != std::string::npos; at = line.find(id))
        line.replace(at, id.size(), name);
    }
    line.erase(line.find_last_not_of(" \n") + 1);
    text += line.substr(1, kPointAt - 1) + " " + line.substr(kNodeAt) + "\n";
  }
  return text;
}

std::string check_story(const std::string& file) {
  std::unique_ptr<Story> story;
  return support::check_scenario_file(file, [&](support::ScenarioCommand& command) {
    if (command.name() == "fabric") story = std::make_unique<Story>(command);
    if (!story) throw std::runtime_error("a story begins with 'fabric'");
    return story->perform(command);
  });
}

}  // namespace weft::sim
