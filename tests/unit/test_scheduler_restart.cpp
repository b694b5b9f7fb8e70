// SPDX-License-Identifier: MIT
// A broker that was killed and started again knows nothing: workers claim what they run, clients say
// again what they asked for, and the two may come in any order. PROTOCOL.md section 4.
#include <algorithm>

#include "tests/unit/scheduler_harness.hpp"

namespace weft::broker {

namespace {

using wire::ClaimState;
using wire::Outcome;

constexpr std::uint64_t kOldEpoch = 5;
const wire::Attempt kOldAttempt{kOldEpoch, 12};

wire::Payload text(std::string_view text) { return wire::Payload(text); }

wire::ReannounceRecord announced(std::uint64_t seq) { return {seq, 1, 0, 0, 0, text("arg")}; }

/// A new broker, and a client and a worker of the old one that have not connected yet.
struct Stage {
  Harness h;
  TestClient client{uuid(101), "client"};
  TestWorker worker{uuid(102), "worker"};

  /// The client connects and defines spec 1.
  void client_comes() {
    h.hello(client, 7, kOldEpoch);
    CHECK(h.take() == Actions{h.welcome(client, false)});
    h.define(client, 1, any_spec());
  }
  void reannounce(std::vector<wire::ReannounceRecord> tasks) {
    h.say(client, wire::Reannounce{std::move(tasks)});
  }
  /// The client connects and says that task 1 is all that it has open.
  void client_announces() {
    client_comes();
    reannounce({announced(1)});
    h.synced(client);
    h.skip();
  }
  void worker_comes(std::vector<wire::ClaimRecord> tasks) {
    h.hello(worker);
    CHECK(h.take() == Actions{h.welcome(worker, false)});
    if (!tasks.empty()) h.claims(worker, client, std::move(tasks));
    h.ready(worker);
  }
  Send resend() const { return h.to(worker, wire::Resend{client.session}); }
  void old_result(std::uint64_t seq, Outcome outcome = Outcome::ok, bool fresh = true,
                  std::uint64_t outbox = 1) {
    h.say(worker, wire::Results{client.session,
                                kOldEpoch,
                                fresh,
                                outbox,
                                {{seq, kOldAttempt.number, 1000, outcome, text("result")}}});
  }
  /// The worker says how both of its attempts of task 1 ended: the failure of attempt 3 counts for nothing,
  /// the success of the later one is the answer.
  void second_of_two_counts() {
    h.say(worker, wire::Results{client.session,
                                kOldEpoch,
                                true,
                                1,
                                {{1, 3, 1000, Outcome::failed, text("it was counted long ago")}}});
    CHECK(h.take() == Actions{h.release(worker, client, 1)});
    old_result(1, Outcome::ok, false, 2);
    CHECK(h.take() == Actions{h.deliver_ok(client, 1, 1)});
  }
};

}  // namespace

TEST_SUITE("scheduler, restart") {
  TEST_CASE("a new task is assigned at once, a re-announced one when the adoption window has passed") {
    Stage s;
    s.worker_comes({});
    s.client_comes();
    s.reannounce({announced(1)});
    CHECK(s.h.take() == Actions{s.h.received(s.client, 1)});
    s.h.advance(1999ms);
    CHECK(s.h.take() == Actions{});
    CHECK(s.h.status().queued == 1);
    s.client.next_seq = 2;
    s.h.submit(s.client, 1);
    CHECK(s.h.take() == Actions{s.h.received(s.client, 2), s.h.define_for(s.worker, s.client, 1),
                                s.h.assign(s.worker, s.client, 2, 1)});
    s.h.result(s.worker, s.client, 2);
    s.h.ack(s.client, 1);
    s.h.skip();
    s.h.advance(1ms);
    CHECK(s.h.take() == Actions{s.h.assign(s.worker, s.client, 1, 2)});
  }

  TEST_CASE("a re-announced task keeps its counters and is assigned at once after the window") {
    Stage s;
    s.h.advance(2s);
    s.worker_comes({});
    s.client_comes();
    s.reannounce({{1, 1, 2, 1, 0, text("arg")}});
    CHECK(s.h.take() == Actions{s.h.received(s.client, 1), s.h.define_for(s.worker, s.client, 1),
                                s.h.assign(s.worker, s.client, 1, 1, 1, 4, true)});
  }

  TEST_CASE("a broker that was frozen in its adoption window opens it anew") {
    Stage s;
    s.client_announces();
    s.h.advance(1s);
    s.h.freeze(60s);  // the claim waits in its socket meanwhile
    s.worker_comes({});
    s.h.advance(1999ms);
    s.h.skip();
    CHECK(s.h.status().queued == 1);
    TestWorker other{uuid(103), "other"};
    s.h.hello(other);
    s.h.claims(other, s.client, {{1, kOldAttempt, ClaimState::running}});
    s.h.ready(other);
    s.h.skip();
    CHECK(s.h.status().queued == 0);
    s.h.advance(1s);
    CHECK(s.h.status().assigned == 1);
    CHECK(s.h.take() == Actions{});  // adopted, not started again
  }

  TEST_CASE("a broker that was frozen after its adoption window does not open it again") {
    Stage s;
    s.h.advance(2s);
    s.h.freeze(60s);
    s.worker_comes({});
    s.client_comes();
    s.reannounce({announced(1)});
    CHECK(s.h.take() == Actions{s.h.received(s.client, 1), s.h.define_for(s.worker, s.client, 1),
                                s.h.assign(s.worker, s.client, 1, 1)});
  }

  TEST_CASE("a session that workers claim has its whole time to come, though the broker was frozen") {
    Stage s;
    s.worker_comes({{1, kOldAttempt, ClaimState::running}});
    s.h.advance(1s);
    s.h.freeze(60s);
    s.h.advance(6999ms);
    CHECK(s.h.take() == Actions{});
    s.h.hello(s.client, 7, kOldEpoch);
    CHECK(s.h.take() == Actions{s.h.welcome(s.client, false)});
  }

  TEST_CASE("what a worker of an earlier broker had not started waits for another claim when it is lost") {
    Stage s;
    s.client_announces();
    s.worker_comes({{1, kOldAttempt, ClaimState::queued}});
    TestWorker other{uuid(103), "other"};
    s.h.hello(other);
    s.h.ready(other);
    s.h.disconnect(s.worker);
    s.h.skip();
    s.h.advance(1s);
    s.h.skip();
    CHECK(s.h.status().queued == 1);  // nobody was given it yet
    s.h.advance(1s);
    CHECK(s.h.take() == Actions{s.h.define_for(other, s.client, 1), s.h.assign(other, s.client, 1, 1)});
  }

  TEST_CASE("what a worker of an earlier broker had done is not charged when that worker is lost") {
    Stage s;
    s.client_announces();
    s.worker_comes({{1, kOldAttempt, ClaimState::done}});
    s.h.disconnect(s.worker);
    s.h.skip();
    s.h.advance(3s);
    CHECK(s.h.take() == Actions{});
    CHECK(s.h.status().queued == 1);
  }

  TEST_CASE("a task that waits for a claim can be cancelled") {
    Stage s;
    s.client_announces();
    s.h.cancel(s.client, 1);
    CHECK(s.h.take() == Actions{s.h.deliver(s.client, 1,
                                            {{1, wire::DeliveryKind::final, Outcome::cancelled, 0, 0,
                                              error_payload("it was cancelled")}})});
    s.worker_comes({{1, kOldAttempt, ClaimState::running}});
    CHECK(s.h.take() == Actions{s.h.revoke(s.worker, s.client, 1, kOldAttempt.number,
                                           wire::RevokeMode::cancel, kOldEpoch)});
  }

  TEST_CASE("queue_timeout goes on from what was waited under earlier brokers") {
    Stage s;
    s.h.advance(2s);
    s.h.hello(s.client, 0, kOldEpoch);
    wire::TaskSpec spec = any_spec();
    spec.queue_timeout_ms = 5000;
    s.h.define(s.client, 1, spec);
    s.reannounce({{1, 1, 0, 0, 4000, text("arg")}});
    s.h.skip();
    s.h.advance(999ms);
    CHECK(s.h.take() == Actions{});
    s.h.advance(1ms);
    CHECK(s.h.take().size() == 1);
    CHECK(s.h.status().queued == 0);
  }

  TEST_CASE("a claim that finds its task is adopted, with the attempt that the worker names") {
    Stage s;
    s.client_announces();
    s.worker_comes({{1, kOldAttempt, ClaimState::running}});
    CHECK(s.h.take() == Actions{});
    s.h.advance(10s);
    CHECK(s.h.take() == Actions{});
    CHECK(s.h.status().assigned == 1);
    s.old_result(1);
    CHECK(s.h.take() == Actions{s.h.deliver_ok(s.client, 1, 1)});
    s.h.ack(s.client, 1);
    CHECK(s.h.take() == Actions{s.h.release(s.worker, s.client, 1)});
  }

  TEST_CASE(
      "a failure that an earlier broker counted and told nobody is counted when its worker says it again") {
    Stage s;
    TestWorker other{uuid(103), "other"};
    s.worker_comes({{1, {kOldEpoch, 2}, ClaimState::done, 1}, {1, {kOldEpoch, 3}, ClaimState::done, 2}});
    s.h.hello(other);
    s.h.claims(other, s.client, {{1, kOldAttempt, ClaimState::queued, 3}});
    s.h.ready(other);
    s.h.skip();
    s.client_comes();
    s.reannounce({{1, 1, 0, 1, 0, text("arg")}});
    s.h.synced(s.client);
    s.h.skip();
    const auto crash = [&](std::uint64_t outbox, std::uint64_t number) {
      s.h.say(s.worker, wire::Results{s.client.session,
                                      kOldEpoch,
                                      true,
                                      outbox,
                                      {{1, number, 1000, Outcome::crashed, text("crash")}}});
    };
    const auto charged = [&](std::uint64_t delivery, std::uint32_t crashes) {
      return s.h.deliver(s.client, delivery,
                         {{1, wire::DeliveryKind::charged, Outcome::crashed, 0, crashes, text("crash")}});
    };
    crash(1, 2);  // of this one its client was told
    CHECK(s.h.take() == Actions{s.h.release(s.worker, s.client, 1)});
    crash(2, 3);
    CHECK(s.h.take() == Actions{charged(1, 2)});
    CHECK(s.h.status().assigned == 1);  // the later attempt goes on
  }

  TEST_CASE("a failure of an adopted attempt counts") {
    Stage s;
    s.client_announces();
    s.worker_comes({{1, kOldAttempt, ClaimState::running}});
    s.old_result(1, Outcome::failed);
    CHECK(s.h.take() ==
          Actions{s.h.deliver(s.client, 1,
                              {{1, wire::DeliveryKind::final, Outcome::failed, 0, 0, text("result")}})});
  }

  TEST_CASE("a claim that comes before its session is kept until the task is announced") {
    Stage s;
    s.worker_comes({{1, kOldAttempt, ClaimState::running}});
    s.h.advance(1s);
    CHECK(s.h.take() == Actions{});
    s.client_comes();
    s.reannounce({announced(1)});
    s.h.synced(s.client);
    CHECK(s.h.take() == Actions{s.h.received(s.client, 1), s.resend()});
    CHECK(s.h.status().assigned == 1);
    s.h.advance(60s);
    CHECK(s.h.take() == Actions{});
    s.old_result(1);
    CHECK(s.h.take() == Actions{s.h.deliver_ok(s.client, 1, 1)});
  }

  TEST_CASE("a claim for a task that its client does not have open any more is revoked at SYNCED") {
    Stage s;
    s.worker_comes({{1, kOldAttempt, ClaimState::running}, {2, kOldAttempt, ClaimState::done}});
    s.client_comes();
    CHECK(s.h.take() == Actions{});
    s.h.synced(s.client);
    CHECK(s.h.take() ==
          Actions{s.h.revoke(s.worker, s.client, 1, kOldAttempt.number, wire::RevokeMode::cancel, kOldEpoch),
                  s.resend()});
  }

  TEST_CASE("results that come before their session are asked for again when it says SYNCED") {
    Stage s;
    s.worker_comes({{1, kOldAttempt, ClaimState::done}});
    s.old_result(1);
    CHECK(s.h.take() == Actions{});
    s.client_comes();
    s.reannounce({announced(1)});
    s.h.skip();
    s.h.synced(s.client);
    CHECK(s.h.take() == Actions{s.resend()});
    s.old_result(1);
    CHECK(s.h.take() == Actions{s.h.deliver_ok(s.client, 1, 1)});
  }

  TEST_CASE(
      "results that come before their task is announced are asked for again when its session says SYNCED") {
    Stage s;
    s.client_comes();
    s.worker_comes({{1, kOldAttempt, ClaimState::done}});
    s.old_result(1);
    CHECK(s.h.take() == Actions{});
    s.reannounce({announced(1)});
    CHECK(s.h.take() == Actions{s.h.received(s.client, 1)});
    s.h.synced(s.client);
    CHECK(s.h.take() == Actions{s.resend()});
    s.old_result(1);
    CHECK(s.h.take() == Actions{s.h.deliver_ok(s.client, 1, 1)});
  }

  TEST_CASE("a result that nobody has open is released") {
    Stage s;
    s.client_comes();
    s.h.synced(s.client);
    s.worker_comes({{1, kOldAttempt, ClaimState::done}});
    CHECK(s.h.take() == Actions{});
    s.old_result(1);
    CHECK(s.h.take() == Actions{s.h.release(s.worker, s.client, 1)});
  }

  TEST_CASE("END_SESSION goes out, once, when the session of a claim does not come") {
    Stage s;
    s.worker_comes({{1, kOldAttempt, ClaimState::running}, {2, kOldAttempt, ClaimState::queued}});
    s.h.advance(63'999ms);
    CHECK(s.h.take() == Actions{});
    s.h.advance(1ms);  // the adoption window and the minute of a client that does not come
    CHECK(s.h.take() == Actions{s.h.to(s.worker, wire::EndSession{s.client.session})});
    s.h.advance(60s);
    CHECK(s.h.take() == Actions{});
  }

  TEST_CASE("the session of a claim is waited for no longer than a silent client would be") {
    Settings settings = test_settings();
    settings.max_client_silence = 10s;
    Stage s{.h = Harness(settings)};
    s.worker_comes({{1, kOldAttempt, ClaimState::running}});
    s.h.advance(13'999ms);
    CHECK(s.h.take() == Actions{});
    s.h.advance(1ms);
    CHECK(s.h.take() == Actions{s.h.to(s.worker, wire::EndSession{s.client.session})});
  }

  TEST_CASE("a session that comes and goes without SYNCED is ended at the workers that claimed tasks of it") {
    Stage s;
    s.client_comes();
    s.worker_comes({{1, kOldAttempt, ClaimState::running}});
    s.h.disconnect(s.client);
    s.h.skip();
    s.h.advance(5s);
    CHECK(s.h.take() == Actions{s.h.to(s.worker, wire::EndSession{s.client.session})});
    CHECK(s.h.status().clients == 0);
  }

  TEST_CASE(
      "a session is over when its workers have stopped what nobody needs, and has its resources until then") {
    Stage s;
    wire::TaskSpec gpu = any_spec();
    gpu.resources = {{"gpu", 1}};
    s.h.hello(s.worker, {.slots = 2, .resources = {{"gpu", 1}}});
    s.h.claims(s.worker, s.client, {{1, kOldAttempt, ClaimState::running}});
    s.h.ready(s.worker);
    s.h.skip();
    s.client_comes();
    s.h.synced(s.client);
    s.h.say(s.client, wire::Goodbye{});
    TestClient other{uuid(104), "other"};
    s.h.hello(other);
    s.h.define(other, 1, gpu);
    s.h.synced(other);
    s.h.skip();
    s.h.submit(other, 1);
    CHECK(s.h.take() == Actions{s.h.received(other, 1)});
    SUBCASE("it has stopped it") {
      s.old_result(1, Outcome::cancelled);
      CHECK(s.h.take() == Actions{s.h.release(s.worker, s.client, 1), s.h.define_for(s.worker, other, 1),
                                  s.h.assign(s.worker, other, 1, 1),
                                  s.h.to(s.worker, wire::EndSession{s.client.session})});
    }
    SUBCASE("it is lost") {
      s.h.disconnect(s.worker);
      s.h.advance(100ms);
      s.h.skip();
    }
    CHECK(s.h.status().clients == 1);
  }

  TEST_CASE("a task that may be started once fails when an earlier broker may have started it again") {
    Stage s;
    wire::TaskSpec once = any_spec();
    once.crash_limit = 1;
    once.retries = 3;
    s.h.hello(s.client, 7, kOldEpoch);
    s.h.define(s.client, 1, once);
    s.reannounce({announced(1)});
    s.h.synced(s.client);
    s.h.skip();
    s.worker_comes({{1, kOldAttempt, ClaimState::done, 1}});
    s.h.skip();
    SUBCASE("the attempt failed, and that broker may have heard of it") { s.old_result(1, Outcome::failed); }
    SUBCASE("the attempt was stopped, when its client was given up") { s.old_result(1, Outcome::cancelled); }
    std::vector<wire::DeliveryRecord> delivered;
    for (const Action& action : s.h.take()) {
      const auto* send = std::get_if<Send>(&action);
      if (const auto* deliver = send != nullptr ? std::get_if<wire::Deliver>(&send->message) : nullptr)
        delivered.insert(delivered.end(), deliver->records.begin(), deliver->records.end());
    }
    REQUIRE(delivered.size() == 1);
    CHECK(delivered[0].outcome == Outcome::crashed);
    s.h.advance(5s);
    CHECK(s.h.assigned(s.worker, s.client).empty());
    s.h.skip();
  }

  TEST_CASE("a claim that its worker gave back before the task was announced is void") {
    Stage s;
    s.worker_comes({{1, kOldAttempt, ClaimState::queued}});
    s.h.say(s.worker, wire::Returned{s.client.session, {{1, kOldAttempt}}});
    s.client_comes();
    s.reannounce({announced(1)});
    s.h.synced(s.client);
    // Whoever claimed anything of it may have results.
    CHECK(s.h.take() == Actions{s.h.received(s.client, 1), s.h.to(s.worker, wire::Resend{s.client.session})});
    s.h.advance(2s);
    CHECK(s.h.take() == Actions{s.h.define_for(s.worker, s.client, 1), s.h.assign(s.worker, s.client, 1, 1)});
  }

  TEST_CASE("a claim that its worker does not make again on its next connection is void") {
    Stage s;
    s.worker_comes({{1, kOldAttempt, ClaimState::running}});
    s.h.hello(s.worker);
    s.h.ready(s.worker);
    s.h.skip();
    s.client_announces();
    s.h.advance(2s);
    CHECK(s.h.take() == Actions{s.h.define_for(s.worker, s.client, 1), s.h.assign(s.worker, s.client, 1, 1)});
  }

  TEST_CASE("of two attempts of one task at one worker, the one that still runs is adopted") {
    const wire::ClaimRecord failed{1, {kOldEpoch, 3}, ClaimState::done};
    const wire::ClaimRecord retried{1, {kOldEpoch, 12}, ClaimState::running};
    Stage s;
    SUBCASE("announced before") {
      s.client_comes();
      s.reannounce({announced(1)});
      s.h.synced(s.client);
      s.h.skip();
      SUBCASE("the failed one claimed first") { s.worker_comes({failed, retried}); }
      SUBCASE("the failed one claimed last") { s.worker_comes({retried, failed}); }
      CHECK(s.h.take() == Actions{});
    }
    SUBCASE("announced after") {
      SUBCASE("the failed one claimed first") { s.worker_comes({failed, retried}); }
      SUBCASE("the failed one claimed last") { s.worker_comes({retried, failed}); }
      s.client_comes();
      s.reannounce({announced(1)});
      s.h.synced(s.client);
      s.h.skip();
    }
    s.second_of_two_counts();
  }

  TEST_CASE("of two attempts of one task that are over at one worker, the later one is adopted") {
    // Its charge was told to nobody who remembers it.
    const wire::ClaimRecord failed{1, {kOldEpoch, 3}, ClaimState::done, 1};
    const wire::ClaimRecord retried{1, {kOldEpoch, 12}, ClaimState::done, 2};
    Stage s;
    SUBCASE("announced before") {
      s.client_comes();
      s.reannounce({announced(1)});
      s.h.synced(s.client);
      s.h.skip();
      s.worker_comes({failed, retried});
      CHECK(s.h.take() == Actions{});
    }
    SUBCASE("announced after") {
      s.worker_comes({failed, retried});
      s.client_comes();
      s.reannounce({announced(1)});
      s.h.synced(s.client);
      s.h.skip();
    }
    s.second_of_two_counts();
  }

  TEST_CASE("of two attempts of one task at two workers, the later one is adopted") {
    TestWorker other{uuid(103), "other"};
    Stage s;
    const auto comes = [&](TestWorker& worker, const wire::ClaimRecord& claim) {
      s.h.hello(worker);
      s.h.claims(worker, s.client, {claim});
      s.h.ready(worker);
      s.h.skip();
    };
    SUBCASE("both are done, and neither charge was told") {
      const wire::ClaimRecord earlier{1, {kOldEpoch, 3}, ClaimState::done, 1};
      const wire::ClaimRecord later{1, kOldAttempt, ClaimState::done, 1};
      SUBCASE("the earlier attempt, the later one, the client") {
        comes(other, earlier);
        comes(s.worker, later);
        s.client_announces();
      }
      SUBCASE("the later attempt, the earlier one, the client") {
        comes(s.worker, later);
        comes(other, earlier);
        s.client_announces();
      }
      SUBCASE("the client, the earlier attempt, the later one") {
        s.client_announces();
        comes(other, earlier);
        comes(s.worker, later);
      }
      SUBCASE("the client, the later attempt, the earlier one") {
        s.client_announces();
        comes(s.worker, later);
        comes(other, earlier);
      }
      const wire::ResultRecord not_there{1, 3, 1000, Outcome::cannot_start, text("not here")};
      s.h.say(other, wire::Results{s.client.session, kOldEpoch, true, 1, {not_there}});
      CHECK(s.h.take() == Actions{s.h.release(other, s.client, 1)});
      s.old_result(1, Outcome::crashed);
      CHECK(s.h.take() ==
            Actions{s.h.deliver(s.client, 1,
                                {{1, wire::DeliveryKind::charged, Outcome::crashed, 0, 1, text("result")}})});
    }
    SUBCASE("what runs goes on; what waits elsewhere, given out by another broker, is stopped") {
      const wire::ClaimRecord waits{1, {kOldEpoch + 1, 20}, ClaimState::queued, 1};
      const wire::ClaimRecord runs{1, kOldAttempt, ClaimState::running, 1};
      const auto revoke = [&] {
        return s.h.revoke(other, s.client, 1, 20, wire::RevokeMode::cancel, kOldEpoch + 1);
      };
      s.client_announces();
      SUBCASE("the one that waits comes first") {
        comes(other, waits);
        s.worker_comes({runs});
        CHECK(s.h.take() == Actions{revoke()});
      }
      SUBCASE("the one that runs comes first") {
        comes(s.worker, runs);
        s.h.hello(other);
        s.h.claims(other, s.client, {waits});
        s.h.skip();
        s.h.ready(other);
        CHECK(s.h.take() == Actions{revoke()});
      }
      s.old_result(1);
      CHECK(s.h.take() == Actions{s.h.deliver_ok(s.client, 1, 1)});
    }
    SUBCASE("what was not started yet is stopped when a later attempt is claimed") {
      s.client_announces();
      comes(other, {1, {kOldEpoch, 2}, ClaimState::queued, 1});
      s.worker_comes({{1, kOldAttempt, ClaimState::running, 1}});
      CHECK(s.h.take() == Actions{s.h.revoke(other, s.client, 1, 2, wire::RevokeMode::cancel, kOldEpoch)});
      s.old_result(1);
      CHECK(s.h.take() == Actions{s.h.deliver_ok(s.client, 1, 1)});
    }
  }

  TEST_CASE("a task whose adopted attempt failed waits for the worker that may have its next one") {
    Stage s;
    TestWorker other{uuid(103), "other"};
    s.h.hello(s.client, 7, kOldEpoch);
    wire::TaskSpec spec = any_spec();
    spec.retries = 1;
    s.h.define(s.client, 1, spec);
    s.reannounce({announced(1)});
    s.h.synced(s.client);
    s.h.skip();
    s.worker_comes({{1, kOldAttempt, ClaimState::done, 1}});
    s.old_result(1, Outcome::failed);
    CHECK(s.h.take() ==
          Actions{s.h.deliver(s.client, 1,
                              {{1, wire::DeliveryKind::charged, Outcome::failed, 1, 0, text("result")}})});
    SUBCASE("it comes") {
      s.h.hello(other);
      s.h.claims(other, s.client, {{1, {kOldEpoch, 13}, ClaimState::running, 2}});
      s.h.ready(other);
      s.h.skip();
      s.h.advance(10s);
      CHECK(s.h.take() == Actions{});
      CHECK(s.h.status().assigned == 1);
    }
    SUBCASE("there is none") {
      s.h.advance(1999ms);
      CHECK(s.h.take() == Actions{});
      s.h.advance(1ms);
      CHECK(s.h.take() ==
            Actions{s.h.define_for(s.worker, s.client, 1), s.h.assign(s.worker, s.client, 1, 1, 1, 2)});
    }
  }

  TEST_CASE("a result that was taken before, and is claimed for a task that its client announced again") {
    Harness h;
    TestWorker worker = h.join_worker("w1");
    TestClient client = h.join_client("c1");
    h.define(client, 1, any_spec());
    h.submit(client, 1);
    const wire::Attempt first = h.attempt(worker, client, 1);
    h.result(worker, client, 1);
    h.disconnect(worker);
    h.say(client, wire::Reannounce{{announced(1)}});  // its bytes arrived damaged
    h.hello(worker);
    h.claims(worker, client, {{1, first, ClaimState::done, 1}});
    h.ready(worker);
    h.skip();
    const wire::ResultRecord again{1, first.number, 1000, Outcome::ok, text("result")};
    h.say(worker, wire::Results{client.session, kEpoch, true, 1, {again}});
    h.advance(2s);  // the adoption window
    const Actions done = h.take();
    const Send assigned = h.assign(worker, client, 1, first.number + 1);
    CHECK(std::find(done.begin(), done.end(), Action(assigned)) != done.end());
  }

  TEST_CASE("what was not started, and was executed elsewhere meanwhile, is not adopted") {
    Stage s;
    wire::TaskSpec spec = any_spec();
    spec.retries = 1;
    const auto announces = [&] {
      s.client_comes();
      s.h.define(s.client, 2, spec);
      wire::ReannounceRecord again = announced(1);
      again.spec = 2;
      again.retries_used = 1;
      s.reannounce({again});
      s.h.synced(s.client);
    };
    const auto claims = [&] { s.worker_comes({{1, kOldAttempt, ClaimState::queued, 1}}); };
    SUBCASE("the client comes first") {
      announces();
      s.h.skip();
      claims();
    }
    SUBCASE("the worker comes first") {
      claims();
      announces();
    }
    const Send revoke =
        s.h.revoke(s.worker, s.client, 1, kOldAttempt.number, wire::RevokeMode::cancel, kOldEpoch);
    const Actions told = s.h.take();
    CHECK(std::find(told.begin(), told.end(), Action(revoke)) != told.end());
    s.old_result(1, Outcome::cancelled);
    s.h.skip();
    s.h.advance(2s);
    CHECK(s.h.take() ==
          Actions{s.h.define_for(s.worker, s.client, 2), s.h.assign(s.worker, s.client, 1, 1, 2, 2)});
  }

  TEST_CASE("a failure that an earlier broker counted, as its client's counters tell, is not counted again") {
    Stage s;
    const wire::ClaimRecord counted{1, kOldAttempt, ClaimState::done, 1};
    const wire::ReannounceRecord once_retried{1, 1, 1, 0, 0, text("arg")};
    SUBCASE("the client comes first") {
      s.client_comes();
      s.reannounce({once_retried});
      s.h.synced(s.client);
      s.h.skip();
      s.worker_comes({counted});
    }
    SUBCASE("the worker comes first") {
      s.worker_comes({counted});
      s.client_comes();
      s.reannounce({once_retried});
      s.h.synced(s.client);
    }
    s.h.skip();
    s.old_result(1, Outcome::failed);
    CHECK(s.h.take() == Actions{s.h.release(s.worker, s.client, 1)});
    s.h.advance(2s);
    CHECK(s.h.take() ==
          Actions{s.h.define_for(s.worker, s.client, 1), s.h.assign(s.worker, s.client, 1, 1, 1, 2)});
  }

  TEST_CASE(
      "a task whose adopted attempt was charged before waits for the worker that may have its next one") {
    Stage s;
    s.client_comes();
    s.reannounce({{1, 1, 0, 1, 0, text("arg")}});  // its worker was thought to be lost
    s.h.synced(s.client);
    s.h.skip();
    s.worker_comes({{1, kOldAttempt, ClaimState::running, 1}});
    s.h.skip();
    s.old_result(1, Outcome::failed);
    CHECK(s.h.take() == Actions{s.h.release(s.worker, s.client, 1)});
    s.h.advance(2s);
    CHECK(s.h.take() ==
          Actions{s.h.define_for(s.worker, s.client, 1), s.h.assign(s.worker, s.client, 1, 1, 1, 2, true)});
  }

  TEST_CASE("what a worker has of unknown sessions takes its slots until END_SESSION") {
    Stage s;
    TestClient other = s.h.join_client("other");
    s.h.define(other, 1, any_spec());
    s.worker_comes({{1, kOldAttempt, ClaimState::running}});
    s.h.submit(other, 1);
    CHECK(s.h.take() == Actions{s.h.received(other, 1)});
    s.h.advance(64s);
    CHECK(s.h.take() == Actions{s.h.to(s.worker, wire::EndSession{s.client.session}),
                                s.h.define_for(s.worker, other, 1), s.h.assign(s.worker, other, 1, 1)});
  }

  TEST_CASE("what a worker was told to stop takes its slot until it has") {
    Stage s;
    TestClient other = s.h.join_client("other");
    s.h.define(other, 1, any_spec());
    s.client_comes();
    s.h.synced(s.client);
    s.worker_comes({{1, kOldAttempt, ClaimState::running}});
    s.h.submit(other, 1);
    CHECK(s.h.take() ==
          Actions{s.h.revoke(s.worker, s.client, 1, kOldAttempt.number, wire::RevokeMode::cancel, kOldEpoch),
                  s.h.received(other, 1)});
    s.old_result(1, Outcome::cancelled);
    CHECK(s.h.take() == Actions{s.h.release(s.worker, s.client, 1), s.h.define_for(s.worker, other, 1),
                                s.h.assign(s.worker, other, 1, 1)});
  }

  TEST_CASE("a worker with a claim of unknown needs gets nothing that needs a resource, but other tasks") {
    Stage s;
    TestClient other = s.h.join_client("other");
    wire::TaskSpec gpu = any_spec();
    gpu.resources = {{"gpu", 1}};
    s.h.define(other, 1, gpu);
    s.h.define(other, 2, any_spec());
    s.h.hello(s.worker, {.slots = 4, .resources = {{"gpu", 1}}});
    s.h.claims(s.worker, s.client, {{1, kOldAttempt, ClaimState::running}});
    s.h.ready(s.worker);
    s.h.submit(other, 1);
    s.h.submit(other, 2);
    CHECK(s.h.assigned(s.worker, other) == std::vector<std::uint64_t>{2});
    s.h.hello(s.client, 0, kOldEpoch);
    s.h.define(s.client, 1, gpu);
    s.reannounce({announced(1)});
    s.h.synced(s.client);
    CHECK(s.h.status().worker_list.at(0).resources_free.at("gpu") == 0);
    s.old_result(1);
    CHECK(s.h.assigned(s.worker, other) == std::vector<std::uint64_t>{2, 1});
    s.h.skip();
  }

  TEST_CASE("two claims together may be more than the worker has, and nothing breaks") {
    Stage s;
    wire::TaskSpec gpu = any_spec();
    gpu.resources = {{"gpu", 1}};
    s.h.hello(s.worker, {.slots = 1, .resources = {{"gpu", 1}}});
    s.h.claims(s.worker, s.client,
               {{1, kOldAttempt, ClaimState::running}, {2, {kOldEpoch, 13}, ClaimState::queued}});
    s.h.ready(s.worker);
    s.h.hello(s.client, 0, kOldEpoch);
    s.h.define(s.client, 1, gpu);
    s.reannounce({announced(1), announced(2)});
    s.h.skip();
    CHECK(s.h.status().worker_list.at(0).resources_free.at("gpu") == -1);
    s.old_result(1);
    CHECK(s.h.status().worker_list.at(0).resources_free.at("gpu") == 0);
    s.h.skip();
  }

  TEST_CASE("a task that may be started at most once is not started again when nobody claims it") {
    Stage s;
    s.worker_comes({});
    s.h.hello(s.client, 0, kOldEpoch);
    wire::TaskSpec once = any_spec();
    once.crash_limit = 1;
    s.h.define(s.client, 1, once);
    s.reannounce({announced(1)});
    s.h.skip();
    s.h.advance(2s);
    const Actions actions = s.h.take();
    REQUIRE(actions.size() == 1);
    const auto& record = std::get<wire::Deliver>(std::get<Send>(actions[0]).message).records.at(0);
    CHECK(record.outcome == Outcome::crashed);
    CHECK(record.kind == wire::DeliveryKind::final);
    CHECK(s.h.status().queued == 0);
  }
}

}  // namespace weft::broker
