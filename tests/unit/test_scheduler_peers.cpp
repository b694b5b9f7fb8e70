// SPDX-License-Identifier: MIT
// Bad connections: unknown peers, garbage, the wrong role, another version. PROTOCOL.md section 1.
#include <algorithm>
#include <limits>

#include "tests/unit/scheduler_harness.hpp"

namespace weft::broker {

namespace {

constexpr PeerId kStranger = 1000;

Send refusal(PeerId peer, wire::RefuseCode code, const std::string& text) {
  return {peer, wire::Refuse{code, text}};
}

}  // namespace

TEST_SUITE("scheduler, peers") {
  TEST_CASE("a valid message from a connection that has not said HELLO is refused") {
    Harness h;
    h.say(kStranger, wire::Ready{});
    CHECK(h.take() == Actions{refusal(kStranger, wire::RefuseCode::unknown_peer,
                                      "say HELLO first: this broker does not know you"),
                              ForgetPeer{kStranger}});
    h.say(kStranger, wire::Goodbye{});
    CHECK(h.take() == Actions{ForgetPeer{kStranger}});
  }

  TEST_CASE("garbage from a stranger is answered with nothing") {
    Harness h;
    h.step(ReceivedGarbage{kStranger, "not a Weft message", false});
    CHECK(h.take() == Actions{ForgetPeer{kStranger}});
  }

  TEST_CASE("another major version is refused with both named, to strangers and others") {
    Harness h;
    TestWorker worker = h.join_worker("worker");
    for (const PeerId peer : {kStranger, worker.peer}) {
      h.step(ReceivedGarbage{peer, "the peer speaks 2.0 and this side 1.0", true});
      CHECK(h.take() ==
            Actions{refusal(peer, wire::RefuseCode::version, "the peer speaks 2.0 and this side 1.0"),
                    ForgetPeer{peer}});
    }
    CHECK(h.status().worker_list.at(0).state == "lost");
  }

  TEST_CASE("garbage from a known peer costs it the connection, and nobody else anything") {
    Harness h;
    TestClient client = h.join_client("client");
    TestClient other = h.join_client("other");
    TestWorker worker = h.join_worker("worker");
    h.step(ReceivedGarbage{worker.peer, "malformed RESULTS", false});
    CHECK(h.take() == Actions{refusal(worker.peer, wire::RefuseCode::malformed, "malformed RESULTS"),
                              ForgetPeer{worker.peer}});
    h.step(ReceivedGarbage{client.peer, "malformed SUBMIT", false});
    CHECK(h.take() == Actions{refusal(client.peer, wire::RefuseCode::malformed, "malformed SUBMIT"),
                              ForgetPeer{client.peer}});
    CHECK(h.noticed(NoticeKind::message_refused, "malformed SUBMIT") == 1);
    CHECK(h.scheduler().knows(other.peer));
    CHECK(h.status().clients == 2);  // the lost client may come back within its grace period
    h.hello(client);
    CHECK(h.take() == Actions{h.welcome(client, true)});
  }

  TEST_CASE("a message of the wrong role is not allowed, and costs the connection") {
    Harness h;
    TestClient client = h.join_client("client");
    TestWorker worker = h.join_worker("worker");
    SUBCASE("a client") {
      const std::vector<wire::Message> wrong = {wire::Ready{},       wire::Results{},    wire::Claims{},
                                                wire::Started{},     wire::Draining{},   wire::Assign{},
                                                wire::Welcome{},     wire::Refuse{},     wire::Status{},
                                                wire::HelloWorker{}, wire::HelloClient{}};
      for (const wire::Message& message : wrong) {
        h.say(client, message);
        CHECK(h.take() == Actions{refusal(client.peer, wire::RefuseCode::not_allowed,
                                          "a client does not send this: " + describe(message)),
                                  ForgetPeer{client.peer}});
        h.hello(client);
        h.expect<wire::Welcome>();
      }
    }
    SUBCASE("a worker") {
      const std::vector<wire::Message> wrong = {wire::Define{}, wire::Submit{},     wire::Cancel{},
                                                wire::Ack{},    wire::Synced{},     wire::Deliver{},
                                                wire::Drop{},   wire::HelloWorker{}};
      for (const wire::Message& message : wrong) {
        h.say(worker, message);
        CHECK(h.take() == Actions{refusal(worker.peer, wire::RefuseCode::not_allowed,
                                          "a worker does not send this: " + describe(message)),
                                  ForgetPeer{worker.peer}});
        h.hello(worker);
        h.ready(worker);
        h.expect<wire::Welcome>();
      }
    }
  }

  TEST_CASE("an amount of a resource that cannot be counted with is malformed, from either side") {
    Harness h;
    for (const double amount :
         {-1.0, std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
      TestClient client{uuid(100), "client"};
      h.hello(client);
      h.expect<wire::Welcome>();
      wire::TaskSpec spec = any_spec();
      spec.resources = {{"gpu", amount}};
      h.define(client, 1, spec);
      CHECK(h.take() ==
            Actions{refusal(client.peer, wire::RefuseCode::malformed,
                            "spec 1 needs an amount of a resource that is negative or not a number"),
                    ForgetPeer{client.peer}});
      TestWorker worker{uuid(101), "worker"};
      h.hello(worker, {.resources = {{"gpu", amount}}});
      CHECK(h.take() == Actions{refusal(worker.peer, wire::RefuseCode::malformed,
                                        "an amount of a resource is negative or not a number"),
                                ForgetPeer{worker.peer}});
    }
  }

  TEST_CASE("anyone may ask for the status, without a HELLO") {
    Harness h;
    h.join_worker("worker", {.slots = 3});
    h.say(kStranger, wire::StatusRequest{false});
    Actions actions = h.take();
    REQUIRE(actions.size() == 2);
    const auto& brief = std::get<wire::Status>(std::get<Send>(actions[0]).message);
    CHECK(actions[1] == Action{ForgetPeer{kStranger}});
    CHECK(brief.epoch == kEpoch);
    CHECK(brief.slots == 3);
    CHECK(brief.worker_list.empty());
    h.say(kStranger, wire::StatusRequest{true});
    actions = h.take();
    CHECK(std::get<wire::Status>(std::get<Send>(actions.at(0)).message).worker_list.size() == 1);
  }

  TEST_CASE("status counts what is there") {
    Harness h;
    TestClient client = h.join_client("client");
    TestWorker worker = h.join_worker("worker", {.slots = 2});
    h.define(client, 1, any_spec());
    h.submit(client, 1, 5);
    h.result(worker, client, 1, wire::Outcome::ok, "", 50'000);
    h.advance(2500ms);
    h.expect<wire::Received, wire::DefineFor, wire::Assign, wire::Deliver>();
    const wire::Status status = h.status();
    CHECK(status.uptime_ms == 2500);
    CHECK(status.workers == 1);
    CHECK(status.slots == 2);
    CHECK(status.slots_busy == 2);
    CHECK(status.clients == 1);
    CHECK(status.queued == 2);
    CHECK(status.assigned == 2);
    CHECK(status.finished == 1);
    CHECK(status.queued_bytes == 4 * 3);
    REQUIRE(status.worker_list.size() == 1);
    CHECK(status.worker_list[0].state == "busy");
    CHECK(status.worker_list[0].pid == 42);
    CHECK(status.worker_list[0].finished == 1);
    REQUIRE(status.client_list.size() == 1);
    CHECK(status.client_list[0].queued == 2);
    CHECK(status.client_list[0].assigned == 2);
    CHECK(status.client_list[0].finished == 1);
    CHECK(status.client_list[0].session == client.session.text(8));
  }

  TEST_CASE("a broker that is told to stop says GOODBYE to everybody") {
    Harness h;
    TestClient client = h.join_client("client");
    TestWorker worker = h.join_worker("worker");
    h.step(Shutdown{"the broker was told to stop"});
    const Actions actions = h.take();
    CHECK(actions.size() == 2);
    for (const PeerId peer : {client.peer, worker.peer}) {
      CHECK(std::count(actions.begin(), actions.end(),
                       Action{Send{peer, wire::Goodbye{"the broker was told to stop"}}}) == 1);
    }
  }

  TEST_CASE("the end of a connection that was never known changes nothing") {
    Harness h;
    h.step(PeerGone{kStranger});
    CHECK(h.take() == Actions{});
  }

  TEST_CASE("any message counts as a heartbeat, a STATUS_REQUEST too") {
    Harness h;
    TestClient client = h.join_client("client");
    TestWorker worker = h.join_worker("worker");
    h.fall_silent(client.peer);
    h.fall_silent(worker.peer);
    for (int i = 0; i < 10; ++i) {
      h.advance(1s);
      h.say(worker, wire::Draining{});
      h.say(client, wire::StatusRequest{false});
    }
    for (const Action& action : h.take()) CHECK(std::holds_alternative<Send>(action));
    CHECK(h.status().workers == 1);
    REQUIRE(h.status().client_list.size() == 1);
    CHECK(h.status().client_list[0].state == "connected");
  }

  TEST_CASE("a peer that the broker has nothing to say to hears a heartbeat in time") {
    Harness h;
    TestWorker worker = h.join_worker("worker");
    h.advance(10s);
    CHECK(h.heartbeats(worker.peer) >= 6);  // each within an interval and a half
    CHECK(h.heartbeats(worker.peer) <= 10);
  }

  TEST_CASE("a session that ends while a worker is joining: what the worker has claimed of it is void") {
    Harness h;
    h.advance(3s);  // the adoption window has passed
    TestClient client = h.join_client("client");
    TestWorker worker = h.join_worker("worker");
    h.define(client, 1, any_spec());
    h.submit(client, 1);
    h.result(worker, client, 1);
    h.expect<wire::Received, wire::DefineFor, wire::Assign, wire::Deliver>();
    h.disconnect(worker);
    h.hello(worker);
    h.claims(worker, client, {{1, {kEpoch, 1}, wire::ClaimState::done, 1}});
    h.say(client, wire::Goodbye{""});
    h.expect<wire::Welcome, wire::EndSession, ForgetPeer>();  // the worker drops its result
    h.ready(worker);
    CHECK(h.take() == Actions{});

    h.hello(client);
    h.define(client, 1, any_spec());
    h.say(client, wire::Reannounce{{{1, 1, 0, 0, 0, wire::Payload(std::string_view("arg"))}}});
    h.synced(client);
    CHECK(h.assigned(worker, client) == std::vector<std::uint64_t>{1});  // without waiting for RESULTS
    h.expect<wire::Welcome, wire::Received, wire::DefineFor, wire::Assign>();
  }
}

}  // namespace weft::broker
