// SPDX-License-Identifier: MIT
// Clients that come, read slowly, are lost, come back and leave. PROTOCOL.md sections 4 and 5.
#include "tests/unit/scheduler_harness.hpp"

namespace weft::broker {

namespace {

using wire::DeliveryKind;
using wire::Outcome;

wire::DeliveryRecord ok(std::uint64_t seq, const std::string& payload = "result") {
  return {seq, DeliveryKind::final, Outcome::ok, 0, 0, wire::Payload(payload)};
}

/// One client with spec 1, one worker with as many slots as the test needs.
struct Stage {
  explicit Stage(Settings settings = test_settings()) : h(std::move(settings)) {
    h.define(client, 1, any_spec());
  }
  Harness h;
  TestClient client = h.join_client("client");
  TestWorker worker = h.join_worker("worker", {.slots = 100});
};

}  // namespace

TEST_SUITE("scheduler, clients") {
  TEST_CASE(
      "a client that resumes is told which tasks have arrived, and gets every delivery that it lacks again") {
    Stage s;
    s.h.submit(s.client, 1, 3);
    for (const std::uint64_t seq : {1u, 2u, 3u})
      s.h.result(s.worker, s.client, seq, Outcome::ok, "r" + std::to_string(seq));
    s.h.disconnect(s.client);
    s.h.expect<wire::Received, wire::DefineFor, wire::Assign, wire::Deliver, ForgetPeer>();
    s.h.hello(s.client, 1);
    CHECK(s.h.take() == Actions{s.h.welcome(s.client, true, 3), s.h.release(s.worker, s.client, 1),
                                s.h.deliver(s.client, 2, {ok(2, "r2"), ok(3, "r3")})});
    s.h.synced(s.client);
    CHECK(s.h.take() == Actions{});
    s.h.ack(s.client, 3);
    CHECK(s.h.take() == Actions{s.h.release(s.worker, s.client, 3)});
  }

  TEST_CASE("what a client acknowledged to another broker means nothing here") {
    Stage s;
    s.h.submit(s.client, 1);
    s.h.result(s.worker, s.client, 1);
    s.h.disconnect(s.client);
    s.h.expect<wire::Received, wire::DefineFor, wire::Assign, wire::Deliver, ForgetPeer>();
    s.h.hello(s.client, 1, kEpoch + 1);
    CHECK(s.h.take() == Actions{s.h.welcome(s.client, true, 1), s.h.deliver_ok(s.client, 1, 1)});
  }

  TEST_CASE("results that come while their client is away wait for it") {
    Stage s;
    s.h.submit(s.client, 1);
    s.h.disconnect(s.client);
    s.h.expect<wire::Received, wire::DefineFor, wire::Assign, ForgetPeer>();
    s.h.result(s.worker, s.client, 1);
    s.h.advance(1s);
    CHECK(s.h.take() == Actions{});
    s.h.hello(s.client);
    CHECK(s.h.take() == Actions{s.h.welcome(s.client, true, 1), s.h.deliver_ok(s.client, 1, 1)});
    s.h.advance(10s);
    CHECK(s.h.take() == Actions{});
  }

  TEST_CASE("a lost client's tasks go on for the grace, then they are cancelled and its session ends") {
    Stage s;
    s.h.submit(s.client, 1);
    s.h.disconnect(s.client);
    CHECK(std::get<ForgetPeer>(s.h.take().back()) == ForgetPeer{s.client.peer});
    s.h.advance(1999ms);
    CHECK(s.h.take() == Actions{});
    CHECK(s.h.status().client_list.at(0).state == "lost");
    s.h.advance(1ms);
    CHECK(s.h.take() == Actions{s.h.revoke(s.worker, s.client, 1, 1)});
    s.h.result(s.worker, s.client, 1, Outcome::cancelled, "");
    CHECK(s.h.take() ==
          Actions{s.h.release(s.worker, s.client, 1), s.h.to(s.worker, wire::EndSession{s.client.session})});
    CHECK(s.h.status().clients == 0);
  }

  TEST_CASE("GOODBYE ends a session without grace") {
    Stage s;
    s.h.submit(s.client, 1, 2);
    s.h.result(s.worker, s.client, 1);
    s.h.expect<wire::Received, wire::DefineFor, wire::Assign, wire::Deliver>();
    s.h.say(s.client, wire::Goodbye{"finished"});
    CHECK(s.h.take() == Actions{ForgetPeer{s.client.peer}, s.h.revoke(s.worker, s.client, 2, 2),
                                s.h.release(s.worker, s.client, 1)});
    s.h.returned(s.worker, s.client, 2);
    CHECK(s.h.take() == Actions{s.h.to(s.worker, wire::EndSession{s.client.session})});
    CHECK(s.h.status().clients == 0);
    CHECK(s.h.status().queued_bytes == 0);
  }

  TEST_CASE("a session that is just being ended is not resumed: its client is sent away for a moment") {
    Stage s;
    s.h.submit(s.client, 1);
    s.h.say(s.client, wire::Goodbye{});
    s.h.expect<wire::Received, wire::DefineFor, wire::Assign, wire::Revoke, ForgetPeer>();
    s.h.hello(s.client);
    CHECK(s.h.take() == Actions{s.h.to(s.client, wire::Refuse{wire::RefuseCode::unknown_peer,
                                                              "this session is just being ended: try again"}),
                                ForgetPeer{s.client.peer}});
    s.h.result(s.worker, s.client, 1);
    s.h.expect<wire::Release, wire::EndSession>();
    s.h.hello(s.client);
    CHECK(s.h.take() == Actions{s.h.welcome(s.client, false)});
  }

  TEST_CASE("a session whose last worker is lost while it is being ended is over") {
    Stage s;
    s.h.submit(s.client, 1);
    s.h.say(s.client, wire::Goodbye{});
    s.h.disconnect(s.worker);
    s.h.expect<wire::Received, wire::DefineFor, wire::Assign, wire::Revoke, ForgetPeer>();
    s.h.advance(100ms);
    CHECK(s.h.take() == Actions{});
    CHECK(s.h.status().clients == 0);
  }

  TEST_CASE("a new connection of a client ends its older one") {
    Stage s;
    const PeerId older = s.client.peer;
    s.h.hello(s.client);
    CHECK(s.h.take() == Actions{ForgetPeer{older}, s.h.welcome(s.client, true)});
    s.h.step(PeerGone{older});
    CHECK(s.h.take() == Actions{});
  }

  TEST_CASE("a HELLO from before its session began anew, which comes late, changes nothing") {
    Stage s;
    s.h.submit(s.client, 1, 2);
    s.h.result(s.worker, s.client, 1, Outcome::ok, "r1");
    s.h.expect<wire::Received, wire::DefineFor, wire::Assign, wire::Deliver>();
    TestClient late = s.client;
    s.h.hello(late, 69, kEpoch);
    CHECK(s.h.take() ==
          Actions{s.h.to(late, wire::Refuse{wire::RefuseCode::unknown_peer,
                                            "this HELLO is older than the session: say it again"}),
                  ForgetPeer{late.peer}});
    s.h.result(s.worker, s.client, 2, Outcome::ok, "r2");
    CHECK(s.h.take() == Actions{s.h.deliver(s.client, 2, {ok(2, "r2")})});
    s.h.disconnect(s.client);
    s.h.expect<ForgetPeer>();
    s.h.hello(s.client, 0, kEpoch);
    CHECK(s.h.take() ==
          Actions{s.h.welcome(s.client, true, 2), s.h.deliver(s.client, 1, {ok(1, "r1"), ok(2, "r2")})});
  }

  TEST_CASE("RELEASE is sent again for a result that was already seen, never before its client has it") {
    Stage s;
    s.h.submit(s.client, 1, 2);
    s.h.result(s.worker, s.client, 1);
    s.h.result(s.worker, s.client, 2);
    s.h.ack(s.client, 1);
    s.h.hello(s.worker);
    s.h.claims(s.worker, s.client, {{2, {kEpoch, 2}, wire::ClaimState::done}});
    s.h.ready(s.worker);
    s.h.expect<wire::Welcome, wire::Received, wire::DefineFor, wire::Assign, wire::Deliver, wire::Release,
               ForgetPeer>();
    const wire::ResultRecord again{2, 2, 1000, Outcome::ok, wire::Payload(std::string_view("result"))};
    s.h.say(s.worker, wire::Results{s.client.session, kEpoch, true, 2, {again}});
    CHECK(s.h.take() == Actions{});
    s.h.ack(s.client, 2);
    CHECK(s.h.take() == Actions{s.h.release(s.worker, s.client, 2)});
    s.h.say(s.worker, wire::Results{s.client.session, kEpoch, true, 2, {again}});
    CHECK(s.h.take() == Actions{s.h.release(s.worker, s.client, 2)});
  }

  TEST_CASE("a worker that is just coming back lets go of nothing until it has claimed what it has") {
    Stage s;
    s.h.submit(s.client, 1);
    s.h.result(s.worker, s.client, 1);
    s.h.hello(s.worker);
    s.h.expect<wire::Welcome, wire::Received, wire::DefineFor, wire::Assign, wire::Deliver, ForgetPeer>();
    s.h.ack(s.client, 1);
    CHECK(s.h.take() == Actions{});  // a RELEASE would discard a result that the CLAIMS under way still name
    s.h.claims(s.worker, s.client, {{1, {kEpoch, 1}, wire::ClaimState::done}});
    s.h.ready(s.worker);
    const wire::ResultRecord again{1, 1, 1000, Outcome::ok, wire::Payload(std::string_view("result"))};
    s.h.say(s.worker, wire::Results{s.client.session, kEpoch, true, 1, {again}});
    CHECK(s.h.take() == Actions{s.h.release(s.worker, s.client, 1)});
  }

  TEST_CASE("results are taken in order: what comes after a gap waits for a fresh batch") {
    Stage s;
    s.h.submit(s.client, 1, 3);
    s.h.expect<wire::Received, wire::DefineFor, wire::Assign>();
    const auto batch = [&](bool fresh, std::uint64_t first, std::vector<std::uint64_t> seqs) {
      wire::Results results{s.client.session, kEpoch, fresh, first, {}};
      for (const auto seq : seqs)
        results.records.push_back({seq, seq, 1, Outcome::ok, wire::Payload(std::string_view("r"))});
      s.h.say(s.worker, results);
    };
    batch(false, 1, {1});
    CHECK(s.h.take() == Actions{});  // not fresh: the results before it are not known
    batch(true, 1, {1});
    CHECK(s.h.take() == Actions{s.h.deliver(s.client, 1, {ok(1, "r")})});
    batch(false, 3, {3});
    CHECK(s.h.take() == Actions{});
    batch(true, 1, {1, 2, 3});
    CHECK(s.h.take() == Actions{s.h.deliver(s.client, 2, {ok(2, "r"), ok(3, "r")})});
    s.h.ack(s.client, 3);
    CHECK(s.h.take() == Actions{s.h.release(s.worker, s.client, 3)});
  }

  TEST_CASE("acknowledging more than was ever delivered does no harm") {
    Stage s;
    s.h.submit(s.client, 1);
    s.h.result(s.worker, s.client, 1);
    s.h.expect<wire::Received, wire::DefineFor, wire::Assign, wire::Deliver>();
    s.h.ack(s.client, ~std::uint64_t{0});
    CHECK(s.h.take() == Actions{s.h.release(s.worker, s.client, 1)});
    s.h.submit(s.client, 1);
    s.h.result(s.worker, s.client, 2);
    s.h.expect<wire::Received, wire::Assign, wire::Deliver>();
    s.h.ack(s.client, 2);
    CHECK(s.h.take() == Actions{s.h.release(s.worker, s.client, 2)});
  }

  TEST_CASE(
      "a task that is announced again while its answer is on its way to the client does not run again") {
    Harness h;
    TestClient client = h.join_client("client");
    TestWorker worker = h.join_worker("worker");
    h.advance(3s);  // the adoption window has passed
    h.define(client, 1, any_spec());
    h.submit(client, 1);
    h.result(worker, client, 1);
    CHECK(h.assigned(worker, client) == std::vector<std::uint64_t>{1});
    h.expect<wire::Received, wire::DefineFor, wire::Assign, wire::Deliver>();
    h.disconnect(client);
    const auto announce_again = [&] {
      h.say(client, wire::Reannounce{{{1, 1, 0, 0, 0, wire::Payload(std::string_view("arg"))}}});
    };
    SUBCASE("it has not seen the answer") {
      h.hello(client);
      announce_again();
      h.synced(client);
      CHECK(h.assigned(worker, client) == std::vector<std::uint64_t>{1});
    }
    SUBCASE("it has seen the answer, and the result is lost: said by its HELLO") {
      h.hello(client, 1);
      announce_again();
      h.synced(client);
      CHECK(h.assigned(worker, client) == std::vector<std::uint64_t>{1, 1});
    }
    SUBCASE("by an ACK") {
      h.hello(client);
      h.ack(client, 1);
      announce_again();
      h.synced(client);
      CHECK(h.assigned(worker, client) == std::vector<std::uint64_t>{1, 1});
    }
    h.expect_only<ForgetPeer, wire::Welcome, wire::Deliver, wire::Received, wire::Release, wire::DefineFor,
                  wire::Assign>();
  }
}

}  // namespace weft::broker
