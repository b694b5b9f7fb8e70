// SPDX-License-Identifier: MIT
// Tasks that wait: queue_timeout, and the messages that say why a task waits.
#include "tests/unit/scheduler_harness.hpp"

namespace weft::broker {

namespace {

wire::TaskSpec with_queue_timeout(std::uint64_t ms) {
  wire::TaskSpec spec = any_spec();
  spec.queue_timeout_ms = ms;
  return spec;
}

/// The message of the final unschedulable answer for task `seq` that is the only action in `actions`.
std::string unschedulable(const Actions& actions, std::uint64_t seq = 1) {
  REQUIRE(actions.size() == 1);
  const auto* send = std::get_if<Send>(&actions[0]);
  REQUIRE(send != nullptr);
  const auto* deliver = std::get_if<wire::Deliver>(&send->message);
  REQUIRE(deliver != nullptr);
  REQUIRE(deliver->records.size() == 1);
  CHECK(deliver->records[0].seq == seq);
  CHECK(deliver->records[0].kind == wire::DeliveryKind::final);
  CHECK(deliver->records[0].outcome == wire::Outcome::unschedulable);
  const auto info = wire::decode_error(deliver->records[0].payload.inline_bytes());
  REQUIRE(info);
  return info->message;
}

}  // namespace

TEST_SUITE("scheduler, waiting") {
  TEST_CASE("queue_timeout strikes on time and says that no worker has joined") {
    Harness h;
    TestClient client = h.join_client("client");
    h.define(client, 1, with_queue_timeout(1500));
    h.submit(client, 1);
    h.expect<wire::Received>();
    h.advance(1499ms);
    CHECK(h.take() == Actions{});
    h.advance(1ms);
    CHECK(unschedulable(h.take()) ==
          "it waited longer than its queue_timeout of 1.5 s: no worker has joined");
    CHECK(h.status().queued == 0);
  }

  TEST_CASE("a queue_timeout of the longest time there is never strikes") {
    Harness h;
    TestClient client = h.join_client("client");
    for (const std::uint64_t ms : {std::uint64_t{INT64_MAX}, std::uint64_t{UINT64_MAX}}) {
      const auto seq = static_cast<std::uint32_t>(ms == UINT64_MAX ? 2 : 1);
      h.define(client, seq, with_queue_timeout(ms));
      h.submit(client, seq);
    }
    h.expect<wire::Received>();
    h.advance(60s);
    CHECK(h.take() == Actions{});
    CHECK(h.status().queued == 2);
  }

  TEST_CASE("queue_timeout says that all were busy when they were") {
    Harness h;
    TestClient client = h.join_client("client");
    TestWorker worker = h.join_worker("worker");
    h.define(client, 1, any_spec());
    h.define(client, 2, with_queue_timeout(2000));
    h.submit(client, 1);
    h.submit(client, 2);
    h.expect<wire::Received, wire::DefineFor, wire::Assign>();
    h.advance(2s);
    CHECK(unschedulable(h.take(), 2) ==
          "it waited longer than its queue_timeout of 2.0 s: all slots that could run it were busy");
  }

  TEST_CASE("queue_timeout names the constraint that nobody meets") {
    Harness h;
    TestClient client = h.join_client("client");
    h.join_worker("small", {.resources = {{"gpu", 1}}});
    h.join_worker("tiny");
    wire::TaskSpec spec = with_queue_timeout(2000);
    SUBCASE("a resource") {
      spec.resources = {{"gpu", 2}};
      h.define(client, 1, spec);
      h.submit(client, 1);
      h.expect<wire::Received>();
      h.advance(2s);
      CHECK(unschedulable(h.take()) ==
            "it waited longer than its queue_timeout of 2.0 s: it needs gpu=2, and the most that a worker "
            "here has is 1");
    }
    SUBCASE("a name") {
      spec.workers = {"big", "huge"};
      h.define(client, 1, spec);
      h.submit(client, 1);
      h.expect<wire::Received>();
      h.advance(2s);
      CHECK(unschedulable(h.take()) ==
            "it waited longer than its queue_timeout of 2.0 s: it may run on big, huge only, and the workers "
            "here are "
            "small, tiny");
    }
    SUBCASE("both, each met by somebody") {
      spec.resources = {{"gpu", 1}};
      spec.workers = {"tiny"};
      h.define(client, 1, spec);
      h.submit(client, 1);
      h.expect<wire::Received>();
      h.advance(2s);
      CHECK(unschedulable(h.take()) ==
            "it waited longer than its queue_timeout of 2.0 s: no worker here meets all of its constraints "
            "(or those that "
            "do are leaving): small, tiny");
    }
  }

  TEST_CASE("queue_timeout does not strike a task that has been assigned") {
    Harness h;
    TestClient client = h.join_client("client");
    TestWorker worker = h.join_worker("worker");
    h.define(client, 1, with_queue_timeout(1000));
    h.submit(client, 1);
    h.expect<wire::Received, wire::DefineFor, wire::Assign>();
    h.advance(5s);
    CHECK(h.take() == Actions{});
    SUBCASE("and when it comes back later it may wait anew") {
      h.say(worker, wire::Draining{});
      h.returned(worker, client, 1);
      CHECK(h.take() == Actions{});
      h.advance(999ms);
      CHECK(h.take() == Actions{});
      h.advance(1ms);
      CHECK(unschedulable(h.take()).find("leaving") != std::string::npos);
    }
    SUBCASE("nor one that has been finished") {
      h.result(worker, client, 1);
      CHECK(h.take() == Actions{h.deliver_ok(client, 1, 1)});
      h.advance(5s);
      CHECK(h.take() == Actions{});
    }
  }

  TEST_CASE("a delay between retries is not waiting") {
    Harness h;
    TestClient client = h.join_client("client");
    TestWorker worker = h.join_worker("worker");
    wire::TaskSpec spec = with_queue_timeout(1000);
    spec.retries = 1;
    spec.retry_delay_ms = 5000;
    h.define(client, 1, spec);
    h.submit(client, 1);
    h.result(worker, client, 1, wire::Outcome::failed, "a");
    h.expect<wire::Received, wire::DefineFor, wire::Assign, wire::Deliver>();
    h.advance(4999ms);
    CHECK(h.take() == Actions{});
    h.advance(1ms);
    CHECK(h.take() == Actions{h.assign(worker, client, 1, 2, 1, 2)});
  }

  TEST_CASE("a task that no worker can run is explained in the log within ten seconds, once, and in status") {
    Harness h;
    TestClient client = h.join_client("cook");
    h.join_worker("worker", {.resources = {{"oven", 1}}});
    wire::TaskSpec spec = any_spec();
    spec.resources = {{"oven", 4}};
    spec.label = "pizza";
    h.define(client, 1, spec);
    h.submit(client, 1, 3);
    h.expect<wire::Received>();
    const std::string reason = "it needs oven=4, and the most that a worker here has is 1";
    const auto waiting = h.status().waiting_list;
    REQUIRE(waiting.size() == 1);
    CHECK(waiting[0] == wire::WaitingStatus{"cook", "pizza", 3, reason});
    CHECK(h.noticed(NoticeKind::tasks_wait) == 0);
    h.advance(10s);
    CHECK(h.noticed(NoticeKind::tasks_wait, reason) == 1);
    CHECK(h.noticed(NoticeKind::tasks_wait) == 1);
    h.advance(60s);
    CHECK(h.noticed(NoticeKind::tasks_wait) == 1);
  }

  TEST_CASE("a worker that could run it ends the explanation, even while it is busy") {
    Harness h;
    TestClient client = h.join_client("client");
    h.define(client, 1, any_spec());
    h.submit(client, 1, 2);
    h.expect<wire::Received>();
    CHECK(h.status().waiting_list.size() == 1);
    TestWorker worker = h.join_worker("worker");
    CHECK(h.take() == Actions{h.define_for(worker, client, 1), h.assign(worker, client, 1, 1)});
    CHECK(h.status().queued == 1);
    CHECK(h.status().waiting_list.empty());
    h.advance(20s);
    CHECK(h.noticed(NoticeKind::tasks_wait) == 0);
  }
}

}  // namespace weft::broker
