// SPDX-License-Identifier: MIT
// Peers of other minor versions: an option that is too new is refused with both versions, and never done
// halfway. PROTOCOL.md section 1.
#include "common/wire/codec.hpp"
#include "common/wire/layout.hpp"
#include "tests/unit/scheduler_harness.hpp"

namespace weft::broker {

namespace {

constexpr std::uint8_t kNewer = wire::kMinor + 1;

/// The reason of the refusal of the only task that `actions` answer.
std::string refusal_in(const Actions& actions) {
  for (const Action& action : actions) {
    const auto* send = std::get_if<Send>(&action);
    const auto* deliver = send != nullptr ? std::get_if<wire::Deliver>(&send->message) : nullptr;
    if (deliver == nullptr) continue;
    REQUIRE(deliver->records.size() == 1);
    CHECK(deliver->records[0].kind == wire::DeliveryKind::final);
    CHECK(deliver->records[0].outcome == wire::Outcome::refused);
    return wire::decode_error(deliver->records[0].payload.inline_bytes())->message;
  }
  return "";
}

wire::TaskSpec in_directory() {
  wire::TaskSpec spec;
  spec.function = "f";
  spec.directory = "/data";
  return spec;
}

std::string version(std::uint8_t minor) { return std::to_string(wire::kMajor) + "." + std::to_string(minor); }

}  // namespace

TEST_SUITE("scheduler, versions") {
  TEST_CASE("a task of a kind that only a newer client knows is refused, and no worker hears of it") {
    Harness h;
    TestWorker worker = h.join_worker("worker");
    TestClient client{.session = Uuid{{1}}, .name = "newer"};
    client.peer = 50;
    h.step(Received{client.peer, wire::HelloClient{client.session, "newer", "host", 1}, kNewer});
    h.expect<wire::Welcome>();
    wire::TaskSpec spec;
    spec.kind = wire::TaskKind::unknown;
    h.step(Received{client.peer, wire::Define{1, spec}, kNewer});
    h.step(Received{client.peer, wire::Submit{{{1, 1, wire::Payload(std::string_view("arg"))}}}, kNewer});
    const std::string reason = refusal_in(h.take());
    CAPTURE(reason);
    CHECK(reason.find(version(kNewer)) != std::string::npos);
    CHECK(reason.find(version(wire::kMinor)) != std::string::npos);
    CHECK(h.assigned(worker, client).empty());
    // The same if it is announced again, to a restarted broker.
    h.step(Received{client.peer, wire::Reannounce{{{2, 1, 0, 0, 0, wire::Payload()}}}, kNewer});
    h.expect<wire::Received>();
    h.advance(10s);
    CHECK_FALSE(refusal_in(h.take()).empty());
    CHECK(h.assigned(worker, client).empty());
  }

  TEST_CASE("a detached task of such a kind is refused as well when it is announced again") {
    Settings settings = test_settings();
    settings.journal = true;
    Harness h(settings);
    TestClient client = h.join_client("client");
    wire::TaskSpec spec;
    spec.kind = wire::TaskKind::unknown;
    spec.label = "sweep";
    spec.detach = true;
    h.step(Received{client.peer, wire::Define{1, spec}, kNewer});
    h.step(Received{client.peer, wire::Reannounce{{{1, 1, 0, 0, 0, wire::Payload()}}}, kNewer});
    CHECK_FALSE(refusal_in(h.take()).empty());
    CHECK(h.ordered() == 0);
  }

  TEST_CASE("an essential option goes only to workers that know it") {
    Harness h;
    TestClient client = h.join_client("client");
    TestWorker older = h.join_worker("older", {.slots = 4, .minor = 0});
    TestWorker newer = h.join_worker_later("newer", {.slots = 1});
    h.define(client, 1, in_directory());
    h.submit(client, 1, 3);
    h.expect<wire::Received, wire::DefineFor, wire::Assign>();
    CHECK(h.assigned(older, client).empty());
    CHECK(h.assigned(newer, client) == std::vector<std::uint64_t>{1});
    h.result(newer, client, 1);
    h.expect<wire::Assign, wire::Deliver>();
    CHECK(h.assigned(newer, client).size() >= 2);
    CHECK(h.assigned(older, client).empty());
  }

  TEST_CASE(
      "where all workers that could run it are older, an essential option is refused with both versions") {
    Harness h;
    TestClient client = h.join_client("client");
    TestWorker older = h.join_worker("older", {.slots = 4, .minor = 0});
    h.define(client, 1, in_directory());
    h.submit(client, 1);
    const std::string reason = refusal_in(h.take());
    CAPTURE(reason);
    CHECK(reason.find("`directory`") != std::string::npos);
    CHECK(reason.find(version(1)) != std::string::npos);
    CHECK(reason.find(version(0)) != std::string::npos);
    CHECK(h.assigned(older, client).empty());
    CHECK(h.status().queued == 0);
  }

  TEST_CASE("without any worker it waits for one, and an option at rest goes to any") {
    Harness h;
    TestClient client = h.join_client("client");
    h.define(client, 1, in_directory());
    h.submit(client, 1);
    h.advance(1s);
    CHECK(h.status().queued == 1);
    h.expect<wire::Received>();
    wire::TaskSpec plain = in_directory();
    plain.directory = "";
    h.define(client, 2, plain);
    h.submit(client, 2);
    TestWorker older = h.join_worker_later("older", {.slots = 4, .minor = 0});
    CHECK(h.assigned(older, client) == std::vector<std::uint64_t>{2});
    CHECK(h.status().queued == 0);  // the first is refused now
  }

  TEST_CASE("an outcome that only a newer worker knows is an answer, and not an execution again") {
    Harness h;
    TestClient client = h.join_client("client");
    TestWorker worker = h.join_worker("worker", {.minor = kNewer});
    h.define(client, 1, {.function = "f", .retries = 5});
    h.submit(client, 1);
    h.expect<wire::Received, wire::DefineFor, wire::Assign>();
    h.result(worker, client, 1, wire::Outcome::unknown);
    const std::string reason = refusal_in(h.take());
    CHECK(reason.find(version(kNewer)) != std::string::npos);
    CHECK(reason.find("worker worker") != std::string::npos);
    CHECK(h.assigned(worker, client).size() == 1);
  }

  TEST_CASE("a claim in a state that only a newer worker knows is revoked") {
    Harness h;
    TestClient client = h.join_client("client");
    TestWorker worker = h.join_worker("worker");
    h.hello(worker);
    h.expect<wire::Welcome, ForgetPeer>();
    h.claims(worker, client, {{7, {3, 4}, wire::ClaimState::unknown, 1}});
    h.ready(worker);
    bool revoked = false;
    for (const Action& action : h.take()) {
      revoked = revoked || action == Action(h.revoke(worker, client, 7, 4, wire::RevokeMode::cancel, 3));
    }
    CHECK(revoked);
  }

  TEST_CASE(
      "a journal of a newer broker: what asks for more than is known here is refused, and not lost before") {
    Settings settings = test_settings();
    settings.journal = true;
    const Uuid session{{1}};
    TestDisk disk;
    std::string& row = disk.rows.emplace_back();
    append_record(row, SessionRecord{session, "client", "host"});
    wire::TaskSpec spec;
    spec.kind = wire::TaskKind::library;
    spec.function = "f";
    spec.detach = true;
    append_record(row, SpecRecord{session, 1, spec, kNewer});
    append_record(row, TaskRecord{session, 1, 1, 0, wire::Payload(std::string_view("arg"))});
    Harness h(settings, disk);
    TestClient client{.session = session, .name = "client"};
    TestWorker worker{uuid(200), "worker"};
    h.hello(worker, {.functions = {"f"}});
    SUBCASE("that nothing runs") { h.ready(worker); }
    SUBCASE("that a worker runs, and that crashes there") {
      h.claims(worker, client, {{1, {kEpoch - 1, 1}, wire::ClaimState::running, 1}});
      h.ready(worker);
      h.say(worker,
            wire::Results{session,
                          kEpoch - 1,
                          true,
                          1,
                          {{1, 1, 50'000, wire::Outcome::crashed, wire::Payload(std::string_view("x"))}}});
    }
    h.commit();
    h.advance(10s);
    h.commit();
    CHECK(h.assigned(worker, client).empty());
    std::vector<JournalRecord> records;
    for (const std::string& written : h.disk().rows) {
      const auto decoded = decode_row(written);
      REQUIRE(decoded);
      records.insert(records.end(), decoded->begin(), decoded->end());
    }
    bool refused = false;
    for (const JournalRecord& record : records) {
      if (const auto* said = std::get_if<SpecRecord>(&record)) CHECK(said->minor == kNewer);
      const auto* final = std::get_if<FinalRecord>(&record);
      refused = refused || (final != nullptr && final->answer.outcome == wire::Outcome::refused);
    }
    CHECK(refused);
    h.expect<wire::Welcome>();
  }

  TEST_CASE("a record of the journal keeps the fields that a newer broker or client has added") {
    const wire::Tail tail{1, 0, "\x07"};
    wire::TaskSpec spec;
    spec.tail = {1, wire::kFieldCount<wire::TaskSpec> - wire::kRequiredFields<wire::TaskSpec>, "\x07"};
    spec.directory = "/data";
    std::string row;
    append_record(row, SpecRecord{{}, 1, spec, 0});
    append_record(row, TaskRecord{{}, 1, 1, 0, wire::Payload(std::string_view("arg")).with_tail(tail)});
    const auto records = decode_row(row);
    REQUIRE(records);
    CHECK(std::get<SpecRecord>((*records)[0]).content == spec);
    CHECK(std::get<TaskRecord>((*records)[1]).payload.tail().bytes == "\x07");
  }
}

}  // namespace weft::broker
