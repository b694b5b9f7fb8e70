// SPDX-License-Identifier: MIT
// Fair queueing and credit: the shares of clients by slot time, and the prefetch of workers. PROTOCOL.md
// section 6.
#include "tests/unit/scheduler_harness.hpp"

namespace weft::broker {

namespace {

using wire::Outcome;

using Seqs = std::vector<std::uint64_t>;

}  // namespace

TEST_SUITE("scheduler, fairness") {
  TEST_CASE("ten no-ops do not wait for a million tasks of somebody else") {
    Harness h;
    h.check_invariants_each_step(false);
    TestClient crowd = h.join_client("crowd");
    TestClient person = h.join_client("person");
    TestWorker worker = h.join_worker("worker");
    h.define(crowd, 1, any_spec());
    h.define(person, 1, any_spec());
    for (int i = 0; i < 10; ++i) h.submit(crowd, 1, 100'000, "");
    for (std::uint64_t seq = 1; seq <= 5; ++seq) h.result(worker, crowd, seq, Outcome::ok, "", 100'000);
    h.submit(person, 1, 10);
    std::uint64_t of_crowd = 6;
    std::uint64_t of_person = 1;
    for (int i = 0; i < 30 && of_person <= 10; ++i) {
      if (h.assigned(worker, person).size() >= of_person) {
        h.result(worker, person, of_person++, Outcome::ok, "", 10);
      } else {
        h.result(worker, crowd, of_crowd++, Outcome::ok, "", 100'000);
      }
    }
    CHECK(of_person == 11);
    CHECK(of_crowd <= 8);
    h.scheduler().check_invariants();
    h.expect<wire::Received, wire::DefineFor, wire::Assign, wire::Deliver>();
  }

  TEST_CASE("two clients share by slot time, not by the number of tasks") {
    Harness h;
    TestClient slow = h.join_client("slow");
    TestClient quick = h.join_client("quick");
    TestWorker worker = h.join_worker("worker");
    h.define(slow, 1, any_spec());
    h.define(quick, 1, any_spec());
    h.submit(slow, 1, 200);
    h.submit(quick, 1, 2000);
    std::uint64_t slows = 0;
    std::uint64_t quicks = 0;
    for (int i = 0; i < 1100; ++i) {  // tasks of 300 and of 30 ms: no prefetch, so one at a time
      if (h.assigned(worker, slow).size() > slows) {
        h.result(worker, slow, ++slows, Outcome::ok, "", 300'000);
      } else {
        h.result(worker, quick, ++quicks, Outcome::ok, "", 30'000);
      }
    }
    h.expect<wire::Received, wire::DefineFor, wire::Assign, wire::Deliver>();
    CHECK(static_cast<double>(quicks) / static_cast<double>(slows) > 8.5);
    CHECK(static_cast<double>(quicks) / static_cast<double>(slows) < 11.5);
  }

  TEST_CASE("a client that was idle for long has no claim on the past") {
    Harness h;
    TestClient early = h.join_client("early");
    TestClient late = h.join_client("late");
    TestWorker worker = h.join_worker("worker");
    h.define(early, 1, any_spec());
    h.define(late, 1, any_spec());
    h.submit(early, 1, 200);
    std::uint64_t earlys = 0;
    std::uint64_t lates = 0;
    while (earlys < 100) h.result(worker, early, ++earlys, Outcome::ok, "", 50'000);
    h.submit(late, 1, 100);
    for (int i = 0; i < 40; ++i) {
      if (h.assigned(worker, late).size() > lates) {
        h.result(worker, late, ++lates, Outcome::ok, "", 50'000);
      } else {
        h.result(worker, early, ++earlys, Outcome::ok, "", 50'000);
      }
    }
    h.expect<wire::Received, wire::DefineFor, wire::Assign, wire::Deliver>();
    CHECK(lates >= 17);
    CHECK(lates <= 25);
  }

  TEST_CASE("until it has finished a task, a worker gets one for each slot") {
    Harness h;
    TestClient client = h.join_client("client");
    TestWorker worker = h.join_worker("worker", {.slots = 3});
    h.define(client, 1, any_spec());
    h.submit(client, 1, 100);
    h.expect<wire::Received, wire::DefineFor, wire::Assign>();
    CHECK(h.assigned(worker, client) == Seqs{1, 2, 3});
  }

  TEST_CASE("credit grows for short tasks to about 4 ms of them, and shrinks to the slots for long ones") {
    Harness h;
    TestClient client = h.join_client("client");
    TestWorker worker = h.join_worker("worker", {.slots = 2});
    h.define(client, 1, any_spec());
    h.submit(client, 1, 5000);
    std::uint64_t seq = 0;
    h.result(worker, client, ++seq, Outcome::ok, "", 1000);
    CHECK(h.status().assigned == 2 * (1 + 4));
    for (int i = 0; i < 400; ++i) h.result(worker, client, ++seq, Outcome::ok, "", 100);
    CHECK(h.status().assigned >= 2 * (1 + 38));
    CHECK(h.status().assigned <= 2 * (1 + 40));
    for (int i = 0; i < 5; ++i) h.result(worker, client, ++seq, Outcome::ok, "", 200'000);
    const std::size_t before = h.assigned(worker, client).size();
    for (int i = 0; i < 60; ++i) h.result(worker, client, ++seq, Outcome::ok, "", 200'000);
    CHECK(h.assigned(worker, client).size() == before);  // the worker has too many already
    while (h.status().assigned > 2) h.result(worker, client, ++seq, Outcome::ok, "", 200'000);
    h.result(worker, client, ++seq, Outcome::ok, "", 200'000);
    CHECK(h.status().assigned == 2);
    h.expect<wire::Received, wire::DefineFor, wire::Assign, wire::Deliver>();
  }

  TEST_CASE("tasks too short to measure grow the credit as well") {
    Harness h;
    TestClient client = h.join_client("client");
    TestWorker worker = h.join_worker("worker");
    h.define(client, 1, any_spec());
    h.submit(client, 1, 5000);
    h.result(worker, client, 1, Outcome::ok, "", 0);
    CHECK(h.status().assigned == 2001);  // Settings::prefetch_max
    h.expect<wire::Received, wire::DefineFor, wire::Assign, wire::Deliver>();
  }

  TEST_CASE("while clients compete less waits with the workers, so that a newcomer's task starts soon") {
    Settings settings = test_settings();
    settings.prefetch_max = 80;
    Harness h(settings);
    TestClient many = h.join_client("many");
    TestClient one = h.join_client("one");
    TestWorker worker = h.join_worker("worker");
    for (TestClient* client : {&many, &one}) h.define(*client, 1, any_spec());
    h.submit(many, 1, 400);
    std::uint64_t seq = 0;
    h.result(worker, many, ++seq, Outcome::ok, "", 1);
    CHECK(h.status().assigned == 81);
    const std::uint64_t first = h.submit(one, 1);
    std::size_t ahead = 0;  // tasks that the worker had when it got this one
    for (; h.assigned(worker, one).empty(); ++ahead) h.result(worker, many, ++seq, Outcome::ok, "", 1);
    CHECK(ahead == 71);  // from 81 down to an eighth plus its slot: then its turn came
    h.result(worker, one, first, Outcome::ok, "", 1);
    SUBCASE("alone it has all of it again after a second") {
      h.advance(900ms);
      h.result(worker, many, ++seq, Outcome::ok, "", 1);
      CHECK(h.status().assigned == 11);
      h.advance(200ms);
      h.result(worker, many, ++seq, Outcome::ok, "", 1);
      CHECK(h.status().assigned == 81);
    }
    SUBCASE("a client does not compete with itself") {
      h.advance(1100ms);
      h.submit(many, 1, 100);
      h.result(worker, many, ++seq, Outcome::ok, "", 1);
      CHECK(h.status().assigned == 81);
    }
    h.expect<wire::Received, wire::DefineFor, wire::Assign, wire::Deliver>();
  }

  TEST_CASE("tasks that wait behind others are asked back when somebody is idle, and go there") {
    Harness h;
    TestClient client = h.join_client("client");
    TestWorker busy = h.join_worker("busy");
    h.define(client, 1, any_spec());
    h.submit(client, 1, 1);
    h.result(busy, client, 1, Outcome::ok, "", 2000);
    h.submit(client, 1, 3);
    TestWorker idle = h.join_worker_later("idle", {.slots = 4});
    REQUIRE(h.assigned(busy, client) == Seqs{1, 2, 3, 4});
    h.advance(19ms);
    CHECK(h.take() == Actions{});
    h.advance(1ms);
    CHECK(h.take() == Actions{h.revoke(busy, client, 4, 4, wire::RevokeMode::retract),
                              h.revoke(busy, client, 3, 3, wire::RevokeMode::retract)});
    h.returned(busy, client, 4);
    CHECK(h.take() == Actions{h.define_for(idle, client, 1), h.assign(idle, client, 4, 5)});
    h.result(busy, client, 3, Outcome::ok, "", 100'000);  // the task had started before the request
    CHECK(h.take() == Actions{h.deliver_ok(client, 2, 3, "")});
    h.advance(1s);
    CHECK(h.take() == Actions{});
  }

  TEST_CASE("a task is not asked back while others are queued, nor when nobody idle may run it") {
    Harness h;
    TestClient client = h.join_client("client");
    TestWorker busy = h.join_worker("busy");
    h.define(client, 1, any_spec());
    wire::TaskSpec pinned = any_spec();
    pinned.workers = {"busy"};
    h.define(client, 2, pinned);
    h.submit(client, 1);
    h.result(busy, client, 1, Outcome::ok, "", 2000);
    SUBCASE("pinned") {
      h.submit(client, 2, 3);
      h.join_worker_later("idle", {.slots = 4});
    }
    SUBCASE("others are queued") { h.submit(client, 1, 20); }
    h.expect_only<wire::Received, wire::DefineFor, wire::Assign, wire::Deliver>();
    h.advance(2s);
    CHECK(h.take() == Actions{});
  }
}

}  // namespace weft::broker
