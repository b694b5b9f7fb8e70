// SPDX-License-Identifier: MIT
// Misbehaving tasks, each in the middle of tiny ones that share its runner. Only the misbehaving task is
// charged, with an error that says what happened; its neighbours are executed once; its slot works again; and
// the processes that it has started die with its runner.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cinttypes>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <ranges>
#include <span>
#include <weft/weft.hpp>

#include "tests/e2e/harness.hpp"

using namespace weft::e2e;

namespace {

/// The value is wrong if this is not the first execution.
long fine(long x) { return x + 1'000'000L * (weft::this_task::attempt() - 1); }

[[noreturn]] void sleep_for_ever() {
  for (;;) pause();
}

/// A classic daemon: two forks, a new session, all ignorable signals ignored. `mark` is its argv[0].
void start_daemon(const std::string& mark) {
  const pid_t child = fork();
  if (child == 0) {
    setsid();
    if (fork() != 0) _exit(0);
    std::signal(SIGTERM, SIG_IGN);
    std::signal(SIGHUP, SIG_IGN);
    syscall(SYS_close_range, 0, ~0U, 0);
    execl("/bin/sleep", mark.c_str(), "60", nullptr);
    _exit(1);
  }
  waitpid(child, nullptr, 0);
}

int leaves_daemon(const std::string& mark) {
  start_daemon(mark);
  return 1;
}
int leaves_daemon_and_crashes(const std::string& mark) {
  start_daemon(mark);
  std::abort();
}
int leaves_daemon_and_stays(const std::string& mark) {
  start_daemon(mark);
  std::signal(SIGTERM, SIG_IGN);
  sleep_for_ever();
}
/// Parent and children all return into the runner's loop.
long forks_and_returns(long x) {
  for (int i = 0; i < 3; ++i) fork();
  return x + 1;
}
/// The children keep the channel and the output open.
long leaves_children(long x) {
  for (int i = 0; i < 3; ++i)
    if (fork() == 0) sleep_for_ever();
  return x + 1;
}
std::size_t leaks() {
  std::size_t total = 0;
  for (;;) {
    auto* block = static_cast<char*>(std::malloc(16 << 20));
    std::memset(block, 1, 16 << 20);
    total += static_cast<std::size_t>(block[5]);
    usleep(1000);
  }
  return total;
}
/// Leaks in a child with a new session, whose memory is charged to the task that started it.
std::size_t leaks_elsewhere() {
  if (fork() == 0) {
    setsid();
    leaks();
  }
  sleep_for_ever();
}
int closes_all() {
  syscall(SYS_close_range, 3, ~0U, 0);
  return 1;
}
std::string closes_all_and_returns_much() {
  closes_all();
  return std::string(1'000'000, 'x');
}
int closes_all_and_stays() {
  closes_all();
  sleep_for_ever();
}
int writes_garbage() {
  const char garbage[] = "this is not msgpack, whatever you think it is";
  for (int fd = 3; fd < 64; ++fd) (void)!write(fd, garbage, sizeof garbage);
  return 1;
}
int stops_itself() {
  raise(SIGSTOP);
  return 1;
}
int deaf() {
  std::signal(SIGTERM, SIG_IGN);
  sleep_for_ever();
}
int leaves_with_0() { _exit(0); }

/// The page that the runner shares with its worker; it begins with the ordinal of the last task begun.
std::span<unsigned char> shared_page() {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    std::uintptr_t begin = 0;
    std::uintptr_t end = 0;
    if (line.find("weft-channel") == std::string::npos) continue;
    if (std::sscanf(line.c_str(), "%" SCNxPTR "-%" SCNxPTR, &begin, &end) != 2) continue;
    return {reinterpret_cast<unsigned char*>(begin), 4096};  // NOLINT
  }
  return {};
}
int overwrites_page(int byte) {
  std::ranges::fill(shared_page(), static_cast<unsigned char>(byte));
  return byte;
}
int overwrites_page_and_crashes(int byte) {
  overwrites_page(byte);
  std::abort();
}
/// Claims that the task after the next one has begun.
int lies_and_crashes() {
  shared_page()[0] = static_cast<unsigned char>(shared_page()[0] + 2);
  std::abort();
}
std::size_t prints_megabytes() {
  const std::string line(199, 'x');
  std::size_t bytes = 0;
  for (int i = 0; i < 30'000; ++i) bytes += static_cast<std::size_t>(std::printf("%s\n", line.c_str()));
  return bytes;
}

/// Processes with `mark` as argv[0].
std::vector<pid_t> marked(const std::string& mark) {
  std::vector<pid_t> out;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    std::ifstream file(entry.path() / "cmdline");
    std::string first;
    if (std::getline(file, first, '\0') && first == mark) out.push_back(std::stoi(entry.path().filename()));
  }
  return out;
}

