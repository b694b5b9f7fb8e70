// SPDX-License-Identifier: MIT
#include "tests/unit/scheduler_script.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "common/wire/enumerations.hpp"

namespace weft::broker {

namespace {

constexpr std::uint64_t kFirstEpoch = 2;  // epoch 1 belongs to an earlier broker
constexpr Time kStart{1000s};             // when every Harness starts

template <class E>
std::string name_of_value(E value) {
  const auto& values = wire::Enumeration<E>::values;
  const auto i = static_cast<std::size_t>(value);
  return i < values.size() ? std::string(values[i].name) : "unknown";
}

template <class E>
E value_called(const std::string& name) {
  const auto& values = wire::Enumeration<E>::values;
  const auto found =
      std::find_if(values.begin(), values.end(), [&](const auto& v) { return v.name == name; });
  if (found == values.end()) throw std::runtime_error("there is no " + name);
  return static_cast<E>(found - values.begin());
}

std::string text_of(const wire::Attempt& attempt) {
  return fmt::format("{}/{}", attempt.epoch, attempt.number);
}

wire::Attempt parse_attempt(const std::string& text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string::npos) throw std::runtime_error("an attempt is EPOCH/NUMBER: " + text);
  return {std::stoull(text.substr(0, slash)), std::stoull(text.substr(slash + 1))};
}

std::map<std::string, double> resources_of(support::ScenarioCommand& words) {
  std::map<std::string, double> resources;
  if (const auto gpu = words.option("gpu")) resources["gpu"] = std::stod(*gpu);
  return resources;
}

std::uint64_t milliseconds_of(support::ScenarioCommand& words, const std::string& option) {
  const auto time = words.duration(option, 0ms);
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(time).count());
}

}  // namespace

const std::map<std::string, SchedulerScript::Command> SchedulerScript::kCommands = {
    {"broker", &SchedulerScript::new_world},      {"restart", &SchedulerScript::restart},
    {"client", &SchedulerScript::client},         {"known", &SchedulerScript::known},
    {"worker", &SchedulerScript::worker},         {"define", &SchedulerScript::define},
    {"submit", &SchedulerScript::submit},         {"announce", &SchedulerScript::announce},
    {"synced", &SchedulerScript::synced},         {"goodbye", &SchedulerScript::goodbye},
    {"draining", &SchedulerScript::draining},     {"ready", &SchedulerScript::ready},
    {"cancel", &SchedulerScript::cancel},         {"ack", &SchedulerScript::ack},
    {"claim", &SchedulerScript::claim},           {"started", &SchedulerScript::started},
    {"returned", &SchedulerScript::returned},     {"result", &SchedulerScript::result},
    {"disconnect", &SchedulerScript::disconnect}, {"advance", &SchedulerScript::advance},
    {"freeze", &SchedulerScript::freeze},         {"commit", &SchedulerScript::commit},
    {"status", &SchedulerScript::status},
};

std::string SchedulerScript::perform(support::ScenarioCommand& words) {
  const auto command = kCommands.find(words.name());
  if (command == kCommands.end()) throw std::runtime_error("unknown command '" + words.name() + "'");
  if (!h_ && words.name() != "broker") throw std::runtime_error("a scenario begins with 'broker'");
  (this->*command->second)(words);
  h_->skip();  // see() has written the actions down
  return std::exchange(output_, {});
}

// ---- the broker ----

void SchedulerScript::new_world(Words& words) {
  clients_.clear();
  workers_.clear();
  assigned_.clear();
  past_ = {};
  settings_ = test_settings();
  settings_.epoch = kFirstEpoch;
  settings_.journal = words.has("journal");
  settings_.max_client_silence = words.duration("max_client_silence", settings_.max_client_silence);
  start({});
}

void SchedulerScript::restart(Words&) {
  past_ += h_->now() - kStart;
  ++settings_.epoch;
  start(h_->disk());
}

void SchedulerScript::start(TestDisk disk) {
  for (auto& [name, client] : clients_) client.peer = kNoPeer;
  for (auto& [name, worker] : workers_) worker.peer = kNoPeer;
  h_ = settings_.journal ? std::make_unique<Harness>(settings_, std::move(disk))
                         : std::make_unique<Harness>(settings_);
  h_->watch([this](Time time, const Action& action) { see(time, action); });
}

void SchedulerScript::advance(Words& words) { h_->advance(support::scenario_duration(words.word(0))); }
void SchedulerScript::freeze(Words& words) { h_->freeze(support::scenario_duration(words.word(0))); }
void SchedulerScript::commit(Words&) { h_->commit(); }

