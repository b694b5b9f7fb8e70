// SPDX-License-Identifier: MIT
// A retry goes to another worker, and a worker on which nearly every task fails gets no new task for a while.
// PROTOCOL.md section 6.
#include "tests/unit/scheduler_harness.hpp"

namespace weft::broker {

namespace {

using wire::Outcome;

constexpr std::uint64_t kLong_us = 50'000;  // too long to be prefetched

/// A client with spec 1, whose tasks may be retried often, and spec 2, whose tasks may not be.
struct Stage {
  Stage() {
    wire::TaskSpec spec = any_spec();
    spec.retries = 100;
    h.define(client, 1, spec);
    h.define(client, 2, any_spec());
  }
  void fail(TestWorker& worker, std::uint64_t seq) {
    h.result(worker, client, seq, Outcome::failed, "no space left", kLong_us);
  }
  void succeed(TestWorker& worker, std::uint64_t seq) {
    h.result(worker, client, seq, Outcome::ok, "result", kLong_us);
  }
  std::vector<std::uint64_t> assigned(const TestWorker& worker) { return h.assigned(worker, client); }
  std::string why(std::uint64_t seq) {
    h.expect_only<wire::Received, wire::DefineFor, wire::Assign, wire::Revoke, wire::Deliver>();
    h.say(client, wire::Why{TaskId{client.session, seq}.text()});
    const Actions actions = h.take();
    return std::get<wire::Answer>(std::get<Send>(actions.at(0)).message).text;
  }
  std::string note(std::size_t worker) { return h.status().worker_list.at(worker).note; }

