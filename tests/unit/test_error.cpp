// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include "weft/error.hpp"

using namespace weft;

namespace {

TaskError some_error(TaskErrorKind kind) {
  TaskErrorDetails details{.kind = kind,
                           .function = "inc",
                           .label = "left",
                           .worker = "w1",
                           .host = "h",
                           .attempt = 2,
                           .type = "std::range_error",
                           .text = "too far",
                           .history = {"attempt 1: signal 11"}};
  details.task.seq = 7;
  return TaskError(std::move(details));
}

}  // namespace

TEST_SUITE("error") {
  TEST_CASE("a task error says everything in one sentence, and has the parts") {
    const TaskError error = some_error(TaskErrorKind::failed);
    CHECK(std::string(error.what()) ==
          "task inc (00000000-7, label \"left\") failed on w1 (h), attempt 2: std::range_error: too far\n"
          "  attempt 1: signal 11");
    CHECK(error.function() == "inc");
    CHECK(error.attempt() == 2);
    CHECK(error.type() == "std::range_error");
    CHECK(error.history().size() == 1);
  }

  TEST_CASE("the text of an exception is in the sentence once, however many attempts ended with it") {
    const std::string at = ": worker w1 on h, 10:00:00 to 10:00:01: failed: ";
    TaskErrorDetails details{.function = "inc", .worker = "w1", .host = "h", .attempt = 3};
    details.type = "std::range_error";
    details.text = "too far\nby 7";
    details.history = {"attempt 1" + at + "std::range_error: too far",
                       "attempt 2" + at + "std::range_error: other",
                       "attempt 3" + at + "std::range_error: too far"};
    const TaskError error(details);
    CHECK(std::string(error.what()) ==
          "task inc (00000000-0) failed on w1 (h), attempt 3: std::range_error: too far\nby 7\n"
          "  attempt 1: worker w1 on h, 10:00:00 to 10:00:01: failed, the same\n"
          "  attempt 2: worker w1 on h, 10:00:00 to 10:00:01: failed: std::range_error: other");
    CHECK(error.history() == details.history);
  }

  TEST_CASE("a directory that is known is in the sentence, before what was thrown there") {
    TaskErrorDetails details{.function = "inc", .worker = "w1", .host = "h", .attempt = 1};
    details.type = "std::range_error";
    details.text = "too far";
    details.directory = "/data";
    const TaskError error(details);
    CHECK(error.directory() == "/data");
    CHECK(std::string(error.what()) ==
          "task inc (00000000-0) failed on w1 (h) in /data, attempt 1: std::range_error: too far");
  }

  TEST_CASE("rethrow throws the class of the kind, with everything in it") {
    CHECK_THROWS_AS(some_error(TaskErrorKind::failed).rethrow(), TaskFailed);
    CHECK_THROWS_AS(some_error(TaskErrorKind::crashed).rethrow(), TaskCrashed);
    CHECK_THROWS_AS(some_error(TaskErrorKind::timeout).rethrow(), TaskTimeout);
    CHECK_THROWS_AS(some_error(TaskErrorKind::cancelled).rethrow(), TaskCancelled);
    CHECK_THROWS_AS(some_error(TaskErrorKind::unschedulable).rethrow(), TaskUnschedulable);
    try {
      some_error(TaskErrorKind::crashed).rethrow();
    } catch (const TaskError& error) {  // caught by its base class, it is still complete
      const TaskError copy = error;
      CHECK(copy.kind() == TaskErrorKind::crashed);
      CHECK(copy.text() == "too far");
      CHECK_THROWS_AS(copy.rethrow(), TaskCrashed);
    }
  }

  TEST_CASE("an outcome is a value or an error, and throws when asked for the other") {
    Outcome<std::string> good = std::string("x");
    CHECK(good.ok());
    CHECK(good.value() == "x");
    CHECK(std::move(good).value() == "x");
    CHECK_THROWS_AS(static_cast<void>(good.error()), std::logic_error);
    const Outcome<int> bad = some_error(TaskErrorKind::timeout);
    CHECK_FALSE(bad.ok());
    CHECK_THROWS_AS(static_cast<void>(bad.value()), TaskTimeout);
    CHECK(bad.error().worker() == "w1");
    CHECK_NOTHROW(Outcome<void>().value());
    CHECK_THROWS_AS(Outcome<void>(some_error(TaskErrorKind::failed)).value(), TaskFailed);
  }
}
