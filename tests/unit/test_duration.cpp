// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <limits>

#include "common/base/time.hpp"

using namespace std::chrono_literals;
using weft::detail::bounded;
using weft::detail::kForever;

TEST_SUITE("durations") {
  TEST_CASE("whatever a program gives can be added to a clock") {
    CHECK(bounded(1500ms) == 1500ms);
    CHECK(bounded(1us) == 1ms);
    CHECK(bounded(std::chrono::duration<double>(0.0301)) == 31ms);
    CHECK(bounded(std::chrono::hours(24 * 365 * 99)) == std::chrono::hours(24 * 365 * 99));

    CHECK(bounded(std::chrono::hours(24 * 365 * 300)) == kForever);
    CHECK(bounded(std::chrono::nanoseconds::max()) == kForever);
    CHECK(bounded(std::chrono::milliseconds::max()) == kForever);
    CHECK(bounded(std::chrono::hours::max()) == kForever);
    CHECK(bounded(std::chrono::duration<std::int64_t, std::ratio<31'556'952>>::max()) == kForever);
    CHECK(bounded(std::chrono::duration<double>(1e300)) == kForever);
    CHECK(bounded(std::chrono::duration<double>(std::numeric_limits<double>::infinity())) == kForever);

    CHECK(bounded(-1ms) == 0ms);
    CHECK(bounded(std::chrono::milliseconds::min()) == 0ms);
    CHECK(bounded(std::chrono::duration<double>(std::numeric_limits<double>::quiet_NaN())) == 0ms);

    CHECK(weft::milliseconds_of(std::numeric_limits<std::uint64_t>::max()) == kForever);
    const auto later = std::chrono::steady_clock::now() + kForever;
    CHECK(later > std::chrono::steady_clock::now());
    CHECK(weft::Time(weft::Duration(kForever)) + kForever > weft::Time(weft::Duration(kForever)));
  }
}
