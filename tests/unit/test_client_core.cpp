// SPDX-License-Identifier: MIT
// The client core and its broker: presence and reconnects.
#include "tests/unit/client_harness.hpp"

using namespace weft;
using namespace weft::client;
using namespace weft::client::test;

TEST_SUITE("client session: presence") {
  TEST_CASE("it connects at once, says HELLO, and after WELCOME says SYNCED") {
    Harness h;
    CHECK_ACTIONS(h.tick(), {OpenLink{}});
    CHECK_ACTIONS(h.step(LinkUp{}),
                  {Send{wire::HelloClient{.session = uuid(1), .name = "test", .host = "here", .pid = 7}}});
    CHECK_ACTIONS(h.receive(wire::Welcome{.epoch = 5, .heartbeat_ms = 1000, .liveness = 3}),
                  {Send{wire::Synced{}}});
    CHECK(h.session.joined());
    CHECK_ACTIONS(h.advance(1s), {Send{wire::Heartbeat{}}});
  }

  TEST_CASE("without a broker it tries until the timeout, then gives up with the last reason") {
    Harness h;
    CHECK_ACTIONS(h.tick(), {OpenLink{}});
    CHECK_ACTIONS(h.step(LinkDown{"connection refused"}), {});
    bool gave_up = false;
    while (!h.session.over()) {
      for (const Action& action : h.advance(100ms)) {
        if (std::holds_alternative<OpenLink>(action)) h.step(LinkDown{"connection refused"});
        gave_up =
            gave_up ||
            action ==
                Action(GaveUp{"no broker answered at tcp://broker:8786 within 10 s: connection refused"});
      }
    }
    CHECK(gave_up);
    CHECK(h.now >= Time(10s));
    CHECK(h.now <= Time(10s + 200ms));
    CHECK_FALSE(h.session.deadline());
  }

  TEST_CASE("a lost broker is waited for as long as give_up says, then every task is given up") {
    Harness h;
    h.running_tasks(2);
    const Actions lost = h.step(LinkDown{"gone"});
    CHECK_ACTIONS(lost, {Notify{Notice{.kind = NoticeKind::broker_lost,
                                       .name = kBroker,
                                       .detail = "gone",
                                       .numbers = {2, 60'000'000}}}});
    Actions last;
    while (!h.session.over()) {
      for (const Action& action : h.advance(100ms)) {
        if (std::holds_alternative<OpenLink>(action)) h.step(LinkDown{"refused"});
        last.push_back(action);
      }
    }
    CHECK(last.back() ==
          Action(
              GaveUp{"the broker was lost and did not come back at tcp://broker:8786 within 60 s: refused"}));
    CHECK(h.session.open_tasks() == 0);
    CHECK_ACTIONS(h.submit({}), {});
  }

  TEST_CASE("for ever is for ever, and a message says so") {
    ClientCore::Settings settings = Harness::defaults();
    settings.connect_timeout = settings.give_up = weft::detail::kForever;
    Harness h(settings);
    h.running_tasks(1);
    CHECK_ACTIONS(h.step(LinkDown{"gone"}), {Notify{Notice{.kind = NoticeKind::broker_lost,
                                                           .name = kBroker,
                                                           .detail = "gone",
                                                           .numbers = {1, Notice::kForever}}}});
    h.now += 24h * 365;
    h.tick();
    CHECK_FALSE(h.session.over());
  }

  TEST_CASE("after a second without a broker it says once what it waits for") {
    Harness h;
    h.tick();
    h.step(LinkDown{"connection refused"});
    std::size_t told = 0;
    while (h.now < Time(5s)) {
      for (const Action& action : h.advance(100ms)) {
        if (std::holds_alternative<OpenLink>(action)) h.step(LinkDown{"connection refused"});
        if (const auto* told_now = std::get_if<Notify>(&action)) {
          ++told;
          CHECK(h.now >= Time(1s));
          CHECK(*told_now->notice == Notice{.kind = NoticeKind::broker_missing,
                                            .name = kBroker,
                                            .detail = "connection refused",
                                            .numbers = {0, 10'000'000}});
        }
      }
    }
    CHECK(told == 1);
  }

  TEST_CASE("connections that break before anything was taken are one loss: give_up ends them") {
    Harness h;
    h.running_tasks(1);
    h.step(LinkDown{"too large"});
    std::size_t lines = 0;
    while (!h.session.over()) {
      for (const Action& action : h.advance(50ms)) {
        lines += std::holds_alternative<Notify>(action) ? 1 : 0;
        if (!std::holds_alternative<OpenLink>(action)) continue;
        h.step(LinkUp{});
        for (const Action& next : h.receive(wire::Welcome{
                 .epoch = 5, .heartbeat_ms = 1000, .liveness = 3, .resumed = true, .received = 1}))
          lines += std::holds_alternative<Notify>(next) ? 1 : 0;
        h.step(LinkDown{"too large"});
      }
    }
    CHECK(h.now >= Time(60s));
    CHECK(h.now <= Time(62s));
    CHECK(lines == 1);  // one line that it is back; the loss was logged before
  }

  TEST_CASE("a connection that was of use begins a new time") {
    Harness h;
    h.running_tasks(2);
    for (int i = 0; i < 10; ++i) {
      h.step(LinkDown{"x"});
      h.advance(20s);
      if (h.session.joined()) continue;
      h.step(LinkUp{});
      h.receive(
          wire::Welcome{.epoch = 5, .heartbeat_ms = 1000, .liveness = 3, .resumed = true, .received = 2});
      h.advance(900ms);
      h.receive(wire::Heartbeat{});
      h.advance(900ms);
      h.receive(wire::Heartbeat{});  // the connection has lived for a second
    }
    CHECK_FALSE(h.session.over());
  }

  TEST_CASE("a silent broker is taken for lost after interval times liveness") {
    Harness h;
    h.join();
    const Actions actions = h.advance(3s);
    CHECK(std::count(actions.begin(), actions.end(), Action(CloseLink{})) == 1);
    CHECK_FALSE(h.session.joined());
  }

  TEST_CASE("another major version is final and names both") {
    Harness h;
    h.tick();
    h.step(LinkUp{});
    CHECK_ACTIONS(h.receive(wire::Refuse{wire::RefuseCode::version, "this broker speaks 2.0, you speak 1.0"}),
                  {CloseLink{},
                   GaveUp{"the broker at tcp://broker:8786 refused: this broker speaks 2.0, you speak 1.0"}});
    CHECK(h.session.over());
  }

  TEST_CASE("any other refusal and any garbage mean a new connection") {
    Harness h;
    h.join();
    CHECK(h.receive(wire::Refuse{wire::RefuseCode::malformed, "what?"}).front() == Action(CloseLink{}));
    CHECK_FALSE(h.session.over());
    h.join();
    CHECK(h.step(ReceivedGarbage{"not a Weft message"}).front() == Action(CloseLink{}));
    h.join();
    CHECK(h.receive(wire::Ready{}).front() == Action(CloseLink{}));
  }

  TEST_CASE("close says GOODBYE and ends") {
    Harness h;
    h.running_tasks(1);
    CHECK_ACTIONS(h.step(Close{}), {Send{wire::Goodbye{"the client is done"}}, CloseLink{}});
    CHECK(h.session.over());
  }
}

