// SPDX-License-Identifier: MIT
// worker::BlobTable: pins, eviction, and blobs that are used in several ways. Fetching is tested in
// test_blob_fetch.cpp, the effect on tasks in test_worker_blobs.cpp.
#include "worker/core/blob_table.hpp"
#include "worker_harness.hpp"

namespace weft::worker {

TEST_SUITE_BEGIN("worker blob table");

namespace {

constexpr std::uint64_t kSize = 1000;  // of each blob

/// A table that has joined a broker. Blobs are named by numbers.
class Stage {
 public:
  explicit Stage(std::uint64_t recent_bytes_max = 0) : table({{.active_max = 4}, recent_bytes_max}) {
    table.on_joined();
  }

  static BlobId id(int number) { return id_of<32>(static_cast<std::uint8_t>(number)); }
  static wire::BlobRef blob(int number, const Uuid& holder = kAda) { return {holder, id(number), kSize}; }
  static wire::BlobRef result(int number) { return blob(number, kWorker); }

  /// The actions for the shell since the last call.
  Actions take() {
    table.perform(now, actions);
    table.check_invariants();
    return std::exchange(actions, {});
  }
  /// The blobs that were settled since the last call: "+1" if blob 1 is ready, "-1 why" if it will not come.
  std::string settled() {
    std::string text;
    for (const BlobTable::Settled& settled : table.take_settled()) {
      text += (text.empty() ? "" : ", ");
      text += (settled.ready ? "+" : "-") + std::to_string(settled.id.bytes[0]);
      text += (settled.ready ? "" : " ") + settled.reason;
    }
    return text;
  }

  bool need(int number, const Uuid& holder = kAda) {
    return table.need_argument(blob(number, holder), actions);
  }
  bool need_program(int number) { return table.need_file({"program", id(number), kSize}, kAda, actions); }
  void unneed(int number) { table.unneed(id(number), actions); }
  void made(int number, const Uuid& session = kAda) { table.add_result(session, result(number), actions); }
  void drop(int number) { table.drop_result(id(number), actions); }
  void ready(int number) { table.on_ready(id(number)); }
  void missing(int number) { table.on_missing(id(number), actions); }
  void bad(int number) { table.on_bad(now, id(number), "the disk is full"); }
  void gone(int number) { table.on_gone(now, {id(number), "away"}); }
  void data(int number) { table.on_data(now, {id(number), 0, bytes()}); }
  /// A blob that one task needs and that is ready.
  void have(int number) {
    need(number);
    ready(number);
    take();
    settled();
  }
  /// Whether GETs of this blob are answered with bytes.
  bool serves(int number) {
    Actions answer;
    const wire::Get get{kWorker, id(number), 0, kSize};
    table.serve(get, answer);
    return answer == Actions{ServeChunk{get}};
  }

  static Bytes bytes() { return Bytes(std::string(kSize, 'x')); }
  static Action find(int number, const std::string& name = "") { return FindBlob{id(number), kSize, name}; }
  static Action get(int number, const Uuid& holder = kAda) {
    return Send{wire::Get{holder, id(number), 0, kSize}};
  }
  static Action dropped(int number) { return DropBlob{id(number)}; }

