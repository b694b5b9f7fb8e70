// SPDX-License-Identifier: MIT
// Which worker a task may go to: names, resources, libraries.
#include "tests/unit/scheduler_harness.hpp"

namespace weft::broker {

namespace {

using wire::Outcome;

using Seqs = std::vector<std::uint64_t>;

wire::TaskSpec spec_with(auto&& change) {
  wire::TaskSpec spec = any_spec();
  change(spec);
  return spec;
}

wire::TaskSpec library_spec(const std::string& function) {
  return spec_with([&](auto& spec) {
    spec.kind = wire::TaskKind::library;
    spec.function = function;
  });
}

}  // namespace

TEST_SUITE("scheduler, placement") {
  TEST_CASE("tasks go to the most idle worker by the share of its slots, and fill all of them") {
    Harness h;
    TestClient client = h.join_client("client");
    TestWorker small = h.join_worker("small", {.slots = 1});
    TestWorker large = h.join_worker("large", {.slots = 3});
    h.define(client, 1, any_spec());
    h.submit(client, 1, 10);
    h.expect<wire::Received, wire::DefineFor, wire::Assign>();
    CHECK(h.assigned(small, client) == Seqs{1});
    CHECK(h.assigned(large, client) == Seqs{2, 3, 4});
  }

  TEST_CASE("resources are never over-committed, and are free again when a task is done") {
    Harness h;
    TestClient client = h.join_client("client");
    TestWorker worker = h.join_worker("worker", {.slots = 8, .resources = {{"gpu", 2}, {"memory", 10}}});
    h.define(client, 1, spec_with([](auto& spec) { spec.resources = {{"gpu", 1}, {"memory", 4}}; }));
    h.define(client, 2, spec_with([](auto& spec) { spec.resources = {{"memory", 3}}; }));
    h.submit(client, 1, 3);
    h.submit(client, 2, 1);
    h.expect<wire::Received, wire::DefineFor, wire::Assign>();
    CHECK(h.assigned(worker, client) == Seqs{1, 2});
    CHECK(h.status().worker_list.at(0).resources_free ==
          std::map<std::string, double>{{"gpu", 0}, {"memory", 2}});
    h.result(worker, client, 2);
    h.expect<wire::Assign, wire::Deliver>();
    CHECK(h.assigned(worker, client) == Seqs{1, 2, 3});
    h.returned(worker, client, 1);
    h.expect<wire::Assign>();
    CHECK(h.assigned(worker, client) == Seqs{1, 2, 3, 1});
    h.result(worker, client, 1);
    h.result(worker, client, 3, Outcome::failed);
    h.expect<wire::DefineFor, wire::Assign, wire::Deliver>();
    CHECK(h.assigned(worker, client) == Seqs{1, 2, 3, 1, 4});
    h.result(worker, client, 4);
    h.expect<wire::Deliver>();
    CHECK(h.status().worker_list.at(0).resources_free ==
          std::map<std::string, double>{{"gpu", 2}, {"memory", 10}});
  }

  TEST_CASE("a task of several threads takes as many slots of one worker") {
    Harness h;
    TestClient client = h.join_client("client");
    TestWorker worker = h.join_worker("worker", {.slots = 4});
    h.define(client, 1, spec_with([](auto& spec) { spec.threads = 3; }));
    h.define(client, 2, any_spec());
    h.submit(client, 1);
    h.submit(client, 2, 3);
    h.expect<wire::Received, wire::DefineFor, wire::Assign>();
    CHECK(h.assigned(worker, client) == Seqs{1, 2});
    CHECK(h.status().slots_busy == 4);
    h.result(worker, client, 1, Outcome::ok, "result", 1'000'000);
    h.expect<wire::Assign, wire::Deliver>();
    CHECK(h.assigned(worker, client) == Seqs{1, 2, 3, 4});
  }

  TEST_CASE("a task of several threads does not starve behind younger ones of one") {
    Harness h;
    TestClient client = h.join_client("client");
    TestWorker worker = h.join_worker("worker", {.slots = 2});
    h.define(client, 1, any_spec());
    h.define(client, 2, spec_with([](auto& spec) { spec.threads = 2; }));
    h.submit(client, 1, 2);
    h.submit(client, 2);
    h.submit(client, 1, 5);
    h.expect<wire::Received, wire::DefineFor, wire::Assign>();
    CHECK(h.assigned(worker, client) == Seqs{1, 2});
    h.result(worker, client, 1, Outcome::ok, "result", 1'000'000);
    h.expect<wire::DefineFor, wire::Assign, wire::Deliver>();
    CHECK(h.assigned(worker, client) == Seqs{1, 2, 3});  // task 3 waits there for the other slot
    h.result(worker, client, 2, Outcome::ok, "result", 1'000'000);
    h.expect<wire::Deliver>();
    CHECK(h.assigned(worker, client) == Seqs{1, 2, 3});
    h.result(worker, client, 3, Outcome::ok, "result", 1'000'000);
    h.expect<wire::Assign, wire::Deliver>();
    CHECK(h.assigned(worker, client) == Seqs{1, 2, 3, 4, 5});
  }

  TEST_CASE("a task of several threads goes where they are free, before it waits where one is") {
    Harness h;
    TestClient client = h.join_client("client");
    TestWorker first = h.join_worker("first", {.slots = 4});
    h.define(client, 1, any_spec());
    h.define(client, 2, spec_with([](auto& spec) { spec.threads = 2; }));
    h.submit(client, 1, 3);
    h.expect<wire::Received, wire::DefineFor, wire::Assign>();
    TestWorker small = h.join_worker_later("small", {.slots = 1});
    TestWorker second = h.join_worker_later("second", {.slots = 2});
    h.submit(client, 2, 2);
    h.expect<wire::Received, wire::DefineFor, wire::Assign>();
    CHECK(h.assigned(second, client) == Seqs{4});
    CHECK(h.assigned(first, client) == Seqs{1, 2, 3, 5});
    CHECK(h.assigned(small, client).empty());
    // The waiting task is taken back for a worker that has become free.
    h.started(second, client, 4);
    h.result(second, client, 4, Outcome::ok, "result", 1'000'000);
    for (std::uint64_t seq = 1; seq <= 3; ++seq) h.started(first, client, seq);
    h.advance(1s);
    h.returned(first, client, 5);
    h.expect<wire::Assign, wire::Running, wire::Revoke, wire::Deliver>();
    CHECK(h.assigned(second, client) == Seqs{4, 5});
  }

  TEST_CASE("where no worker has as many slots it is said why the task waits") {
    Harness h;
    TestClient client = h.join_client("client");
    TestWorker worker = h.join_worker("worker", {.slots = 4});
    h.define(client, 1, spec_with([](auto& spec) { spec.threads = 5; }));
    h.submit(client, 1);
    h.advance(30s);
    CHECK(h.assigned(worker, client).empty());
    CHECK(h.noticed(NoticeKind::tasks_wait,
                    "it needs 5 slots of one worker (threads), and the most that a worker here has is 4"));
    h.expect<wire::Received>();
  }

  TEST_CASE("fractions of a resource add up to the whole") {
    Harness h;
    TestClient client = h.join_client("client");
    TestWorker worker = h.join_worker("worker", {.slots = 20, .resources = {{"gpu", 1}}});
    h.define(client, 1, spec_with([](auto& spec) { spec.resources = {{"gpu", 0.1}}; }));
    h.submit(client, 1, 20);
    h.expect<wire::Received, wire::DefineFor, wire::Assign>();
    CHECK(h.assigned(worker, client).size() == 10);
  }

  TEST_CASE("a task that cannot be placed holds up neither younger ones nor lower priorities") {
    Harness h;
    TestClient client = h.join_client("client");
    TestWorker worker = h.join_worker("worker");
    h.define(client, 1, spec_with([](auto& spec) {
               spec.priority = 10;
               spec.resources = {{"gpu", 1}};
             }));
    h.define(client, 2, any_spec());
    h.submit(client, 1);
    h.submit(client, 2);
    h.expect<wire::Received, wire::DefineFor, wire::Assign>();
    CHECK(h.assigned(worker, client) == Seqs{2});
  }

  TEST_CASE("workers= names workers or hosts, and nobody else gets the task") {
    Harness h;
    TestClient client = h.join_client("client");
    TestWorker a = h.join_worker("a", {.slots = 4, .host = "rack1"});
    TestWorker b = h.join_worker("b", {.slots = 4, .host = "rack2"});
    h.define(client, 1, spec_with([](auto& spec) { spec.workers = {"b"}; }));
    h.define(client, 2, spec_with([](auto& spec) { spec.workers = {"rack1"}; }));
    h.submit(client, 1, 3);
    h.submit(client, 2, 3);
    h.expect<wire::Received, wire::DefineFor, wire::Assign>();
    CHECK(h.assigned(a, client) == Seqs{4, 5, 6});
    CHECK(h.assigned(b, client) == Seqs{1, 2, 3});
    h.submit(client, 1, 3);
    h.expect<wire::Received, wire::Assign>();
    CHECK(h.assigned(b, client) == Seqs{1, 2, 3, 7});
    CHECK(h.status().queued == 2);
  }

  TEST_CASE("prefer= is tried first and does not keep a task waiting") {
    Harness h;
    TestClient client = h.join_client("client");
    TestWorker a = h.join_worker("a", {.slots = 2});
    TestWorker b = h.join_worker("b", {.slots = 2});
    h.define(client, 1, spec_with([](auto& spec) { spec.prefer = {"b"}; }));
    h.submit(client, 1, 3);
    h.expect<wire::Received, wire::DefineFor, wire::Assign>();
    CHECK(h.assigned(b, client) == Seqs{1, 2});
    CHECK(h.assigned(a, client) == Seqs{3});
  }

  TEST_CASE("a higher priority goes first, then the older task, whatever its spec") {
    Harness h;
    TestClient client = h.join_client("client");
    h.define(client, 1, any_spec());
    h.define(client, 2, spec_with([](auto& spec) { spec.priority = 5; }));
    h.define(client, 3, spec_with([](auto& spec) { spec.priority = -5; }));
    h.define(client, 4, spec_with([](auto& spec) { spec.workers = {"worker"}; }));
    h.submit(client, 3);
    h.submit(client, 1);
    h.submit(client, 4);
    h.submit(client, 1);
    h.submit(client, 2);
    h.expect<wire::Received>();
    TestWorker worker = h.join_worker_later("worker", {.slots = 5});
    CHECK(h.assigned(worker, client) == Seqs{5, 2, 3, 4, 1});
  }

  TEST_CASE("a task that comes back is before the younger ones") {
    Harness h;
    TestClient client = h.join_client("client");
    TestWorker worker = h.join_worker("worker");
    h.define(client, 1, any_spec());
    h.submit(client, 1, 3);
    h.returned(worker, client, 1);
    h.result(worker, client, 1, Outcome::ok, "", 50'000);
    h.expect<wire::Received, wire::DefineFor, wire::Assign, wire::Deliver>();
    CHECK(h.assigned(worker, client) == Seqs{1, 1, 2});
  }

  TEST_CASE("a task by name goes where a library has it") {
    Harness h;
    TestClient client = h.join_client("client");
    TestWorker plain = h.join_worker("plain", {.slots = 4});
    TestWorker maths = h.join_worker("maths", {.slots = 4, .functions = {"add", "mul"}});
    h.define(client, 1, library_spec("mul"));
    h.submit(client, 1, 2);
    h.expect<wire::Received, wire::DefineFor, wire::Assign>();
    CHECK(h.assigned(plain, client).empty());
    CHECK(h.assigned(maths, client) == Seqs{1, 2});
  }

  TEST_CASE("a name that nobody has goes anywhere, to fail there with the list of those that are known") {
    Harness h;
    TestClient client = h.join_client("client");
    TestWorker maths = h.join_worker("maths", {.functions = {"add"}});
    h.define(client, 1, library_spec("div"));
    h.submit(client, 1);
    h.expect<wire::Received, wire::DefineFor, wire::Assign>();
    CHECK(h.assigned(maths, client) == Seqs{1});
    SUBCASE("a name that left with its worker too") {
      h.say(maths, wire::Goodbye{});
      h.define(client, 2, library_spec("add"));
      h.submit(client, 2);
      TestWorker plain = h.join_worker_later("plain", {.slots = 2});
      CHECK(h.assigned(plain, client) == Seqs{1, 2});
    }
  }
}

}  // namespace weft::broker
