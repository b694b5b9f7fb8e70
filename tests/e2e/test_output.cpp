// SPDX-License-Identifier: MIT
// The output of tasks is in the worker's log, complete and under the task's name.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>
#include <weft/weft.hpp>

#include "tests/e2e/harness.hpp"

using namespace weft::e2e;

namespace {

using Lines = std::vector<std::string>;

std::string name() { return weft::this_task::id().text(); }

/// Prints in one of seven ways, mostly without an end of line.
std::string prints(int number) {
  switch (number % 7) {
    case 0:
      std::printf("stdio %d", number);
      break;
    case 1:
      std::cout << "stream " << number << std::flush;
      break;
    case 2:
      std::fprintf(stderr, "stderr %d", number);
      break;
    case 3:
      std::printf("latin1 \xe9t\xe9 %d\nsecond line %d", number, number);
      break;
    case 4: {
      const std::string text = "system call " + std::to_string(number);
      [[maybe_unused]] const auto size = write(1, text.data(), text.size());
      break;
    }
    case 5:
      std::cout << "whole line " << number << "\n";
      break;
    default:
      break;  // prints nothing
  }
  return name();
}
Lines wanted(int number) {
  const std::string text = std::to_string(number);
  switch (number % 7) {
    case 0:
      return {"stdio " + text};
    case 1:
      return {"stream " + text};
    case 2:
      return {"stderr " + text};
    case 3:
      return {"latin1 \xe9t\xe9 " + text, "second line " + text};
    case 4:
      return {"system call " + text};
    case 5:
      return {"whole line " + text};
    default:
      return {};
  }
}

std::string prints_by_child() {
  [[maybe_unused]] const int code = std::system("printf 'of a child'; printf 'and its error' >&2");
  return name();
}
std::string prints_much(int lines) {
  for (int i = 0; i < lines; ++i) std::printf("%s %d\n", std::string(90, 'x').c_str(), i);
  std::printf("end");
  return name();
}
void prints_and_crashes() {
  std::printf("%s\nlast words", name().c_str());
  std::fflush(stdout);
  std::abort();
}
std::string leaves_stdout_elsewhere() {
  [[maybe_unused]] const FILE* null = std::freopen("/dev/null", "w", stdout);
  std::printf("not to be seen");
  return name();
}

pid_t process_id(int) { return getpid(); }
pid_t leaves_open(int count) {
  for (int i = 0; i < count; ++i)
    if (open("/dev/null", O_RDONLY | O_CLOEXEC) < 0) throw std::runtime_error("no descriptor is left");
  return getpid();
}

/// The logged output by task. A line begins "DATE TIME I [worker-1 SLOT TASK] ".
std::map<std::string, Lines> log_of(Cluster& cluster) {
  std::map<std::string, Lines> out;
  std::istringstream log(cluster.worker().err());
  for (std::string line; std::getline(log, line);) {
    const std::size_t begin = line.find("[worker-1 ");
    const std::size_t end = line.find("] ", begin);
    if (begin == std::string::npos || end == std::string::npos) continue;
    const std::string head = line.substr(begin, end - begin);
    out[head.substr(head.rfind(' ') + 1)].push_back(line.substr(end + 2));
  }
  return out;
}

}  // namespace

TEST_SUITE("output") {
  TEST_CASE("of many short tasks each has its own output, with or without an end of line") {
    Cluster cluster({.workers = 1, .nprocs = 2});
    weft::Client client(cluster.address());
    std::vector<int> numbers(2000);
    for (int i = 0; i < 2000; ++i) numbers[static_cast<std::size_t>(i)] = i;
    const auto names = client.gather(client.map<prints>(numbers));
    const auto last = client.submit<prints>(2000).result();
    const auto is_complete = [&] { return log_of(cluster)[last] == wanted(2000); };
    CHECK(eventually(is_complete));
    auto log = log_of(cluster);
    for (int i = 0; i < 2000; ++i) {
      CAPTURE(i);
      CHECK(log[names[static_cast<std::size_t>(i)]] == wanted(i));
    }
  }

  TEST_CASE("what its children print is a task's, and much of it is all there") {
    Cluster cluster({.workers = 1, .nprocs = 1});
    weft::Client client(cluster.address());
    auto children = client.submit<prints_by_child>();
    auto much = client.submit<prints_much>(20'000);
    auto after = client.submit<prints>(0);
    const std::string name_of_children = children.result();
    const std::string name_of_much = much.result();
    const std::string name_of_after = after.result();
    CHECK(eventually([&] { return log_of(cluster)[name_of_after] == wanted(0); }));
    auto log = log_of(cluster);
    CHECK(log[name_of_children] == Lines{"of a child", "and its error"});
    REQUIRE(log[name_of_much].size() == 20'001);
    CHECK(log[name_of_much].front().ends_with("x 0"));
    CHECK(log[name_of_much][19'999].ends_with("x 19999"));
    CHECK(log[name_of_much].back() == "end");
  }

  TEST_CASE("the last words of a crash are its own, and a task that redirects stdout does so for itself") {
    Cluster cluster({.workers = 1, .nprocs = 1});
    weft::Client client(cluster.address());
    auto crash = client.with({.crash_limit = 1}).submit<prints_and_crashes>();
    crash.wait();
    const std::string elsewhere = client.submit<leaves_stdout_elsewhere>().result();
    const std::string after = client.submit<prints>(0).result();
    CHECK(eventually([&] { return log_of(cluster)[after] == wanted(0); }));
    auto log = log_of(cluster);
    CHECK(log[elsewhere].empty());
    const std::string crashed = crash.error()->task().text();
    CHECK(log[crashed] == Lines{crashed, "last words"});
  }

  TEST_CASE("tasks that leave descriptors open do no harm, since their runner is replaced in time") {
    Cluster cluster({.workers = 1, .nprocs = 1});
    weft::Client client(cluster.address());
    rlimit files{};
    getrlimit(RLIMIT_NOFILE, &files);  // the runners have the same limit
    const int many = static_cast<int>(std::min<rlim_t>(files.rlim_cur, 32'768));
    auto futures = client.with({.crash_limit = 1}).map<leaves_open>(std::vector<int>(60, many / 20));
    std::map<pid_t, int> processes;
    for (const pid_t pid : client.gather(futures)) ++processes[pid];
    CHECK(processes.size() > 1);
    CHECK(processes.size() < 20);  // most tasks reused a runner
    CHECK(cluster.worker().prints("descriptors or more open"));
  }

  TEST_CASE("with --runner-max-tasks 1 each task has a process of its own") {
    Cluster cluster({.workers = 1, .nprocs = 1, .worker_arguments = {"--runner-max-tasks", "1"}});
    weft::Client client(cluster.address());
    auto futures = client.map<process_id>(std::vector<int>(10));
    std::map<pid_t, int> processes;
    for (const pid_t pid : client.gather(futures)) ++processes[pid];
    CHECK(processes.size() == 10);
  }
}
