// SPDX-License-Identifier: MIT
// Workers that are short of memory get no new task, and a worker with less memory than an argument takes does
// not get that argument. PROTOCOL.md section 6.
#include "tests/unit/scheduler_harness.hpp"

namespace weft::broker {

namespace {

using wire::Outcome;
using Seqs = std::vector<std::uint64_t>;

const std::string kReason = "it has used 93 % of its memory";
constexpr std::uint64_t kGiB = 1 << 30;
constexpr std::uint64_t kLong_us = 50'000;  // too long to be prefetched

/// A client with spec 1, and workers that report their memory. The adoption window is over.
struct Stage {
  Stage() {
    h.define(client, 1, any_spec());
    h.advance(3s);
  }
  ~Stage() {
    h.expect_only<wire::Welcome, wire::Received, wire::DefineFor, wire::Assign, wire::Deliver, ForgetPeer>();
  }
  TestWorker join(const std::string& name, std::uint64_t memory = 0, std::uint32_t slots = 1) {
    return h.join_worker_later(name, {.slots = slots, .memory = memory});
  }
  void hold(const TestWorker& worker, std::uint32_t slots = 0) {
    h.say(worker, wire::Heartbeat{kReason, slots});
  }
  void let_go(const TestWorker& worker) { h.say(worker, wire::Heartbeat{}); }
  /// Submits a task with an argument of `bytes` bytes.
  void submit(std::uint64_t bytes, std::uint32_t spec = 1) {
    h.say(client, wire::Submit{{{client.next_seq++, spec,
                                 wire::Payload(wire::BlobRef{client.session, blob_id(1), bytes})}}});
  }
  void succeed(TestWorker& worker, std::uint64_t seq) {
    h.result(worker, client, seq, Outcome::ok, "result", kLong_us);
  }
  Seqs assigned(const TestWorker& worker) { return h.assigned(worker, client); }
  std::string why(std::uint64_t seq) {
    h.expect_only<wire::Received, wire::DefineFor, wire::Assign>();
    h.say(client, wire::Why{TaskId{client.session, seq}.text()});
    const Actions actions = h.take();
    return std::get<wire::Answer>(std::get<Send>(actions.at(0)).message).text;
  }
  std::string note(std::size_t worker = 0) { return h.status().worker_list.at(worker).note; }
  /// The outcomes of the tasks that were answered since the last take().
  std::map<std::uint64_t, Outcome> outcomes() {
    std::map<std::uint64_t, Outcome> out;
    for (const Action& action : h.take()) {
      const auto* send = std::get_if<Send>(&action);
      const auto* deliver = send != nullptr ? std::get_if<wire::Deliver>(&send->message) : nullptr;
      if (deliver == nullptr) continue;
      for (const wire::DeliveryRecord& record : deliver->records) out.emplace(record.seq, record.outcome);
    }
    return out;
  }
  /// The message with which the task was refused; "" if it was not.
  std::string refusal(std::uint64_t seq) {
    for (const Action& action : h.take()) {
      const auto* send = std::get_if<Send>(&action);
      const auto* deliver = send != nullptr ? std::get_if<wire::Deliver>(&send->message) : nullptr;
      if (deliver == nullptr) continue;
      for (const wire::DeliveryRecord& record : deliver->records) {
        if (record.seq == seq && record.outcome == Outcome::refused)
          return wire::decode_error(record.payload.inline_bytes())->message;
      }
    }
    return "";
  }

