// SPDX-License-Identifier: MIT
// Detached tasks over restarts of the broker. PROTOCOL.md section 8.
#include "tests/unit/detached_stage.hpp"

namespace weft::broker {

TEST_SUITE("scheduler, detached: restart") {
  TEST_CASE("after a restart the client of a sweep that nobody has seen yet is not called lost") {
    Stage s;
    s.accept();
    Next next(s);
    const wire::Status status = next.h.status();
    CHECK(status.clients == 1);  // only the other client
    const auto client = std::find_if(status.client_list.begin(), status.client_list.end(),
                                     [](const auto& c) { return c.name == "client"; });
    REQUIRE(client != status.client_list.end());
    CHECK(client->state == "detached");
    next.h.advance(20s);
    CHECK(next.h.noticed(NoticeKind::client_lost) == 0);
  }

  TEST_CASE("tasks that were not in the journal when their client left are nobody's") {
    Stage s;
    s.h.submit(s.client, 1);
    s.h.say(s.client, wire::Goodbye{""});
    s.h.expect<wire::Received, ForgetPeer>();
    s.h.commit();  // the commit was under way already, and may as well succeed
    CHECK(s.h.status().queued + s.h.status().assigned <= 1);
    s.h.expect<wire::DefineFor, wire::Assign>();
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
    s.h.expect<wire::Received, wire::Journaled, wire::DefineFor, wire::Assign, wire::Deliver>();

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

  TEST_CASE("JOURNALED of a task that was cancelled before the journal had it waits for the journal") {
    Stage s;
    s.h.submit(s.client, 1);
    s.h.say(s.client, wire::Cancel{{1}});
    s.h.disconnect(s.client);
    s.h.advance(3s);  // its client is gone for good
    s.h.expect<wire::Received, ForgetPeer>();
    s.h.hello(s.client, 0, kEpoch);
    s.h.define(s.client, 1, detached_spec());
    s.h.expect<wire::Welcome>();
    s.h.say(s.client, wire::Reannounce{{{1, 1, 0, 0, 0, wire::Payload(std::string_view("arg"))}}});
    CHECK(s.h.take() == Actions{s.h.received(s.client, 1)});
    s.h.commit();
    CHECK(std::get<wire::Deliver>(std::get<Send>(s.h.take().back()).message).records.at(0).outcome ==
          Outcome::cancelled);
  }

  TEST_CASE("a client that lives through the broker's death gets every answer once") {
    Stage s;
    s.accept(2);
    s.h.result(s.worker, s.client, 1);
    s.h.commit();
    s.h.expect<wire::Deliver, wire::Release>();

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
    h.expect<wire::Welcome, wire::Received, wire::Journaled, ForgetPeer>();
    h.hello(client);
    CHECK(h.take().at(0) == Action(h.welcome(client, true, 1)));  // it may have older deliveries as well
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
    h.expect<wire::Received, wire::Journaled, wire::Deliver>();
    Harness next(journaled(kEpoch + 1), h.disk());
    CHECK(next.status().queued == 1);
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
    h.expect<wire::Received, wire::Journaled, wire::DefineFor, wire::Assign, wire::Deliver, wire::Release>();
    std::size_t bytes = 0;
    for (const std::string& row : h.disk().rows) bytes += row.size();
    CHECK(bytes < 4000);
    Harness next(journaled(kEpoch + 1), h.disk());
    next.commit();
    CHECK(next.status().queued == 1);
  }

  TEST_CASE("a result that was taken before its session ended is no answer to the task announced again") {
    Stage s;
    s.accept();  // this one goes on when the client has gone
    s.h.define(s.client, 2, any_spec());
    s.h.submit(s.client, 2);
    s.h.result(s.worker, s.client, 2);
    s.h.expect<wire::Received, wire::DefineFor, wire::Assign, wire::Deliver>();
    s.h.disconnect(s.client);
    s.h.advance(3s);
    s.h.expect<wire::Release, ForgetPeer>();  // the RELEASE does not arrive
    s.h.disconnect(s.worker);
    s.h.hello(s.client);
    s.h.hello(s.worker, {.slots = 4});
    s.h.claims(s.worker, s.client,
               {{1, {kEpoch, 1}, wire::ClaimState::running, 1}, {2, {kEpoch, 2}, wire::ClaimState::done, 1}});
    s.h.ready(s.worker);
    s.worker.outbox[s.client.session] = 0;
    s.h.result(s.worker, s.client, 2, Outcome::ok, "result", 1000, wire::Attempt{kEpoch, 2});
    s.h.expect<wire::Welcome, wire::Release, ForgetPeer>();
    s.h.define(s.client, 2, any_spec());
    s.h.say(s.client, wire::Reannounce{{{2, 2, 0, 0, 0, wire::Payload(std::string_view("arg"))}}});
    s.h.synced(s.client);
    CHECK(s.h.assigned(s.worker, s.client) == Seqs{2});
    s.h.expect<wire::Received, wire::DefineFor, wire::Assign>();
  }
}

}  // namespace weft::broker
