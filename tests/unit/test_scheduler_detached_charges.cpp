// SPDX-License-Identifier: MIT
// What the journal, the client and the worker know of the charges of a detached task. PROTOCOL.md section 8.
#include "tests/unit/detached_stage.hpp"

namespace weft::broker {

TEST_SUITE("scheduler, detached: charges") {
  TEST_CASE("a lost charge that turns up when the limit is reached ends the task") {
    Stage s;
    wire::TaskSpec twice = detached_spec();
    twice.crash_limit = 2;
    s.accept(twice);
    const wire::Attempt first = s.h.attempt(s.worker, s.client, 1);
    const wire::Attempt second{first.epoch, first.number + 1};
    Next n(s);  // the first attempt crashed, which is not in the journal
    n.second_fails(s.client, second, Outcome::crashed, "the second");
    CHECK(n.h.assigned(n.worker, s.client).empty());  // a peer that comes may have the next attempt
    SUBCASE("its client does not come back") {}
    SUBCASE("its client has not heard of the first either") {
      TestClient client = s.client;
      n.h.hello(client, 0, kEpoch);
      n.h.define(client, 2, twice);
      n.h.say(client, wire::Reannounce{{{1, 2, 0, 0, 0, wire::Payload(std::string_view("arg"))}}});
    }
    TestWorker other{uuid(103), "other"};
    n.h.hello(other);
    n.h.claims(other, s.client, {{1, first, wire::ClaimState::done, 1}});
    n.h.ready(other);
    n.h.expect_only<wire::Welcome, wire::Received, wire::Journaled, wire::Release>();
    n.h.result(other, s.client, 1, Outcome::crashed, "the first", 1000, first);
    n.h.commit();
    n.h.advance(2s);
    CHECK(n.h.assigned(n.worker, s.client).empty());
    CHECK(n.h.assigned(other, s.client).empty());
    n.h.expect_only<wire::Deliver, wire::Release>();
    n.attach(s.client, 1);
    const auto delivered = std::get<wire::Deliver>(std::get<Send>(n.h.take().back()).message).records;
    CHECK(delivered.back() == wire::DeliveryRecord{1, wire::DeliveryKind::final, Outcome::crashed, 0, 2,
                                                   wire::Payload(std::string_view("the first"))});
  }

  TEST_CASE(
      "a failure that the journal has is not charged again when its attempt is the one that is adopted") {
    Stage s;
    wire::TaskSpec spec = retried_spec(3);
    spec.crash_limit = 3;
    s.accept(spec);
    const wire::Attempt first = s.h.attempt(s.worker, s.client, 1);
    const wire::Attempt second{first.epoch, first.number + 1};
    Next n(s);  // the first attempt crashed, which is not in the journal
    n.second_fails(s.client, second, Outcome::failed, "it threw");

    Next last(n.h, n.worker, kEpoch + 2);
    last.worker_comes(s.client, {{1, second, wire::ClaimState::done, 2}});
    last.h.result(last.worker, s.client, 1, Outcome::failed, "it threw", 1000, second);
    last.h.commit();
    last.h.expect<wire::Release>();
    last.attach(s.client, 1);
    const wire::Payload error(std::string_view("it threw"));
    CHECK(last.h.take() ==
          Actions{last.h.received(last.client, 1),
                  last.h.deliver(last.client, 1,
                                 {{1, wire::DeliveryKind::charged, Outcome::failed, 1, 0, error}})});
  }

  TEST_CASE("a charge that only the client knows of comes before that of the attempt that was adopted") {
    Stage s;
    wire::TaskSpec twice = detached_spec();
    twice.crash_limit = 2;
    s.accept(twice);
    const wire::Attempt first = s.h.attempt(s.worker, s.client, 1);
    const wire::Attempt second{first.epoch, first.number + 1};
    Next n(s);  // the first attempt crashed, which the client knows, but not the journal
    n.second_fails(s.client, second, Outcome::crashed, "the second");
    n.client_is_back(s.client, twice, 0, 1);
    n.h.commit();
    const auto delivered = std::get<wire::Deliver>(std::get<Send>(n.h.take().back()).message).records;
    CHECK(delivered.back() == wire::DeliveryRecord{1, wire::DeliveryKind::final, Outcome::crashed, 0, 2,
                                                   wire::Payload(std::string_view("the second"))});
    n.h.advance(5s);
    CHECK(n.h.assigned(n.worker, s.client).empty());
  }

  TEST_CASE("a lost charge that turned up is the one that the client knows of, not one more") {
    Stage s;
    wire::TaskSpec spec = retried_spec(1);
    spec.crash_limit = 2;
    s.accept(spec);
    const wire::Attempt first = s.h.attempt(s.worker, s.client, 1);
    const wire::Attempt second{first.epoch, first.number + 1};
    Next n(s);  // the first attempt crashed, which the client knows, but not the journal
    n.second_fails(s.client, second, Outcome::failed, "it threw");
    TestWorker other{uuid(103), "other"};
    n.h.hello(other);
    n.h.claims(other, s.client, {{1, first, wire::ClaimState::done, 1}});
    n.h.ready(other);
    n.h.result(other, s.client, 1, Outcome::crashed, "the first", 1000, first);
    const TestClient client = n.client_is_back(s.client, spec, 0, 1);
    n.h.synced(client);
    n.h.commit();
    n.h.advance(5s);
    CHECK(n.h.status().assigned == 1);  // neither limit is reached
    n.h.expect<wire::Received, wire::Journaled, wire::DefineFor, wire::Assign, wire::Release>();
  }

  TEST_CASE("an adopted attempt that could not begin adds nothing to the charges that the client knows of") {
    Stage s;
    wire::TaskSpec thrice = detached_spec();
    thrice.crash_limit = 3;
    s.accept(thrice);
    const wire::Attempt first = s.h.attempt(s.worker, s.client, 1);
    s.h.result(s.worker, s.client, 1, Outcome::crashed, "the first");
    s.h.commit();
    s.h.expect<wire::Assign, wire::Deliver>();
    const wire::Attempt third{first.epoch, first.number + 2};
    Next n(s);  // the second attempt crashed, which the client knows, but not the journal
    n.worker_comes(s.client, {{1, third, wire::ClaimState::done, 3}});
    n.h.result(n.worker, s.client, 1, Outcome::not_fetched, "no holder", 1000, third);
    const TestClient client = n.client_is_back(s.client, thrice, 0, 2);
    n.h.synced(client);
    n.h.commit();
    n.h.advance(5s);
    CHECK(n.h.assigned(n.worker, s.client) == Seqs{1});
    n.h.expect<wire::Received, wire::Journaled, wire::DefineFor, wire::Assign>();
  }

  TEST_CASE("a charge that the client knows of and the journal does not is not counted again") {
    Stage s;
    s.accept(retried_spec(1));
    const wire::Attempt attempt = s.h.attempt(s.worker, s.client, 1);
    Next n(s);
    n.worker_comes(s.client, {{1, attempt, wire::ClaimState::done, 1}});
    n.client_is_back(s.client, retried_spec(1), 1, 0);
    n.h.expect<wire::Received, wire::Journaled>();
    n.h.result(n.worker, s.client, 1, Outcome::failed, "it threw", 1000, attempt);
    n.h.commit();
    CHECK(n.h.assigned(n.worker, s.client).empty());  // another worker may have its next attempt
    n.h.advance(2s);
    CHECK(n.h.assigned(n.worker, s.client) == Seqs{1});
    n.h.expect<wire::DefineFor, wire::Assign, wire::Release>();

    // The next broker knows of the charges too.
    Next last(n.h, n.worker, kEpoch + 2);
    last.attach(s.client, 1);
    const auto charges = std::get<wire::Deliver>(std::get<Send>(last.h.take().back()).message).records;
    REQUIRE(charges.size() == 1);
    CHECK(charges[0].retries_used == 1);
    CHECK(charges[0].crashes == 0);
  }

  TEST_CASE("a failure that the journal has is not charged again, though a charge before it is not there") {
    Stage s;
    s.accept(retried_spec(2));
    const wire::Attempt first = s.h.attempt(s.worker, s.client, 1);
    const wire::Attempt second{first.epoch, first.number + 1};
    const wire::Attempt third{first.epoch, first.number + 2};
    Next n(s);  // the first attempt crashed, which is not in the journal
    n.second_fails(s.client, second, Outcome::failed, "it threw");

    Next last(n.h, n.worker, kEpoch + 2);
    TestWorker other{uuid(103), "other"};
    last.h.hello(other);
    last.h.claims(other, s.client, {{1, third, wire::ClaimState::done, 3}});
    last.h.ready(other);
    last.worker_comes(s.client, {{1, second, wire::ClaimState::done, 2}});
    last.h.result(last.worker, s.client, 1, Outcome::failed, "it threw", 1000, second);
    last.h.result(other, s.client, 1, Outcome::ok, "done", 1000, third);
    last.h.commit();
    last.h.expect<wire::Release>();
    last.attach(s.client, 1);
    const wire::Payload error(std::string_view("it threw"));
    CHECK(last.h.take() ==
          Actions{last.h.received(last.client, 1),
                  last.h.deliver(last.client, 1,
                                 {{1, wire::DeliveryKind::charged, Outcome::failed, 1, 0, error},
                                  {1, wire::DeliveryKind::final, Outcome::ok, 1, 0,
                                   wire::Payload(std::string_view("done"))}})});
  }

  TEST_CASE("a worker may forget a failure only when the journal has the charge") {
    Stage s;
    s.accept(retried_spec(1));
    s.h.say(s.client, wire::Goodbye{""});
    s.h.expect<ForgetPeer>();
    s.h.result(s.worker, s.client, 1, Outcome::failed, "it threw");
    const auto released = [&] {
      const Actions actions = s.h.take();
      return std::count(actions.begin(), actions.end(), Action(s.h.release(s.worker, s.client, 1)));
    };
    CHECK(released() == 0);
    s.h.commit();
    CHECK(released() == 1);
  }

  TEST_CASE("a task that is attached to one with charges is told each of them once") {
    Stage s;
    s.accept(retried_spec(2));
    s.h.result(s.worker, s.client, 1, Outcome::failed, "it threw");
    s.h.commit();
    s.h.expect<wire::Assign, wire::Deliver>();
    TestClient other = s.h.join_client("other");
    Harness h(journaled(kEpoch + 1), s.h.disk());
    h.commit();
    h.hello(other, 0, kEpoch);
    h.define(other, 1, attached_spec());
    h.expect<wire::Welcome>();
    h.say(other, wire::Reannounce{{{1, 1, 1, 0, 0, wire::Payload(name_of(s.client, 1))}}});
    CHECK(h.take() == Actions{h.received(other, 1)});
  }
}

}  // namespace weft::broker
