// SPDX-License-Identifier: MIT
// BlobVault: users, verdicts, and orders to the blob directory. Tests of fetching are in test_blob_fetch.cpp.
#include <doctest/doctest.h>

#include "broker/scheduler/blob_vault.hpp"
#include "scheduler_harness.hpp"

namespace weft::broker {

namespace {

using namespace std::chrono_literals;

Bytes bytes(std::size_t size = 100) { return Bytes(std::string(size, 'x')); }

using Gets = std::vector<wire::Get>;

class Stage {
 public:
  bool retain(std::uint8_t id = 1, std::uint8_t from = 9, std::uint64_t size = 100) {
    return vault.retain(blob_id(id), size, uuid(from));
  }
  Gets gets() { return vault.take_gets(now, actions); }
  /// Orders to the blob directory since the last call.
  Actions take() {
    vault.check_invariants();
    return std::exchange(actions, {});
  }
  /// The fault of the only blob that was settled since the last call.
  std::string settled() {
    const auto all = vault.take_settled();
    REQUIRE(all.size() == 1);
    CHECK(all[0].id == blob_id(1));
    return all[0].fault;
  }
  void data(std::size_t size = 100) { vault.on_data(now, {blob_id(1), 0, bytes(size)}, actions); }
  void gone() { vault.on_gone(now, {blob_id(1), "away"}, actions); }
  void ready() { vault.on_ready({blob_id(1)}, actions); }
  void bad() { vault.on_bad(now, {blob_id(1), "the disk is full"}, actions); }
  void release(std::uint8_t id = 1) { vault.release(blob_id(id), actions); }
  void pass(Duration duration) {
    now += duration;
    vault.tick(now, actions);
  }

  Time now{};
  BlobVault vault{{}};
  Actions actions;
};

const Gets kGet{{uuid(9), blob_id(1), 0, 100}};
const Actions kDrop{DropBlob{blob_id(1)}};

}  // namespace

TEST_SUITE("blob vault") {
  TEST_CASE("a blob is fetched for its first user, verified, and dropped with its last one") {
    Stage s;
    CHECK(!s.retain());
    CHECK(!s.retain());
    CHECK(s.gets() == kGet);
    s.data();
    CHECK(s.take() == Actions{StoreChunk{blob_id(1), 100, 0, bytes()}, VerifyBlob{blob_id(1), 100}});
    CHECK(!s.vault.has(blob_id(1)));
    s.ready();
    CHECK(s.settled().empty());
    CHECK(s.vault.has(blob_id(1)));
    CHECK(s.retain());
    s.release();
    s.release();
    CHECK(s.take() == Actions{});
    s.release();
    CHECK(s.take() == kDrop);
    CHECK(!s.vault.has(blob_id(1)));
  }

  TEST_CASE("an empty blob is an empty file") {
    Stage s;
    s.retain(1, 9, 0);
    CHECK(s.gets() == Gets{});
    CHECK(s.take() == Actions{StoreChunk{blob_id(1), 0, 0, {}}, VerifyBlob{blob_id(1), 0}});
  }

  TEST_CASE("a blob that is released while it is fetched is dropped at once") {
    Stage s;
    s.retain();
    s.gets();
    s.release();
    CHECK(s.take() == kDrop);
    s.data();
    CHECK(s.take() == Actions{});
  }

  TEST_CASE("a blob that is released while it is verified") {
    Stage s;
    s.retain();
    s.gets();
    s.data();
    s.take();
    s.release();
    CHECK(s.take() == Actions{});
    SUBCASE("is dropped then") {
      s.ready();
      CHECK(s.take() == kDrop);
      CHECK(s.vault.take_settled().empty());
    }
    SUBCASE("is dropped after a fault, too") {
      s.bad();
      CHECK(s.take() == kDrop);
    }
    SUBCASE("is kept for a user that comes before that") {
      CHECK(!s.retain());
      s.ready();
      CHECK(s.settled().empty());
      CHECK(s.take() == Actions{});
    }
  }

  TEST_CASE("the fifth fault in a row is told; the blob is tried on while it has users") {
    for (const bool disk_is_full : {true, false}) {
      CAPTURE(disk_is_full);
      Stage s;
      s.retain();
      for (int fault = 0; fault < 5; ++fault) {
        CHECK(s.vault.take_settled().empty());
        if (fault > 0) s.pass(1s);
        CHECK(s.gets() == kGet);
        if (disk_is_full) {
          s.data();
          s.bad();
        } else {
          s.gone();
        }
      }
      CHECK(s.settled() == (disk_is_full ? "the disk is full" : "away"));
      s.pass(1s);
      CHECK(s.gets() == kGet);
      s.take();
      s.release();
      CHECK(s.take() == kDrop);
      s.pass(10s);
      CHECK(s.gets() == Gets{});
    }
  }

  TEST_CASE("the holder that spoke last is asked first") {
    Stage s;
    s.retain(1, 9);
    s.retain(1, 8);
    CHECK(s.gets() == Gets{{uuid(8), blob_id(1), 0, 100}});
    s.gone();
    s.pass(1s);
    CHECK(s.gets() == kGet);
  }

  TEST_CASE("what the directory holds without a user is deleted when all users are known") {
    Stage s;
    s.vault.found(blob_id(1));
    s.vault.found(blob_id(2));
    CHECK(s.retain(2));
    s.vault.collect(s.actions);
    CHECK(s.take() == kDrop);
    CHECK(s.vault.has(blob_id(2)));
  }
}

}  // namespace weft::broker