  Harness h;
  TestClient client = h.join_client("client");
};

}  // namespace

TEST_SUITE("scheduler, memory") {
  TEST_CASE("a worker that holds gets nothing new until it lets go") {
    Stage s;
    TestWorker full = s.join("full", 0, 2);
    s.h.submit(s.client, 1);
    s.hold(full);
    CHECK(s.h.noticed(NoticeKind::worker_held, kReason) == 1);
    CHECK(s.note() == "it takes nothing new: " + kReason);
    s.h.submit(s.client, 1, 3);
    CHECK(s.assigned(full) == Seqs{1});
    CHECK(s.why(2) == "it waits: worker full: it takes nothing new: " + kReason);
    CHECK(s.h.status().waiting_list.at(0).reason == "worker full: it takes nothing new: " + kReason);
    s.succeed(full, 1);
    s.h.advance(20s);
    CHECK(s.assigned(full) == Seqs{1});
    CHECK(s.note() == "it takes nothing new: " + kReason);
    CHECK(s.h.noticed(NoticeKind::worker_stalled) == 0);
    SUBCASE("because it says so") {
      s.let_go(full);
      CHECK(s.h.noticed(NoticeKind::worker_accepts) == 1);
      CHECK(s.note().empty());
      CHECK(s.assigned(full) == Seqs{1, 2, 3});
    }
    SUBCASE("because it joins again and does not say so") {
      s.h.hello(full, {.slots = 2});
      s.h.ready(full);
      CHECK(s.assigned(full) == Seqs{2, 3});  // the tasks of this connection
    }
    SUBCASE("while another gets them") {
      TestWorker other = s.join("other");
      CHECK(s.assigned(other) == Seqs{2});
      CHECK(s.why(3).find("it has been waiting for a free slot for") == 0);
      CHECK(s.why(3).find("; worker full: it takes nothing new: " + kReason) != std::string::npos);
    }
  }

  TEST_CASE("one that holds from the start gets nothing") {
    Stage s;
    TestWorker full{uuid(200), "full"};
    s.h.submit(s.client, 1);
    s.h.hello(full);
    s.hold(full);
    s.h.ready(full);
    CHECK(s.assigned(full).empty());
  }

  TEST_CASE("one that holds and has nothing to do may take one at a time") {
    Stage s;
    TestWorker full = s.join("full", 0, 4);
    s.hold(full);
    s.h.submit(s.client, 1, 3);
    CHECK(s.assigned(full).empty());
    s.hold(full, 1);
    CHECK(s.note() == "it takes one task at a time: " + kReason);
    CHECK(s.assigned(full) == Seqs{1});
    s.hold(full, 1);
    CHECK(s.assigned(full) == Seqs{1});
    s.succeed(full, 1);
    CHECK(s.assigned(full) == Seqs{1, 2});
    s.let_go(full);
    CHECK(s.assigned(full) == Seqs{1, 2, 3});
  }

  TEST_CASE("what it gives back goes to another, uncharged") {
    Stage s;
    TestWorker full = s.join("full", 0, 2);
    s.h.submit(s.client, 1, 2);
    s.hold(full);
    s.h.returned(full, s.client, 2);
    CHECK(s.assigned(full) == Seqs{1, 2});
    TestWorker other = s.join("other");
    CHECK(s.assigned(other) == Seqs{2});
    s.succeed(other, 2);
    CHECK(s.h.take() == Actions{s.h.deliver_ok(s.client, 1, 2)});
  }

  TEST_CASE("a retry does not wait for a worker that holds") {
    Stage s;
    wire::TaskSpec spec = any_spec();
    spec.retries = 3;
    s.h.define(s.client, 2, spec);
    TestWorker bad = s.join("bad");
    s.h.submit(s.client, 2);
    TestWorker full = s.join("full");
    s.hold(full);
    s.h.result(bad, s.client, 1, Outcome::failed, "error", kLong_us);
    CHECK(s.assigned(bad) == Seqs{1, 1});
  }

  TEST_CASE("a large argument goes where there is memory for it, and holds up nothing else") {
    Stage s;
    TestWorker small = s.join("small", kGiB);
    TestWorker large = s.join("large", 8 * kGiB);
    s.submit(2 * kGiB);
    CHECK(s.assigned(large) == Seqs{1});
    s.submit(2 * kGiB);
    s.submit(kGiB);
    CHECK(s.assigned(small) == Seqs{3});
    CHECK(s.why(2).find("with the memory for its argument of 2.0 GiB") != std::string::npos);
    s.succeed(small, 3);
    s.h.advance(1s);
    CHECK(s.assigned(small) == Seqs{3});
    s.succeed(large, 1);
    CHECK(s.assigned(large) == Seqs{1, 2});
  }

  TEST_CASE("what waits behind others is not moved to a worker that has no memory for it") {
    Stage s;
    TestWorker large = s.join("large", 8 * kGiB);
    s.h.submit(s.client, 1);
    s.h.result(large, s.client, 1, Outcome::ok, "result", 1000);  // short, so others are prefetched
    s.submit(2 * kGiB);
    s.submit(2 * kGiB);
    REQUIRE(s.assigned(large) == Seqs{1, 2, 3});
    s.h.expect<wire::Received, wire::DefineFor, wire::Assign, wire::Deliver>();
    s.join("small", kGiB);
    s.h.advance(1s);
    for (const Action& action : s.h.take()) {
      const auto* send = std::get_if<Send>(&action);
      CHECK((send == nullptr || !std::holds_alternative<wire::Revoke>(send->message)));
    }
  }

  TEST_CASE("a worker that does not say what it has may get anything") {
    Stage s;
    TestWorker small = s.join("small", kGiB);
    TestWorker other = s.join("other");
    s.submit(100 * kGiB);
    CHECK(s.assigned(small).empty());
    CHECK(s.assigned(other) == Seqs{1});
  }

  TEST_CASE("an argument for which no worker has the memory is refused at once, though all are busy") {
    Stage s;
    wire::TaskSpec only = any_spec();
    only.workers = {"small"};
    s.h.define(s.client, 2, only);
    TestWorker small = s.join("small", kGiB);
    TestWorker large = s.join("large", 8 * kGiB);
    s.h.submit(s.client, 1, 2);
    s.h.expect<wire::Received, wire::DefineFor, wire::Assign>();
    s.submit(12 * kGiB);
    CHECK(s.refusal(3) ==
          "its argument of 12.0 GiB is larger than the memory of each worker that could run it, the most "
          "being 8.0 GiB "
          "(worker large): pass it in parts or by the name of a file, or start a worker that may use more "
          "(weft-worker --memory)");
    s.submit(2 * kGiB, 2);
    CHECK(s.refusal(4).find("the most being 1.0 GiB (worker small)") != std::string::npos);
    s.succeed(small, 1);
    s.succeed(large, 2);
    CHECK(s.assigned(small) == Seqs{1});
    CHECK(s.assigned(large) == Seqs{2});
  }

  TEST_CASE("without a worker that could run it, it waits for one") {
    Stage s;
    s.submit(2 * kGiB);
    CHECK(s.refusal(1).empty());
    CHECK(s.why(1) == "it waits: no worker has joined");
    SUBCASE("which has the memory") {
      TestWorker large = s.join("large", 8 * kGiB);
      CHECK(s.assigned(large) == Seqs{1});
    }
    SUBCASE("which has not") {
      TestWorker small{uuid(200), "small"};
      s.h.hello(small, {.memory = kGiB});
      s.h.ready(small);
      CHECK(s.refusal(1).find("its argument of 2.0 GiB is larger") == 0);
      CHECK(s.assigned(small).empty());
    }
  }

  TEST_CASE("when the last worker with the memory for it leaves, it is refused") {
    Stage s;
    TestWorker small = s.join("small", kGiB);
    TestWorker large = s.join("large", 8 * kGiB);
    s.submit(2 * kGiB);
    s.submit(2 * kGiB);
    s.succeed(large, 1);
    s.submit(2 * kGiB);
    REQUIRE(s.assigned(large) == Seqs{1, 2});
    s.h.expect<wire::Received, wire::DefineFor, wire::Assign, wire::Deliver>();
    s.h.say(large, wire::Goodbye{"drained"});
    CHECK(s.refusal(3).find("its argument of 2.0 GiB is larger") == 0);
    CHECK(s.assigned(small).empty());
  }

  TEST_CASE("when its program does not start on the only worker with the memory for it, it is told so") {
    Stage s;
    TestWorker small = s.join("small", kGiB);
    TestWorker large = s.join("large", 8 * kGiB);
    s.h.define(s.client, 2, program_spec(1));
    s.submit(2 * kGiB, 2);
    s.submit(2 * kGiB, 2);
    s.submit(1000, 2);
    REQUIRE(s.assigned(large) == Seqs{1});
    REQUIRE(s.assigned(small) == Seqs{3});
    s.h.expect<wire::Received, wire::DefineFor, wire::Assign>();
    s.h.result(large, s.client, 1, Outcome::cannot_start, "libfoo.so.1 is missing");
    CHECK(s.outcomes() ==
          std::map<std::uint64_t, Outcome>{{1, Outcome::cannot_start}, {2, Outcome::cannot_start}});
    s.submit(1000, 2);
    s.succeed(small, 3);
    CHECK(s.assigned(small) == Seqs{3, 4});
  }

  TEST_CASE("while workers may be about to come back, it waits for them") {
    Harness h;
    TestClient client = h.join_client("client");
    h.define(client, 1, any_spec());
    TestWorker small = h.join_worker_later("small", {.memory = kGiB});
    h.say(client, wire::Submit{{{client.next_seq++, 1,
                                 wire::Payload(wire::BlobRef{client.session, blob_id(1), 2 * kGiB})}}});
    CHECK(h.take() == Actions{h.received(client, 1)});
    h.advance(3s);
    CHECK(h.status().queued == 0);
    CHECK(h.assigned(small, client).empty());
    h.expect<wire::Deliver>();
  }
}

}  // namespace weft::broker
