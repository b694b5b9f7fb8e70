// SPDX-License-Identifier: MIT
// Detached tasks: accepted when the journal has them, answered when it has the answer, kept until fetched.
// PROTOCOL.md section 8.
#include "tests/unit/scheduler_harness.hpp"

namespace weft::broker {

namespace {

using wire::Outcome;
using Seqs = std::vector<std::uint64_t>;

Settings journaled(std::uint64_t epoch = kEpoch) {
  Settings settings = test_settings();
  settings.epoch = epoch;
  settings.journal = true;
  return settings;
}

wire::TaskSpec detached_spec() {
  wire::TaskSpec spec = any_spec();
  spec.detach = true;
  spec.label = "sweep";
  return spec;
}

wire::TaskSpec retried_spec(std::uint32_t retries) {
  wire::TaskSpec spec = detached_spec();
  spec.retries = retries;
  return spec;
}

wire::TaskSpec attached_spec() {
  wire::TaskSpec spec;
  spec.kind = wire::TaskKind::attached;
  spec.label = "sweep";
  return spec;
}

std::string name_of(const TestClient& client, std::uint64_t seq) {
  return wire::encode_ref({client.session, seq});
}

Send kept(const TestClient& client, Seqs seqs) { return {client.peer, wire::Kept{std::move(seqs)}}; }

/// The reason in the refusal of task `seq`, which is the only delivery in `actions`.
std::string refusal(const Actions& actions, std::uint64_t seq) {
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

/// A broker with a journal, a client that has defined spec 1, a worker.
struct Stage {
  Harness h{journaled()};
  TestClient client = h.join_client("client");
  TestWorker worker = h.join_worker("worker", {.slots = 4});

  Stage() { h.define(client, 1, detached_spec()); }
  void accept(std::size_t count = 1) {
    h.submit(client, 1, count);
    h.commit();
    h.skip();
  }
  /// One task of another spec, which is number 2.
  void accept(const wire::TaskSpec& spec) {
    h.define(client, 2, spec);
    h.submit(client, 2);
    h.commit();
    h.skip();
  }
  void fetched(std::uint64_t seq) { h.say(client, wire::Fetched{{{client.session, seq}}}); }
  wire::Found find() { return find_at(h, client); }
  static wire::Found find_at(Harness& h, const TestClient& who) {
    h.skip();
    h.say(who, wire::Find{"sweep"});
    const Actions actions = h.take();
    REQUIRE(actions.size() == 1);
    return std::get<wire::Found>(std::get<Send>(actions[0]).message);
  }
};

/// The next life of the broker, on the same disk, with the worker of before.
struct Next {
  Harness h;
  TestWorker worker;
  TestClient client;  // another program

  explicit Next(const Stage& stage) : Next(stage.h, stage.worker, kEpoch + 1) {}
  Next(const Harness& before, const TestWorker& with, std::uint64_t epoch)
      : h(journaled(epoch), before.disk()), worker(with) {
    worker.peer = kNoPeer;  // that was its connection to the broker of before
    h.commit();
    client = TestClient{uuid(200), "other"};
    h.hello(client, 0, 0);
    h.synced(client);
    h.define(client, 1, attached_spec());
    h.skip();
  }
  void worker_comes(const TestClient& of, std::vector<wire::ClaimRecord> tasks) {
    h.hello(worker, {.slots = 4});
    h.claims(worker, of, std::move(tasks));
    h.ready(worker);
    h.skip();
  }
  /// The worker has the second execution of task 1, which has ended in failure.
  void second_fails(const TestClient& of, const wire::Attempt& second, Outcome outcome, const char* error) {
    worker_comes(of, {{1, second, wire::ClaimState::done, 2}});
    h.result(worker, of, 1, outcome, error, 1000, second);
    h.commit();
  }
  /// The client of task 1, with what it was told: so many retries and crashes. It has yet to say SYNCED.
  TestClient client_is_back(TestClient of, const wire::TaskSpec& spec, std::uint32_t retries_used,
                            std::uint32_t crashes) {
    h.hello(of, 0, kEpoch);
    h.define(of, 2, spec);
    h.skip();
    h.say(of, wire::Reannounce{{{1, 2, retries_used, crashes, 0, wire::Payload(std::string_view("arg"))}}});
    return of;
  }
  void attach(const TestClient& of, std::uint64_t seq) { h.submit(client, 1, 1, name_of(of, seq)); }
};

}  // namespace

TEST_SUITE("scheduler, detached") {
  TEST_CASE("without a journal a detached task is refused with a sentence") {
    Harness h;
    TestClient client = h.join_client("client");
    h.define(client, 1, detached_spec());
    h.submit(client, 1);
    CHECK(refusal(h.take(), 1) ==
          "this broker keeps no journal, so that no task can outlive its client: start it with weft-broker "
          "--journal FILE");
    CHECK(h.status().queued == 0);
  }

  TEST_CASE("a task is promised and assigned only when the journal has it") {
    Stage s;
    s.h.submit(s.client, 1);
    CHECK(s.h.take() == Actions{s.h.received(s.client, 1)});
    CHECK(s.h.status().queued == 1);
    s.h.commit();
    CHECK(s.h.take() == Actions{s.h.define_for(s.worker, s.client, 1), s.h.assign(s.worker, s.client, 1, 1),
                                kept(s.client, {1})});
    s.h.result(s.worker, s.client, 1);
    s.h.skip();
  }

  TEST_CASE("the answer goes to the client, and the worker may forget it, only when the journal has it") {
    Stage s;
    s.accept();
    s.h.result(s.worker, s.client, 1);
    CHECK(s.h.take() == Actions{});
    s.h.commit();
    CHECK(s.h.take() == Actions{s.h.release(s.worker, s.client, 1), s.h.deliver_ok(s.client, 1, 1)});
    s.h.ack(s.client, 1);
    CHECK(s.find().tasks.size() == 1);  // until the program has asked for it
    s.fetched(1);
    CHECK(s.find().tasks.empty());
  }

  TEST_CASE("submits that come while a row is under way share the next one") {
    Stage s;
    s.h.submit(s.client, 1);
    CHECK(s.h.ordered() == 1);
    for (int i = 0; i < 5; ++i) s.h.submit(s.client, 1);
    CHECK(s.h.ordered() == 1);
    s.h.commit();
    CHECK(s.h.disk().rows.size() == 2);
    CHECK(s.h.status().queued + s.h.status().assigned == 6);
    s.h.skip();
  }

  TEST_CASE("a journal that cannot be written refuses detached tasks and nothing else, and recovers") {
    Stage s;
    s.h.define(s.client, 2, any_spec());
    s.h.submit(s.client, 1);
    s.h.submit(s.client, 2);
    s.h.commit("the disk is full");
    CHECK(s.h.assigned(s.worker, s.client) == Seqs{2});
    CHECK(refusal(s.h.take(), 1) == "the broker's journal cannot take it: the disk is full");
    s.h.advance(1s);
    s.h.submit(s.client, 1);
    s.h.commit();
    CHECK(s.h.assigned(s.worker, s.client) == Seqs{2, 3});
    s.h.skip();
  }

  TEST_CASE("an answer that could not be written is written again, and delivered then") {
    Stage s;
    s.accept();
    s.h.result(s.worker, s.client, 1);
    s.h.commit("the disk is full");
    CHECK(s.h.take() == Actions{});
    s.h.advance(1s);
    s.h.commit();
    CHECK(s.h.take() == Actions{s.h.release(s.worker, s.client, 1), s.h.deliver_ok(s.client, 1, 1)});
  }

  TEST_CASE("a client that leaves takes its other tasks along, and detached ones go on and are found") {
    Stage s;
    s.h.define(s.client, 2, any_spec());
    s.accept(2);
    s.h.submit(s.client, 2);
    s.h.skip();
    s.h.say(s.client, wire::Goodbye{""});
    CHECK(s.h.take() == Actions{ForgetPeer{s.client.peer}, s.h.revoke(s.worker, s.client, 3, 3)});
    CHECK(s.h.status().clients == 0);
    s.h.result(s.worker, s.client, 1);
    s.h.commit();
    s.h.skip();

    TestClient other = s.h.join_client("other");
    s.h.say(other, wire::Find{"sweep"});
    const Actions answer = s.h.take();
    REQUIRE(answer.size() == 1);
    const auto& found = std::get<wire::Found>(std::get<Send>(answer[0]).message);
    CHECK(found.tasks ==
          std::vector<wire::FoundRecord>{{s.client.session, 1, 1, true}, {s.client.session, 2, 1, false}});
    REQUIRE(found.sweeps.size() == 1);
    CHECK(found.sweeps[0].session == s.client.session);
    CHECK(found.sweeps[0].client == "client");
    CHECK(found.sweeps[0].function == detached_spec().function);
    CHECK(found.sweeps[0].submitted_ms > 0);
    s.h.step(Received{other.peer, wire::Find{"sweep"}, 1});  // an older client
    CHECK(s.h.take() ==
          Actions{s.h.to(other, wire::Found{"sweep", 2, {{s.client.session, 1}, {s.client.session, 2}}})});
    s.h.define(other, 1, attached_spec());
    s.h.submit(other, 1, 1, name_of(s.client, 1));
    CHECK(s.h.take() == Actions{s.h.received(other, 1), s.h.deliver_ok(other, 1, 1)});
    s.h.submit(other, 1, 1, name_of(s.client, 2));
    CHECK(s.h.take() == Actions{s.h.received(other, 2)});
    s.h.say(other, wire::Fetched{{{s.client.session, 1}}});
    s.h.result(s.worker, s.client, 2, Outcome::ok, "second");
    s.h.commit();
    s.h.returned(s.worker, s.client, 3);
    s.h.skip();
    s.h.say(other, wire::Fetched{{{s.client.session, 2}}});
    CHECK(Stage::find_at(s.h, other).tasks.empty());
    CHECK(s.h.status().client_list.size() == 2);  // another client may have found them a moment ago
    s.h.advance(5s);
    s.h.commit();
    // The last of them is fetched: nothing is left of the session.
    CHECK(s.h.take() == Actions{s.h.to(s.worker, wire::EndSession{s.client.session})});
    CHECK(s.h.status().client_list.size() == 1);
  }

  TEST_CASE("an answer that was fetched is kept while a client that is there holds a Future for it") {
    Stage s;
    s.accept();
    s.h.result(s.worker, s.client, 1);
    s.h.commit();
    s.h.skip();
    const auto attach = [&](TestClient& client) {
      s.h.define(client, 1, attached_spec());
      s.h.submit(client, 1, 1, name_of(s.client, 1));
      s.h.skip();
    };
    const wire::Fetched fetched{{{s.client.session, 1}}};
    const auto is_kept = [&] {
      s.h.commit();
      const auto clients = s.h.status().client_list;
      return std::any_of(clients.begin(), clients.end(), [](const auto& c) { return c.name == "client"; });
    };
    TestClient first = s.h.join_client("first");
    SUBCASE("by a client that attached, until that has fetched it") {
      TestClient second = s.h.join_client("second");
      s.h.say(s.client, wire::Goodbye{""});
      attach(first);
      attach(second);
      s.h.say(first, fetched);
      s.h.say(first, fetched);
      CHECK(Stage::find_at(s.h, first).tasks.empty());  // and new ones come too late
      s.h.advance(30s);
      CHECK(is_kept());
      s.h.say(second, fetched);
      CHECK_FALSE(is_kept());
    }
    SUBCASE("by a client that attached, until that has gone") {
      TestClient second = s.h.join_client("second");
      s.h.say(s.client, wire::Goodbye{""});
      attach(first);
      attach(second);
      s.h.say(first, fetched);
      s.h.advance(30s);
      CHECK(is_kept());
      SUBCASE("with a word") { s.h.say(second, wire::Goodbye{""}); }
      SUBCASE("without") {
        s.h.disconnect(second);
        CHECK(is_kept());
        s.h.advance(30s);
      }
      CHECK_FALSE(is_kept());
    }
    SUBCASE("by the client that submitted it") {
      attach(first);
      s.h.say(first, fetched);
      s.h.advance(30s);
      CHECK(is_kept());
      SUBCASE("until it has asked") {
        s.h.say(s.client, fetched);
        s.h.say(s.client, wire::Goodbye{""});
      }
      SUBCASE("until it leaves") { s.h.say(s.client, wire::Goodbye{""}); }
      CHECK_FALSE(is_kept());
    }
    SUBCASE("by a client that has found it and is about to attach") {
      TestClient second = s.h.join_client("second");
      s.h.say(s.client, wire::Goodbye{""});
      CHECK(Stage::find_at(s.h, second).tasks.size() == 1);
      attach(first);
      s.h.say(first, fetched);
      SUBCASE("at once") {}
      SUBCASE("after the broker's process was suspended for 6 s") { s.h.freeze(6s); }
      s.h.define(second, 1, attached_spec());
      s.h.skip();
      s.h.submit(second, 1, 1, name_of(s.client, 1));
      CHECK(s.h.take() == Actions{s.h.received(second, 1), s.h.deliver_ok(second, 1, 1)});
      s.h.say(second, fetched);
      s.h.advance(5s);
      CHECK_FALSE(is_kept());
    }
    s.h.skip();
  }

  TEST_CASE("a client that cancels what it attached to, and wants no answer, is told that it is cancelled") {
    Stage s;
    s.accept();
    s.h.say(s.client, wire::Goodbye{""});
    s.h.skip();
    TestClient other = s.h.join_client("other");
    s.h.define(other, 1, attached_spec());
    s.h.submit(other, 1, 1, name_of(s.client, 1));
    s.h.skip();
    s.h.cancel(other, 1);
    s.h.say(other, wire::Fetched{{{s.client.session, 1}}});
    s.h.skip();
    s.h.commit();
    const Actions actions = s.h.take();
    const auto told = std::count_if(actions.begin(), actions.end(), [](const Action& action) {
      const auto* send = std::get_if<Send>(&action);
      const auto* deliver = send != nullptr ? std::get_if<wire::Deliver>(&send->message) : nullptr;
      return deliver != nullptr && deliver->records.at(0).outcome == Outcome::cancelled;
    });
    CHECK(told == 1);
    CHECK(Stage::find_at(s.h, other).tasks.empty());
  }

  TEST_CASE("after a restart the client of a sweep that nobody has seen yet is not called lost") {
    Stage s;
    s.accept();
    Next next(s);
    const wire::Status status = next.h.status();
    CHECK(status.clients == 1);  // that is the other one
    const auto client = std::find_if(status.client_list.begin(), status.client_list.end(),
                                     [](const auto& c) { return c.name == "client"; });
    REQUIRE(client != status.client_list.end());
    CHECK(client->state == "detached");
    next.h.advance(20s);
    CHECK_FALSE(next.h.logged("it was lost"));
  }

  TEST_CASE("tasks that were not in the journal when their client left are nobody's") {
    Stage s;
    s.h.submit(s.client, 1);
    s.h.say(s.client, wire::Goodbye{""});
    s.h.skip();
    s.h.commit();  // it was on its way already, and may as well be done
    CHECK(s.h.status().queued + s.h.status().assigned <= 1);
    s.h.skip();
  }

  TEST_CASE("after kill -9 the next broker has what was accepted, adopts what runs, and keeps counters") {
    Stage s;
    s.h.define(s.client, 2, retried_spec(2));
    s.accept();               // 1: runs
    s.h.submit(s.client, 2);  // 2: failed once, runs
    s.h.submit(s.client, 1);  // 3: finished
    s.h.commit();
    s.h.result(s.worker, s.client, 2, Outcome::failed, "it threw");
    s.h.result(s.worker, s.client, 3, Outcome::ok, "third");
    s.h.commit();
    s.h.submit(s.client, 1);  // 4: not in the journal when the broker dies
    const wire::Attempt first = s.h.attempt(s.worker, s.client, 1);
    const wire::Attempt second = s.h.attempt(s.worker, s.client, 2);
    s.h.skip();

    Next n(s);
    CHECK(n.h.status().queued == 2);
    n.worker_comes(s.client,
                   {{1, first, wire::ClaimState::running, 1}, {2, second, wire::ClaimState::running, 2}});
    CHECK(n.h.status().assigned == 2);
    n.h.advance(3s);
    CHECK(n.h.assigned(n.worker, s.client).empty());  // nothing was started again
    n.attach(s.client, 2);
    n.attach(s.client, 3);
    n.attach(s.client, 4);
    const Actions actions = n.h.take();
    CHECK(std::count(actions.begin(), actions.end(),
                     Action(n.h.deliver(n.client, 1,
                                        {{1, wire::DeliveryKind::charged, Outcome::failed, 1, 0,
                                          wire::Payload(std::string_view("it threw"))}}))) == 1);
    CHECK(std::count(actions.begin(), actions.end(), Action(n.h.deliver_ok(n.client, 2, 2, "third"))) == 1);
    CHECK(refusal({actions.back()}, 3).find("there is no detached task") == 0);
    n.h.result(n.worker, s.client, 2, Outcome::ok, "second", 1000, second);
    n.h.commit();
    CHECK(n.h.take() == Actions{n.h.release(n.worker, s.client, 3),
                                n.h.deliver(n.client, 4,
                                            {{1, wire::DeliveryKind::final, Outcome::ok, 1, 0,
                                              wire::Payload(std::string_view("second"))}})});
  }

  TEST_CASE("a cancelled task that the journal does not have is answered, and never runs") {
    Stage s;
    s.h.synced(s.client);
    s.h.skip();
    s.h.say(s.client, wire::Reannounce{{{5, 1, 0, 0, 0, wire::Payload(std::string_view("arg"))}}, true});
    s.h.say(s.client, wire::Cancel{{5}});
    s.h.commit();
    CHECK(s.h.take() ==
          Actions{s.h.received(s.client, 5),
                  s.h.deliver(s.client, 1,
                              {{5, wire::DeliveryKind::final, Outcome::cancelled, 0, 0,
                                wire::Payload(wire::encode_error({.message = "it was cancelled"}))}})});
    CHECK(s.h.status().queued + s.h.status().assigned == 0);
  }

  TEST_CASE("KEPT of a task that was cancelled before the journal had it waits for the journal") {
    Stage s;
    s.h.submit(s.client, 1);
    s.h.say(s.client, wire::Cancel{{1}});
    s.h.disconnect(s.client);
    s.h.advance(3s);  // its client is gone for good
    s.h.skip();
    s.h.hello(s.client, 0, kEpoch);
    s.h.define(s.client, 1, detached_spec());
    s.h.skip();
    s.h.say(s.client, wire::Reannounce{{{1, 1, 0, 0, 0, wire::Payload(std::string_view("arg"))}}});
    CHECK(s.h.take() == Actions{s.h.received(s.client, 1)});
    s.h.commit();
    CHECK(std::get<wire::Deliver>(std::get<Send>(s.h.take().back()).message).records.at(0).outcome ==
          Outcome::cancelled);
  }

  TEST_CASE("a lost charge that turns up when the limit is reached ends the task") {
    Stage s;
    wire::TaskSpec twice = detached_spec();
    twice.crash_limit = 2;
    s.accept(twice);
    const wire::Attempt first = s.h.attempt(s.worker, s.client, 1);
    const wire::Attempt second{first.epoch, first.number + 1};
    Next n(s);  // the first crashed, which the journal does not have
    n.second_fails(s.client, second, Outcome::crashed, "the second");
    CHECK(n.h.assigned(n.worker, s.client).empty());  // until whoever may have the next attempt has come
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
    n.h.skip();
    n.h.result(other, s.client, 1, Outcome::crashed, "the first", 1000, first);
    n.h.commit();
    n.h.advance(2s);
    CHECK(n.h.assigned(n.worker, s.client).empty());
    CHECK(n.h.assigned(other, s.client).empty());
    n.h.skip();
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
    Next n(s);  // the first crashed, which the journal does not have
    n.second_fails(s.client, second, Outcome::failed, "it threw");

    Next last(n.h, n.worker, kEpoch + 2);
    last.worker_comes(s.client, {{1, second, wire::ClaimState::done, 2}});
    last.h.result(last.worker, s.client, 1, Outcome::failed, "it threw", 1000, second);
    last.h.commit();
    last.h.skip();
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
    Next n(s);  // the first crashed, which the client knows and the journal does not
    n.second_fails(s.client, second, Outcome::crashed, "the second");
    n.h.skip();
    n.client_is_back(s.client, twice, 0, 1);
    n.h.commit();
    const auto delivered = std::get<wire::Deliver>(std::get<Send>(n.h.take().back()).message).records;
    CHECK(delivered.back() == wire::DeliveryRecord{1, wire::DeliveryKind::final, Outcome::crashed, 0, 2,
                                                   wire::Payload(std::string_view("the second"))});
    n.h.advance(5s);
    CHECK(n.h.assigned(n.worker, s.client).empty());
    n.h.skip();
  }

  TEST_CASE("a lost charge that turned up is the one that the client knows of, not one more") {
    Stage s;
    wire::TaskSpec spec = retried_spec(1);
    spec.crash_limit = 2;
    s.accept(spec);
    const wire::Attempt first = s.h.attempt(s.worker, s.client, 1);
    const wire::Attempt second{first.epoch, first.number + 1};
    Next n(s);  // the first crashed, which the client knows and the journal does not
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
    n.h.skip();
  }

  TEST_CASE("an adopted attempt that could not begin adds nothing to the charges that the client knows of") {
    Stage s;
    wire::TaskSpec thrice = detached_spec();
    thrice.crash_limit = 3;
    s.accept(thrice);
    const wire::Attempt first = s.h.attempt(s.worker, s.client, 1);
    s.h.result(s.worker, s.client, 1, Outcome::crashed, "the first");
    s.h.commit();
    s.h.skip();
    const wire::Attempt third{first.epoch, first.number + 2};
    Next n(s);  // the second crashed, which the client knows and the journal does not
    n.worker_comes(s.client, {{1, third, wire::ClaimState::done, 3}});
    n.h.result(n.worker, s.client, 1, Outcome::not_fetched, "no holder", 1000, third);
    const TestClient client = n.client_is_back(s.client, thrice, 0, 2);
    n.h.synced(client);
    n.h.commit();
    n.h.advance(5s);
    CHECK(n.h.assigned(n.worker, s.client) == Seqs{1});
    n.h.skip();
  }

  TEST_CASE("a client that lives through the broker's death gets every answer once") {
    Stage s;
    s.accept(2);
    s.h.result(s.worker, s.client, 1);
    s.h.commit();
    s.h.skip();

    Harness h(journaled(kEpoch + 1), s.h.disk());
    h.commit();
    TestClient client = s.client;
    h.hello(client, 0, kEpoch);
    CHECK(h.take() == Actions{h.welcome(client, false, 0)});
    h.define(client, 1, detached_spec());
    h.say(client, wire::Reannounce{{{1, 1, 0, 0, 0, wire::Payload(std::string_view("arg"))},
                                    {2, 1, 0, 0, 0, wire::Payload(std::string_view("arg"))}}});
    h.synced(client);
    CHECK(h.take() == Actions{h.received(client, 2), kept(client, {1, 2}), h.deliver_ok(client, 1, 1)});
    h.say(client, wire::Fetched{{{client.session, 1}}});
    h.commit();
    CHECK(h.status().queued == 1);
  }

  TEST_CASE("a client that is cut off while it announces goes on where it was, whatever the journal has") {
    Stage s;
    s.accept(2);
    Harness h(journaled(kEpoch + 1), s.h.disk());
    h.commit();
    TestClient client = s.client;
    h.hello(client, 0, kEpoch);
    h.define(client, 1, detached_spec());
    h.say(client, wire::Reannounce{{{1, 1, 0, 0, 0, wire::Payload(std::string_view("arg"))}}});
    h.disconnect(client);
    h.skip();
    h.hello(client);
    CHECK(h.take().at(0) == Action(h.welcome(client, true, 1)));  // it may have more that is older than 2
  }

  TEST_CASE("a large result that is said again while it is fetched is not dropped by its worker") {
    Stage s;
    s.accept();
    const wire::BlobRef result{s.worker.incarnation, blob_id(9), 100};
    const wire::Attempt attempt = s.h.attempt(s.worker, s.client, 1);
    const auto say_result = [&] {
      s.h.say(s.worker, wire::Results{s.client.session,
                                      attempt.epoch,
                                      true,
                                      1,
                                      {{1, attempt.number, 1000, Outcome::ok, wire::Payload(result)}}});
    };
    say_result();
    CHECK(s.h.take() == Actions{s.h.to(s.worker, wire::Get{s.worker.incarnation, blob_id(9), 0, 100})});
    s.h.disconnect(s.worker);
    s.h.advance(1s);  // it is lost
    s.h.hello(s.worker, {.slots = 4});
    s.h.claims(s.worker, s.client, {{1, attempt, wire::ClaimState::done, 1}});
    s.h.ready(s.worker);
    s.h.skip();
    say_result();
    for (const Action& action : s.h.take()) {
      const auto* sent = std::get_if<Send>(&action);
      CHECK(!(sent != nullptr && std::holds_alternative<wire::Drop>(sent->message)));
    }
  }

  TEST_CASE("when a large result is lost while it is fetched, that of another attempt is fetched instead") {
    Stage s;
    s.accept();
    const wire::Attempt first = s.h.attempt(s.worker, s.client, 1);
    const wire::Attempt second{first.epoch, first.number + 1};
    Next n(s);
    TestWorker other{uuid(103), "other"};
    n.h.hello(other);
    n.h.claims(other, s.client, {{1, second, wire::ClaimState::done, 1}});
    n.h.ready(other);
    n.worker_comes(s.client, {{1, first, wire::ClaimState::done, 1}});
    const wire::BlobRef lost{n.worker.incarnation, blob_id(9), 100};
    const wire::BlobRef spare{other.incarnation, blob_id(9), 100};
    const auto results = [&](const wire::Attempt& attempt, const wire::BlobRef& result) {
      return wire::Results{s.client.session,
                           attempt.epoch,
                           true,
                           1,
                           {{1, attempt.number, 1000, Outcome::ok, wire::Payload(result)}}};
    };
    n.h.say(n.worker, results(first, lost));
    CHECK(n.h.take() == Actions{n.h.revoke(other, s.client, 1, second.number),
                                n.h.to(n.worker, wire::Get{lost.holder, lost.id, 0, 100})});
    n.h.say(other, results(second, spare));
    n.h.say(other, results(second, spare));  // once more
    CHECK(n.h.take() == Actions{});
    const auto fails = [&](const TestWorker& holder) {
      for (int tries = 0; tries < 5; ++tries) {
        n.h.say(holder, wire::Gone{blob_id(9), "it is not here"});
        n.h.advance(1s);
      }
    };
    SUBCASE("it is kept") {
      n.h.say(n.worker, wire::Data{blob_id(9), 0, Bytes(std::string(100, 'r'))});
      n.h.skip();
      n.h.step(BlobReady{blob_id(9)});
      CHECK(n.h.take() == Actions{n.h.to(other, wire::Drop{spare.holder, spare.id})});
    }
    SUBCASE("it is lost") {
      fails(n.worker);
      CHECK(n.h.take().back() == Action(n.h.to(other, wire::Get{spare.holder, spare.id, 0, 100})));
      SUBCASE("the spare is kept") {
        n.h.say(other, wire::Data{blob_id(9), 0, Bytes(std::string(100, 'r'))});
        n.h.step(BlobReady{blob_id(9)});
        n.h.commit();
        n.attach(s.client, 1);
        CHECK(n.h.take().back() ==
              Action(n.h.deliver(n.client, 1,
                                 {{1, wire::DeliveryKind::final, Outcome::ok, 0, 0,
                                   wire::Payload(wire::BlobRef{wire::kJournalHolder, blob_id(9), 100})}})));
      }
      SUBCASE("the spare is lost too") {
        fails(other);
        CHECK(n.h.assigned(n.worker, s.client).size() + n.h.assigned(other, s.client).size() == 1);
        n.h.skip();
      }
    }
  }

  TEST_CASE("a session ends though the results of two attempts come in one message") {
    Stage s;
    s.accept();
    const wire::Attempt first = s.h.attempt(s.worker, s.client, 1);
    const wire::Attempt second{first.epoch, first.number + 1};
    Next n(s);
    n.worker_comes(s.client, {{1, first, wire::ClaimState::done, 1}, {1, second, wire::ClaimState::done, 1}});
    const wire::Payload result(wire::BlobRef{n.worker.incarnation, blob_id(9), 100});
    n.h.say(n.worker, wire::Results{s.client.session,
                                    first.epoch,
                                    true,
                                    1,
                                    {{1, first.number, 1000, Outcome::ok, result},
                                     {1, second.number, 1000, Outcome::ok, result}}});
    n.h.say(n.worker, wire::Data{blob_id(9), 0, Bytes(std::string(100, 'r'))});
    n.h.step(BlobReady{blob_id(9)});
    n.h.commit();
    n.attach(s.client, 1);
    n.h.say(n.client, wire::Fetched{{{s.client.session, 1}}});
    n.h.skip();
    n.h.advance(2min);  // its client does not come back
    const Actions actions = n.h.take();
    CHECK(std::count(actions.begin(), actions.end(),
                     Action(n.h.to(n.worker, wire::EndSession{s.client.session}))) == 1);
  }

  TEST_CASE("a task that may be started once is not made again when its result is lost") {
    Stage s;
    wire::TaskSpec once = detached_spec();
    once.crash_limit = 1;
    s.accept(once);
    const wire::Attempt attempt = s.h.attempt(s.worker, s.client, 1);
    s.h.say(s.worker, wire::Results{s.client.session,
                                    attempt.epoch,
                                    true,
                                    1,
                                    {{1, attempt.number, 1000, Outcome::ok,
                                      wire::Payload(wire::BlobRef{s.worker.incarnation, blob_id(9), 100})}}});
    for (int tries = 0; tries < 5; ++tries) {
      s.h.say(s.worker, wire::Gone{blob_id(9), "it is not here"});
      s.h.advance(1s);
    }
    s.h.commit();
    CHECK(s.h.assigned(s.worker, s.client) == Seqs{1});
    CHECK(s.h.status().queued + s.h.status().assigned == 0);
    CHECK(s.h.logged("is lost: it is not here"));
    s.h.skip();
  }

  TEST_CASE("a large result stays with its worker until the journal has the answer") {
    Stage s;
    s.accept();
    const wire::BlobRef result{s.worker.incarnation, blob_id(9), 100};
    const wire::Attempt attempt = s.h.attempt(s.worker, s.client, 1);
    s.h.say(s.worker, wire::Results{s.client.session,
                                    attempt.epoch,
                                    true,
                                    1,
                                    {{1, attempt.number, 1000, Outcome::ok, wire::Payload(result)}}});
    s.h.say(s.worker, wire::Data{blob_id(9), 0, Bytes(std::string(100, 'r'))});
    s.h.skip();
    s.h.step(BlobReady{blob_id(9)});
    CHECK(s.h.take() == Actions{});
    s.h.commit();
    const Actions actions = s.h.take();
    CHECK(std::count(actions.begin(), actions.end(),
                     Action(s.h.to(s.worker, wire::Drop{s.worker.incarnation, blob_id(9)}))) == 1);
  }

  TEST_CASE("a charge that the client knows of and the journal does not is not counted again") {
    Stage s;
    s.accept(retried_spec(1));
    const wire::Attempt attempt = s.h.attempt(s.worker, s.client, 1);
    Next n(s);
    n.worker_comes(s.client, {{1, attempt, wire::ClaimState::done, 1}});
    n.client_is_back(s.client, retried_spec(1), 1, 0);
    n.h.skip();
    n.h.result(n.worker, s.client, 1, Outcome::failed, "it threw", 1000, attempt);
    n.h.commit();
    CHECK(n.h.assigned(n.worker, s.client).empty());  // another worker may have its next attempt
    n.h.advance(2s);
    CHECK(n.h.assigned(n.worker, s.client) == Seqs{1});
    n.h.skip();

    // The next broker knows of it too.
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
    Next n(s);  // the journal has no word of the first, which crashed
    n.second_fails(s.client, second, Outcome::failed, "it threw");
    n.h.skip();

    Next last(n.h, n.worker, kEpoch + 2);
    TestWorker other{uuid(103), "other"};
    last.h.hello(other);
    last.h.claims(other, s.client, {{1, third, wire::ClaimState::done, 3}});
    last.h.ready(other);
    last.worker_comes(s.client, {{1, second, wire::ClaimState::done, 2}});
    last.h.result(last.worker, s.client, 1, Outcome::failed, "it threw", 1000, second);
    last.h.result(other, s.client, 1, Outcome::ok, "done", 1000, third);
    last.h.commit();
    last.h.skip();
    last.attach(s.client, 1);
    const wire::Payload error(std::string_view("it threw"));
    CHECK(last.h.take() ==
          Actions{last.h.received(last.client, 1),
                  last.h.deliver(last.client, 1,
                                 {{1, wire::DeliveryKind::charged, Outcome::failed, 1, 0, error},
                                  {1, wire::DeliveryKind::final, Outcome::ok, 1, 0,
                                   wire::Payload(std::string_view("done"))}})});
  }

  TEST_CASE("a result that waits for its session behind those of unknown tasks is not made again meanwhile") {
    Stage s;
    s.accept(retried_spec(1));
    const wire::Attempt first = s.h.attempt(s.worker, s.client, 1);
    const wire::Attempt second{first.epoch, first.number + 1};  // assigned, and the journal has no word of it
    Next n(s);
    TestWorker other{uuid(103), "other"};
    const auto other_comes = [&] {
      n.h.hello(other);
      n.h.claims(other, s.client,
                 {{9, {first.epoch, 5}, wire::ClaimState::done, 1}, {1, second, wire::ClaimState::done, 2}});
      n.h.ready(other);
    };
    const auto failure_comes = [&] { n.h.result(n.worker, s.client, 1, Outcome::failed, "no", 1000, first); };
    n.worker_comes(s.client, {{1, first, wire::ClaimState::done, 1}});
    SUBCASE("the failure of the attempt before it comes first") {
      failure_comes();
      other_comes();
    }
    SUBCASE("the failure of the attempt before it comes last") {
      other_comes();
      failure_comes();
    }
    const wire::Results results{
        s.client.session,
        first.epoch,
        true,
        1,
        {{9, 5, 1000, Outcome::ok, wire::Payload(std::string_view("unknown"))},
         {1, second.number, 1000, Outcome::ok, wire::Payload(std::string_view("ok"))}}};
    n.h.say(other, results);
    n.h.commit();
    n.h.skip();
    n.h.advance(63'999ms);  // the adoption window, and the minute of a client that does not come
    CHECK(n.h.assigned(n.worker, s.client).empty());
    CHECK(n.h.assigned(other, s.client).empty());
    n.h.skip();
    n.h.advance(1ms);
    CHECK(n.h.take() ==
          Actions{n.h.release(n.worker, s.client, 1), n.h.to(other, wire::Resend{s.client.session})});
    n.h.say(other, results);
    n.h.commit();
    CHECK(n.h.take() == Actions{n.h.release(other, s.client, 1), n.h.release(other, s.client, 2)});
    n.attach(s.client, 1);
    CHECK(n.h.take() ==
          Actions{n.h.received(n.client, 1), n.h.deliver(n.client, 1,
                                                         {{1, wire::DeliveryKind::charged, Outcome::failed, 1,
                                                           0, wire::Payload(std::string_view("no"))},
                                                          {1, wire::DeliveryKind::final, Outcome::ok, 1, 0,
                                                           wire::Payload(std::string_view("ok"))}})});
  }

  TEST_CASE("a program that was asked of a client which left detached tasks is asked of another client") {
    Stage s;
    s.accept();
    wire::TaskSpec spec = program_spec(7);
    spec.detach = true;
    s.h.define(s.client, 2, spec);
    s.h.submit(s.client, 2);
    s.h.skip();
    TestClient other = s.h.join_client("other");
    s.h.define(other, 1, program_spec(7));
    s.h.say(s.worker, wire::Get{other.session, blob_id(7), 0, 1000});
    s.h.skip();
    s.h.say(s.client, wire::Goodbye{""});
    const Actions actions = s.h.take();
    CHECK(std::count(actions.begin(), actions.end(),
                     Action(s.h.to(other, wire::Get{other.session, blob_id(7), 0, 1000}))) == 1);
  }

  TEST_CASE("a worker may forget a failure only when the journal has the charge") {
    Stage s;
    s.accept(retried_spec(1));
    s.h.say(s.client, wire::Goodbye{""});
    s.h.skip();
    s.h.result(s.worker, s.client, 1, Outcome::failed, "it threw");
    const auto released = [&] {
      const Actions actions = s.h.take();
      return std::count(actions.begin(), actions.end(), Action(s.h.release(s.worker, s.client, 1)));
    };
    CHECK(released() == 0);
    s.h.commit();
    CHECK(released() == 1);
  }

  TEST_CASE("a session without tasks stays in a journal that is written anew") {
    Settings settings = journaled();
    settings.journal_queue.rewrite_bytes = 1;
    Harness h(settings);
    TestClient client = h.join_client("client");
    h.define(client, 1, detached_spec());
    h.submit(client, 1);
    h.commit();
    h.cancel(client, 1);
    h.commit();
    h.say(client, wire::Fetched{{{client.session, 1}}});
    h.commit();
    h.submit(client, 1);
    h.commit();
    h.skip();
    Harness next(journaled(kEpoch + 1), h.disk());
    CHECK(next.status().queued == 1);
    next.skip();
  }

  TEST_CASE(
      "a cancelled task that its worker has not stopped yet stays cancelled in a journal that is written "
      "anew") {
    Settings settings = journaled();
    settings.journal_queue.rewrite_bytes = 2000;
    Harness h(settings);
    TestClient client = h.join_client("client");
    h.join_worker("worker");
    h.define(client, 1, detached_spec());
    h.submit(client, 1);
    h.commit();
    h.cancel(client, 1);
    h.commit();
    REQUIRE(h.disk().rows.size() > 1);
    h.submit(client, 1, 1, std::string(2000, 'x'));
    h.commit();
    REQUIRE(h.disk().rows.size() == 1);
    h.skip();
    Harness next(journaled(kEpoch + 1), h.disk());
    CHECK(next.status().queued == 1);  // the second
    next.skip();
  }

  TEST_CASE("a task that is attached to one with charges is told each of them once") {
    Stage s;
    s.accept(retried_spec(2));
    s.h.result(s.worker, s.client, 1, Outcome::failed, "it threw");
    s.h.commit();
    s.h.skip();
    TestClient other = s.h.join_client("other");
    Harness h(journaled(kEpoch + 1), s.h.disk());
    h.commit();
    h.hello(other, 0, kEpoch);
    h.define(other, 1, attached_spec());
    h.skip();
    h.say(other, wire::Reannounce{{{1, 1, 1, 0, 0, wire::Payload(name_of(s.client, 1))}}});
    CHECK(h.take() == Actions{h.received(other, 1)});
  }

  TEST_CASE("an answer that nobody fetches is dropped when its time has passed, also over a restart") {
    Stage s;
    s.accept();
    s.h.say(s.client, wire::Goodbye{""});
    s.h.result(s.worker, s.client, 1);
    s.h.commit();
    s.h.skip();
    Settings settings = journaled(kEpoch + 1);
    settings.keep = 10s;
    Harness h(settings, s.h.disk());
    h.commit();
    h.skip();
    h.advance(9s);
    CHECK(h.status().client_list.size() == 1);
    h.advance(1s);
    h.commit();
    CHECK(h.logged("was not fetched in time"));
    h.advance(60s);  // its client may not come back any more
    CHECK(h.status().client_list.empty());
    h.skip();
  }

  TEST_CASE("programs and large arguments are in the folder before the task is promised, and go with it") {
    Stage s;
    wire::TaskSpec spec = program_spec(7);
    spec.detach = true;
    s.h.define(s.client, 2, spec);
    const wire::BlobRef argument{s.client.session, blob_id(8), 100};
    s.h.say(s.client, wire::Submit{{{1, 2, wire::Payload(argument)}}});
    s.client.next_seq = 2;
    CHECK(s.h.take() == Actions{s.h.received(s.client, 1),
                                s.h.to(s.client, wire::Get{s.client.session, blob_id(7), 0, 1000}),
                                s.h.to(s.client, wire::Get{s.client.session, blob_id(8), 0, 100})});
    s.h.say(s.client, wire::Data{blob_id(8), 0, Bytes(std::string(100, 'a'))});
    s.h.commit();
    CHECK(s.h.take() == Actions{});
    s.h.say(s.client, wire::Data{blob_id(7), 0, Bytes(std::string(1000, 'p'))});
    s.h.commit();
    CHECK(s.h.disk().blobs == std::set<BlobId>{blob_id(7), blob_id(8)});
    CHECK(s.h.assigned(s.worker, s.client) == Seqs{1});
    s.h.skip();
    s.h.say(s.client, wire::Goodbye{""});
    s.h.skip();
    s.h.say(s.worker, wire::Get{s.client.session, blob_id(8), 0, 100});
    CHECK(s.h.take() == Actions{ServeChunk{s.worker.peer, {s.client.session, blob_id(8), 0, 100}}});

    Next n(s);
    CHECK(n.h.disk().blobs.size() == 2);
    n.worker_comes(s.client, {});
    n.h.advance(65s);  // its client may not come back any more
    CHECK(n.h.assigned(n.worker, s.client) == Seqs{1});
    n.h.result(n.worker, s.client, 1);
    n.h.commit();
    n.attach(s.client, 1);
    n.h.say(n.client, wire::Fetched{{{s.client.session, 1}}});
    n.h.commit();
    CHECK(n.h.disk().blobs.empty());
    n.h.skip();
  }

  TEST_CASE("what cannot be fetched or kept refuses the task, and the client hears why") {
    Stage s;
    s.h.say(s.client,
            wire::Submit{{{1, 1, wire::Payload(wire::BlobRef{s.client.session, blob_id(8), 100})}}});
    for (int i = 0; i < 5; ++i) {
      s.h.say(s.client, wire::Data{blob_id(8), 0, Bytes(std::string(100, 'a'))});
      s.h.skip();
      s.h.commit("no space is left on the device");
      if (i < 4) s.h.advance(1s);
    }
    CHECK(refusal(s.h.take(), 1) == "what it needs cannot be kept: no space is left on the device");
    CHECK(s.h.status().queued == 0);
    CHECK(s.h.disk().blobs.empty());
  }

  TEST_CASE("a large result is brought to the folder before it counts, and made again when it is lost") {
    Stage s;
    s.accept();
    const wire::BlobRef there{s.worker.incarnation, blob_id(9), 10};
    const auto finish = [&](std::uint64_t outbox, bool fresh) {
      s.h.say(s.worker, wire::Results{s.client.session,
                                      kEpoch,
                                      fresh,
                                      outbox,
                                      {{1, s.h.attempt(s.worker, s.client, 1).number, 1000, Outcome::ok,
                                        wire::Payload(there)}}});
    };
    finish(1, true);
    CHECK(s.h.take() == Actions{s.h.to(s.worker, wire::Get{s.worker.incarnation, blob_id(9), 0, 10})});
    SUBCASE("it comes") {
      s.h.say(s.worker, wire::Data{blob_id(9), 0, Bytes(std::string(10, 'r'))});
      s.h.commit();
      const wire::BlobRef here{wire::kJournalHolder, blob_id(9), 10};
      CHECK(s.h.take() ==
            Actions{s.h.to(s.worker, wire::Drop{s.worker.incarnation, blob_id(9)}),
                    s.h.release(s.worker, s.client, 1),
                    s.h.deliver(s.client, 1,
                                {{1, wire::DeliveryKind::final, Outcome::ok, 0, 0, wire::Payload(here)}})});
      s.h.ack(s.client, 1);
      s.h.commit();
      CHECK(s.h.disk().blobs.size() == 1);  // the client is only about to ask for its bytes
      s.h.say(s.client, wire::Get{wire::kJournalHolder, blob_id(9), 0, 10});
      s.h.say(s.client, wire::Drop{wire::kJournalHolder, blob_id(9)});
      s.h.commit();
      CHECK(s.h.disk().blobs.size() == 1);
      s.fetched(1);
      s.h.commit();
      CHECK(s.h.disk().blobs.empty());
      CHECK(s.find().tasks.empty());
    }
    SUBCASE("it is lost") {
      for (int i = 0; i < 5; ++i) {
        s.h.say(s.worker, wire::Gone{blob_id(9), "it was dropped"});
        s.h.advance(1s);
      }
      CHECK(s.h.assigned(s.worker, s.client) == Seqs{1, 1});
      s.worker.outbox[s.client.session] = 1;
      s.worker.begun.insert(s.client.session);
      s.h.result(s.worker, s.client, 1);
      s.h.commit();
      s.fetched(1);
      s.h.commit();
      CHECK(s.find().tasks.empty());
    }
    s.h.skip();
  }

  TEST_CASE("cancelling an attached task cancels the detached one") {
    Stage s;
    s.accept();
    s.h.say(s.client, wire::Goodbye{""});
    s.h.skip();
    TestClient other = s.h.join_client("other");
    s.h.define(other, 1, attached_spec());
    s.h.submit(other, 1, 1, name_of(s.client, 1));
    s.h.skip();
    s.h.cancel(other, 1);
    CHECK(s.h.take() == Actions{s.h.revoke(s.worker, s.client, 1, 1)});
    s.h.commit();
    const Actions actions = s.h.take();
    REQUIRE(actions.size() == 1);
    const auto& deliver = std::get<wire::Deliver>(std::get<Send>(actions[0]).message);
    CHECK(deliver.records.at(0).outcome == Outcome::cancelled);
  }

  TEST_CASE("a journal that has grown is written anew with what is open, and nothing is lost by it") {
    Settings settings = journaled();
    settings.journal_queue.rewrite_bytes = 2000;
    Harness h(settings);
    TestClient client = h.join_client("client");
    TestWorker worker = h.join_worker("worker");
    h.define(client, 1, detached_spec());
    for (std::uint64_t seq = 1; seq <= 100; ++seq) {
      h.submit(client, 1);
      h.commit();
      if (seq == 100) break;
      h.result(worker, client, seq);
      h.commit();
      h.say(client, wire::Fetched{{{client.session, seq}}});
      h.commit();
    }
    h.skip();
    std::size_t bytes = 0;
    for (const std::string& row : h.disk().rows) bytes += row.size();
    CHECK(bytes < 4000);
    Harness next(journaled(kEpoch + 1), h.disk());
    next.commit();
    CHECK(next.status().queued == 1);
    next.skip();
  }
}

}  // namespace weft::broker
