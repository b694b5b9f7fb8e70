// SPDX-License-Identifier: MIT
// A silent client is not a gone client. PROTOCOL.md section 4.
#include "tests/unit/scheduler_harness.hpp"

namespace weft::broker {

namespace {

constexpr std::uint64_t kForEver_ms = UINT64_MAX;

/// One client with spec 1, one worker with one slot. Task 1 runs there, task 2 is queued.
struct Stage {
  explicit Stage(Settings settings = test_settings()) : h(std::move(settings)) {
    h.define(client, 1, any_spec());
    h.submit(client, 1, 2);
    h.started(worker, client, 1);
    h.expect<wire::Received, wire::DefineFor, wire::Assign, wire::Running>();
  }
  /// Says HELLO on a new connection, with the time for which the client waits for a broker.
  void hello(std::uint64_t give_up_ms) {
    client.peer = next_peer++;
    h.say(client, wire::HelloClient{client.session, client.name, "client-host", 1, kEpoch, 0, give_up_ms});
    h.expect<wire::Welcome, ForgetPeer>();
  }
  void close(bool by_peer) {
    h.fall_silent(client.peer);
    h.step(PeerGone{client.peer, by_peer});
  }
  std::string state() { return h.status().client_list.empty() ? "" : h.status().client_list.at(0).state; }
  /// Task 1 ends; task 2 starts unless the client is away.
  void finish_first() { h.result(worker, client, 1, wire::Outcome::ok, "result", 50'000); }

  Harness h;
  TestClient client = h.join_client("client");
  TestWorker worker = h.join_worker("worker");
  PeerId next_peer = 500;
};

}  // namespace

TEST_SUITE("scheduler, silence") {
  TEST_CASE("while a client is silent, what runs goes on and nothing new starts") {
    Stage s;
    s.h.fall_silent(s.client.peer);
    s.h.advance(30s);
    CHECK(s.h.take() == Actions{});
    CHECK(s.state() == "silent");
    s.finish_first();
    CHECK(s.h.take() == Actions{s.h.deliver_ok(s.client, 1, 1)});
    s.h.advance(10s);
    CHECK(s.h.take() == Actions{});
    CHECK(s.h.status().waiting_list.at(0).reason.find("nothing is heard of its client") == 0);
    s.h.say(s.client, wire::Heartbeat{});
    CHECK(s.h.take() == Actions{s.h.assign(s.worker, s.client, 2, 2)});
    CHECK(s.state() == "connected");
  }

  TEST_CASE("a client whose network was down comes back to its session, after up to a minute") {
    for (const auto& [down, given_up] : std::map<Duration, bool>{
             {4s, false}, {10s, false}, {11s, true}, {30s, true}, {59s, true}, {60s, false}}) {
      Stage s;
      s.h.fall_silent(s.client.peer);
      s.h.advance(4s);
      if (given_up) s.close(false);  // by the broker's kernel
      s.h.advance(down - 4s);
      s.finish_first();
      s.h.expect_only<wire::Deliver, ForgetPeer>();
      s.h.hello(s.client);
      Actions expected = {s.h.welcome(s.client, true, 2), s.h.assign(s.worker, s.client, 2, 2),
                          s.h.deliver_ok(s.client, 1, 1)};
      Actions actions = s.h.take();
      std::erase_if(actions, [](const Action& action) { return std::holds_alternative<ForgetPeer>(action); });
      CHECK(actions == expected);
      CHECK(s.h.assigned(s.worker, s.client) == std::vector<std::uint64_t>{1, 2});
    }
  }

  TEST_CASE("what a silent client had sent is heard first, and the end of its connection then: it has 5 s") {
    Stage s;
    s.h.fall_silent(s.client.peer);
    s.h.advance(10s);
    CHECK(s.state() == "silent");
    s.h.say(s.client, wire::Heartbeat{});
    CHECK(s.state() == "connected");
    s.h.step(PeerGone{s.client.peer, true});
    s.h.advance(4999ms);
    CHECK(s.state() == "lost");
    s.h.advance(1ms);
    CHECK(s.state() == "leaving");
    s.h.expect<wire::Revoke, ForgetPeer>();
  }

  TEST_CASE("a client that has closed its connection has 2 s to come back") {
    Stage s;
    s.close(true);
    s.h.advance(1999ms);
    CHECK(s.state() == "lost");
    s.finish_first();
    s.h.take();
    SUBCASE("it does: nothing is executed again") {
      s.h.hello(s.client);
      CHECK(s.h.take() == Actions{s.h.welcome(s.client, true, 2), s.h.assign(s.worker, s.client, 2, 2),
                                  s.h.deliver_ok(s.client, 1, 1)});
      s.h.advance(10s);
      CHECK(s.state() == "connected");
    }
    SUBCASE("it does not: status says what was cancelled") {
      s.h.advance(1ms);
      CHECK(s.state().empty());
      s.h.expect<wire::Release, wire::EndSession>();
      REQUIRE(s.h.status().departed.size() == 1);
      CHECK(s.h.status().departed[0].find("its connection broke, and it did not come back") !=
            std::string::npos);
      CHECK(s.h.status().departed[0].find("1 open task cancelled (0 with workers)") != std::string::npos);
    }
  }

  TEST_CASE("the end of an older connection that comes after the new HELLO changes nothing") {
    Stage s;
    const PeerId older = s.client.peer;
    s.h.hello(s.client);
    s.h.step(PeerGone{older, true});
    s.h.advance(10s);
    CHECK(s.state() == "connected");
    s.finish_first();
    CHECK(s.h.assigned(s.worker, s.client) == std::vector<std::uint64_t>{1, 2});
    s.h.expect<wire::Welcome, wire::Assign, wire::Deliver, ForgetPeer>();
  }

  TEST_CASE("a silent client whose connection is closed then had given it up: it has 5 s to come back") {
    Stage s;
    s.h.fall_silent(s.client.peer);
    s.h.advance(20s);
    s.close(true);
    s.h.advance(4999ms);
    CHECK(s.state() == "lost");
    s.h.advance(1ms);
    CHECK(s.state() == "leaving");
    s.h.expect<wire::Revoke, ForgetPeer>();
  }

  TEST_CASE(
      "silence ends a session after the time that its client waits for a broker, and at most the limit") {
    Settings settings = test_settings();
    settings.max_client_silence = 100s;
    Stage s(settings);
    // 3 to 3.5 s until the silence is noticed, and 2 s for the way back.
    SUBCASE("a minute, if it does not say") {
      s.h.fall_silent(s.client.peer);
      s.h.advance(64999ms);
      CHECK(s.state() == "silent");
      s.h.advance(501ms);
    }
    SUBCASE("its own time") {
      s.hello(10'000);
      s.h.advance(14999ms);
      CHECK(s.state() == "silent");
      s.h.advance(501ms);
    }
    SUBCASE("the limit") {
      s.hello(kForEver_ms);
      s.h.advance(104'999ms);
      CHECK(s.state() == "silent");
      s.h.advance(501ms);
    }
    CHECK(s.state() == "leaving");
    CHECK(s.h.noticed(NoticeKind::client_left,
                      "nothing was heard of it for 3.0 s, and it did not come back") == 1);
    s.h.expect<wire::Revoke, ForgetPeer>();
  }

  TEST_CASE("a client whose process has ended on this host is gone, whatever its connection does") {
    Stage s;
    SUBCASE("connected") {}
    SUBCASE("silent") {
      s.h.fall_silent(s.client.peer);
      s.h.advance(4s);
    }
    SUBCASE("lost") {
      s.close(false);
      s.h.expect<ForgetPeer>();
    }
    s.h.step(ProcessGone{s.client.session});
    Actions actions = s.h.take();
    std::erase_if(actions, [](const Action& action) { return std::holds_alternative<ForgetPeer>(action); });
    CHECK(actions == Actions{s.h.revoke(s.worker, s.client, 1, 1)});
    CHECK(s.state() == "leaving");
    s.h.step(ProcessGone{s.client.session});
    CHECK(s.h.take() == Actions{});
  }

  TEST_CASE("a broker that stood still gives silent clients time to be heard") {
    Stage s;
    s.h.fall_silent(s.client.peer);
    s.h.advance(10s);
    s.h.freeze(70s);
    CHECK(s.state() == "silent");
    s.h.say(s.client, wire::Heartbeat{});
    CHECK(s.state() == "connected");
  }

  TEST_CASE("what a silent client has detached starts all the same") {
    Settings settings = test_settings();
    settings.journal = true;
    Harness h(settings);
    TestClient client = h.join_client("client");
    TestWorker worker = h.join_worker("worker");
    wire::TaskSpec detached = any_spec();
    detached.detach = true;
    h.define(client, 1, any_spec());
    h.define(client, 2, detached);
    h.submit(client, 1, 2);
    h.submit(client, 2, 1);
    h.commit();
    h.fall_silent(client.peer);
    h.advance(4s);
    h.result(worker, client, 1, wire::Outcome::ok, "result", 50'000);
    CHECK(h.assigned(worker, client) == std::vector<std::uint64_t>{1, 3});
    h.expect<wire::Received, wire::Journaled, wire::DefineFor, wire::Assign, wire::Deliver>();
  }
}

}  // namespace weft::broker
