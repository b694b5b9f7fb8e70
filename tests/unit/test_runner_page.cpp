// SPDX-License-Identifier: MIT
// The page that an agent shares with a runner, from the agent's side.
#include <doctest/doctest.h>

#include "worker/runners/runner_page.hpp"

namespace weft::worker {

namespace {

struct SharedPage {
  SharedPage() { agent.initialise(); }
  runner::Page memory{};
  RunnerPage agent{&memory};
};

}  // namespace

TEST_SUITE_BEGIN("runner page");

TEST_CASE("a value that makes no sense is no ordinal") {
  SharedPage page;
  CHECK(page.agent.started() == 0);
  page.memory.started = 7;
  CHECK(page.agent.started() == 7);
  page.memory.started = 0;  // overwritten by a task
  CHECK(page.agent.started() == UINT64_MAX);
}

TEST_CASE("tasks that have not begun are taken back once") {
  SharedPage page;
  page.memory.started = 2;
  CHECK(page.agent.take_back(2, 4) == 2);
  CHECK((page.memory.started & runner::kTakenBack) != 0);
  CHECK(page.agent.started() == 2);
  CHECK(page.agent.take_back(2, 4) == std::nullopt);
}

TEST_CASE("nothing is taken back when all have begun, or the page makes no sense") {
  SharedPage page;
  page.memory.started = 4;
  CHECK(page.agent.take_back(2, 4) == std::nullopt);
  page.memory.started = 0;
  CHECK(page.agent.take_back(2, 4) == std::nullopt);
}

TEST_CASE("a task that gets the ordinal of one taken back is not asked to stop") {
  SharedPage page;
  page.memory.started = 1;
  page.agent.request_stop(2);
  CHECK(page.agent.take_back(2, 2) == 1);
  page.agent.withdraw_stop(3);
  CHECK(page.memory.stop == 2);
  page.agent.withdraw_stop(2);
  CHECK(page.memory.stop == 0);
}

TEST_SUITE_END();

}  // namespace weft::worker
