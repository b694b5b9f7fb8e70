// SPDX-License-Identifier: MIT
// Chunks of blobs on their way through the broker. PROTOCOL.md section 7.
#include "tests/unit/scheduler_harness.hpp"

namespace weft::broker {

namespace {

using wire::kChunkBytes;

/// A client with program 1, and two workers that need it.
struct Stage {
  explicit Stage(Settings settings = test_settings()) : h(std::move(settings)) {
    h.define(client, 1, program_spec(1));
  }
  Harness h;
  TestClient client = h.join_client("client");
  TestWorker a = h.join_worker("a");
  TestWorker b = h.join_worker("b");

  wire::Get get(std::uint64_t offset = 0, std::uint8_t blob = 1) const {
    return {client.session, blob_id(blob), offset, kChunkBytes};
  }
  static wire::Data data(std::uint64_t offset = 0, std::uint8_t blob = 1) {
    return {blob_id(blob), offset, Bytes("chunk")};
  }
};

}  // namespace

TEST_SUITE("scheduler, blobs") {
  TEST_CASE("a program is fetched from its client once for all workers") {
    Stage s;
    s.h.say(s.a, s.get());
    CHECK(s.h.take() == Actions{s.h.to(s.client, s.get())});
    s.h.say(s.b, s.get());
    s.h.say(s.b, s.get());
    CHECK(s.h.take() == Actions{});
    s.h.say(s.client, s.data());
    CHECK(s.h.take() == Actions{s.h.to(s.a, s.data()), s.h.to(s.b, s.data())});
    TestWorker late = s.h.join_worker("late");
    s.h.say(late, s.get());
    CHECK(s.h.take() == Actions{s.h.to(late, s.data())});
    s.h.say(late, s.get(kChunkBytes));
    CHECK(s.h.take() == Actions{s.h.to(s.client, s.get(kChunkBytes))});
    s.h.say(s.client, s.data(kChunkBytes));
    s.h.expect<wire::Data>();
  }

  TEST_CASE("an argument is passed on and not kept") {
    Stage s;
    s.h.say(s.a, s.get(0, 9));
    s.h.say(s.client, s.data(0, 9));
    CHECK(s.h.take() == Actions{s.h.to(s.client, s.get(0, 9)), s.h.to(s.a, s.data(0, 9))});
    s.h.say(s.b, s.get(0, 9));
    CHECK(s.h.take() == Actions{s.h.to(s.client, s.get(0, 9))});
  }

  TEST_CASE("a large result is fetched from its worker, and dropped there when the client has it") {
    Stage s;
    const wire::Get get{s.a.incarnation, blob_id(5), 0, kChunkBytes};
    s.h.say(s.client, get);
    CHECK(s.h.take() == Actions{s.h.to(s.a, get)});
    s.h.say(s.a, s.data(0, 5));
    CHECK(s.h.take() == Actions{s.h.to(s.client, s.data(0, 5))});
    s.h.say(s.client, wire::Drop{s.a.incarnation, blob_id(5)});
    CHECK(s.h.take() == Actions{s.h.to(s.a, wire::Drop{s.a.incarnation, blob_id(5)})});
  }

  TEST_CASE("who asks for a chunk again, of another holder, has given up the silent one") {
    Stage s;
    const wire::Get silent{s.a.incarnation, blob_id(5), 0, kChunkBytes};
    const wire::Get other{s.b.incarnation, blob_id(5), 0, kChunkBytes};
    s.h.say(s.client, silent);
    CHECK(s.h.take() == Actions{s.h.to(s.a, silent)});
    s.h.say(s.client, silent);
    CHECK(s.h.take() == Actions{});
    s.h.say(s.client, other);
    CHECK(s.h.take() == Actions{s.h.to(s.b, other)});
    s.h.say(s.a, wire::Gone{blob_id(5), "it was dropped"});
    CHECK(s.h.take() == Actions{});
    s.h.say(s.b, s.data(0, 5));
    CHECK(s.h.take() == Actions{s.h.to(s.client, s.data(0, 5))});
  }

  TEST_CASE("a chunk that nobody asked for goes nowhere") {
    Stage s;
    s.h.say(s.client, s.data());
    CHECK(s.h.take() == Actions{});
  }

  TEST_CASE(
      "a chunk that was under way when its holder's connection broke is asked for again when it resumes") {
    Stage s;
    s.h.say(s.a, s.get());
    SUBCASE("a client") {
      s.h.disconnect(s.client);
      s.h.expect<wire::Get, ForgetPeer>();
      s.h.say(s.b, s.get(kChunkBytes));  // asked while the client is away
      CHECK(s.h.take() == Actions{});
      s.h.hello(s.client);
      CHECK(s.h.take() == Actions{s.h.welcome(s.client, true), s.h.to(s.client, s.get()),
                                  s.h.to(s.client, s.get(kChunkBytes))});
    }
    SUBCASE("a worker") {
      const wire::Get get{s.b.incarnation, blob_id(5), 0, kChunkBytes};
      s.h.say(s.client, get);
      s.h.disconnect(s.b);
      s.h.hello(s.b);
      s.h.expect<wire::Welcome, wire::Get, ForgetPeer>();
      s.h.ready(s.b);
      CHECK(s.h.take() == Actions{s.h.to(s.b, get)});
    }
  }

  TEST_CASE("a holder that is gone for good is said to be GONE, to all who wait and to those who ask later") {
    Stage s;
    const wire::Get get{s.b.incarnation, blob_id(5), 0, kChunkBytes};
    s.h.say(s.client, get);
    s.h.disconnect(s.b);
    s.h.expect<wire::Get, ForgetPeer>();
    s.h.advance(100ms);
    CHECK(s.h.take() == Actions{s.h.to(s.client, wire::Gone{blob_id(5), "its holder has left"})});
    s.h.say(s.client, get);
    CHECK(s.h.take() == Actions{s.h.to(s.client, wire::Gone{blob_id(5), "its holder is not connected"})});
  }

  TEST_CASE("what a holder does not have is GONE with its reason") {
    Stage s;
    s.h.say(s.a, s.get(0, 9));
    s.h.expect<wire::Get>();
    s.h.say(s.client, wire::Gone{blob_id(9), "no such blob"});
    CHECK(s.h.take() == Actions{s.h.to(s.a, wire::Gone{blob_id(9), "no such blob"})});
    s.h.say(s.client, wire::Gone{blob_id(9), "no such blob"});
    CHECK(s.h.take() == Actions{});
  }

  TEST_CASE("a program whose first client has left or lost it comes from another that has it too") {
    Stage s;
    TestClient second = s.h.join_client("second");
    s.h.define(second, 1, program_spec(1));
    wire::Get from_second = s.get();
    from_second.holder = second.session;
    s.h.say(s.a, s.get());
    s.h.expect<wire::Get>();
    SUBCASE("left") {
      s.h.say(s.client, wire::Goodbye{});
      CHECK(s.h.take() == Actions{ForgetPeer{s.client.peer}, s.h.to(second, from_second)});
      s.h.say(second, s.data());
      CHECK(s.h.take() == Actions{s.h.to(s.a, s.data())});
    }
    SUBCASE("lost it") {
      s.h.say(s.client, wire::Gone{blob_id(1), "the file has changed"});
      CHECK(s.h.take() == Actions{s.h.to(second, from_second)});
      s.h.say(second,
              wire::Gone{blob_id(1), "the file has changed"});  // and so has this one: nobody is asked twice
      CHECK(s.h.take() == Actions{s.h.to(s.a, wire::Gone{blob_id(1), "the file has changed"})});
    }
  }

  TEST_CASE("while the client that was asked for a program cannot be reached, another that has it is asked") {
    Stage s;
    TestClient other = s.h.join_client("other");
    s.h.define(other, 1, program_spec(1));
    wire::Get of_other = s.get();
    of_other.holder = other.session;
    SUBCASE("at once, when its connection is lost") {
      s.h.say(s.a, s.get());
      s.h.expect<wire::Get>();
      s.h.disconnect(s.client);
      CHECK(s.h.take() == Actions{ForgetPeer{s.client.peer}, s.h.to(other, of_other)});
    }
    SUBCASE("when it falls silent") {
      s.h.say(s.a, s.get());
      s.h.expect<wire::Get>();
      s.h.fall_silent(s.client.peer);
      s.h.advance(5s);
      CHECK(s.h.take() == Actions{s.h.to(other, of_other)});
    }
    SUBCASE("from the start") {
      s.h.disconnect(s.client);
      s.h.expect<ForgetPeer>();
      s.h.say(s.a, s.get());
      CHECK(s.h.take() == Actions{s.h.to(other, of_other)});
    }
    SUBCASE("as soon as there is one and it is asked for again") {
      s.h.disconnect(other);
      s.h.disconnect(s.client);
      s.h.say(s.a, s.get());
      s.h.expect<ForgetPeer>();
      s.h.hello(other, 0, kEpoch);
      s.h.expect<wire::Welcome>();
      s.h.say(s.a, s.get());
      CHECK(s.h.take() == Actions{s.h.to(other, of_other)});
    }
    s.h.say(other, s.data());
    CHECK(s.h.take() == Actions{s.h.to(s.a, s.data())});
  }

  TEST_CASE("a program goes from memory with the last session that names it") {
    Stage s;
    TestClient second = s.h.join_client("second");
    s.h.define(second, 1, program_spec(1));
    s.h.say(s.a, s.get());
    s.h.say(s.client, s.data());
    s.h.expect<wire::Get, wire::Data>();
    s.h.say(s.client, wire::Goodbye{});
    s.h.expect<ForgetPeer>();
    s.h.say(s.b, s.get());
    CHECK(s.h.take() == Actions{s.h.to(s.b, s.data())});
    s.h.say(second, wire::Goodbye{});
    s.h.expect<ForgetPeer>();
    s.h.say(s.b, s.get());
    CHECK(s.h.take() == Actions{s.h.to(s.b, wire::Gone{blob_id(1), "its holder is not connected"})});
  }

  TEST_CASE("the broker keeps programs up to its limit, and passes the rest on each time") {
    Settings settings = test_settings();
    settings.program_bytes_max = 7;
    Stage s(settings);
    for (const std::uint64_t offset : {std::uint64_t{0}, std::uint64_t{kChunkBytes}}) {
      s.h.say(s.a, s.get(offset));
      s.h.say(s.client, s.data(offset));
    }
    s.h.expect<wire::Get, wire::Data>();
    s.h.say(s.b, s.get());
    CHECK(s.h.take() == Actions{s.h.to(s.b, s.data())});
    s.h.say(s.b, s.get(kChunkBytes));
    CHECK(s.h.take() == Actions{s.h.to(s.client, s.get(kChunkBytes))});
  }

  TEST_CASE("chunks have one grid") {
    Stage s;
    const wire::Gone wrong{blob_id(1), "chunks begin at multiples of 512 KiB and are not longer"};
    s.h.say(s.a, s.get(1));
    CHECK(s.h.take() == Actions{s.h.to(s.a, wrong)});
    wire::Get large = s.get();
    ++large.bytes;
    s.h.say(s.a, large);
    CHECK(s.h.take() == Actions{s.h.to(s.a, wrong)});
  }

  TEST_CASE("a needer that has left is sent nothing") {
    Stage s;
    s.h.say(s.a, s.get());
    s.h.say(s.b, s.get());
    s.h.say(s.a, wire::Goodbye{});
    s.h.expect<wire::Get, ForgetPeer>();
    s.h.say(s.client, s.data());
    CHECK(s.h.take() == Actions{s.h.to(s.b, s.data())});
  }
}

}  // namespace weft::broker
