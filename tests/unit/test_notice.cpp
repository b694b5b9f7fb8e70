// SPDX-License-Identifier: MIT
// The sentences of notices: each kind has one, and plurals are right.
#include <doctest/doctest.h>

#include <string>

#include "common/wire/notice.hpp"

namespace weft {

TEST_SUITE_BEGIN("notices");

TEST_CASE("each kind has a sentence of its own") {
  constexpr auto kLast = static_cast<std::uint8_t>(NoticeKind::broker_back);
  for (std::uint8_t kind = 0; kind <= kLast; ++kind) {
    CAPTURE(kind);
    const std::string text = text_of({.kind = NoticeKind{kind}, .name = "N", .place = "P", .detail = "D"});
    CHECK(text.size() > 0);
    CHECK(text.find("unknown") == std::string::npos);
  }
  CHECK(text_of({.kind = NoticeKind(kLast + 1)}) == "unknown notice");
}

TEST_CASE("a number and its noun agree") {
  Notice joined{.kind = NoticeKind::worker_joined, .name = "w1", .place = "ada", .numbers = {1}};
  CHECK(text_of(joined) == "worker w1 joined from ada with 1 slot");
  joined.numbers = {12};
  CHECK(text_of(joined) == "worker w1 joined from ada with 12 slots");
  CHECK(text_of({.kind = NoticeKind::tasks_wait, .name = "fit", .detail = "no worker", .numbers = {1}}) ==
        "1 task of fit waits: no worker");
}

TEST_CASE("a crash tells what is known of it") {
  Notice crash{
      .kind = NoticeKind::task_crashed, .name = "fit", .detail = "killed by SIGSEGV", .task = {{}, 7}};
  CHECK(text_of(crash) == "task 00000000-7 (fit) crashed: killed by SIGSEGV");
  crash.place = "w1";
  crash.label = "sweep";
  crash.numbers = {2, 3, 1};
  CHECK(text_of(crash) ==
        "task 00000000-7 (fit, label \"sweep\") crashed on worker w1: killed by SIGSEGV; it runs again "
        "(crash 2 of "
        "3); 1 other crash since the last such line");
}

TEST_CASE("a lost broker is waited for as long as was said") {
  Notice lost{.kind = NoticeKind::broker_lost, .name = "ada:8786", .detail = "gone", .numbers = {2}};
  CHECK(text_of(lost) == "lost the broker at ada:8786 (gone), still holding 2 tasks");
  lost.numbers = {2, 60'000'000};
  CHECK(text_of(lost) == "lost the broker at ada:8786 (gone); waiting up to 60 s for it to come back");
  lost.numbers = {2, Notice::kForever};
  CHECK(text_of(lost) ==
        "lost the broker at ada:8786 (gone); waiting as long as it takes for it to come back");
}

TEST_CASE("leaving with an exit code is an error") {
  CHECK(level_of({.kind = NoticeKind::worker_exits}) == NoticeLevel::info);
  CHECK(level_of({.kind = NoticeKind::worker_exits, .numbers = {1}}) == NoticeLevel::error);
  CHECK(level_of({.kind = NoticeKind::worker_lost}) == NoticeLevel::warning);
}

TEST_SUITE_END();

}  // namespace weft