  Harness h;
  TestClient client = h.join_client("client");
};

using Seqs = std::vector<std::uint64_t>;

}  // namespace

TEST_SUITE("scheduler, bad workers") {
  TEST_CASE("a retry goes to another worker") {
    Stage s;
    TestWorker bad = s.h.join_worker_later("bad");
    s.h.submit(s.client, 1);
    TestWorker good = s.h.join_worker_later("good");
    s.fail(bad, 1);
    CHECK(s.assigned(good) == Seqs{1});
    SUBCASE("and to the first again, when it failed on both") {
      s.fail(good, 1);
      CHECK(s.assigned(bad).size() + s.assigned(good).size() == 3);
    }
    SUBCASE("which may give it back") {
      s.h.returned(good, s.client, 1);
      CHECK(s.assigned(good) == Seqs{1, 1});
      CHECK(s.assigned(bad) == Seqs{1});
    }
    s.h.expect<wire::DefineFor, wire::Assign, wire::Deliver>();
  }

  TEST_CASE(
      "a retry waits for another worker that is busy, while what is behind it goes where there is room") {
    Stage s;
    TestWorker good = s.h.join_worker_later("good");
    s.h.submit(s.client, 1, 3);
    TestWorker bad = s.h.join_worker_later("bad");
    REQUIRE(s.assigned(bad) == Seqs{2});
    s.fail(bad, 2);
    CHECK(s.assigned(bad) == Seqs{2, 3});
    CHECK(s.why(2).find("it failed on bad, and has been waiting for") == 0);
    s.fail(bad, 3);
    CHECK(s.assigned(bad) == Seqs{2, 3});
    SUBCASE("until that one is free") {
      s.succeed(good, 1);
      CHECK(s.assigned(good) == Seqs{1, 2});
      s.succeed(good, 2);
      CHECK(s.assigned(good) == Seqs{1, 2, 3});
    }
    SUBCASE("until that one is lost") {
      s.h.disconnect(good);
      CHECK(s.assigned(bad) == Seqs{2, 3, 2});
    }
    SUBCASE("no longer than it takes to see that it does not get on") {
      s.h.advance(9s);
      CHECK(s.assigned(bad) == Seqs{2, 3});
      s.h.advance(2s);
      CHECK(s.assigned(bad) == Seqs{2, 3, 2});
    }
    SUBCASE("and can be cancelled meanwhile") {
      s.h.cancel(s.client, 2);
      s.succeed(good, 1);
      CHECK(s.assigned(good) == Seqs{1, 3});
    }
    s.h.expect_only<wire::Assign, wire::Deliver, ForgetPeer>();
  }

  TEST_CASE("a retry stays where nobody else may run it") {
    Stage s;
    wire::TaskSpec only = any_spec();
    only.retries = 1;
    only.workers = {"bad"};
    s.h.define(s.client, 3, only);
    TestWorker bad = s.h.join_worker_later("bad");
    s.h.join_worker_later("good");
    s.h.submit(s.client, 3);
    s.fail(bad, 1);
    CHECK(s.assigned(bad) == Seqs{1, 1});
    s.h.expect<wire::Received, wire::DefineFor, wire::Assign, wire::Deliver>();
  }

  TEST_CASE("a worker where nearly everything fails, and little elsewhere, gets nothing new for a minute") {
    Stage s;
    TestWorker good = s.h.join_worker_later("good", {.memory = 1U << 30});
    for (std::uint64_t seq = 1; seq <= 5; ++seq) {
      s.h.submit(s.client, 2);
      s.succeed(good, seq);
    }
    s.h.submit(s.client, 2);  // task 6 keeps the good one busy
    TestWorker bad = s.h.join_worker_later("bad");
    s.h.submit(s.client, 2, 13);
    for (std::uint64_t seq = 7; seq <= 15; ++seq) s.fail(bad, seq);
    CHECK(s.assigned(bad).back() == 16);
    CHECK(s.note(0).empty());
    s.fail(bad, 16);
    CHECK(s.assigned(bad).back() == 16);
    CHECK(s.note(0) == "10 of its last 10 attempts failed, and few elsewhere: it gets nothing new for 60 s");
    CHECK(s.h.noticed(NoticeKind::worker_avoided, "10 of its last 10 attempts failed") == 1);
    CHECK(s.why(17).find("; worker bad: 10 of its last 10 attempts failed") != std::string::npos);
    s.h.advance(30s);
    CHECK(s.note(0).find("for 30 s") != std::string::npos);
    SUBCASE("unless there is no other") {
      s.h.disconnect(good);
      CHECK(s.assigned(bad).back() == 17);
      s.h.expect<wire::Assign, ForgetPeer>();
      return;
    }
    SUBCASE("unless no other has the memory for the argument") {
      const wire::BlobRef argument{s.client.session, blob_id(1), 2ULL << 30};
      s.h.say(s.client, wire::Submit{{{s.client.next_seq++, 2, wire::Payload(argument)}}});
      CHECK(s.assigned(bad).back() == 20);
      return;
    }
    s.h.advance(31s);
    REQUIRE(s.assigned(bad).back() != 16);
    SUBCASE("and for two minutes when the next one fails there too") {
      s.fail(bad, s.assigned(bad).back());
      CHECK(s.note(0).find("for 120 s") != std::string::npos);
      s.h.advance(119s);
      CHECK(s.h.take() == Actions{});
    }
    SUBCASE("and as others do when that one succeeds") {
      s.succeed(bad, s.assigned(bad).back());
      CHECK(s.assigned(bad).back() == 18);
      s.h.advance(5s);
      CHECK(s.note(0).empty());
    }
  }

  TEST_CASE("what fails everywhere is not a worker's fault") {
    Stage s;
    TestWorker one = s.h.join_worker_later("one");
    SUBCASE("there is one worker") {
      s.h.submit(s.client, 2, 30);
      for (std::uint64_t seq = 1; seq <= 30; ++seq) s.fail(one, seq);
    }
    SUBCASE("others fail too") {
      TestWorker two = s.h.join_worker_later("two");
      s.h.submit(s.client, 2, 40);
      for (int i = 0; i < 20; ++i) {
        s.fail(one, s.assigned(one).back());
        const std::uint64_t seq = s.assigned(two).back();
        i % 4 == 0 ? s.fail(two, seq) : s.succeed(two, seq);
      }
      CHECK(s.note(1).empty());
    }
    CHECK(s.note(0).empty());
    s.h.expect<wire::Received, wire::DefineFor, wire::Assign, wire::Deliver>();
  }
}

}  // namespace weft::broker
