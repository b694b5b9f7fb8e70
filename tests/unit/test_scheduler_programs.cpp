// SPDX-License-Identifier: MIT
// Programs, libraries and functions that do not start, on one worker or on all.
#include "tests/unit/scheduler_harness.hpp"

namespace weft::broker {

namespace {

using wire::Outcome;

using Seqs = std::vector<std::uint64_t>;

wire::TaskSpec library_spec(const std::string& function) {
  wire::TaskSpec spec = any_spec();
  spec.kind = wire::TaskKind::library;
  spec.function = function;
  return spec;
}

}  // namespace

TEST_SUITE("scheduler, programs") {
  TEST_CASE(
      "a program that does not start on one worker is tried on another, and the first is not asked again") {
    Harness h;
    TestClient client = h.join_client("client");
    TestWorker a = h.join_worker("a");
    TestWorker b = h.join_worker("b");
    h.define(client, 1, program_spec(1));
    h.submit(client, 1);
    h.expect<wire::Received, wire::DefineFor, wire::Assign>();
    REQUIRE(h.assigned(a, client) == Seqs{1});
    h.result(a, client, 1, Outcome::cannot_start, "libfoo.so.1 is missing");
    CHECK(h.take() ==
          Actions{h.release(a, client, 1), h.define_for(b, client, 1), h.assign(b, client, 1, 2)});
    h.submit(client, 1);
    CHECK(h.take() == Actions{h.received(client, 2)});  // queued, though worker a is idle
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
    h.expect<wire::Received, wire::DefineFor, wire::Assign, wire::Release>();
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
    h.expect<wire::Received, wire::DefineFor, wire::Assign, wire::Deliver>();
    h.submit(client, 1);
    CHECK(h.take() == Actions{h.received(client, 2), told(2)});
    h.advance(9s);
    h.submit(client, 1);
    CHECK(h.take() == Actions{h.received(client, 3), told(3)});
    h.advance(1500ms);
    h.submit(client, 1);
    CHECK(h.take() == Actions{h.received(client, 4), h.assign(worker, client, 4, 2)});
    // The worker is avoided for twice as long now, but tried once the reason is ten seconds old.
    h.result(worker, client, 4, Outcome::cannot_start, "libfoo.so.1 is missing");
    h.advance(10500ms);
    h.expect<wire::Deliver>();
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
    h.expect<wire::Received, wire::DefineFor, wire::Assign, wire::Deliver>();
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
    h.expect<wire::Received, wire::DefineFor, wire::Assign>();
    wire::ErrorInfo missing;
    missing.type = wire::kMissingFunction;
    h.result(worker, client, 1, Outcome::cannot_start, wire::encode_error(missing));
    h.expect<wire::Deliver>();
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
      h.expect_only<wire::Received, wire::DefineFor, wire::Assign, wire::Release>();
      h.result(*worker, client, 1, Outcome::cannot_start, "libfoo.so.1 is missing");
    }
    CHECK(h.assigned(b, client) == Seqs{1, 1});
    h.advance(11s);
    h.expect<wire::Assign, wire::Release>();
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
    h.expect<wire::Received, wire::DefineFor, wire::Assign, wire::Deliver, wire::Release>();
    h.result(worker, client, 2);
    CHECK(h.status().queued + h.status().assigned == 0);
    h.expect<wire::Deliver>();
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
    h.expect<wire::Received, wire::DefineFor, wire::Assign, wire::Deliver, wire::Release>();
  }
}

}  // namespace weft::broker
