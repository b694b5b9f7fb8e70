// SPDX-License-Identifier: MIT
// Detached tasks: accepted when they are in the journal, answered when their answer is, retained until the
// answer is fetched. PROTOCOL.md section 8.
#include "tests/unit/detached_stage.hpp"

namespace weft::broker {

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
  }

  TEST_CASE("the answer goes to the client, and the worker may forget it, only when the journal has it") {
    Stage s;
    s.accept();
    s.h.result(s.worker, s.client, 1);
    CHECK(s.h.take() == Actions{});
    s.h.commit();
    CHECK(s.h.take() == Actions{s.h.release(s.worker, s.client, 1), s.h.deliver_ok(s.client, 1, 1)});
    s.h.ack(s.client, 1);
    CHECK(s.find().tasks.size() == 1);  // until the program has asked for the answer
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
    s.h.expect<wire::Received, wire::Journaled, wire::DefineFor, wire::Assign>();
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
    s.h.expect<wire::Received, wire::Journaled, wire::DefineFor, wire::Assign>();
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
    s.h.expect<wire::Received, wire::DefineFor, wire::Assign>();
    s.h.say(s.client, wire::Goodbye{""});
    CHECK(s.h.take() == Actions{ForgetPeer{s.client.peer}, s.h.revoke(s.worker, s.client, 3, 3)});
    CHECK(s.h.status().clients == 0);
    s.h.result(s.worker, s.client, 1);
    s.h.commit();
    s.h.expect<wire::Release>();

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
    s.h.expect<wire::Deliver, wire::Release>();
    s.h.say(other, wire::Fetched{{{s.client.session, 2}}});
    CHECK(Stage::find_at(s.h, other).tasks.empty());
    CHECK(s.h.status().client_list.size() == 2);  // another client may have found them a moment ago
    s.h.advance(5s);
    s.h.commit();
    // The last task is fetched: nothing is left of the session.
    CHECK(s.h.take() == Actions{s.h.to(s.worker, wire::EndSession{s.client.session})});
    CHECK(s.h.status().client_list.size() == 1);
  }

  TEST_CASE("an answer that was fetched is kept while a client that is there holds a Future for it") {
    Stage s;
    s.accept();
    s.h.result(s.worker, s.client, 1);
    s.h.commit();
    s.h.expect<wire::Deliver, wire::Release>();
    const auto attach = [&](TestClient& client) {
      s.h.define(client, 1, attached_spec());
      s.h.submit(client, 1, 1, name_of(s.client, 1));
      s.h.expect_only<wire::Received, wire::Deliver, ForgetPeer>();
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
      CHECK(Stage::find_at(s.h, first).tasks.empty());  // and new attachments come too late
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
      s.h.submit(second, 1, 1, name_of(s.client, 1));
      CHECK(s.h.take() == Actions{s.h.received(second, 1), s.h.deliver_ok(second, 1, 1)});
      s.h.say(second, fetched);
      s.h.advance(5s);
      CHECK_FALSE(is_kept());
    }
    s.h.expect_only<wire::EndSession, ForgetPeer>();
  }

  TEST_CASE("a client that cancels what it attached to, and wants no answer, is told that it is cancelled") {
    Stage s;
    s.accept();
    s.h.say(s.client, wire::Goodbye{""});
    s.h.expect<ForgetPeer>();
    TestClient other = s.h.join_client("other");
    s.h.define(other, 1, attached_spec());
    s.h.submit(other, 1, 1, name_of(s.client, 1));
    s.h.expect<wire::Received>();
    s.h.cancel(other, 1);
    s.h.say(other, wire::Fetched{{{s.client.session, 1}}});
    s.h.expect<wire::Revoke>();
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
    h.expect<wire::Received, wire::Journaled, wire::DefineFor, wire::Assign, wire::Revoke, wire::Deliver>();
    Harness next(journaled(kEpoch + 1), h.disk());
    CHECK(next.status().queued == 1);  // the second task
  }

  TEST_CASE("an answer that nobody fetches is dropped when its time has passed, also over a restart") {
    Stage s;
    s.accept();
    s.h.say(s.client, wire::Goodbye{""});
    s.h.result(s.worker, s.client, 1);
    s.h.commit();
    s.h.expect<wire::Release, ForgetPeer>();
    Settings settings = journaled(kEpoch + 1);
    settings.result_ttl = 10s;
    Harness h(settings, s.h.disk());
    h.commit();
    h.advance(9s);
    CHECK(h.status().client_list.size() == 1);
    h.advance(1s);
    h.commit();
    CHECK(h.noticed(NoticeKind::answer_expired) == 1);
    h.advance(60s);  // its client may not come back any more
    CHECK(h.status().client_list.empty());
  }

  TEST_CASE("cancelling an attached task cancels the detached one") {
    Stage s;
    s.accept();
    s.h.say(s.client, wire::Goodbye{""});
    s.h.expect<ForgetPeer>();
    TestClient other = s.h.join_client("other");
    s.h.define(other, 1, attached_spec());
    s.h.submit(other, 1, 1, name_of(s.client, 1));
    s.h.expect<wire::Received>();
    s.h.cancel(other, 1);
    CHECK(s.h.take() == Actions{s.h.revoke(s.worker, s.client, 1, 1)});
    s.h.commit();
    const Actions actions = s.h.take();
    REQUIRE(actions.size() == 1);
    const auto& deliver = std::get<wire::Deliver>(std::get<Send>(actions[0]).message);
    CHECK(deliver.records.at(0).outcome == Outcome::cancelled);
  }
}

}  // namespace weft::broker
