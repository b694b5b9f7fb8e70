// SPDX-License-Identifier: MIT
// The logs of members: complete, bounded in size, and under the right name whatever a member writes.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include "client/cluster/log_file.hpp"
#include "tests/support/temp_directory.hpp"

namespace weft::cluster {

namespace {

std::string content(const std::filesystem::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

TEST_SUITE("cluster log file") {
  TEST_CASE("a log that has its size begins again; two older ones are kept, cut between lines") {
    const support::TempDirectory temp;
    LogFile log(temp.path(), "worker-1", 100);
    for (int i = 100; i < 200; ++i) log.write("this is line " + std::to_string(i) + "\n");
    const std::string all =
        content(temp / "worker-1.2.log") + content(temp / "worker-1.1.log") + content(temp / "worker-1.log");
    CHECK(all.size() <= 3 * 120);
    CHECK(all.size() >= 2 * 100);
    std::string expected;
    for (int i = 199; expected.size() < all.size(); --i)
      expected.insert(0, "this is line " + std::to_string(i) + "\n");
    CHECK(all == expected);
    CHECK(!std::filesystem::exists(temp / "worker-1.3.log"));
  }

  TEST_CASE("what was there before stays") {
    const support::TempDirectory temp;
    { LogFile(temp.path(), "broker", 1000).write("the first cluster\n"); }
    { LogFile(temp.path(), "broker", 1000).write("the second\n"); }
    CHECK(content(temp / "broker.log") == "the first cluster\nthe second\n");
  }

  TEST_CASE("a note begins a line of its own") {
    const support::TempDirectory temp;
    LogFile log(temp.path(), "worker-1", 1000);
    log.write("no newline");
    log.note("worker-1 has left");
    const std::string text = content(temp / "worker-1.log");
    CHECK(text.starts_with("no newline\n"));
    CHECK(text.ends_with(" cluster.sh: worker-1 has left\n"));
  }

  TEST_CASE("the last lines are the member's own, also those that the disk does not take") {
    const support::TempDirectory temp;
    LogFile log(temp / "not there", "worker-1", 1000);
    for (int i = 1; i <= 7; ++i) log.write("line " + std::to_string(i) + "\n");
    log.write("the e");
    log.write("nd");
    log.note("not the member's");
    CHECK(log.last_lines() ==
          std::vector<std::string>{"line 3", "line 4", "line 5", "line 6", "line 7", "the end"});
    log.write(std::string(10'000, 'x'));
    CHECK(log.last_lines().back().size() == LogFile::kLineMax);
    log.forget_lines();
    CHECK(log.last_lines().empty());
  }

  TEST_CASE("lines that could not be written are counted, and a line says so") {
    const support::TempDirectory temp;
    const std::filesystem::path directory = temp / "logs";
    LogFile log(directory.string(), "worker-1", 1000);
    log.write("one\ntwo\n");
    log.write("three\n");
    std::filesystem::create_directory(directory);
    log.write("four\n");
    const std::string text = content(directory / "worker-1.log");
    CHECK(text.find("cluster.sh: 3 lines could not be written here\n") != std::string::npos);
    CHECK(text.ends_with("\nfour\n"));
  }

  TEST_CASE("a log that was removed or emptied goes on") {
    const support::TempDirectory temp;
    LogFile log(temp.path(), "worker-1", 1000);
    log.write("one\n");
    std::filesystem::remove(temp / "worker-1.log");
    log.write("two\n");
    CHECK(content(temp / "worker-1.log") == "two\n");
    std::filesystem::resize_file(temp / "worker-1.log", 0);
    log.write("three\n");
    CHECK(content(temp / "worker-1.log") == "three\n");
  }
}

}  // namespace weft::cluster