void SchedulerScript::status(Words&) {
  const wire::Status status = h_->status();
  std::string line =
      fmt::format("{} queued, {} assigned, {} clients", status.queued, status.assigned, status.clients);
  for (const wire::WorkerStatus& worker : status.worker_list) {
    for (const auto& [name, free] : worker.resources_free)
      line += fmt::format(", {} has {} {} free", worker.name, free, name);
  }
  write(h_->now(), line);
}

// ---- peers ----

TestClient& SchedulerScript::client_of(const std::string& name) {
  const auto found = clients_.find(name);
  if (found == clients_.end()) throw std::runtime_error("there is no client " + name);
  return found->second;
}

TestWorker& SchedulerScript::worker_of(const std::string& name) {
  const auto found = workers_.find(name);
  if (found == workers_.end()) throw std::runtime_error("there is no worker " + name);
  return found->second;
}

TestClient& SchedulerScript::make_client(const std::string& name) {
  TestClient fresh{uuid(static_cast<std::uint8_t>(100 + clients_.size())), name};
  return clients_.emplace(name, std::move(fresh)).first->second;
}

void SchedulerScript::known(Words& words) { make_client(words.word(0)); }

void SchedulerScript::client(Words& words) {
  TestClient& client = make_client(words.word(0));
  h_->hello(client, words.number("delivered", 0), settings_.epoch - 1);
  if (words.has("synced")) h_->synced(client);
}

void SchedulerScript::worker(Words& words) {
  const std::string& name = words.word(0);
  TestWorker fresh{uuid(static_cast<std::uint8_t>(200 + workers_.size())), name};
  TestWorker& worker = workers_.emplace(name, std::move(fresh)).first->second;
  h_->hello(worker, {.slots = static_cast<std::uint32_t>(words.number("slots", 1)),
                     .resources = resources_of(words)});
  if (words.has("ready")) h_->ready(worker);
}

void SchedulerScript::disconnect(Words& words) {
  const std::string& name = words.word(0);
  if (clients_.contains(name)) return h_->disconnect(client_of(name));
  h_->disconnect(worker_of(name));
}

// ---- what clients say ----

void SchedulerScript::define(Words& words) {
  wire::TaskSpec spec = any_spec();
  spec.retries = static_cast<std::uint32_t>(words.number("retries", 0));
  spec.crash_limit = static_cast<std::uint32_t>(words.number("crash_limit", 3));
  spec.retry_delay_ms = milliseconds_of(words, "retry_delay");
  spec.queue_timeout_ms = milliseconds_of(words, "queue_timeout");
  spec.resources = resources_of(words);
  spec.detach = words.has("detach");
  h_->define(client_of(words.word(0)), static_cast<std::uint32_t>(words.number(1)), spec);
}

void SchedulerScript::submit(Words& words) {
  const std::uint64_t spec = words.words() > 1 ? words.number(1) : 1;
  h_->submit(client_of(words.word(0)), static_cast<std::uint32_t>(spec), words.number("count", 1));
}

void SchedulerScript::announce(Words& words) {
  const std::uint64_t seq = words.number(1);
  TestClient& client = client_of(words.word(0));
  client.next_seq = std::max(client.next_seq, seq + 1);
  h_->say(client,
          wire::Reannounce{{{seq, static_cast<std::uint32_t>(words.number("spec", 1)),
                             static_cast<std::uint32_t>(words.number("retries", 0)),
                             static_cast<std::uint32_t>(words.number("crashes", 0)),
                             milliseconds_of(words, "waited"), wire::Payload(std::string_view("arg"))}}});
}

void SchedulerScript::synced(Words& words) { h_->synced(client_of(words.word(0))); }
void SchedulerScript::goodbye(Words& words) { h_->say(client_of(words.word(0)), wire::Goodbye{}); }
void SchedulerScript::cancel(Words& words) { h_->cancel(client_of(words.word(0)), words.number(1)); }
void SchedulerScript::ack(Words& words) { h_->ack(client_of(words.word(0)), words.number(1)); }

// ---- what workers say ----

void SchedulerScript::draining(Words& words) { h_->say(worker_of(words.word(0)), wire::Draining{}); }
void SchedulerScript::ready(Words& words) { h_->ready(worker_of(words.word(0))); }

/// The task that the words WORKER CLIENT TASK name.
TaskId SchedulerScript::task_of(Words& words) { return {client_of(words.word(1)).session, words.number(2)}; }

wire::Attempt SchedulerScript::attempt_of(Words& words) {
  if (const auto text = words.option("attempt")) return parse_attempt(*text);
  const auto found = assigned_.find({words.word(0), task_of(words)});
  if (found == assigned_.end())
    throw std::runtime_error("this worker was never assigned this task: say attempt=");
  return found->second;
}