TEST_SUITE("client session: reconnects") {
  TEST_CASE("the same broker gets what it has not received, and HELLO says what was delivered") {
    Harness h;
    h.define();
    h.join();
    h.submit({h.task(1), h.task(2), h.task(3)});
    h.deliver(1, ok(1));
    h.step(LinkDown{"x"});
    const Actions actions = h.join(5, true, 2);
    CHECK_ACTIONS(
        h.hello,
        {Send{wire::HelloClient{
            .session = uuid(1), .name = "test", .host = "here", .pid = 7, .epoch = 5, .delivered = 1}}});
    CHECK_ACTIONS(actions,
                  {Notify{Notice{.kind = NoticeKind::broker_back, .name = kBroker}},
                   Send{wire::Define{1, spec("f")}}, Send{wire::Submit{{h.task(3)}}}, Send{wire::Synced{}}});
  }

  TEST_CASE("a new broker is told everything that is open, with its charges; deliveries start again") {
    Harness h;
    h.running_tasks(3);
    h.deliver(1, ok(2));
    h.deliver(2, charged(3, 1, {}));
    h.step(LinkDown{"x"});
    h.submit({h.task(4)});
    const Actions actions = h.join(6);
    REQUIRE(actions.size() == 5);
    CHECK(actions[1] == Action(Send{wire::Define{1, spec("f")}}));
    const auto& again = std::get<wire::Reannounce>(std::get<Send>(actions[2]).message);
    REQUIRE(again.tasks.size() == 2);
    CHECK(again.tasks[0].seq == 1);
    CHECK(again.tasks[1].seq == 3);
    CHECK(again.tasks[1].crashes == 1);
    CHECK(actions[3] == Action(Send{wire::Synced{}}));
    CHECK(actions[4] == Action(Send{wire::Submit{{h.task(4)}}}));
    CHECK_ACTIONS(h.deliver(1, ok(1)), {completed(1, "r")});
    h.deliver(2, charged(3, 1, {}));  // a charge that the client knows already
    const Actions last = h.deliver(3, ok(3));
    const auto done = std::find_if(last.begin(), last.end(), [](const Action& action) {
      return std::holds_alternative<Complete>(action);
    });
    REQUIRE(done != last.end());
    CHECK(std::get<Complete>(*done).tasks[0].attempts == 2);
  }

  TEST_CASE("the connection breaks while it announces again: the rest is still announced, not submitted") {
    auto settings = Harness::defaults();
    settings.window_bytes = 17;
    Harness h(settings);
    h.define();
    h.join();
    h.submit({h.task(1), h.task(2), h.task(3)});
    h.receive(wire::Received{1});
    h.receive(wire::Received{2});
    h.receive(wire::Received{3});
    h.step(LinkDown{"x"});
    h.join(6);
    h.step(LinkDown{"x"});
    const Actions actions = h.join(6, true, 1);
    REQUIRE(actions.size() == 2);  // SYNCED follows only when all tasks are announced
    CHECK(actions[0] == Action(Send{wire::Define{1, spec("f")}}));
    CHECK(std::get<wire::Reannounce>(std::get<Send>(actions[1]).message).tasks[0].seq == 2);
    CHECK(std::get<wire::Reannounce>(std::get<Send>(h.receive(wire::Received{2})[0]).message).tasks[0].seq ==
          3);
  }
}
