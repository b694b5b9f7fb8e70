// SPDX-License-Identifier: MIT
// The setup of tests about detached tasks: a broker with a journal (write-ahead log), and the next broker on
// the same disk.
#pragma once

#include "tests/unit/scheduler_harness.hpp"

namespace weft::broker {

using wire::Outcome;
using Seqs = std::vector<std::uint64_t>;

inline Settings journaled(std::uint64_t epoch = kEpoch) {
  Settings settings = test_settings();
  settings.epoch = epoch;
  settings.journal = true;
  return settings;
}

inline wire::TaskSpec detached_spec() {
  wire::TaskSpec spec = any_spec();
  spec.detach = true;
  spec.label = "sweep";
  return spec;
}

inline wire::TaskSpec retried_spec(std::uint32_t retries) {
  wire::TaskSpec spec = detached_spec();
  spec.retries = retries;
  return spec;
}

inline wire::TaskSpec attached_spec() {
  wire::TaskSpec spec;
  spec.kind = wire::TaskKind::attached;
  spec.label = "sweep";
  return spec;
}

inline std::string name_of(const TestClient& client, std::uint64_t seq) {
  return wire::encode_ref({client.session, seq});
}

inline Send kept(const TestClient& client, Seqs seqs) {
  return {client.peer, wire::Journaled{std::move(seqs)}};
}

/// The reason in the refusal of task `seq`, which is the only delivery in `actions`.
inline std::string refusal(const Actions& actions, std::uint64_t seq) {
  std::string reason;
  for (const Action& action : actions) {
    const auto* send = std::get_if<Send>(&action);
    const auto* deliver = send != nullptr ? std::get_if<wire::Deliver>(&send->message) : nullptr;
    if (deliver == nullptr) continue;
    REQUIRE(deliver->records.size() == 1);
    CHECK(deliver->records[0].seq == seq);
    CHECK(deliver->records[0].outcome == Outcome::refused);
    REQUIRE(reason.empty());
    reason = wire::decode_error(deliver->records[0].payload.inline_bytes())->message;
  }
  return reason;
}

/// A broker with a journal, a client that has defined spec 1, and a worker.
struct Stage {
  Harness h{journaled()};
  TestClient client = h.join_client("client");
  TestWorker worker = h.join_worker("worker", {.slots = 4});

  Stage() { h.define(client, 1, detached_spec()); }
  void accept(std::size_t count = 1) {
    h.submit(client, 1, count);
    h.commit();
    h.expect<wire::Received, wire::Journaled, wire::DefineFor, wire::Assign>();
  }
  /// Accepts one task of another spec, as number 2.
  void accept(const wire::TaskSpec& spec) {
    h.define(client, 2, spec);
    h.submit(client, 2);
    h.commit();
    h.expect<wire::Received, wire::Journaled, wire::DefineFor, wire::Assign>();
  }
  void fetched(std::uint64_t seq) { h.say(client, wire::Fetched{{{client.session, seq}}}); }
  wire::Found find() { return find_at(h, client); }
  static wire::Found find_at(Harness& h, const TestClient& who) {
    h.expect_only<wire::Assign, wire::Deliver, wire::Release, wire::Get, ForgetPeer, broker::ServeChunk>();
    h.say(who, wire::Find{"sweep"});
    const Actions actions = h.take();
    REQUIRE(actions.size() == 1);
    return std::get<wire::Found>(std::get<Send>(actions[0]).message);
  }
};

/// The next life of the broker, on the same disk, with the same worker.
struct Next {
  Harness h;
  TestWorker worker;
  TestClient client;  // another program

  explicit Next(const Stage& stage) : Next(stage.h, stage.worker, kEpoch + 1) {}
  Next(const Harness& before, const TestWorker& with, std::uint64_t epoch)
      : h(journaled(epoch), before.disk()), worker(with) {
    worker.peer = kNoPeer;  // its connection to the previous broker is gone
    h.commit();
    client = TestClient{uuid(200), "other"};
    h.hello(client, 0, 0);
    h.synced(client);
    h.define(client, 1, attached_spec());
    h.expect<wire::Welcome>();
  }
  void worker_comes(const TestClient& of, std::vector<wire::ClaimRecord> tasks) {
    h.hello(worker, {.slots = 4});
    h.claims(worker, of, std::move(tasks));
    h.ready(worker);
    h.expect<wire::Welcome>();
  }
  /// The worker comes with the second execution of task 1, which has ended in failure.
  void second_fails(const TestClient& of, const wire::Attempt& second, Outcome outcome, const char* error) {
    worker_comes(of, {{1, second, wire::ClaimState::done, 2}});
    h.result(worker, of, 1, outcome, error, 1000, second);
    h.commit();
  }
  /// The client of task 1 announces it with the retries and crashes that it has heard of. SYNCED is still to
  /// come.
  TestClient client_is_back(TestClient of, const wire::TaskSpec& spec, std::uint32_t retries_used,
                            std::uint32_t crashes) {
    h.hello(of, 0, kEpoch);
    h.define(of, 2, spec);
    h.expect_only<wire::Welcome, wire::Release>();
    h.say(of, wire::Reannounce{{{1, 2, retries_used, crashes, 0, wire::Payload(std::string_view("arg"))}}});
    return of;
  }
  void attach(const TestClient& of, std::uint64_t seq) { h.submit(client, 1, 1, name_of(of, seq)); }
};

}  // namespace weft::broker
