// SPDX-License-Identifier: MIT
// The life of one task: every transition of the drawing in PROTOCOL.md section 3.
#include "tests/unit/scheduler_harness.hpp"

namespace weft::broker {

namespace {

using wire::DeliveryKind;
using wire::Outcome;

wire::DeliveryRecord record(std::uint64_t seq, DeliveryKind kind, Outcome outcome, std::uint32_t retries_used,
                            std::uint32_t crashes, const std::string& payload) {
  return {seq, kind, outcome, retries_used, crashes, wire::Payload(payload)};
}

wire::DeliveryRecord cancelled(std::uint64_t seq) {
  return {seq, DeliveryKind::final, Outcome::cancelled, 0, 0, error_payload("it was cancelled")};
}

/// One client with spec 1, one worker with one slot.
struct Stage {
  explicit Stage(const wire::TaskSpec& spec = any_spec()) { h.define(client, 1, spec); }
  Harness h;
  TestClient client = h.join_client("client");
  TestWorker worker = h.join_worker("worker");
};

wire::TaskSpec spec_with_retries(std::uint32_t retries, std::uint64_t delay_ms = 0) {
  wire::TaskSpec spec = any_spec();
  spec.retries = retries;
  spec.retry_delay_ms = delay_ms;
  return spec;
}

}  // namespace

TEST_SUITE("scheduler, tasks") {
  TEST_CASE("a submitted task is received, its spec told to the worker, and assigned, in one step") {
    Stage s;
    s.h.submit(s.client, 1);
    CHECK(s.h.take() == Actions{s.h.received(s.client, 1), s.h.define_for(s.worker, s.client, 1),
                                s.h.assign(s.worker, s.client, 1, 1)});
  }

  TEST_CASE("a task that is submitted before any worker is there goes to the first that comes") {
    Harness h;
    TestClient client = h.join_client("client");
    h.define(client, 1, any_spec());
    h.submit(client, 1);
    CHECK(h.take() == Actions{h.received(client, 1)});
    TestWorker worker = h.join_worker("worker");
    CHECK(h.take() == Actions{h.define_for(worker, client, 1), h.assign(worker, client, 1, 1)});
  }

  TEST_CASE("a spec is told to a worker once, however many tasks it has") {
    Stage s;
    s.h.submit(s.client, 1, 2);
    s.h.expect<wire::Received, wire::DefineFor, wire::Assign>();
    s.h.result(s.worker, s.client, 1);
    CHECK(s.h.take() == Actions{s.h.assign(s.worker, s.client, 2, 2), s.h.deliver_ok(s.client, 1, 1)});
  }

  TEST_CASE("a result is delivered at once, and released at the worker when its client has acknowledged it") {
    Stage s;
    s.h.submit(s.client, 1);
    s.h.expect<wire::Received, wire::DefineFor, wire::Assign>();
    s.h.result(s.worker, s.client, 1);
    CHECK(s.h.take() == Actions{s.h.deliver_ok(s.client, 1, 1)});
    CHECK(s.h.status().finished == 1);
    s.h.ack(s.client, 1);
    CHECK(s.h.take() == Actions{s.h.release(s.worker, s.client, 1)});
  }

  TEST_CASE("an ACK releases what it covers at each worker, with one message for each") {
    Harness h;
    TestClient client = h.join_client("client");
    TestWorker first = h.join_worker("first");
    TestWorker second = h.join_worker("second");
    h.define(client, 1, any_spec());
    h.submit(client, 1, 5);
    for (const std::uint64_t seq : {std::uint64_t{1}, std::uint64_t{3}}) {
      h.result(first, client, seq, Outcome::ok, "", 200'000);  // long ones are not prefetched
      h.result(second, client, seq + 1, Outcome::ok, "", 200'000);
    }
    h.result(first, client, 5, Outcome::ok, "", 200'000);
    h.expect<wire::Received, wire::DefineFor, wire::Assign, wire::Deliver>();
    h.ack(client, 4);
    CHECK(h.take() == Actions{h.release(first, client, 2), h.release(second, client, 2)});
    h.ack(client, 5);
    CHECK(h.take() == Actions{h.release(first, client, 3)});
  }

  TEST_CASE("STARTED is passed on as RUNNING, once") {
    Stage s;
    s.h.submit(s.client, 1);
    s.h.expect<wire::Received, wire::DefineFor, wire::Assign>();
    s.h.started(s.worker, s.client, 1);
    CHECK(s.h.take() == Actions{s.h.to(s.client, wire::Running{{1}})});
    s.h.started(s.worker, s.client, 1);
    CHECK(s.h.take() == Actions{});
  }

  TEST_CASE("a task that is returned is assigned again, uncharged and with a new attempt number") {
    Stage s;
    s.h.submit(s.client, 1);
    s.h.expect<wire::Received, wire::DefineFor, wire::Assign>();
    s.h.returned(s.worker, s.client, 1);
    CHECK(s.h.take() == Actions{s.h.assign(s.worker, s.client, 1, 2)});
  }

  TEST_CASE("a failure without retries is final and bears the error as it came") {
    Stage s;
    s.h.submit(s.client, 1);
    s.h.expect<wire::Received, wire::DefineFor, wire::Assign>();
    s.h.result(s.worker, s.client, 1, Outcome::failed, "why");
    CHECK(s.h.take() ==
          Actions{s.h.deliver(s.client, 1, {record(1, DeliveryKind::final, Outcome::failed, 0, 0, "why")})});
  }

  TEST_CASE("failures and time-outs use retries, each told to the client, and the last failure is final") {
    Stage s(spec_with_retries(2));
    s.h.submit(s.client, 1);
    s.h.expect<wire::Received, wire::DefineFor, wire::Assign>();
    s.h.result(s.worker, s.client, 1, Outcome::failed, "a");
    CHECK(s.h.take() ==
          Actions{s.h.assign(s.worker, s.client, 1, 2, 1, 2),
                  s.h.deliver(s.client, 1, {record(1, DeliveryKind::charged, Outcome::failed, 1, 0, "a")})});
    s.h.result(s.worker, s.client, 1, Outcome::timed_out, "b");
    CHECK(
        s.h.take() ==
        Actions{s.h.assign(s.worker, s.client, 1, 3, 1, 3),
                s.h.deliver(s.client, 2, {record(1, DeliveryKind::charged, Outcome::timed_out, 2, 0, "b")})});
    s.h.result(s.worker, s.client, 1, Outcome::failed, "c");
    CHECK(s.h.take() ==
          Actions{s.h.deliver(s.client, 3, {record(1, DeliveryKind::final, Outcome::failed, 2, 0, "c")})});
  }

  TEST_CASE("a retry that succeeds is a success that bears the retries used") {
    Stage s(spec_with_retries(1));
    s.h.submit(s.client, 1);
    s.h.result(s.worker, s.client, 1, Outcome::failed, "a");
    s.h.expect<wire::Received, wire::DefineFor, wire::Assign, wire::Deliver>();
    s.h.result(s.worker, s.client, 1);
    CHECK(s.h.take() ==
          Actions{s.h.deliver(s.client, 2, {record(1, DeliveryKind::final, Outcome::ok, 1, 0, "result")})});
  }

  TEST_CASE("a retry waits for retry_delay and not a moment longer") {
    Stage s(spec_with_retries(1, 1500));
    s.h.submit(s.client, 1);
    s.h.expect<wire::Received, wire::DefineFor, wire::Assign>();
    s.h.result(s.worker, s.client, 1, Outcome::failed, "a");
    CHECK(s.h.take() ==
          Actions{s.h.deliver(s.client, 1, {record(1, DeliveryKind::charged, Outcome::failed, 1, 0, "a")})});
    CHECK(s.h.status().queued == 1);
    s.h.advance(1499ms);
    CHECK(s.h.take() == Actions{});
    s.h.advance(1ms);
    CHECK(s.h.take() == Actions{s.h.assign(s.worker, s.client, 1, 2, 1, 2)});
  }

  TEST_CASE("a delayed task holds up nobody") {
    Stage s(spec_with_retries(1, 1500));
    s.h.submit(s.client, 1, 2);
    s.h.expect<wire::Received, wire::DefineFor, wire::Assign>();
    s.h.result(s.worker, s.client, 1, Outcome::failed, "a");
    CHECK(s.h.take() ==
          Actions{s.h.assign(s.worker, s.client, 2, 2),
                  s.h.deliver(s.client, 1, {record(1, DeliveryKind::charged, Outcome::failed, 1, 0, "a")})});
  }

  TEST_CASE("a crash charges a crash and no retry; the next attempt is alone and does not wait") {
    Stage s(spec_with_retries(1, 1500));
    s.h.submit(s.client, 1);
    s.h.expect<wire::Received, wire::DefineFor, wire::Assign>();
    s.h.result(s.worker, s.client, 1, Outcome::crashed, "signal 11");
    CHECK(s.h.take() ==
          Actions{s.h.assign(s.worker, s.client, 1, 2, 1, 2, true),
                  s.h.deliver(s.client, 1,
                              {record(1, DeliveryKind::charged, Outcome::crashed, 0, 1, "signal 11")})});
  }

  TEST_CASE("the crash that reaches crash_limit is final") {
    wire::TaskSpec spec = any_spec();
    spec.crash_limit = 2;
    Stage s(spec);
    s.h.submit(s.client, 1);
    s.h.result(s.worker, s.client, 1, Outcome::crashed, "once");
    s.h.expect<wire::Received, wire::DefineFor, wire::Assign, wire::Deliver>();
    s.h.result(s.worker, s.client, 1, Outcome::crashed, "twice");
    CHECK(s.h.take() == Actions{s.h.deliver(
                            s.client, 2, {record(1, DeliveryKind::final, Outcome::crashed, 0, 2, "twice")})});
    CHECK(s.h.status().assigned == 0);
  }

  TEST_CASE("an attempt that was cancelled though nobody asked for it goes back uncharged") {
    Stage s;
    s.h.submit(s.client, 1);
    s.h.expect<wire::Received, wire::DefineFor, wire::Assign>();
    s.h.result(s.worker, s.client, 1, Outcome::cancelled, "");
    CHECK(s.h.take() == Actions{s.h.release(s.worker, s.client, 1), s.h.assign(s.worker, s.client, 1, 2)});
  }

  TEST_CASE("whatever an old attempt says but a success changes nothing") {
    Stage s;
    s.h.submit(s.client, 1);
    const wire::Attempt old = s.h.attempt(s.worker, s.client, 1);
    s.h.returned(s.worker, s.client, 1);
    s.h.expect<wire::Received, wire::DefineFor, wire::Assign>();
    s.h.say(s.worker, wire::Started{s.client.session, {{1, old}}});
    s.h.say(s.worker, wire::Returned{s.client.session, {{1, old}}});
    CHECK(s.h.take() == Actions{});
    for (const Outcome outcome : {Outcome::failed, Outcome::crashed, Outcome::timed_out, Outcome::cancelled,
                                  Outcome::cannot_start, Outcome::unschedulable}) {
      CAPTURE(static_cast<int>(outcome));
      s.h.result(s.worker, s.client, 1, outcome, "late", 1000, old);
      CHECK(s.h.take() == Actions{s.h.release(s.worker, s.client, s.worker.outbox[s.client.session])});
    }
    s.h.result(s.worker, s.client, 1);
    CHECK(s.h.take() == Actions{s.h.deliver_ok(s.client, 1, 1)});
  }

  TEST_CASE("an attempt number of another epoch is another attempt") {
    Stage s;
    s.h.submit(s.client, 1);
    s.h.expect<wire::Received, wire::DefineFor, wire::Assign>();
    s.h.result(s.worker, s.client, 1, Outcome::failed, "late", 1000, wire::Attempt{kEpoch + 1, 1});
    CHECK(s.h.take() == Actions{s.h.release(s.worker, s.client, 1)});
    CHECK(s.h.status().assigned == 1);
  }

  TEST_CASE("the success of an old attempt completes the task, and the current one is told to stop") {
    Stage s;
    s.h.submit(s.client, 1);
    const wire::Attempt old = s.h.attempt(s.worker, s.client, 1);
    s.h.returned(s.worker, s.client, 1);
    s.h.expect<wire::Received, wire::DefineFor, wire::Assign>();
    s.h.result(s.worker, s.client, 1, Outcome::ok, "early bird", 1000, old);
    CHECK(s.h.take() ==
          Actions{s.h.revoke(s.worker, s.client, 1, 2), s.h.deliver_ok(s.client, 1, 1, "early bird")});
    SUBCASE("its own success then is of no use") { s.h.result(s.worker, s.client, 1); }
    SUBCASE("or it is stopped") { s.h.result(s.worker, s.client, 1, Outcome::cancelled, ""); }
    CHECK(s.h.take() == Actions{});
    s.h.ack(s.client, 1);
    CHECK(s.h.take() == Actions{s.h.release(s.worker, s.client, 2)});
    CHECK(s.h.status().assigned == 0);
  }

  TEST_CASE("the success of an old attempt completes a task that is queued again") {
    Stage s;
    TestWorker other = s.h.join_worker("other");
    s.h.submit(s.client, 1, 2);
    const wire::Attempt old = s.h.attempt(s.worker, s.client, 1);
    s.h.say(s.worker, wire::Draining{});
    s.h.returned(s.worker, s.client, 1);
    s.h.expect<wire::Received, wire::DefineFor, wire::Assign>();
    CHECK(s.h.status().queued == 1);
    s.h.result(s.worker, s.client, 1, Outcome::ok, "result", 1000, old);
    CHECK(s.h.take() == Actions{s.h.deliver_ok(s.client, 1, 1)});
    CHECK(s.h.status().queued == 0);
  }

  TEST_CASE("a queued task is cancelled at once") {
    Harness h;
    TestClient client = h.join_client("client");
    h.define(client, 1, any_spec());
    h.submit(client, 1);
    h.expect<wire::Received>();
    h.cancel(client, 1);
    CHECK(h.take() == Actions{h.deliver(client, 1, {cancelled(1)})});
    CHECK(h.status().queued == 0);
    TestWorker worker = h.join_worker("worker");
    CHECK(h.take() == Actions{});
  }

  TEST_CASE("a delayed task is cancelled at once") {
    Stage s(spec_with_retries(1, 1500));
    s.h.submit(s.client, 1);
    s.h.result(s.worker, s.client, 1, Outcome::failed, "a");
    s.h.expect<wire::Received, wire::DefineFor, wire::Assign, wire::Deliver>();
    s.h.cancel(s.client, 1);
    wire::DeliveryRecord expected = cancelled(1);
    expected.retries_used = 1;
    CHECK(s.h.take() == Actions{s.h.deliver(s.client, 2, {expected})});
    s.h.advance(3s);
    CHECK(s.h.take() == Actions{});
  }

  TEST_CASE(
      "the client of an assigned task has its answer at once, but the slot is taken until the worker says "
      "so") {
    Stage s;
    s.h.submit(s.client, 1, 2);
    SUBCASE("assigned") {}
    SUBCASE("running") { s.h.started(s.worker, s.client, 1); }
    s.h.expect_only<wire::Received, wire::DefineFor, wire::Assign, wire::Running>();
    s.h.cancel(s.client, 1);
    CHECK(s.h.take() ==
          Actions{s.h.revoke(s.worker, s.client, 1, 1), s.h.deliver(s.client, 1, {cancelled(1)})});
    s.h.ack(s.client, 1);
    CHECK(s.h.take() == Actions{});
    SUBCASE("a result that came first is of no use") {
      s.h.result(s.worker, s.client, 1);
      CHECK(s.h.take() == Actions{s.h.release(s.worker, s.client, 1), s.h.assign(s.worker, s.client, 2, 2)});
    }
    SUBCASE("it was stopped") {
      s.h.result(s.worker, s.client, 1, Outcome::cancelled, "");
      CHECK(s.h.take() == Actions{s.h.release(s.worker, s.client, 1), s.h.assign(s.worker, s.client, 2, 2)});
    }
    SUBCASE("a crash while it is being stopped is not charged") {
      s.h.result(s.worker, s.client, 1, Outcome::crashed, "");
      CHECK(s.h.take() == Actions{s.h.release(s.worker, s.client, 1), s.h.assign(s.worker, s.client, 2, 2)});
    }
    SUBCASE("it never started") {
      s.h.returned(s.worker, s.client, 1);
      CHECK(s.h.take() == Actions{s.h.assign(s.worker, s.client, 2, 2)});
    }
  }

  TEST_CASE("to cancel what is unknown, finished or cancelled changes nothing") {
    Stage s;
    s.h.submit(s.client, 1, 2);
    s.h.result(s.worker, s.client, 1);
    s.h.cancel(s.client, 2);
    s.h.expect<wire::Received, wire::DefineFor, wire::Assign, wire::Revoke, wire::Deliver>();
    s.h.cancel(s.client, 1);
    s.h.cancel(s.client, 2);
    s.h.cancel(s.client, 3);
    CHECK(s.h.take() == Actions{});
  }

  TEST_CASE("a spec that its client forgot goes with its last task, at the workers too") {
    Stage s;
    s.h.submit(s.client, 1);
    s.h.expect<wire::Received, wire::DefineFor, wire::Assign>();
    s.h.say(s.client, wire::Forget{1});
    CHECK(s.h.take() == Actions{});
    s.h.result(s.worker, s.client, 1);
    CHECK(s.h.take() ==
          Actions{s.h.to(s.worker, wire::ForgetFor{s.client.session, 1}), s.h.deliver_ok(s.client, 1, 1)});
    s.h.say(s.client, wire::Forget{1});
    CHECK(s.h.take() == Actions{});
  }

  TEST_CASE("a task of a spec that was not defined is malformed, and costs its client the connection") {
    Stage s;
    s.h.submit(s.client, 9);
    CHECK(s.h.take() == Actions{s.h.to(s.client, wire::Refuse{wire::RefuseCode::malformed,
                                                              "task 1 names spec 9, which was not defined"}),
                                ForgetPeer{s.client.peer}});
  }

  TEST_CASE("a task that comes twice is taken once") {
    Stage s;
    s.h.submit(s.client, 1);
    s.h.expect<wire::Received, wire::DefineFor, wire::Assign>();
    s.client.next_seq = 1;
    s.h.submit(s.client, 1);
    CHECK(s.h.take() == Actions{s.h.received(s.client, 1)});
  }

  TEST_CASE("what is answered in one step is delivered in one message") {
    Harness h;
    TestClient client = h.join_client("client");
    h.define(client, 1, any_spec());
    h.submit(client, 1, 3);
    h.expect<wire::Received>();
    h.say(client, wire::Cancel{{3, 1, 2}});
    CHECK(h.take() == Actions{h.deliver(client, 1, {cancelled(3), cancelled(1), cancelled(2)})});
  }
}

}  // namespace weft::broker
