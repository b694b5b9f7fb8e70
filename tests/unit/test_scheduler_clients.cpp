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
    for (const std::uint64_t seq : {1, 2, 3})
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

  TEST_CASE("at most 8 MiB of payload are under way to a client; the rest follows its acknowledgements") {
    Stage s;
    const std::string large(64 << 10, 'x');
    s.h.submit(s.client, 1, 200);
    s.h.expect<wire::Received, wire::DefineFor, wire::Assign>();
    std::size_t sent = 0;
    const auto count = [&] {
      for (const Action& action : s.h.take()) {
        const auto* send = std::get_if<Send>(&action);
        if (send == nullptr) continue;
        if (const auto* deliver = std::get_if<wire::Deliver>(&send->message)) {
          CHECK(deliver->first == sent + 1);
          sent += deliver->records.size();
        }
      }
    };
    for (std::uint64_t seq = 1; seq <= 200; ++seq) {
      s.h.result(s.worker, s.client, seq, Outcome::ok, large, 50'000);
      count();
    }
    CHECK(sent == 127);  // not 128, since each task costs a little more than its payload
    s.h.ack(s.client, 10);
    count();
    CHECK(sent == 137);
    s.h.ack(s.client, 137);
    count();
    CHECK(sent == 200);
  }

  TEST_CASE("one delivery larger than the window goes alone") {
    Settings settings = test_settings();
    settings.delivery_bytes_max = 1000;
    Stage s(settings);
    s.h.submit(s.client, 1, 2);
    s.h.expect<wire::Received, wire::DefineFor, wire::Assign>();
    const std::string large(5000, 'x');
    s.h.result(s.worker, s.client, 1, Outcome::ok, large);
    CHECK(s.h.take() == Actions{s.h.deliver_ok(s.client, 1, 1, large)});
    s.h.result(s.worker, s.client, 2, Outcome::ok, large);
    CHECK(s.h.take() == Actions{});
    s.h.ack(s.client, 1);
    CHECK(s.h.take() == Actions{s.h.release(s.worker, s.client, 1), s.h.deliver_ok(s.client, 2, 2, large)});
  }

  TEST_CASE("a client that does not read stops its own assignments and nobody else's") {
    Settings settings = test_settings();
    settings.backlog_bytes_max = 10'000;
    settings.delivery_bytes_max = 1000;
    Harness h(settings);
    TestClient slow = h.join_client("slow");
    TestClient other = h.join_client("other");
    TestWorker worker = h.join_worker("worker");
    h.define(slow, 1, any_spec());
    h.define(other, 1, any_spec());
    h.submit(slow, 1, 20);
    h.expect<wire::Received, wire::DefineFor, wire::Assign>();
    std::uint64_t seq = 1;
    for (; h.status().assigned > 0; ++seq)
      h.result(worker, slow, seq, Outcome::ok, std::string(1000, 'x'), 50'000);
    CHECK(seq == 11);  // ten results are waiting
    h.expect<wire::Assign, wire::Deliver>();
    h.submit(other, 1);
    CHECK(h.take() ==
          Actions{h.received(other, 1), h.define_for(worker, other, 1), h.assign(worker, other, 1, 11)});
    h.result(worker, other, 1);
    CHECK(h.take() == Actions{h.deliver_ok(other, 1, 1)});
    h.ack(slow, 1);
    CHECK(h.assigned(worker, slow).back() == 11);
    h.expect<wire::Assign, wire::Deliver, wire::Release>();
  }

  TEST_CASE("RECEIVED has no message of its own while the window is open") {
    Settings settings = test_settings();
    settings.received_bytes = 10'000;
    Harness h(settings);
    TestClient client = h.join_client("client");
    h.define(client, 1, any_spec());
    h.submit(client, 1, 2);
    CHECK(h.take() == Actions{});
    SUBCASE("it goes with the next DELIVER") {
      TestWorker worker = h.join_worker_later("worker", {.slots = 2});
      h.result(worker, client, 1);
      CHECK(h.take() == Actions{h.received(client, 2), h.deliver_ok(client, 1, 1)});
      h.result(worker, client, 2);
      CHECK(h.take() == Actions{h.deliver_ok(client, 2, 2)});
    }
    SUBCASE("it goes when so much has come since the last one") {
      h.submit(client, 1, 1, std::string(9000, 'x'));
      CHECK(h.take() == Actions{});
      h.submit(client, 1, 1, std::string(9000, 'x'));
      CHECK(h.take() == Actions{h.received(client, 4)});
    }
    SUBCASE("it goes after half a second at the latest") {
      h.advance(600ms);
      CHECK(h.take() == Actions{h.received(client, 2)});
    }
  }

  TEST_CASE("RECEIVED is withheld over the memory budget, and comes when there is room again") {
    Settings settings = test_settings();
    settings.memory_budget = 10'000;
    Harness h(settings);
    TestClient client = h.join_client("client");
    h.define(client, 1, any_spec());
    h.submit(client, 1, 1, std::string(9000, 'x'));
    CHECK(h.take() == Actions{h.received(client, 1)});
    h.submit(client, 1, 1, std::string(9000, 'x'));
    CHECK(h.take() == Actions{});
    CHECK(h.status().queued_bytes == 18'000);
    h.advance(5s);
    CHECK(h.take() == Actions{});
    TestClient modest = h.join_client("modest");
    h.define(modest, 1, any_spec());
    h.submit(modest, 1);
    CHECK(h.take() == Actions{h.received(modest, 1)});  // the client uses less than its share
    h.cancel(client, 1);
    CHECK(h.take().at(0) == Action(h.received(client, 2)));  // RECEIVED together with the answer
  }

  TEST_CASE("tasks without an argument and results that are not fetched count in the memory budget") {
    Settings settings = test_settings();
    settings.memory_budget = 10'000;
    Harness h(settings);
    TestClient client = h.join_client("client");
    TestWorker worker = h.join_worker("worker");
    h.define(client, 1, any_spec());
    SUBCASE("tasks") {
      h.submit(client, 1, 100, "");
      h.expect<wire::DefineFor, wire::Assign>();
      h.submit(client, 1);
      CHECK(h.take() == Actions{});
    }
    SUBCASE("results") {
      h.submit(client, 1, 3);
      for (std::uint64_t seq = 1; seq <= 3; ++seq) {
        CHECK(h.assigned(worker, client).size() == std::min<std::uint64_t>(seq, 2));
        if (seq <= 2) h.result(worker, client, seq, Outcome::ok, std::string(4000, 'x'), 50'000);
      }
      h.expect<wire::Received, wire::DefineFor, wire::Assign, wire::Deliver>();
      h.ack(client, 2);
      CHECK(h.take() == Actions{h.release(worker, client, 2), h.assign(worker, client, 3, 3)});
    }
  }

  TEST_CASE("a client that sends more than its window is refused, and its tasks are kept") {
    Settings settings = test_settings();
    settings.memory_budget = 1000;
    settings.submit_bytes_max = 10'000;
    Stage s(settings);
    s.h.submit(s.client, 1, 1, std::string(9000, 'x'));
    s.h.expect<wire::DefineFor, wire::Assign>();
    s.h.submit(s.client, 1, 1, std::string(9000, 'x'));
    const Actions actions = s.h.take();
    REQUIRE(actions.size() == 2);
    const auto& refuse = std::get<wire::Refuse>(std::get<Send>(actions[0]).message);
    CHECK(refuse.code == wire::RefuseCode::not_allowed);
    CHECK(actions[1] == Action(ForgetPeer{s.client.peer}));
    s.h.hello(s.client);
    CHECK(s.h.take() == Actions{s.h.welcome(s.client, true, 1)});
  }

  TEST_CASE("RECEIVED that was withheld is in the WELCOME of a client that resumes") {
    Settings settings = test_settings();
    settings.memory_budget = 1000;
    Stage s(settings);
    s.h.submit(s.client, 1, 1, std::string(9000, 'x'));
    s.h.disconnect(s.client);
    s.h.expect<wire::DefineFor, wire::Assign, ForgetPeer>();
    s.h.hello(s.client);
    CHECK(s.h.take() == Actions{s.h.welcome(s.client, true, 1)});
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
}

}  // namespace weft::broker