std::string new_mark() {
  static int count = 0;
  return "weft-left-" + std::to_string(getpid()) + "-" + std::to_string(++count);
}

/// A cluster of one slot, which all tasks share.
struct OneSlot {
  explicit OneSlot(std::vector<std::string> worker_arguments = {})
      : cluster({.nprocs = 1, .worker_arguments = std::move(worker_arguments)}), client(cluster.address()) {}

  /// `bad` among 600 tasks that may be executed once: any other task that was charged would fail.
  template <class R>
  weft::Future<R> among_good(const std::function<weft::Future<R>()>& submit_bad) {
    auto careful = client.with({.crash_limit = 1});
    auto before = careful.template map<fine>(std::views::iota(0L, 300L));
    auto bad = submit_bad();
    auto behind = careful.template map<fine>(std::views::iota(300L, 600L));
    bad.wait();
    std::vector<long> values = client.gather(before);
    for (const long value : client.gather(behind)) values.push_back(value);
    CHECK(std::ranges::equal(values, std::views::iota(0L, 600L)));
    CHECK(cluster.worker().running());
    CHECK(eventually([&] { return cluster.status("slots_busy") == 0; }));
    return bad;
  }
  template <auto Bad, class... Args>
  weft::TaskError error_among_good(weft::TaskOptions options, Args... args) {
    auto bad = among_good<std::invoke_result_t<decltype(Bad), Args...>>(
        [&] { return client.with(options).template submit<Bad>(args...); });
    auto error = bad.error();
    REQUIRE(error.has_value());
    return *error;
  }
  template <auto Bad, class... Args>
  auto value_among_good(Args... args) {
    using R = std::invoke_result_t<decltype(Bad), Args...>;
    return among_good<R>([&] { return client.with({.crash_limit = 1}).template submit<Bad>(args...); })
        .result();
  }
  template <auto Bad, class... Args>
  void crashes_with(const std::string& words, Args... args) {
    const weft::TaskError error = error_among_good<Bad>({.crash_limit = 1}, args...);
    CHECK(error.kind() == weft::TaskErrorKind::crashed);
    CHECK(error.history().size() == 1);
    CHECK_MESSAGE(contains(error.what(), words), std::string(error.what()));
  }

  Cluster cluster;
  weft::Client client;
};

}  // namespace

TEST_SUITE("misbehaviour") {
  TEST_CASE("a task that leaves with code 0 has not returned") {
    OneSlot one;
    one.crashes_with<leaves_with_0>("exited with code 0");
  }

  TEST_CASE("a task that closes all descriptors harms nobody, and its runner serves no other") {
    OneSlot one;
    CHECK(one.value_among_good<closes_all>() == 1);
    one.crashes_with<closes_all_and_returns_much>("closed the channel to the worker");
    const auto error = one.error_among_good<closes_all_and_stays>({.timeout = 300ms, .crash_limit = 1});
    CHECK(error.kind() == weft::TaskErrorKind::timeout);
  }

  TEST_CASE("a task that writes to every descriptor harms nobody") {
    OneSlot one;
    CHECK(one.value_among_good<writes_garbage>() == 1);
  }

  TEST_CASE("a task that overwrites the shared page does no harm by that, and is charged when it crashes") {
    OneSlot one;
    for (const int byte : {0, 1, 0xff}) {
      CAPTURE(byte);
      CHECK(one.value_among_good<overwrites_page>(byte) == byte);
      one.crashes_with<overwrites_page_and_crashes>("SIGABRT", byte);
    }
    one.crashes_with<lies_and_crashes>("SIGABRT");
  }

  TEST_CASE("a task in a fresh runner that overwrites the page and crashes is charged every time") {
    OneSlot one;
    for (const int byte : {0, 1, 0xff}) {
      CAPTURE(byte);
      auto future = one.client.submit<overwrites_page_and_crashes>(byte);
      REQUIRE(future.wait_for(20s));
      CHECK(future.error()->history().size() == 3);
    }
  }

  TEST_CASE("a task that exceeds the memory limit is told so, also when a child in another session does") {
    OneSlot one({"--memory-limit", "200M"});
    one.crashes_with<leaks>("memory limit");
    one.crashes_with<leaks_elsewhere>("memory limit");
  }

  TEST_CASE("a task that stops itself ends at its timeout") {
    OneSlot one;
    const auto error = one.error_among_good<stops_itself>({.timeout = 300ms, .crash_limit = 1});
    CHECK(error.kind() == weft::TaskErrorKind::timeout);
  }

  TEST_CASE("a task that ignores SIGTERM is cancelled, and those behind it are not charged") {
    OneSlot one;
    const auto error = [&] {
      auto bad = one.among_good<int>([&] {
        auto future = one.client.with({.crash_limit = 1}).submit<deaf>();
        REQUIRE(eventually([&] { return future.state() == weft::TaskState::running; }));
        future.cancel();
        return future;
      });
      return bad.error();
    }();
    REQUIRE(error.has_value());
    CHECK(error->kind() == weft::TaskErrorKind::cancelled);
  }

  TEST_CASE("a task that prints megabytes returns what it returns") {
    OneSlot one;
    CHECK(one.value_among_good<prints_megabytes>() == 6'000'000);
  }

  TEST_CASE(
      "tasks that fork and return are answered once, and what they started lives as long as the runner") {
    OneSlot one;
    CHECK(one.value_among_good<forks_and_returns>(41L) == 42);
    CHECK(one.value_among_good<leaves_children>(41L) == 42);
    const std::string mark = new_mark();
    CHECK(one.value_among_good<leaves_daemon>(mark) == 1);
    CHECK(eventually([&] { return marked(mark).size() == 1; }));
    const auto all = descendants_of(one.cluster.worker().pid());
    one.cluster.worker().signal(SIGTERM);
    CHECK(one.cluster.worker().wait() == 0);
    CHECK(marked(mark).empty());
    for (const pid_t pid : all) CHECK(!process_exists(pid));
  }

  TEST_CASE("what a task has left in other sessions ends with its runner: crashed, timed out or cancelled") {
    OneSlot one;
    std::string mark = new_mark();
    one.crashes_with<leaves_daemon_and_crashes>("SIGABRT", mark);
    CHECK(marked(mark).empty());

    mark = new_mark();
    one.error_among_good<leaves_daemon_and_stays>({.timeout = 300ms}, mark);
    CHECK(marked(mark).empty());

    mark = new_mark();
    auto future = one.client.submit<leaves_daemon_and_stays>(mark);
    REQUIRE(eventually([&] { return marked(mark).size() == 1; }));
    future.cancel();
    CHECK(eventually([&] { return one.cluster.status("slots_busy") == 0; }));
    CHECK(marked(mark).empty());
  }
}

