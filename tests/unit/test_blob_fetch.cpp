// SPDX-License-Identifier: MIT
// BlobFetch, with chunks of 10 bytes and a window of 2. Blobs and holders have names of one letter; actions
// are compared as lines.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include "common/wire/blob_fetch.hpp"

namespace weft {

namespace {

using namespace std::chrono_literals;
using Lines = std::vector<std::string>;

BlobId blob(char name) {
  BlobId id;
  id.bytes.fill(static_cast<std::uint8_t>(name));
  return id;
}
Uuid holder(char name) {
  Uuid id;
  id.bytes.fill(static_cast<std::uint8_t>(name));
  return id;
}
template <class Id>
char name_of(const Id& id) {
  return static_cast<char>(id.bytes[0]);
}

std::string line(const wire::Get& get) {
  return fmt::format("GET {} {}+{} of {}", name_of(get.id), get.offset, get.bytes, name_of(get.holder));
}
std::string line(const StoreChunk& chunk) {
  return fmt::format("store {} {}+{}", name_of(chunk.id), chunk.offset, chunk.bytes.size());
}
std::string line(const VerifyBlob& verify) { return fmt::format("verify {}", name_of(verify.id)); }
std::string line(const BlobFetch::Failed& failed) {
  constexpr const char* kCauses[] = {"gone", "silent", "bad"};
  return fmt::format("failed {} ({}): {}", name_of(failed.id), kCauses[static_cast<int>(failed.cause)],
                     failed.reason);
}

class Stage {
 public:
  explicit Stage(BlobFetch::Settings settings = {}) : fetch(small(settings)) {}

  static BlobFetch::Settings small(BlobFetch::Settings settings) {
    settings.window = 2;
    settings.chunk_bytes = 10;
    return settings;
  }