  Time now{seconds(100)};
  BlobTable table;
  Actions actions;
};

}  // namespace

// ---- needed by tasks ----

TEST_CASE("a blob that two tasks need is found once, and dropped after both") {
  Stage s;
  CHECK(!s.need(1));
  CHECK(!s.need(1));
  CHECK(s.take() == Actions{Stage::find(1)});
  s.ready(1);
  CHECK(s.settled() == "+1");
  CHECK(s.need(1));
  s.unneed(1);
  s.unneed(1);
  CHECK(s.take() == Actions{});
  s.unneed(1);
  CHECK(s.take() == Actions{Stage::dropped(1)});
}

TEST_CASE("a blob that is not here is fetched from its holders, and verified") {
  Stage s;
  s.need(1);
  s.need(1, kBob);
  s.take();
  s.missing(1);
  CHECK(s.take() == Actions{Stage::get(1)});
  s.gone(1);
  s.now += seconds(1);
  CHECK(s.take() == Actions{Stage::get(1, kBob)});
  s.data(1);
  CHECK(s.take() ==
        Actions{StoreChunk{Stage::id(1), kSize, 0, Stage::bytes()}, VerifyBlob{Stage::id(1), kSize}});
  CHECK(s.settled().empty());
  s.ready(1);
  CHECK(s.settled() == "+1");
}

TEST_CASE("a blob that no task needs any more is dropped wherever its bytes are") {
  Stage s;
  s.need(1);
  s.take();
  SUBCASE("the shell looks for it") {}
  SUBCASE("it is fetched") {
    s.missing(1);
    s.take();
  }
  SUBCASE("its chunks came in this step") {
    s.missing(1);
    s.take();
    s.data(1);
  }
  s.unneed(1);
  CHECK(s.take() == Actions{Stage::dropped(1)});
  s.data(1);
  s.missing(1);
  s.ready(1);
  CHECK(s.take() == Actions{});
  CHECK(s.settled().empty());
}

TEST_CASE("a blob that does not come is settled as such, and looked for again by the next task") {
  Stage s;
  s.need(1);
  SUBCASE("the shell cannot store it") {
    s.take();
    s.bad(1);
    CHECK(s.take() == Actions{});
    CHECK(s.settled() == "-1 the disk is full");
  }
  SUBCASE("its bytes are wrong") {
    s.missing(1);
    s.take();
    s.data(1);
    s.take();
    s.bad(1);
    CHECK(s.take() == Actions{});
    CHECK(s.settled() == "-1 the disk is full");
  }
  SUBCASE("its holder does not have it") {
    s.missing(1);
    s.take();
    s.gone(1);
    for (int i = 0; i < 5; ++i) {
      s.now += seconds(1);
      CHECK(s.take() == Actions{Stage::get(1)});
      s.gone(1);
    }
    CHECK(s.take() == Actions{Stage::dropped(1)});
    CHECK(s.settled() == "-1 away");
  }
  s.need(1);
  CHECK(s.take() == Actions{Stage::find(1)});
}

TEST_CASE("four arguments are fetched side by side, and hold no program up") {
  Stage s;
  for (int i = 1; i <= 5; ++i) {
    s.need(i);
    s.missing(i);
  }
  s.need_program(9);
  s.missing(9);
  CHECK(s.take() == Actions{Stage::find(1), Stage::find(2), Stage::find(3), Stage::find(4), Stage::find(5),
                            Stage::find(9, "program"), Stage::get(9), Stage::get(1), Stage::get(2),
                            Stage::get(3), Stage::get(4)});
  s.unneed(5);  // before it was asked for
  s.need(5);
  s.missing(5);
  CHECK(s.take() == Actions{Stage::dropped(5), Stage::find(5)});
  s.unneed(2);
  CHECK(s.take() == Actions{Stage::dropped(2), Stage::get(5)});
}

TEST_CASE("bytes that are a program and an argument are one blob") {
  Stage s;
  CHECK(!s.need_program(1));
  CHECK(!s.need(1));
  CHECK(s.take() == Actions{Stage::find(1, "program")});
  s.ready(1);
  CHECK(s.settled() == "+1");
  s.unneed(1);
  CHECK(s.take() == Actions{});
  s.unneed(1);
  CHECK(s.take() == Actions{Stage::dropped(1)});
}

// ---- recently needed ----

TEST_CASE(
    "what was needed recently is retained within a budget; what was not needed for longest goes first") {
  Stage s(3 * kSize);
  for (const int i : {1, 2, 3, 4}) s.have(i);
  for (const int i : {3, 1, 2}) s.unneed(i);
  CHECK(s.take() == Actions{});
  s.unneed(4);
  CHECK(s.take() == Actions{Stage::dropped(3)});
  CHECK(s.need(1));  // task 1 again: the blob is neither looked for nor evicted
  s.have(5);
  s.unneed(5);
  CHECK(s.take() == Actions{});
  s.have(6);
  s.unneed(6);
  CHECK(s.take() == Actions{Stage::dropped(2)});
  s.unneed(1);
  CHECK(s.take() == Actions{Stage::dropped(4)});
}

TEST_CASE("a blob above the whole budget is not retained") {
  Stage s(kSize - 1);
  s.have(1);
  s.unneed(1);
  CHECK(s.take() == Actions{Stage::dropped(1)});
}

// ---- results ----

TEST_CASE("a result is served until each of its pins is gone") {
  Stage s;
  s.made(1, kAda);
  s.made(1, kAda);
  s.made(1, kBob);
  CHECK(s.table.has_results_of(kBob));
  CHECK(s.serves(1));
  s.drop(1);
  s.drop(1);
  CHECK(s.take() == Actions{});
  CHECK(!s.table.has_results_of(kAda));
  CHECK(s.serves(1));
  SUBCASE("dropped") { s.drop(1); }
  SUBCASE("the session has ended") { s.table.end_session(kBob, s.actions); }
  CHECK(s.take() == Actions{Stage::dropped(1)});
  CHECK(!s.table.has_results());
  CHECK(!s.serves(1));
  s.drop(1);
  CHECK(s.take() == Actions{});
}

TEST_CASE("a session that ends leaves the results of others") {
  Stage s;
  for (const int i : {3, 1, 2}) s.made(i, kAda);
  s.made(2, kBob);
  s.table.end_session(kAda, s.actions);
  CHECK(s.take() == Actions{Stage::dropped(1), Stage::dropped(3)});
  CHECK(s.serves(2));
}

TEST_CASE("a result that nobody wants is dropped, unless something else pins the blob") {
  Stage s(kSize);
  const auto discard = [&s](int number) {
    s.take();
    s.table.discard_result(Stage::result(number), s.actions);
    return s.take();
  };
  CHECK(discard(1) == Actions{Stage::dropped(1)});
  s.made(2);
  CHECK(discard(2) == Actions{});
  s.have(3);
  CHECK(discard(3) == Actions{});
  s.unneed(3);
  CHECK(discard(3) == Actions{});  // the blob was needed recently
  s.need(4);
  s.missing(4);
  CHECK(discard(4) == Actions{Stage::find(4)});  // a task waits for it
  s.need(5);
  s.bad(5);
  CHECK(discard(5) == Actions{Stage::dropped(5)});  // a task has waited for it in vain
  s.unneed(5);
  CHECK(s.take() == Actions{});
}

// ---- needed, and a result ----

TEST_CASE("a blob that two tasks need and that is a result stays until the last of the three") {
  Stage s;
  for (const bool made_first : {true, false}) {
    for (const bool dropped_first : {true, false}) {
      CAPTURE(made_first);
      CAPTURE(dropped_first);
      if (made_first) {
        s.made(1);
        CHECK(!s.need(1));  // only the shell knows whether the runner can still change it
        CHECK(!s.need(1));
        CHECK(s.take() == Actions{Stage::find(1)});
        s.ready(1);
        CHECK(s.settled() == "+1");
      } else {
        s.have(1);
        CHECK(s.need(1));
        s.made(1);
      }
      CHECK(s.serves(1));
      s.unneed(1);
      if (dropped_first) {
        s.drop(1);
        CHECK(s.take() == Actions{});
        CHECK(!s.serves(1));
        s.unneed(1);
      } else {
        s.unneed(1);
        CHECK(s.take() == Actions{});
        CHECK(s.need(1));  // once more: the blob is ready
        s.unneed(1);
        CHECK(s.serves(1));
        s.drop(1);
      }
      CHECK(s.take() == Actions{Stage::dropped(1)});
    }
  }
}

TEST_CASE("a result that was needed recently is evicted from the budget, and not from here") {
  Stage s(kSize);
  s.have(1);
  s.made(1);
  s.unneed(1);
  s.have(2);
  s.unneed(2);  // now 2 is the one in the budget
  CHECK(s.take() == Actions{});
  CHECK(s.serves(1));
  s.drop(1);
  CHECK(s.take() == Actions{Stage::dropped(1)});
}

TEST_CASE("a dropped result that was needed recently stays within the budget") {
  Stage s(kSize);
  s.have(1);
  s.made(1);
  s.unneed(1);
  s.drop(1);
  CHECK(s.take() == Actions{});
  CHECK(s.need(1));
}

TEST_CASE("bytes that a task makes here are not fetched any more") {
  Stage s;
  s.need(1);
  s.take();
  SUBCASE("while they are fetched") {
    s.missing(1);
    CHECK(s.take() == Actions{Stage::get(1)});
    s.made(1);
  }
  SUBCASE("while the shell looks for them") {
    s.made(1);
    CHECK(s.take() == Actions{});
    s.missing(1);
  }
  CHECK(s.take() == Actions{Stage::find(1)});
  s.data(1);
  s.gone(1);
  CHECK(s.take() == Actions{});
  s.ready(1);
  CHECK(s.settled() == "+1");
}

TEST_CASE("a result that a task has not waited for to the end is still a result") {
  Stage s;
  s.made(1);
  s.need(1);
  s.take();
  s.unneed(1);
  CHECK(s.take() == Actions{});
  s.ready(1);
  CHECK(s.settled().empty());
  CHECK(s.serves(1));
  s.need(1);
  CHECK(s.take() == Actions{Stage::find(1)});
  s.bad(1);  // the runner has changed it
  CHECK(s.settled() == "-1 the disk is full");
  s.unneed(1);
  CHECK(s.serves(1));
  s.drop(1);
  CHECK(s.take() == Actions{Stage::dropped(1)});
}

TEST_SUITE_END();

}  // namespace weft::worker
