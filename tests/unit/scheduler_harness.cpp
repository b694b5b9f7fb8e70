// SPDX-License-Identifier: MIT
#include "tests/unit/scheduler_harness.hpp"

#include <algorithm>
#include <exception>
#include <sstream>

namespace weft::broker {

std::ostream& operator<<(std::ostream& out, const Actions& actions) {
  for (const Action& action : actions) {
    out << "\n    ";
    if (const auto* send = std::get_if<Send>(&action)) {
      out << "to " << send->peer << ": " << describe(send->message);
    } else if (const auto* forget = std::get_if<ForgetPeer>(&action)) {
      out << "forget " << forget->peer;
    } else if (const auto* read = std::get_if<ServeChunk>(&action)) {
      out << "serve " << read->get.id.text(8) << " for " << read->peer;
    } else {
      out << "log: " << text_of(*std::get<Notify>(action).notice);
    }
  }
  return out << (actions.empty() ? "nothing" : "\n");
}

Uuid uuid(std::uint8_t number) {
  Uuid id;
  id.bytes.fill(number);
  return id;
}

BlobId blob_id(std::uint8_t number) {
  BlobId id;
  id.bytes.fill(number);
  return id;
}

Settings test_settings() {
  Settings settings;
  settings.epoch = kEpoch;
  settings.received_bytes =
      0;  // RECEIVED at once: tests that are about something else see it where they look
  return settings;
}

wire::TaskSpec any_spec() {
  wire::TaskSpec spec;
  spec.kind = wire::TaskKind::command;
  return spec;
}

wire::TaskSpec program_spec(std::uint8_t blob) {
  wire::TaskSpec spec;
  spec.program = {"program", blob_id(blob), 1000};
  return spec;
}

wire::Payload error_payload(const std::string& message) {
  return wire::Payload(wire::encode_error({.message = message}));
}

Harness::Harness(Settings settings) : settings_(std::move(settings)), scheduler_(settings_, now_) {}

Harness::Harness(Settings settings, TestDisk disk) : Harness(std::move(settings)) {
  disk_ = std::move(disk);
  Recovered recovered;
  for (const std::string& row : disk_.rows) {
    auto records = decode_row(row);
    REQUIRE(records);
    recovered.records.insert(recovered.records.end(), records->begin(), records->end());
  }
  recovered.blobs.assign(disk_.blobs.begin(), disk_.blobs.end());
  step(recovered);
}

Harness::~Harness() {
  if (std::uncaught_exceptions() == 0) CHECK(actions_ == Actions{});
}

// ---- peers ----

PeerId Harness::connect() {
  chatty_.insert(next_peer_);
  return next_peer_++;
}

void Harness::gone(PeerId peer) {
  chatty_.erase(peer);
  step(PeerGone{peer});
}

void Harness::hello(TestClient& client, std::uint64_t delivered, std::uint64_t epoch) {
  chatty_.erase(client.peer);
  client.peer = connect();
  say(client, wire::HelloClient{client.session, client.name, "client-host", 1, epoch, delivered});
}

void Harness::hello(TestWorker& worker, Joining joining) {
  chatty_.erase(worker.peer);
  worker.peer = connect();
  worker.slots = joining.slots;
  worker.begun.clear();
  step(Received{worker.peer,
                wire::HelloWorker{worker.incarnation, worker.name, joining.host, 42, joining.slots, "x86_64",
                                  "glibc", joining.resources, joining.functions, joining.memory},
                joining.minor});
}

TestClient Harness::join_client(const std::string& name) {
  REQUIRE(actions_ == Actions{});
  TestClient client{uuid(next_id_++), name};
  hello(client, 0, 0);
  synced(client);
  REQUIRE(take() == Actions{welcome(client, false)});
  return client;
}

TestWorker Harness::join_worker(const std::string& name, Joining joining) {
  REQUIRE(actions_ == Actions{});
  TestWorker worker{uuid(next_id_++), name};
  hello(worker, std::move(joining));
  REQUIRE(take() == Actions{welcome(worker, false)});
  ready(worker);
  return worker;
}

TestWorker Harness::join_worker_later(const std::string& name, Joining joining) {
  expect_only<wire::Received, wire::DefineFor, wire::Assign, wire::Running, wire::Deliver, ForgetPeer>();
  TestWorker worker = join_worker(name, std::move(joining));
  expect_only<wire::DefineFor, wire::Assign, wire::Deliver>();
  return worker;
}

// ---- messages from peers ----

void Harness::define(const TestClient& client, std::uint32_t spec, const wire::TaskSpec& content) {
  specs_[{client.session, spec}] = content;
  say(client, wire::Define{spec, content});
}

std::uint64_t Harness::submit(TestClient& client, std::uint32_t spec, std::size_t count,
                              const std::string& payload) {
  const std::uint64_t first = client.next_seq;
  wire::Submit submit;
  for (std::size_t i = 0; i < count; ++i)
    submit.tasks.push_back({client.next_seq++, spec, wire::Payload(payload)});
  say(client, std::move(submit));
  return first;
}

void Harness::started(const TestWorker& worker, const TestClient& client, std::uint64_t seq) {
  say(worker, wire::Started{client.session, {{seq, attempt(worker, client, seq)}}});
}

void Harness::returned(const TestWorker& worker, const TestClient& client, std::uint64_t seq) {
  say(worker, wire::Returned{client.session, {{seq, attempt(worker, client, seq)}}});
}

void Harness::result(TestWorker& worker, const TestClient& client, std::uint64_t seq, wire::Outcome outcome,
                     const std::string& payload, std::uint64_t run_us, std::optional<wire::Attempt> of) {
  if (!of) of = attempt(worker, client, seq);
  const bool fresh = worker.begun.insert(client.session).second;
  say(worker, wire::Results{client.session,
                            of->epoch,
                            fresh,
                            ++worker.outbox[client.session],
                            {{seq, of->number, run_us, outcome, wire::Payload(payload)}}});
}

// ---- time ----

void Harness::step(const Event& event) {
  Actions actions;
  scheduler_.step(now_, event, actions);
  if (check_each_step_) scheduler_.check_invariants();
  for (Action& action : actions) {
    if (see_) see_(now_, action);
    if (const auto* line = std::get_if<Notify>(&action)) {
      notices_.push_back(*line->notice);
      continue;
    }
    if (std::holds_alternative<Persist>(action) || std::holds_alternative<RewriteJournal>(action) ||
        std::holds_alternative<StoreChunk>(action) || std::holds_alternative<VerifyBlob>(action) ||
        std::holds_alternative<DropBlob>(action)) {
      orders_.push_back(std::move(action));
      continue;
    }
    if (const auto* forget = std::get_if<ForgetPeer>(&action)) chatty_.erase(forget->peer);
    if (const auto* send = std::get_if<Send>(&action)) {
      if (std::holds_alternative<wire::Heartbeat>(send->message)) {
        ++heartbeats_[send->peer];
        continue;
      }
      if (const auto* assign = std::get_if<wire::Assign>(&send->message)) {
        for (const auto& task : assign->tasks) {
          assignments_[send->peer].emplace_back(TaskId{assign->session, task.seq},
                                                wire::Attempt{settings_.epoch, task.number});
        }
      }
    }
    actions_.push_back(std::move(action));
  }
}

void Harness::commit(const std::string& fault) {
  while (!orders_.empty()) {
    const Action order = std::move(orders_.front());
    orders_.pop_front();
    if (const auto* persist = std::get_if<Persist>(&order)) {
      if (fault.empty()) disk_.rows.push_back(persist->row);
      step(Persisted{persist->number, fault});
    } else if (const auto* rewrite = std::get_if<RewriteJournal>(&order)) {
      if (fault.empty()) disk_.rows = rewrite->rows;
      step(Persisted{rewrite->number, fault});
    } else if (const auto* verify = std::get_if<VerifyBlob>(&order)) {
      if (!fault.empty()) {
        step(BlobBad{verify->id, fault});
        continue;
      }
      disk_.blobs.insert(verify->id);
      step(BlobReady{verify->id});
    } else if (const auto* drop = std::get_if<DropBlob>(&order)) {
      disk_.blobs.erase(drop->id);
    }
  }
}

void Harness::advance(Duration duration) {
  const Time end = now_ + duration;
  for (bool last = false; !last;) {
    const Time next = std::max(now_, scheduler_.deadline());
    last = next >= end;
    now_ = last ? end : next;
    const std::set<PeerId> chatty = chatty_;
    for (const PeerId peer : chatty) {
      if (scheduler_.knows(peer)) step(Received{peer, beats_[peer]});
    }
    step(Tick{});
  }
}

void Harness::freeze(Duration duration) {
  now_ += duration;
  step(Tick{});
}

// ---- the actions so far ----

std::size_t Harness::noticed(NoticeKind kind, std::string_view detail) const {
  return static_cast<std::size_t>(std::count_if(notices_.begin(), notices_.end(), [&](const Notice& notice) {
    return notice.kind == kind && notice.detail.find(detail) != std::string::npos;
  }));
}

std::size_t Harness::heartbeats(PeerId peer) const {
  const auto found = heartbeats_.find(peer);
  return found != heartbeats_.end() ? found->second : 0;
}

wire::Attempt Harness::attempt(const TestWorker& worker, const TestClient& client, std::uint64_t seq) const {
  const auto found = assignments_.find(worker.peer);
  REQUIRE(found != assignments_.end());
  const auto& list = found->second;
  const auto last = std::find_if(list.rbegin(), list.rend(), [&](const auto& entry) {
    return entry.first == TaskId{client.session, seq};
  });
  REQUIRE(last != list.rend());
  return last->second;
}

std::vector<std::uint64_t> Harness::assigned(const TestWorker& worker, const TestClient& client) const {
  std::vector<std::uint64_t> seqs;
  if (const auto found = assignments_.find(worker.peer); found != assignments_.end()) {
    for (const auto& [id, attempt] : found->second) {
      if (id.session == client.session) seqs.push_back(id.seq);
    }
  }
  return seqs;
}

// ---- expectations ----

Send Harness::define_for(const TestWorker& worker, const TestClient& client, std::uint32_t spec) const {
  return to(worker, wire::DefineFor{client.session, spec, specs_.at({client.session, spec})});
}

Send Harness::assign(const TestWorker& worker, const TestClient& client, std::uint64_t seq,
                     std::uint64_t number, std::uint32_t spec, std::uint32_t execution, bool alone) {
  return to(worker,
            wire::Assign{client.session,
                         {{seq, number, spec, execution, alone, wire::Payload(std::string_view("arg"))}}});
}

Send Harness::deliver_ok(const TestClient& client, std::uint64_t number, std::uint64_t seq,
                         const std::string& payload) {
  return deliver(client, number,
                 {{seq, wire::DeliveryKind::final, wire::Outcome::ok, 0, 0, wire::Payload(payload)}});
}

Send Harness::revoke(const TestWorker& worker, const TestClient& client, std::uint64_t seq,
                     std::uint64_t number, wire::RevokeMode mode, std::uint64_t epoch) {
  return to(worker, wire::Revoke{client.session, mode, {{seq, {epoch, number}}}});
}

Send Harness::welcome(const TestClient& client, bool resumed, std::uint64_t received) const {
  return to(client, wire::Welcome{settings_.epoch, 1000, settings_.heartbeat_liveness, resumed, received});
}

Send Harness::welcome(const TestWorker& worker, bool resumed) const {
  return to(worker, wire::Welcome{settings_.epoch, 1000, settings_.heartbeat_liveness, resumed, 0});
}

}  // namespace weft::broker

doctest::String doctest::StringMaker<weft::broker::Actions>::convert(const weft::broker::Actions& actions) {
  std::ostringstream out;
  out << actions;
  return out.str().c_str();
}