TEST_SUITE("orphans") {
  /// Four running tasks with daemons, and the processes of the worker.
  struct Busy {
    Busy() : cluster({.nprocs = 4}), client(cluster.address()) {
      for (int i = 0; i < 4; ++i) futures.push_back(client.submit<leaves_daemon_and_stays>(mark));
      REQUIRE(eventually([this] { return marked(mark).size() == 4; }));
      processes = descendants_of(cluster.worker().pid());
      CHECK(processes.size() >= 1 + 4 + 4 + 4);  // fork server, reapers, runners, daemons
    }
    bool nothing_left() const {
      return marked(mark).empty() && std::ranges::none_of(processes, process_exists);
    }
    std::string mark = new_mark();
    Cluster cluster;
    weft::Client client;
    std::vector<weft::Future<int>> futures;
    std::vector<pid_t> processes;
  };

  TEST_CASE("kill -9 of the agent leaves nothing of what ran, within a second") {
    Busy busy;
    const auto begin = std::chrono::steady_clock::now();
    busy.cluster.worker().kill();
    CHECK(eventually([&] { return busy.nothing_left(); }, 1s));
    const auto took = std::chrono::steady_clock::now() - begin;
    MESSAGE("gone after " << std::chrono::duration_cast<std::chrono::milliseconds>(took).count() << " ms");
  }

  TEST_CASE("kill -9 of the fork server makes the worker leave with a sentence, and leaves nothing") {
    Busy busy;
    kill(children_of(busy.cluster.worker().pid()).at(0), SIGKILL);
    CHECK(busy.cluster.worker().wait(5s) == 1);
    CHECK(busy.cluster.worker().prints("fork server was killed"));
    CHECK(eventually([&] { return busy.nothing_left(); }, 1s));
  }

  TEST_CASE("kill -9 of agent and fork server at once leaves nothing, within a second") {
    Busy busy;
    kill(children_of(busy.cluster.worker().pid()).at(0), SIGKILL);
    busy.cluster.worker().kill();
    CHECK(eventually([&] { return busy.nothing_left(); }, 1s));
  }

  TEST_CASE("kill -9 of a reaper is the death of its runner, and leaves nothing of it") {
    Cluster cluster({.nprocs = 1});
    weft::Client client(cluster.address());
    const std::string mark = new_mark();
    auto future = client.with({.crash_limit = 1}).submit<leaves_daemon_and_stays>(mark);
    REQUIRE(eventually([&] { return marked(mark).size() == 1; }));
    kill(children_of(children_of(cluster.worker().pid()).at(0)).at(0), SIGKILL);
    CHECK(future.error()->kind() == weft::TaskErrorKind::crashed);
    CHECK(eventually([&] { return marked(mark).empty(); }, 1s));
    CHECK(client.submit<fine>(1L).result() == 1);
  }
}
