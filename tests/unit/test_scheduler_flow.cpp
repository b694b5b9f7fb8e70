// SPDX-License-Identifier: MIT
// Flow control between the broker and its clients: windows of deliveries and of submits, the memory budget.
#include "tests/unit/scheduler_harness.hpp"

namespace weft::broker {

namespace {

using wire::DeliveryKind;
using wire::Outcome;

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

TEST_SUITE("scheduler, flow control") {
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
    CHECK(sent == 127);  // 128 with nothing but payload: each costs a little more
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
    CHECK(h.take() == Actions{h.received(modest, 1)});  // it has less than its part
    h.cancel(client, 1);
    CHECK(h.take().at(0) == Action(h.received(client, 2)));  // with the answer
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
}

}  // namespace weft::broker
