// SPDX-License-Identifier: MIT
#include "common/base/sequence_map.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <utility>
#include <vector>

using weft::SequenceMap;

namespace {

using Model = std::map<std::uint64_t, std::uint64_t>;

Model contents(SequenceMap<std::uint64_t>& table) {
  Model found;
  std::uint64_t last = 0;
  table.for_each([&](std::uint64_t seq, std::uint64_t value) {
    CHECK(seq > last);
    last = seq;
    found.emplace(seq, value);
  });
  return found;
}

}  // namespace

TEST_SUITE("SequenceMap") {
  TEST_CASE("it holds what a map would, whatever the order in which numbers end") {
    for (std::uint32_t seed = 1; seed <= 20; ++seed) {
      std::mt19937_64 random(seed);
      const auto one_of = [&](std::uint64_t count) { return random() % count; };
      SequenceMap<std::uint64_t> table;
      Model model;
      std::uint64_t next = 1 + one_of(10'000);
      for (int step = 0; step < 5000; ++step) {
        if (one_of(100) < 55) {
          next += one_of(50) == 0 ? one_of(10'000) : 0;  // numbers may be left out
          model.emplace(next, step);
          CHECK(table.emplace(next, static_cast<std::uint64_t>(step)) == static_cast<std::uint64_t>(step));
          ++next;
        } else if (!model.empty()) {
          auto victim = model.begin();
          if (one_of(10) == 0) victim = model.lower_bound(one_of(next));  // next to a straggler, or the end
          if (victim == model.end()) {
            table.erase(next);
          } else {
            table.erase(victim->first);
            model.erase(victim);
          }
        }
        const std::uint64_t asked = one_of(next + 100);
        const auto expected = model.find(asked);
        const std::uint64_t* found = table.find(asked);
        REQUIRE((found != nullptr) == (expected != model.end()));
        if (found != nullptr) CHECK(*found == expected->second);
        const auto after = model.lower_bound(asked);
        const auto [seq, value] = table.first_from(asked);
        REQUIRE((value != nullptr) == (after != model.end()));
        CHECK(seq == (value == nullptr ? 0 : after->first));
        CHECK(table.size() == model.size());
      }
      CHECK(contents(table) == model);
      table.clear();
      CHECK(table.empty());
      CHECK(contents(table).empty());
      CHECK(table.first_from(0).second == nullptr);
      for (std::uint64_t seq = next; seq < next + 200; ++seq) table.emplace(seq, seq);
      CHECK(table.size() == 200);
      CHECK(table.first_from(1) == std::pair(next, table.find(next)));
      CHECK(table.find(next - 1) == nullptr);
    }
  }

  TEST_CASE("values stay where they are, and each is destroyed once") {
    const auto shared = std::make_shared<int>(0);
    std::vector<std::shared_ptr<int>*> places;
    {
      SequenceMap<std::shared_ptr<int>> table;
      for (std::uint64_t seq = 1; seq <= 10'000; ++seq) places.push_back(&table.emplace(seq, shared));
      CHECK(shared.use_count() == 10'001);
      for (std::uint64_t seq = 1; seq <= 10'000; ++seq) CHECK(table.find(seq) == places[seq - 1]);
      for (std::uint64_t seq = 2; seq < 10'000; ++seq) table.erase(seq);
      table.erase(5000);  // gone already
      CHECK(shared.use_count() == 3);
      CHECK(&table.at(1) == places.front());
      CHECK(&table.at(10'000) == places.back());
      CHECK(table.first_from(2) == std::pair(std::uint64_t{10'000}, places.back()));
    }
    CHECK(shared.use_count() == 1);
  }
}
