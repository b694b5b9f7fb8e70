// SPDX-License-Identifier: MIT
// JournalQueue: group commit of the write-ahead log, faults, and when the journal is rewritten.
#include <doctest/doctest.h>

#include "broker/scheduler/journal_queue.hpp"

namespace weft::broker {

namespace {

using namespace std::chrono_literals;

const Uuid kSession{};

JournalRecord task(std::uint64_t seq) { return TaskRecord{kSession, seq, 1, 0, wire::Payload("argument")}; }
JournalRecord gone(std::uint64_t seq) { return GoneRecord{kSession, seq}; }
std::string row_of(std::initializer_list<JournalRecord> records) {
  std::string row;
  for (const JournalRecord& record : records) append_record(row, record);
  return row;
}

}  // namespace

TEST_SUITE("journal queue") {
  TEST_CASE("records that come while a row is under way share the next one") {
    JournalQueue queue({});
    CHECK(!queue.next_row(Time{}));
    queue.record(task(1));
    CHECK(queue.next_row(Time{}) == Persist{1, row_of({task(1)})});
    queue.record(task(2));
    queue.record(gone(1));
    CHECK(!queue.next_row(Time{}));
    CHECK(queue.on_persisted(Time{}, {7, ""}).empty());  // an answer for another row
    CHECK(row_of({queue.on_persisted(Time{}, {1, ""}).at(0)}) == row_of({task(1)}));
    CHECK(queue.next_row(Time{}) == Persist{2, row_of({task(2), gone(1)})});
    CHECK(queue.on_persisted(Time{}, {2, ""}).size() == 2);
    CHECK(!queue.next_row(Time{}));
    CHECK(!queue.deadline());
    queue.check_invariants();
  }

  TEST_CASE("a row ends at its limit") {
    JournalQueue queue({.row_bytes_max = 1});
    queue.record(task(1));
    queue.record(task(2));
    CHECK(queue.next_row(Time{}) == Persist{1, row_of({task(1)})});
    queue.on_persisted(Time{}, {1, ""});
    CHECK(queue.next_row(Time{}) == Persist{2, row_of({task(2)})});
  }

  TEST_CASE("after a fault tasks are given up, and the other records are written a second later") {
    JournalQueue queue({});
    queue.record(gone(1));
    queue.record(task(2));
    queue.record(gone(3));
    queue.next_row(Time{});
    const auto given_up = queue.on_persisted(Time{}, {1, "the disk is full"});
    REQUIRE(given_up.size() == 1);
    CHECK(row_of({given_up[0]}) == row_of({task(2)}));
    CHECK(queue.fault() == "the disk is full");
    CHECK(queue.deadline() == Time{1s});
    CHECK(!queue.next_row(Time{999ms}));
    CHECK(queue.next_row(Time{1s}) == Persist{2, row_of({gone(1), gone(3)})});
    CHECK(queue.on_persisted(Time{1s}, {2, ""}).size() == 2);
    CHECK(queue.fault().empty());
  }

  TEST_CASE("the journal is rewritten when it has grown, and again when it has doubled") {
    JournalQueue queue({.rewrite_bytes = 100});
    std::uint64_t number = 0;
    const auto write = [&](std::size_t bytes) {
      queue.record(TaskRecord{kSession, 1, 1, 0, wire::Payload(std::string(bytes, 'x'))});
      queue.next_row(Time{});
      queue.on_persisted(Time{}, {++number, ""});
    };
    write(10);
    CHECK(!queue.wants_rewrite(Time{}));
    write(100);
    CHECK(queue.wants_rewrite(Time{}));
    SUBCASE("it succeeds") {
      CHECK(queue.rewrite({std::string(1000, 'r')}) == RewriteJournal{++number, {std::string(1000, 'r')}});
      CHECK(!queue.wants_rewrite(Time{}));
      queue.on_persisted(Time{}, {number, ""});
      write(1900);
      CHECK(!queue.wants_rewrite(Time{}));
      write(100);
      CHECK(queue.wants_rewrite(Time{}));
    }
    SUBCASE("it fails") {
      queue.rewrite({"r"});
      queue.on_persisted(Time{}, {++number, "the disk is full"});
      CHECK(!queue.wants_rewrite(Time{1s}));  // not before the journal has grown as much again
    }
  }
}

}  // namespace weft::broker
