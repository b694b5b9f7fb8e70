// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <string>
#include <utility>

#include "common/box.hpp"
#include "common/fifo.hpp"

namespace weft {

TEST_SUITE("containers") {
  TEST_CASE("a Fifo gives what it was given, in order, whatever its memory does meanwhile") {
    Fifo<std::string> fifo;
    std::deque<std::string> reference;
    std::uint32_t state = 1;
    for (int i = 0; i < 100'000; ++i) {
      state = state * 1'664'525 + 1'013'904'223;
      const bool fills = (i / 5000) % 2 == 0;  // and runs empty, in turn
      if (state % 8 < (fills ? 6 : 2)) {
        fifo.push_back(std::to_string(i));
        reference.push_back(std::to_string(i));
      } else if (!reference.empty()) {
        if (state % 3 == 0) {
          fifo.pop_back();
          reference.pop_back();
        } else {
          fifo.pop_front();
          reference.pop_front();
        }
      }
      REQUIRE(fifo.size() == reference.size());
      REQUIRE(fifo.empty() == reference.empty());
      if (reference.empty()) continue;
      REQUIRE(fifo.front() == reference.front());
      REQUIRE(fifo.back() == reference.back());
      REQUIRE(fifo[reference.size() / 2] == reference[reference.size() / 2]);
    }
    CHECK(std::equal(fifo.begin(), fifo.end(), reference.begin(), reference.end()));
    fifo.clear();
    CHECK(fifo.empty());
  }

  TEST_CASE("what leaves a Fifo gives back what it owns at once") {
    const auto owned = std::make_shared<int>(1);
    Fifo<std::shared_ptr<int>> fifo;
    for (int i = 0; i < 3; ++i) fifo.push_back(owned);
    fifo.pop_front();
    CHECK(owned.use_count() == 3);
    fifo.pop_back();
    CHECK(owned.use_count() == 2);
    fifo.clear();
    CHECK(owned.use_count() == 1);
  }

  TEST_CASE("a Box is copied and compared by what is in it") {
    Box<std::string> one("text");
    Box<std::string> other = one;
    CHECK(one == other);
    *other += "s";
    CHECK(*one == "text");
    CHECK(other->size() == 5);
    one = other;
    CHECK(one == other);
    const Box<std::string> moved = std::move(other);
    CHECK(*moved == "texts");
  }
}

}  // namespace weft
