// SPDX-License-Identifier: MIT
// Tasks that throw: the outcome that the runner loop reports.
#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>
#include <stdexcept>
#include <string>
#include <system_error>

#include "common/wire/codec.hpp"
#include "tests/support/temp_directory.hpp"
#include "tests/unit/child_runner.hpp"
#include "weft/function.hpp"
#include "weft/this_task.hpp"

using namespace weft;
using namespace weft::runner;

namespace errors_test {

struct Odd {
  int value;
};
long inc(long x) { return x + 1; }
void throws_range() { throw std::out_of_range("too far"); }
void throws_odd() { throw Odd{5}; }
struct Io : std::runtime_error {
  using std::runtime_error::runtime_error;
};
struct Misuse : std::logic_error {
  using std::logic_error::logic_error;
};
struct Both : Io, Misuse {
  Both() : Io("disk gone"), Misuse("wrong use") {}
};
struct Shared : virtual Io {
  Shared() : Io("shared disk") {}
};
struct ByTable : Shared, Misuse {
  ByTable() : Io("disk by table"), Misuse("misuse by table") {}
};
struct OneVoice : Io, Misuse {
  OneVoice() : Io("a"), Misuse("b") {}
  const char* what() const noexcept override { return "one voice"; }
};
struct Silent : std::exception {
  const char* what() const noexcept override { return nullptr; }
};
template <class T>
void throws() {
  throw T();
}
template <auto Value>
void throws_value() {
  throw Value;
}
void throws_string() { throw std::string("a string"); }
void throws_pointer() {
  static std::runtime_error error("behind a pointer");
  throw &error;
}
void throws_code() { throw std::make_error_code(std::errc::no_such_process); }
void throws_nested_both() {
  try {
    throw Both();
  } catch (...) {
    try {
      std::throw_with_nested(std::string("in between"));
    } catch (...) {
      std::throw_with_nested(std::runtime_error("outer"));
    }
  }
}
void throws_text() { throw "just text"; }
void throws_long(std::size_t bytes) { throw std::runtime_error(std::string(bytes, 'x')); }
void throws_nested() {
  try {
    throw std::logic_error("inner");
  } catch (...) {
    std::throw_with_nested(std::runtime_error("outer"));
  }
}
std::string where() { return std::filesystem::current_path(); }
void moves_and_throws() {
  std::filesystem::current_path("/proc");
  throw std::runtime_error("here");
}

using Runner = ChildRunner;

}  // namespace errors_test

using namespace errors_test;

TEST_SUITE("runner errors") {
  TEST_CASE("the error of a task names the directory in which the task threw") {
    const support::TempDirectory temp;
    const std::string directory = temp.path();
    const auto arguments = detail::encode(std::tuple<>());
    Runner runner;
    (void)runner.hello();
    runner.run<where>();
    const auto own = runner.result<std::string>();
    runner.run<throws_range>();
    CHECK(runner.failure().directory == own);
    runner.run_payload<throws_range>(arguments, directory);
    CHECK(runner.failure().directory == directory);
    runner.run_payload<moves_and_throws>(arguments, directory);
    CHECK(runner.failure().directory == "/proc");
    rmdir(directory.c_str());
    runner.run_payload<throws_range>(arguments, directory);
    CHECK(runner.failure().directory.empty());  // the message names the directory, which cannot be entered
  }

  TEST_CASE("a function that throws is a failed outcome with type and message, and the runner lives on") {
    Runner runner;
    runner.hello();
    runner.run<throws_range>();
    wire::ErrorInfo info = runner.failure();
    CHECK(info.type == "std::out_of_range");
    CHECK(info.message == "too far");
    runner.run<throws_odd>();
    info = runner.failure();
    CHECK(info.type == "errors_test::Odd");
    CHECK(info.message == "it is not a std::exception, so it has no message");
    runner.run<throws_text>();
    info = runner.failure();
    CHECK(info.type == "char const*");
    CHECK(info.message == "just text");
    runner.run<throws_nested>();
    info = runner.failure();
    CHECK(info.type == "std::runtime_error");
    CHECK(info.message == "outer; caused by std::logic_error: inner");
    runner.run<inc>(1);
    CHECK(runner.result<long>() == 2);
  }

  TEST_CASE("whatever is thrown, its type and what is known of it arrive") {
    Runner runner;
    runner.hello();
    const auto check = [&](const std::string& type, const std::string& message) {
      const wire::ErrorInfo info = runner.failure();
      CHECK(info.type == type);
      CHECK(info.message == message);
    };
    runner.run<throws<Both>>();
    check("errors_test::Both", "disk gone; wrong use");
    runner.run<throws<ByTable>>();
    check("errors_test::ByTable", "disk by table; misuse by table");
    runner.run<throws<OneVoice>>();
    check("errors_test::OneVoice", "one voice");
    runner.run<throws<Silent>>();
    check("errors_test::Silent", "");
    runner.run<throws_value<42U>>();
    check("unsigned int", "42");
    runner.run<throws_value<-7L>>();
    check("long", "-7");
    runner.run<throws_value<'c'>>();
    check("char", "c");
    runner.run<throws_value<true>>();
    check("bool", "true");
    runner.run<throws_string>();
    check("std::string", "a string");
    runner.run<throws_pointer>();
    check("std::runtime_error*", "behind a pointer");
    runner.run<throws_code>();
    check("std::error_code", "No such process");
    runner.run<throws_nested_both>();
    check("std::runtime_error",
          "outer; caused by std::string: in between; caused by errors_test::Both: disk gone; wrong use");
  }

  TEST_CASE("a message of 1 MB is cut, and says so") {
    Runner runner;
    runner.hello();
    runner.run<throws_long>(std::size_t{1'000'000});
    const std::string message = runner.failure().message;
    CHECK(message.starts_with(std::string(kErrorMessageBytesMax, 'x')));
    CHECK(message.ends_with(" ... (truncated: the message had 1000000 bytes)"));
  }
}