  /// The actions since the last call; checks the invariants.
  Lines take() {
    Lines lines;
    for (const BlobFetch::Action& action : fetch.take(now))
      lines.push_back(std::visit([](const auto& a) { return line(a); }, action));
    fetch.check_invariants();
    return lines;
  }
  /// Asks `holders` for a blob.
  Lines start(char name, std::uint64_t size, const std::string& holders = "x") {
    std::vector<Uuid> ids;
    for (const char h : holders) ids.push_back(holder(h));
    fetch.start(blob(name), size, ids);
    return take();
  }
  Lines join() {
    fetch.on_joined();
    return take();
  }
  Lines data(char name, std::uint64_t offset, std::size_t bytes = 10) {
    fetch.on_data(now, {blob(name), offset, Bytes(std::string(bytes, '.'))});
    return take();
  }
  Lines gone(char name, const std::string& reason = "away") {
    fetch.on_gone(now, {blob(name), reason});
    return take();
  }
  Lines good(char name) {
    fetch.on_good(blob(name));
    return take();
  }
  Lines bad(char name, const std::string& fault = "wrong hash") {
    fetch.on_bad(now, blob(name), fault);
    return take();
  }
  Lines remove(char name) {
    fetch.remove(blob(name));
    return take();
  }
  /// Time passes, with a tick whenever one is due.
  Lines pass(Duration duration) {
    Lines all;
    const Time end = now + duration;
    while (fetch.deadline() && *fetch.deadline() <= end) {
      REQUIRE(++ticks < 10'000);
      now = std::max(now, *fetch.deadline());
      fetch.tick(now);
      const Lines lines = take();
      all.insert(all.end(), lines.begin(), lines.end());
    }
    now = end;
    return all;
  }

  Time now{};
  BlobFetch fetch;
  int ticks = 0;
};

/// A stage with a connection.
struct Joined : Stage {
  explicit Joined(BlobFetch::Settings settings = {}) : Stage(settings) { join(); }
};

}  // namespace

TEST_SUITE("blob fetch") {
  TEST_CASE("chunks are asked for in a window, oldest first, stored, and verified together") {
    Joined s;
    CHECK(s.start('a', 35) == Lines{"GET a 0+10 of x", "GET a 10+10 of x"});
    CHECK(s.data('a', 10) == Lines{"store a 10+10", "GET a 20+10 of x"});
    CHECK(s.data('a', 0) == Lines{"store a 0+10", "GET a 30+5 of x"});
    CHECK(s.data('a', 30, 5) == Lines{"store a 30+5"});
    CHECK(!s.fetch.is_verifying(blob('a')));
    CHECK(s.data('a', 20) == Lines{"store a 20+10", "verify a"});
    CHECK(s.fetch.is_verifying(blob('a')));
    CHECK(s.good('a') == Lines{});
    CHECK(!s.fetch.contains(blob('a')));
    CHECK(!s.fetch.deadline());
  }

  TEST_CASE("an empty blob is verified at once, even without a connection") {
    Stage s;
    CHECK(s.start('a', 0) == Lines{"verify a"});
    CHECK(s.good('a') == Lines{});
  }

  TEST_CASE("chunks that were not asked for, or came before, are ignored") {
    Joined s;
    s.start('a', 40);
    CHECK(s.data('b', 0) == Lines{});
    CHECK(s.data('a', 20) == Lines{});
    CHECK(s.data('a', 5) == Lines{});
    CHECK(s.data('a', 400) == Lines{});
    CHECK(s.data('a', 0) == Lines{"store a 0+10", "GET a 20+10 of x"});
    CHECK(s.data('a', 0) == Lines{});
  }

  TEST_CASE("what is removed causes nothing any more") {
    Joined s;
    s.start('a', 40);
    CHECK(s.remove('a') == Lines{});
    CHECK(s.data('a', 0) == Lines{});
    CHECK(s.gone('a') == Lines{});
    CHECK(s.pass(1min) == Lines{});
    s.fetch.start(blob('b'), 0, {holder('x')});
    CHECK(s.remove('b') == Lines{});
  }

  TEST_CASE(
      "after GONE the holder is asked again each second, and given up at a GONE five seconds after the "
      "first") {
    Joined s;
    s.start('a', 20);
    for (int second = 0; second < 5; ++second) {
      CHECK(s.gone('a') == Lines{});
      CHECK(s.gone('a') == Lines{});  // each of the two GETs is answered
      CHECK(s.pass(999ms) == Lines{});
      CHECK(s.pass(1ms) == Lines{"GET a 0+10 of x", "GET a 10+10 of x"});
    }
    CHECK(s.gone('a') == Lines{"failed a (gone): away"});
    SUBCASE("the user removes it") {
      s.remove('a');
      CHECK(s.pass(1min) == Lines{});
    }
    SUBCASE("or it goes on, with the whole time again") {
      CHECK(s.pass(1s) == Lines{"GET a 0+10 of x", "GET a 10+10 of x"});
      CHECK(s.gone('a') == Lines{});
    }
  }

  TEST_CASE(
      "a chunk between two GONEs gives the holder its whole time again, and nothing is asked for twice") {
    Joined s;
    s.start('a', 40);
    s.gone('a');
    s.pass(1s);
    CHECK(s.data('a', 0) == Lines{"store a 0+10", "GET a 20+10 of x"});
    s.pass(3s);
    s.gone('a');
    for (int second = 0; second < 4; ++second) {
      CHECK(s.pass(1s) == Lines{"GET a 10+10 of x", "GET a 20+10 of x"});
      CHECK(s.gone('a') == Lines{});
    }
  }

  TEST_CASE("a chunk that comes after GONE ends the wait") {
    Joined s;
    s.start('a', 40);
    s.gone('a');
    CHECK(s.data('a', 10) == Lines{"store a 10+10", "GET a 0+10 of x", "GET a 20+10 of x"});
  }

  TEST_CASE("a chunk of the wrong size counts like GONE") {
    Joined s;
    s.start('a', 15);
    CHECK(s.data('a', 10, 10) == Lines{});
    CHECK(s.pass(1s) == Lines{"GET a 0+10 of x", "GET a 10+5 of x"});
    CHECK(s.data('a', 0) == Lines{"store a 0+10"});
    for (int second = 0; second < 5; ++second) {
      CHECK(s.data('a', 10, 10) == Lines{});
      CHECK(s.pass(1s) == Lines{"GET a 10+5 of x"});
    }
    CHECK(s.data('a', 10, 10) == Lines{"failed a (gone): its holder sent a chunk of the wrong size"});
  }

  TEST_CASE("the holders are asked in turn, the next one after each GONE") {
    Joined s;
    CHECK(s.start('a', 10, "xy") == Lines{"GET a 0+10 of x"});
    s.fetch.add_holder(blob('a'), holder('z'));
    s.fetch.add_holder(blob('a'), holder('x'));  // is known
    for (const char* next : {"GET a 0+10 of y", "GET a 0+10 of z", "GET a 0+10 of x"}) {
      CHECK(s.gone('a') == Lines{});
      CHECK(s.pass(1s) == Lines{next});
    }
    SUBCASE("one is preferred") {
      s.fetch.prefer_holder(blob('a'), holder('z'));
      s.join();
      s.fetch.on_lost();
      CHECK(s.join() == Lines{"GET a 0+10 of z"});
    }
    SUBCASE("one is removed") {
      s.fetch.remove_holder(blob('a'), holder('y'));
      s.gone('a');
      CHECK(s.pass(1s) == Lines{"GET a 0+10 of z"});
    }
    SUBCASE("the only one stays") {
      for (const char name : {'z', 'y', 'x'}) s.fetch.remove_holder(blob('a'), holder(name));
      s.gone('a');
      CHECK(s.pass(1s) == Lines{"GET a 0+10 of x"});
    }
  }

  TEST_CASE("without a connection nothing is asked for; on the next one, what is missing is") {
    Stage s;
    CHECK(s.start('a', 40) == Lines{});
    CHECK(!s.fetch.deadline());
    CHECK(s.join() == Lines{"GET a 0+10 of x", "GET a 10+10 of x"});
    s.data('a', 0);
    s.fetch.on_lost();
    CHECK(s.take() == Lines{});
    CHECK(s.pass(1h) == Lines{});
    CHECK(s.join() == Lines{"GET a 10+10 of x", "GET a 20+10 of x"});
    SUBCASE("a connection that follows directly is no different") {
      CHECK(s.join() == Lines{"GET a 10+10 of x", "GET a 20+10 of x"});
    }
    SUBCASE("what was to be asked of the lost one is not asked") {
      s.fetch.on_data(s.now, {blob('a'), 10, Bytes(std::string(10, '.'))});
      s.fetch.on_lost();
      CHECK(s.take() == Lines{"store a 10+10"});
      CHECK(s.join() == Lines{"GET a 20+10 of x", "GET a 30+10 of x"});
    }
    SUBCASE("GONE has its whole time again") {
      s.gone('a');
      s.fetch.on_lost();
      s.pass(1min);
      s.join();
      CHECK(s.gone('a') == Lines{});
    }
  }

  TEST_CASE("a holder that is silent for 30 seconds has failed") {
    Joined s;
    s.start('a', 40);
    s.pass(20s);
    s.data('a', 0);
    CHECK(s.pass(29'999ms) == Lines{});
    CHECK(s.pass(1ms) == Lines{"failed a (silent): its holder does not answer"});
    s.remove('a');
    CHECK(!s.fetch.deadline());
  }

  TEST_CASE("with more tries, the next holder is asked for what is missing") {
    Joined s({.tries = 2});
    s.start('a', 30, "xy");
    s.data('a', 0);
    CHECK(s.pass(30s) == Lines{});
    CHECK(s.pass(1s) == Lines{"GET a 10+10 of y", "GET a 20+10 of y"});
    CHECK(s.data('a', 20) == Lines{"store a 20+10"});
    CHECK(s.pass(30s) == Lines{"failed a (silent): its holder does not answer"});
  }

  TEST_CASE("a slow connection is not a silent holder") {
    Joined s({.active_max = 10});
    const std::string names = "abcdefghij";
    for (const char name : names) s.start(name, 1000);
    // One chunk every 4 seconds, in the order of the GETs: each blob gets no chunk for more than a minute.
    std::uint64_t stored = 0;
    for (int round = 0; round < 20; ++round) {
      for (const char name : names) {
        for (const std::uint64_t chunk : {0u, 1u}) {
          for (const std::string& line : s.pass(4s)) FAIL(line);
          s.data(name, (static_cast<std::uint64_t>(round) * 2 + chunk) * 10);
          ++stored;
        }
      }
    }
    CHECK(stored == 400);
    SUBCASE("until nothing comes at all") { CHECK(s.pass(30s).size() == 10); }
    SUBCASE("but a GET is not overtaken for ever") {
      // All answers except those for blob a come at once.
      Lines lines;
      for (std::uint64_t second = 0; second < 31; ++second) {
        s.data('b', 400 + second * 10);
        const Lines more = s.pass(1s);
        lines.insert(lines.end(), more.begin(), more.end());
      }
      CHECK(std::count(lines.begin(), lines.end(), "failed a (silent): its holder does not answer") == 1);
      CHECK(s.fetch.contains(blob('b')));
    }
  }

  TEST_CASE("a process that was stopped gives its holders the time that it was away") {
    Joined s;
    s.start('a', 40);
    s.now += 1h;
    s.fetch.tick(s.now);
    CHECK(s.take() == Lines{});
    CHECK(s.pass(29s) == Lines{});
    CHECK(s.pass(1s) == Lines{"failed a (silent): its holder does not answer"});
  }

  TEST_CASE("a bad verdict") {
    SUBCASE("is final with one try") {
      Joined s;
      s.start('a', 10);
      s.data('a', 0);
      CHECK(s.bad('a') == Lines{"failed a (bad): wrong hash"});
    }
    SUBCASE("or has all chunks fetched again, of the next holder") {
      Joined s({.tries = 2});
      s.start('a', 20, "xy");
      s.data('a', 0);
      CHECK(s.data('a', 10) == Lines{"store a 10+10", "verify a"});
      CHECK(s.bad('a') == Lines{});
      CHECK(s.data('a', 0) == Lines{});
      CHECK(s.pass(1s) == Lines{"GET a 0+10 of y", "GET a 10+10 of y"});
      s.data('a', 0);
      s.data('a', 10);
      SUBCASE("good") { CHECK(s.good('a') == Lines{}); }
      SUBCASE("bad again") { CHECK(s.bad('a') == Lines{"failed a (bad): wrong hash"}); }
    }
    SUBCASE("may come before the blob is whole") {
      Joined s({.tries = 2});
      s.start('a', 30);
      s.data('a', 0);
      CHECK(s.bad('a', "the disk is full") == Lines{});
      CHECK(s.data('a', 10) == Lines{});
      CHECK(s.pass(1s) == Lines{"GET a 0+10 of x", "GET a 10+10 of x"});
    }
    SUBCASE("of an empty blob") {
      Joined s({.tries = 2});
      s.start('a', 0);
      CHECK(s.bad('a') == Lines{});
      CHECK(s.pass(1s) == Lines{"verify a"});
    }
  }

  TEST_CASE("so many blobs are asked for side by side; the others have their turn in order") {
    Joined s({.active_max = 2});
    s.start('c', 10);
    CHECK(s.start('b', 10) == Lines{"GET b 0+10 of x"});
    CHECK(s.start('a', 10) == Lines{});
    CHECK(s.start('d', 10) == Lines{});
    CHECK(s.data('b', 0) == Lines{"store b 0+10", "verify b", "GET a 0+10 of x"});
    SUBCASE("one that waits after GONE makes room") {
      CHECK(s.gone('a') == Lines{"GET d 0+10 of x"});
      s.pass(1s);
      CHECK(s.ticks < 5);  // waiting for its turn to GET is no reason to tick
      CHECK(s.data('d', 0) == Lines{"store d 0+10", "verify d", "GET a 0+10 of x"});
    }
    SUBCASE("so does one that is removed, at the end of the step") {
      s.fetch.remove(blob('c'));
      s.fetch.remove(blob('d'));  // before its turn has come
      CHECK(s.take() == Lines{});
    }
    SUBCASE("on a new connection the oldest are first") {
      CHECK(s.join() == Lines{"GET c 0+10 of x", "GET a 0+10 of x"});
    }
  }
}

}  // namespace weft
