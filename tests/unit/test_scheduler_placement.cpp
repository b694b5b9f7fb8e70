// SPDX-License-Identifier: MIT
// Which worker a task may go to: names, resources, libraries, programs that do not start.
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
    h.skip();
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
    h.skip();
    CHECK(h.assigned(worker, client) == Seqs{1, 2});
    CHECK(h.status().worker_list.at(0).resources_free ==
          std::map<std::string, double>{{"gpu", 0}, {"memory", 2}});
    h.result(worker, client, 2);
    h.skip();
    CHECK(h.assigned(worker, client) == Seqs{1, 2, 3});
    h.returned(worker, client, 1);
    h.skip();
    CHECK(h.assigned(worker, client) == Seqs{1, 2, 3, 1});
    h.result(worker, client, 1);
    h.result(worker, client, 3, Outcome::failed);
    h.skip();
    CHECK(h.assigned(worker, client) == Seqs{1, 2, 3, 1, 4});
    h.result(worker, client, 4);
    h.skip();
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
    h.skip();
    CHECK(h.assigned(worker, client) == Seqs{1, 2});
    CHECK(h.status().slots_busy == 4);
    h.result(worker, client, 1, Outcome::ok, "result", 1'000'000);
    h.skip();
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
    h.skip();
    CHECK(h.assigned(worker, client) == Seqs{1, 2});
    h.result(worker, client, 1, Outcome::ok, "result", 1'000'000);
    h.skip();
    CHECK(h.assigned(worker, client) == Seqs{1, 2, 3});  // it waits there for the other slot
    h.result(worker, client, 2, Outcome::ok, "result", 1'000'000);
    h.skip();
    CHECK(h.assigned(worker, client) == Seqs{1, 2, 3});
    h.result(worker, client, 3, Outcome::ok, "result", 1'000'000);
    h.skip();
    CHECK(h.assigned(worker, client) == Seqs{1, 2, 3, 4, 5});
  }

  TEST_CASE("a task of several threads goes where they are free, before it waits where one is") {
    Harness h;
    TestClient client = h.join_client("client");
    TestWorker first = h.join_worker("first", {.slots = 4});
    h.define(client, 1, any_spec());
    h.define(client, 2, spec_with([](auto& spec) { spec.threads = 2; }));
    h.submit(client, 1, 3);
    h.skip();
    TestWorker small = h.join_worker_skipping("small", {.slots = 1});
    TestWorker second = h.join_worker_skipping("second", {.slots = 2});
    h.submit(client, 2, 2);
    h.skip();
    CHECK(h.assigned(second, client) == Seqs{4});
    CHECK(h.assigned(first, client) == Seqs{1, 2, 3, 5});
    CHECK(h.assigned(small, client).empty());
    // Where it waits it is taken back for a worker that has become free.
    h.started(second, client, 4);
    h.result(second, client, 4, Outcome::ok, "result", 1'000'000);
    for (std::uint64_t seq = 1; seq <= 3; ++seq) h.started(first, client, seq);
    h.advance(1s);
    h.returned(first, client, 5);
    h.skip();
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
    CHECK(h.logged("it needs 5 slots of one worker (threads), and the most that a worker here has is 4"));
    h.skip();
  }

  TEST_CASE("fractions of a resource add up to the whole") {
    Harness h;
    TestClient client = h.join_client("client");
    TestWorker worker = h.join_worker("worker", {.slots = 20, .resources = {{"gpu", 1}}});
    h.define(client, 1, spec_with([](auto& spec) { spec.resources = {{"gpu", 0.1}}; }));
    h.submit(client, 1, 20);
    h.skip();
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
    h.skip();
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
    h.skip();
    CHECK(h.assigned(a, client) == Seqs{4, 5, 6});
    CHECK(h.assigned(b, client) == Seqs{1, 2, 3});
    h.submit(client, 1, 3);
    h.skip();
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
    h.skip();
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
    h.skip();
    TestWorker worker = h.join_worker_skipping("worker", {.slots = 5});
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
    h.skip();
    CHECK(h.assigned(worker, client) == Seqs{1, 1, 2});
  }

  TEST_CASE("a task by name goes where a library has it") {
    Harness h;
    TestClient client = h.join_client("client");
    TestWorker plain = h.join_worker("plain", {.slots = 4});
    TestWorker maths = h.join_worker("maths", {.slots = 4, .functions = {"add", "mul"}});
    h.define(client, 1, library_spec("mul"));
    h.submit(client, 1, 2);
    h.skip();
    CHECK(h.assigned(plain, client).empty());
    CHECK(h.assigned(maths, client) == Seqs{1, 2});
  }

  TEST_CASE("a name that nobody has goes anywhere, to fail there with the list of those that are known") {
    Harness h;
    TestClient client = h.join_client("client");
    TestWorker maths = h.join_worker("maths", {.functions = {"add"}});
    h.define(client, 1, library_spec("div"));
    h.submit(client, 1);
    h.skip();
    CHECK(h.assigned(maths, client) == Seqs{1});
    SUBCASE("a name that left with its worker too") {
      h.say(maths, wire::Goodbye{});
      h.define(client, 2, library_spec("add"));
      h.submit(client, 2);
      TestWorker plain = h.join_worker_skipping("plain", {.slots = 2});
      CHECK(h.assigned(plain, client) == Seqs{1, 2});
    }
  }

  TEST_CASE(
      "a program that does not start on one worker is tried on another, and the first is not asked again") {
    Harness h;
    TestClient client = h.join_client("client");
    TestWorker a = h.join_worker("a");
    TestWorker b = h.join_worker("b");
    h.define(client, 1, program_spec(1));
    h.submit(client, 1);
    h.skip();
    REQUIRE(h.assigned(a, client) == Seqs{1});
    h.result(a, client, 1, Outcome::cannot_start, "libfoo.so.1 is missing");
    CHECK(h.take() ==
          Actions{h.release(a, client, 1), h.define_for(b, client, 1), h.assign(b, client, 1, 2)});
    h.submit(client, 1);
    CHECK(h.take() == Actions{h.received(client, 2)});  // though a is idle
    h.define(client, 2, program_spec(2));
    h.submit(client, 2);
    CHECK(h.take() ==
          Actions{h.received(client, 3), h.define_for(a, client, 2), h.assign(a, client, 3, 3, 2)});
  }

  TEST_CASE("a program that starts nowhere fails with the reason of the last") {
    Harness h;
    TestClient client = h.join_client("client");
    TestWorker a = h.join_worker("a");
    TestWorker b = h.join_worker("b");
    h.define(client, 1, program_spec(1));
    h.submit(client, 1);
    h.result(a, client, 1, Outcome::cannot_start, "libfoo.so.1 is missing");
    h.skip();
    h.result(b, client, 1, Outcome::cannot_start, "libbar.so.2 is missing");
    CHECK(h.take() == Actions{h.deliver(client, 1,
                                        {{1, wire::DeliveryKind::final, Outcome::cannot_start, 0, 0,
                                          wire::Payload(std::string_view("libbar.so.2 is missing"))}})});
  }

  TEST_CASE(
      "later tasks of a program that starts nowhere are told at once, and it is tried again after ten "
      "seconds") {
    Harness h;
    TestClient client = h.join_client("client");
    TestWorker worker = h.join_worker("worker");
    const auto told = [&](std::uint64_t seq) {
      return h.deliver(client, seq,
                       {{seq, wire::DeliveryKind::final, Outcome::cannot_start, 0, 0,
                         wire::Payload(std::string_view("libfoo.so.1 is missing"))}});
    };
    h.define(client, 1, program_spec(1));
    h.submit(client, 1);
    h.result(worker, client, 1, Outcome::cannot_start, "libfoo.so.1 is missing");
    h.skip();
    h.submit(client, 1);
    CHECK(h.take() == Actions{h.received(client, 2), told(2)});
    h.advance(9s);
    h.submit(client, 1);
    CHECK(h.take() == Actions{h.received(client, 3), told(3)});
    h.advance(1500ms);
    h.submit(client, 1);
    CHECK(h.take() == Actions{h.received(client, 4), h.assign(worker, client, 4, 2)});
    // It is avoided for twice as long now, and yet tried when the reason is ten seconds old.
    h.result(worker, client, 4, Outcome::cannot_start, "libfoo.so.1 is missing");
    h.advance(10500ms);
    h.skip();
    h.submit(client, 1);
    CHECK(h.take() == Actions{h.received(client, 5), h.assign(worker, client, 5, 3)});
  }

  TEST_CASE("a retry of a program that starts nowhere by then is told so as well") {
    Harness h;
    TestClient client = h.join_client("client");
    TestWorker worker = h.join_worker("worker", {.slots = 2});
    wire::TaskSpec spec = program_spec(1);
    spec.retries = 1;
    h.define(client, 1, spec);
    h.submit(client, 1);
    h.submit(client, 1);
    h.result(worker, client, 1, Outcome::cannot_start, "libfoo.so.1 is missing");
    h.skip();
    h.result(worker, client, 2, Outcome::failed, "not yet");
    std::vector<std::pair<std::uint64_t, Outcome>> final_answers;
    for (const Action& action : h.take()) {
      const auto* sent = std::get_if<Send>(&action);
      const auto* delivered = sent != nullptr ? std::get_if<wire::Deliver>(&sent->message) : nullptr;
      if (delivered == nullptr) continue;
      for (const wire::DeliveryRecord& record : delivered->records)
        if (record.kind == wire::DeliveryKind::final) final_answers.emplace_back(record.seq, record.outcome);
    }
    CHECK(final_answers == std::vector{std::pair{std::uint64_t{2}, Outcome::cannot_start}});
    CHECK(h.status().queued == 0);
  }

  TEST_CASE("a function that is missing marks no worker: other functions of the program go on") {
    Harness h;
    TestClient client = h.join_client("client");
    TestWorker worker = h.join_worker("worker");
    h.define(client, 1, program_spec(1));
    h.submit(client, 1);
    h.skip();
    wire::ErrorInfo missing;
    missing.type = wire::kMissingFunction;
    h.result(worker, client, 1, Outcome::cannot_start, wire::encode_error(missing));
    h.skip();
    h.submit(client, 1);
    CHECK(h.take() == Actions{h.received(client, 2), h.assign(worker, client, 2, 2)});
  }

  TEST_CASE(
      "a program that starts nowhere fails, though each worker takes longer to say so than it is "
      "remembered") {
    Harness h;
    TestClient client = h.join_client("client");
    TestWorker a = h.join_worker("a");
    TestWorker b = h.join_worker("b");
    h.define(client, 1, program_spec(1));
    h.submit(client, 1);
    for (TestWorker* worker : {&a, &b, &a}) {
      h.advance(11s);
      h.skip();
      h.result(*worker, client, 1, Outcome::cannot_start, "libfoo.so.1 is missing");
    }
    CHECK(h.assigned(b, client) == Seqs{1, 1});
    h.advance(11s);
    h.skip();
    h.result(b, client, 1, Outcome::cannot_start, "libbar.so.2 is missing");
    CHECK(h.take() == Actions{h.deliver(client, 1,
                                        {{1, wire::DeliveryKind::final, Outcome::cannot_start, 0, 0,
                                          wire::Payload(std::string_view("libbar.so.2 is missing"))}})});
  }

  TEST_CASE("a task whose argument does not come is tried again, harms no other, and fails in the end") {
    Harness h;
    TestClient client = h.join_client("client");
    TestWorker worker = h.join_worker("worker");
    h.define(client, 1, program_spec(1));
    h.submit(client, 1);
    h.submit(client, 1);
    int tries = 0;
    for (; h.status().finished == 0 && tries < 10; ++tries) {
      h.result(worker, client, 1, Outcome::not_fetched, "its holder has left");
    }
    CHECK(tries == 4);
    CHECK(h.status().queued + h.status().assigned == 1);
    h.skip();
    h.result(worker, client, 2);
    CHECK(h.status().queued + h.status().assigned == 0);
    h.skip();
  }

  TEST_CASE("a library task or a command that starts nowhere is not sent round for ever") {
    Harness h;
    TestClient client = h.join_client("client");
    TestWorker a = h.join_worker("a", {.functions = {"f"}});
    TestWorker b = h.join_worker("b", {.functions = {"f"}});
    SUBCASE("library") { h.define(client, 1, library_spec("f")); }
    SUBCASE("command") { h.define(client, 1, any_spec()); }
    h.submit(client, 1);
    int tries = 0;
    for (; h.status().assigned > 0 && tries < 10; ++tries) {
      TestWorker& has = h.status().worker_list.at(0).assigned > 0 ? a : b;
      h.result(has, client, 1, Outcome::cannot_start, "it does not load");
    }
    CHECK(tries == 2);
    CHECK(h.status().queued == 0);
    h.skip();
  }
}

}  // namespace weft::broker