void SchedulerScript::claim(Words& words) {
  h_->claims(worker_of(words.word(0)), client_of(words.word(1)),
             {{words.number(2), attempt_of(words), value_called<wire::ClaimState>(words.word(3)),
               static_cast<std::uint32_t>(words.number("execution", 1))}});
}

void SchedulerScript::started(Words& words) {
  const TaskId task = task_of(words);
  h_->say(worker_of(words.word(0)), wire::Started{task.session, {{task.seq, attempt_of(words)}}});
}

void SchedulerScript::returned(Words& words) {
  const TaskId task = task_of(words);
  h_->say(worker_of(words.word(0)), wire::Returned{task.session, {{task.seq, attempt_of(words)}}});
}

void SchedulerScript::result(Words& words) {
  TestWorker& worker = worker_of(words.word(0));
  const TestClient& client = client_of(words.word(1));
  if (words.has("again")) {
    worker.outbox[client.session] = 0;
    worker.begun.erase(client.session);
  }
  h_->result(worker, client, words.number(2), value_called<wire::Outcome>(words.word(3)), "result", 1000,
             attempt_of(words));
}

// ---- output ----

std::string SchedulerScript::name_of(PeerId peer) const {
  for (const auto& [name, client] : clients_) {
    if (client.peer == peer) return name;
  }
  for (const auto& [name, worker] : workers_) {
    if (worker.peer == peer) return name;
  }
  return "an old connection";
}

std::string SchedulerScript::name_of(const Uuid& session) const {
  for (const auto& [name, client] : clients_) {
    if (client.session == session) return name;
  }
  return "unknown";
}

std::string SchedulerScript::name_of(const Uuid& session, std::uint64_t seq) const {
  return fmt::format("{}:{}", name_of(session), seq);
}

void SchedulerScript::write(Time time, const std::string& line) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(past_ + (time - kStart)).count();
  output_ += fmt::format("{:>6} {}\n", ms, line);
}

void SchedulerScript::see(Time time, const Action& action) {
  if (const auto* send = std::get_if<Send>(&action)) {
    if (std::holds_alternative<wire::Heartbeat>(send->message)) return;
    const std::string to = name_of(send->peer);
    if (const auto* assign = std::get_if<wire::Assign>(&send->message)) {
      for (const wire::AssignRecord& record : assign->tasks)
        assigned_[{to, {assign->session, record.seq}}] = {settings_.epoch, record.number};
    }
    write(time, fmt::format("-> {}: {}", to, describe(send->message)));
  } else if (const auto* forget = std::get_if<ForgetPeer>(&action)) {
    write(time, name_of(forget->peer) + " is disconnected");
  } else if (std::holds_alternative<Persist>(action)) {
    write(time, "-> journal");
  }
}

std::string SchedulerScript::describe(const wire::Message& message) const {
  std::string text = wire::describe(message);
  text.resize(std::min(text.find_first_of("(["), text.size()));
  const auto add = [&](const auto&... parts) { ((text += " ", text += parts), ...); };
  if (const auto* welcome = std::get_if<wire::Welcome>(&message)) {
    add(welcome->resumed ? "resumed" : "new");
  } else if (const auto* received = std::get_if<wire::Received>(&message)) {
    add("up to", std::to_string(received->seq));
  } else if (const auto* define = std::get_if<wire::DefineFor>(&message)) {
    add(name_of(define->session), std::to_string(define->spec));
  } else if (const auto* assign = std::get_if<wire::Assign>(&message)) {
    for (const wire::AssignRecord& record : assign->tasks) {
      add(name_of(assign->session, record.seq), "as", text_of({settings_.epoch, record.number}), "execution",
          std::to_string(record.execution));
      if (record.alone) add("alone");
    }
  } else if (const auto* revoke = std::get_if<wire::Revoke>(&message)) {
    add(name_of_value(revoke->mode));
    for (const wire::AttemptRecord& record : revoke->tasks)
      add(name_of(revoke->session, record.seq), text_of(record.attempt));
  } else if (const auto* release = std::get_if<wire::Release>(&message)) {
    add(name_of(release->session), "up to", std::to_string(release->outbox));
  } else if (const auto* resend = std::get_if<wire::Resend>(&message)) {
    add(name_of(resend->session));
  } else if (const auto* end = std::get_if<wire::EndSession>(&message)) {
    add(name_of(end->session));
  } else if (const auto* deliver = std::get_if<wire::Deliver>(&message)) {
    for (const wire::DeliveryRecord& record : deliver->records) {
      add(std::to_string(record.seq), name_of_value(record.outcome), name_of_value(record.kind));
      if (record.retries_used + record.crashes > 0)
        add(fmt::format("retries={} crashes={}", record.retries_used, record.crashes));
    }
  } else {
    return wire::describe(message);
  }
  return text;
}

}  // namespace weft::broker
