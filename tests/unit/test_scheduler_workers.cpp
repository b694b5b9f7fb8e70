// SPDX-License-Identifier: MIT
// Workers that join, leave, are lost and come back. PROTOCOL.md section 4.
#include "tests/unit/scheduler_harness.hpp"

namespace weft::broker {

namespace {

using wire::ClaimState;
using wire::DeliveryKind;
using wire::Outcome;

/// The broker's error for a task whose worker was lost at `at`, running since `since` (0: not known).
wire::Payload loss(const TestWorker& worker, const std::string& how, Time since, Time at) {
  const auto ms = [](Time time) { return time.time_since_epoch().count() / 1000; };
  return wire::Payload(wire::encode_error({.message = "the worker was lost: " + how,
                                           .worker = worker.name,
                                           .host = "host",
                                           .started_ms = ms(since),
                                           .ended_ms = ms(at)}));
}

wire::DeliveryRecord crashed(DeliveryKind kind, std::uint64_t seq, std::uint32_t crashes,
                             wire::Payload payload) {
  return {seq, kind, Outcome::crashed, 0, crashes, std::move(payload)};
}

/// One client with spec 1, one worker with one slot, and task 1 assigned to it.
struct Stage {
  explicit Stage(const wire::TaskSpec& spec = any_spec()) {
    h.define(client, 1, spec);
    h.submit(client, 1);
    h.expect<wire::Received, wire::DefineFor, wire::Assign>();
  }
  Harness h;
  TestClient client = h.join_client("client");
  TestWorker worker = h.join_worker("worker");
};

wire::TaskSpec once() {
  wire::TaskSpec spec = any_spec();
  spec.crash_limit = 1;
  return spec;
}

}  // namespace

TEST_SUITE("scheduler, workers") {
  TEST_CASE("a worker gets nothing before READY") {
    Harness h;
    TestClient client = h.join_client("client");
    h.define(client, 1, any_spec());
    h.submit(client, 1);
    h.expect<wire::Received>();
    TestWorker worker{uuid(99), "worker"};
    h.hello(worker);
    CHECK(h.take() == Actions{h.welcome(worker, false)});
    h.ready(worker);
    CHECK(h.take() == Actions{h.define_for(worker, client, 1), h.assign(worker, client, 1, 1)});
  }

  TEST_CASE("a worker without a slot is refused") {
    Harness h;
    TestWorker worker{uuid(99), "worker"};
    h.hello(worker, {.slots = 0});
    CHECK(h.take() == Actions{h.to(worker, wire::Refuse{wire::RefuseCode::not_allowed,
                                                        "a worker needs at least one slot"}),
                              ForgetPeer{worker.peer}});
  }

  TEST_CASE("a name that a connected worker has is taken, and the refusal names the holder") {
    Harness h;
    h.join_worker("box", {.host = "rack1"});
    TestWorker second{uuid(99), "box"};
    h.hello(second);
    CHECK(h.take() ==
          Actions{h.to(second, wire::Refuse{wire::RefuseCode::name_taken,
                                            "a worker called 'box' has joined already, from host rack1 with "
                                            "pid 42: give this one another --name"}),
                  ForgetPeer{second.peer}});
  }

  TEST_CASE("a new worker under the name of a lost one takes its place at once, and its tasks") {
    Stage s;
    s.h.disconnect(s.worker);
    CHECK(s.h.take() == Actions{ForgetPeer{s.worker.peer}});
    TestWorker successor{uuid(99), "worker"};
    s.h.hello(successor);
    CHECK(s.h.take() == Actions{s.h.welcome(successor, false)});
    s.h.ready(successor);
    CHECK(s.h.take() ==
          Actions{s.h.define_for(successor, s.client, 1), s.h.assign(successor, s.client, 1, 2)});
  }

  TEST_CASE("the name of a worker that has left is free") {
    Harness h;
    TestWorker worker = h.join_worker("box");
    h.say(worker, wire::Goodbye{"done"});
    CHECK(h.take() == Actions{ForgetPeer{worker.peer}});
    h.join_worker("box");
    CHECK(h.status().workers == 1);
  }

  TEST_CASE(
      "a broken connection is forgiven for 100 ms, then started tasks are charged and the others are not") {
    Harness h;
    TestClient client = h.join_client("client");
    TestWorker worker = h.join_worker("worker", {.slots = 2});
    h.define(client, 1, any_spec());
    h.submit(client, 1, 2);
    h.started(worker, client, 1);
    const Time started = h.now();
    TestWorker other = h.join_worker_later("other", {.slots = 2});
    h.disconnect(worker);
    CHECK(h.take() == Actions{ForgetPeer{worker.peer}});
    h.advance(89ms);
    CHECK(h.take() == Actions{});
    h.advance(1ms);
    CHECK(h.take() ==
          Actions{h.define_for(other, client, 1),
                  h.to(other, wire::Assign{client.session,
                                           {{1, 3, 1, 2, true, wire::Payload(std::string_view("arg"))},
                                            {2, 4, 1, 1, false, wire::Payload(std::string_view("arg"))}}}),
                  h.deliver(client, 1,
                            {crashed(DeliveryKind::charged, 1, 1,
                                     loss(worker, "its connection broke", started, h.now()))})});
  }

  TEST_CASE("a silent worker is lost after heartbeat interval times liveness, without grace") {
    Stage s;
    s.h.started(s.worker, s.client, 1);
    s.h.expect<wire::Running>();
    const Time heard = s.h.now();
    s.h.fall_silent(s.worker.peer);
    s.h.advance(2999ms);
    CHECK(s.h.take() == Actions{});
    s.h.advance(600ms);
    const Actions actions = s.h.take();
    REQUIRE(actions.size() == 2);
    CHECK(actions[0] == Action{ForgetPeer{s.worker.peer}});
    CHECK(s.h.noticed(NoticeKind::worker_lost, "nothing was heard of it for 3.0 s") == 1);
    const auto& deliver = std::get<wire::Deliver>(std::get<Send>(actions[1]).message);
    REQUIRE(deliver.records.size() == 1);
    const auto info = wire::decode_error(deliver.records[0].payload.inline_bytes());
    REQUIRE(info);
    CHECK(info->message == "the worker was lost: no heartbeat");
    CHECK(info->ended_ms - heard.time_since_epoch().count() / 1000 <= 3500);
    CHECK(s.h.status().workers == 0);
  }

  TEST_CASE("a broker that was frozen gives everybody a fresh window") {
    Stage s;
    TestWorker other = s.h.join_worker("other");
    s.h.freeze(60s);
    CHECK(s.h.take() == Actions{});
    CHECK(s.h.status().workers == 2);
    s.h.fall_silent(other.peer);
    s.h.advance(2500ms);
    CHECK(s.h.take() == Actions{});
    s.h.advance(1000ms);
    CHECK(s.h.take() == Actions{ForgetPeer{other.peer}});
  }

  TEST_CASE("the time that a broker was frozen is nobody's silence, though it was short") {
    Stage s;
    TestWorker other = s.h.join_worker("other");
    s.h.fall_silent(other.peer);
    s.h.advance(1300ms);
    s.h.freeze(1800ms);  // a heartbeat of the worker may wait in the broker's socket
    CHECK(s.h.take() == Actions{});
    CHECK(s.h.status().workers == 2);
  }

  TEST_CASE("a worker whose connection broke just before the broker froze may still come back") {
    Stage s;
    s.h.disconnect(s.worker);
    s.h.expect<ForgetPeer>();
    s.h.freeze(60s);
    CHECK(s.h.take() == Actions{});
    s.h.advance(89ms);
    s.h.hello(s.worker);
    CHECK(s.h.take() == Actions{s.h.welcome(s.worker, true)});
  }

  TEST_CASE("with crash_limit 1 an assigned task counts as started when its worker is lost") {
    Stage s(once());
    s.h.disconnect(s.worker);
    s.h.expect<ForgetPeer>();
    s.h.advance(90ms);
    CHECK(s.h.take() ==
          Actions{s.h.deliver(s.client, 1,
                              {crashed(DeliveryKind::final, 1, 1,
                                       loss(s.worker, "its connection broke", Time{}, s.h.now()))})});
    s.h.join_worker("another");
    CHECK(s.h.take() == Actions{});
  }

  TEST_CASE("with crash_limit 1 a task that never reached its worker is assigned again") {
    Stage s(once());
    s.h.disconnect(s.worker);
    s.h.hello(s.worker);
    s.h.expect<wire::Welcome, ForgetPeer>();
    s.h.ready(s.worker);
    CHECK(s.h.take() == Actions{s.h.define_for(s.worker, s.client, 1), s.h.assign(s.worker, s.client, 1, 2)});
  }

  TEST_CASE("GOODBYE gives tasks back uncharged and at once") {
    Stage s;
    s.h.started(s.worker, s.client, 1);
    TestWorker other = s.h.join_worker_later("other");
    s.h.say(s.worker, wire::Goodbye{"told to stop"});
    CHECK(s.h.take() == Actions{ForgetPeer{s.worker.peer}, s.h.define_for(other, s.client, 1),
                                s.h.assign(other, s.client, 1, 2)});
    CHECK(s.h.noticed(NoticeKind::worker_left, "told to stop") == 1);
  }

  TEST_CASE("a draining worker finishes what it has and gets nothing new") {
    Stage s;
    s.h.submit(s.client, 1);
    s.h.expect<wire::Received>();
    s.h.say(s.worker, wire::Draining{});
    CHECK(s.h.take() == Actions{});
    REQUIRE(s.h.status().worker_list.size() == 1);
    CHECK(s.h.status().worker_list[0].state == "draining");
    s.h.result(s.worker, s.client, 1);
    CHECK(s.h.take() == Actions{s.h.deliver_ok(s.client, 1, 1)});
    s.h.ack(s.client, 1);
    CHECK(s.h.take() == Actions{s.h.release(s.worker, s.client, 1)});
    CHECK(s.h.status().queued == 1);
  }

  TEST_CASE("a worker that comes back keeps what it claims: nothing is assigned or charged again") {
    Stage s;
    s.h.disconnect(s.worker);
    s.h.expect<ForgetPeer>();
    s.h.advance(50ms);
    s.h.hello(s.worker);
    CHECK(s.h.take() == Actions{s.h.welcome(s.worker, true)});
    s.h.claims(s.worker, s.client, {{1, {kEpoch, 1}, ClaimState::running}});
    s.h.ready(s.worker);
    s.h.advance(10s);
    CHECK(s.h.take() == Actions{});
    s.h.result(s.worker, s.client, 1, Outcome::ok, "result", 1000, wire::Attempt{kEpoch, 1});
    CHECK(s.h.take() == Actions{s.h.deliver_ok(s.client, 1, 1)});
  }

  TEST_CASE("a task that a returning worker claims as running is charged when it is lost afterwards") {
    Stage s;
    s.h.hello(s.worker);
    s.h.claims(s.worker, s.client, {{1, {kEpoch, 1}, ClaimState::running}});
    s.h.ready(s.worker);
    const Time since = s.h.now();
    s.h.disconnect(s.worker);
    s.h.expect<wire::Welcome, ForgetPeer>();
    s.h.advance(90ms);
    CHECK(s.h.take() ==
          Actions{s.h.deliver(s.client, 1,
                              {crashed(DeliveryKind::charged, 1, 1,
                                       loss(s.worker, "its connection broke", since, s.h.now()))})});
  }

  TEST_CASE("a new connection of a worker ends its older one") {
    Stage s;
    const PeerId older = s.worker.peer;
    s.h.hello(s.worker);
    CHECK(s.h.take() == Actions{ForgetPeer{older}, s.h.welcome(s.worker, true)});
    s.h.claims(s.worker, s.client, {{1, {kEpoch, 1}, ClaimState::queued}});
    s.h.ready(s.worker);
    CHECK(s.h.take() == Actions{});
    s.h.step(PeerGone{older});
    s.h.advance(1s);
    CHECK(s.h.take() == Actions{});
  }

  TEST_CASE(
      "an ASSIGN that was lost with a connection is made again, and so is what it needs to know of the "
      "spec") {
    Stage s;
    s.h.hello(s.worker);
    s.h.expect<wire::Welcome, ForgetPeer>();
    s.h.ready(s.worker);
    CHECK(s.h.take() == Actions{s.h.define_for(s.worker, s.client, 1), s.h.assign(s.worker, s.client, 1, 2)});
  }

  TEST_CASE("a task that is announced again while an attempt of it is being stopped is run again") {
    Stage s;
    s.h.advance(2s);  // the adoption window is over
    s.h.cancel(s.client, 1);
    s.h.expect<wire::Revoke, wire::Deliver>();
    // As after a lost result: the task's client has no answer.
    s.h.say(s.client, wire::Reannounce{{{1, 1, 0, 0, 0, wire::Payload(std::string_view("arg"))}}});
    CHECK(s.h.take() == Actions{s.h.received(s.client, 1)});  // the attempt being stopped has the slot
    CHECK(s.h.status().queued == 1);
    s.h.result(s.worker, s.client, 1, Outcome::cancelled, "");
    CHECK(s.h.take() == Actions{s.h.assign(s.worker, s.client, 1, 2)});
    s.h.result(s.worker, s.client, 1);
    CHECK(s.h.take() == Actions{s.h.deliver_ok(s.client, 2, 1)});
  }

  TEST_CASE("an ASSIGN is lost even when the worker still has an older attempt of the task") {
    wire::TaskSpec spec = any_spec();
    spec.retries = 1;
    Stage s(spec);
    s.h.result(s.worker, s.client, 1, Outcome::failed, "a");  // without an ACK the worker stores it
    s.h.hello(s.worker);
    s.h.expect<wire::Welcome, wire::Assign, wire::Deliver, ForgetPeer>();
    s.h.claims(s.worker, s.client, {{1, {kEpoch, 1}, ClaimState::done}});
    s.h.ready(s.worker);
    CHECK(s.h.take() ==
          Actions{s.h.define_for(s.worker, s.client, 1), s.h.assign(s.worker, s.client, 1, 3, 1, 2)});
  }

  TEST_CASE("a failure that was counted is not counted again when its worker comes back with it") {
    wire::TaskSpec spec = any_spec();
    spec.retries = 1;
    spec.retry_delay_ms = 2000;
    Stage s(spec);
    s.h.result(s.worker, s.client, 1, Outcome::failed, "a");
    s.h.hello(s.worker);
    s.h.expect<wire::Welcome, wire::Deliver, ForgetPeer>();
    s.h.claims(s.worker, s.client, {{1, {kEpoch, 1}, ClaimState::done}});
    s.h.ready(s.worker);
    CHECK(s.h.take() == Actions{});
    s.worker.outbox[s.client.session] = 0;
    s.h.result(s.worker, s.client, 1, Outcome::failed, "a", 1000, wire::Attempt{kEpoch, 1});
    CHECK(s.h.take() == Actions{});
    s.h.advance(2s);
    CHECK(s.h.take() ==
          Actions{s.h.define_for(s.worker, s.client, 1), s.h.assign(s.worker, s.client, 1, 2, 1, 2)});
  }

  TEST_CASE("a task that was cancelled while its worker was away is stopped when it comes back") {
    Stage s;
    s.h.disconnect(s.worker);
    s.h.cancel(s.client, 1);
    s.h.hello(s.worker);
    s.h.expect<wire::Welcome, wire::Deliver, ForgetPeer>();
    s.h.claims(s.worker, s.client, {{1, {kEpoch, 1}, ClaimState::running}});
    s.h.ready(s.worker);
    CHECK(s.h.take() == Actions{s.h.revoke(s.worker, s.client, 1, 1)});
    SUBCASE("by its result") {
      s.h.result(s.worker, s.client, 1, Outcome::cancelled, "", 0, wire::Attempt{kEpoch, 1});
    }
    SUBCASE("or by not having it after all") {
      s.h.hello(s.worker);
      s.h.ready(s.worker);
    }
    s.h.expect_only<wire::Welcome, ForgetPeer>();
    CHECK(s.h.status().assigned == 0);
  }

  TEST_CASE("a lost worker that returns must stop what runs elsewhere by now, but its success still counts") {
    Stage s;
    s.h.started(s.worker, s.client, 1);
    s.h.disconnect(s.worker);
    s.h.advance(100ms);
    TestWorker other = s.h.join_worker_later("other");
    s.h.ack(s.client, 1);
    s.h.hello(s.worker);
    CHECK(s.h.take() == Actions{s.h.welcome(s.worker, false)});
    s.h.claims(s.worker, s.client, {{1, {kEpoch, 1}, ClaimState::running}});
    s.h.ready(s.worker);
    CHECK(s.h.take() == Actions{s.h.revoke(s.worker, s.client, 1, 1)});
    SUBCASE("stopped") {
      s.h.result(s.worker, s.client, 1, Outcome::cancelled, "", 0, wire::Attempt{kEpoch, 1});
      CHECK(s.h.take() == Actions{s.h.release(s.worker, s.client, 1)});
      CHECK(s.h.status().assigned == 1);
    }
    SUBCASE("finished first") {
      s.h.result(s.worker, s.client, 1, Outcome::ok, "result", 1000, wire::Attempt{kEpoch, 1});
      CHECK(s.h.take() == Actions{s.h.revoke(other, s.client, 1, 2),
                                  s.h.deliver(s.client, 2,
                                              {{1, DeliveryKind::final, Outcome::ok, 0, 1,
                                                wire::Payload(std::string_view("result"))}})});
    }
  }

  TEST_CASE("a lost worker that returns keeps a task that nobody else has taken") {
    Stage s;
    s.h.started(s.worker, s.client, 1);
    s.h.disconnect(s.worker);
    s.h.advance(100ms);
    s.h.hello(s.worker);
    s.h.expect<wire::Welcome, wire::Running, wire::Deliver, ForgetPeer>();
    s.h.claims(s.worker, s.client, {{1, {kEpoch, 1}, ClaimState::running}});
    s.h.ready(s.worker);
    CHECK(s.h.take() == Actions{});
    CHECK(s.h.status().assigned == 1);
    s.h.result(s.worker, s.client, 1, Outcome::ok, "result", 1000, wire::Attempt{kEpoch, 1});
    CHECK(s.h.take() == Actions{s.h.deliver(s.client, 2,
                                            {{1, DeliveryKind::final, Outcome::ok, 0, 1,
                                              wire::Payload(std::string_view("result"))}})});
  }
}

}  // namespace weft::broker
