// SPDX-License-Identifier: MIT
// The runner loop in a child process; the test plays the agent, over the real channel.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>

#include "common/runner/program_functions.hpp"
#include "common/runner/runner_channel.hpp"
#include "common/runner/runner_libraries.hpp"
#include "common/runner/runner_loop.hpp"
#include "common/runner/socket_bell.hpp"
#include "common/wire/codec.hpp"
#include "tests/support/temp_directory.hpp"
#include "tests/unit/agent_end.hpp"
#include "tests/unit/child_runner.hpp"
#include "weft/function.hpp"
#include "weft/init.hpp"
#include "weft/this_task.hpp"

using namespace weft;
using namespace weft::runner;

namespace loop_test {

long inc(long x) { return x + 1; }
void nothing() {}
void exits(int code) { std::exit(code); }
void segfaults() { std::raise(SIGSEGV); }
std::vector<double> doubled(std::vector<double> values) {
  for (double& value : values) value *= 2;
  return values;
}
std::string about() {
  std::string out;
  std::thread([&out] {  // the values as any thread of the task sees them
    out = this_task::id().text() + " " + std::to_string(this_task::attempt()) + " " + this_task::worker() +
          " " + (this_task::stop_requested() ? "stop" : "go");
  })
      .join();
  return out;
}
void until_stopped() {
  while (!this_task::stop_requested()) std::this_thread::yield();
}
void closes_everything() {
  for (int fd = 0; fd < 1024; ++fd) close(fd);
}
std::string some_text(std::size_t bytes) { return std::string(bytes, 'x'); }
std::string closes_and_returns_much() {
  closes_everything();
  return some_text(1'000'000);
}
void writes_everywhere() {
  for (int fd = 0; fd < 64; ++fd) [[maybe_unused]] const auto written = write(fd, "noise\n", 6);
}
std::string where() { return std::filesystem::current_path(); }
void moves() { std::filesystem::current_path("/"); }
void forks() {
  if (fork() == 0) return;  // the child continues as if it were the parent
}
void prints(std::string text) { std::printf("%s", text.c_str()); }
bool blocked_or_ignored() {
  sigset_t mask;
  pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  return sigismember(&mask, SIGUSR1) == 1 || std::signal(SIGPIPE, SIG_DFL) == SIG_IGN;
}

using Runner = ChildRunner;

}  // namespace loop_test

using namespace loop_test;

TEST_SUITE("runner loop") {
  TEST_CASE("a task runs in the directory that it asks for, and the next one where the runner was before") {
    const support::TempDirectory temp;
    const std::string directory = temp.path();
    const auto arguments = detail::encode(std::tuple<>());
    Runner runner;
    (void)runner.hello();
    runner.run<where>();
    const auto before = runner.result<std::string>();
    runner.run_payload<where>(arguments, directory);
    CHECK(runner.result<std::string>() == directory);
    runner.run<where>();
    CHECK(runner.result<std::string>() == before);
    runner.run_payload<moves>(arguments, directory);
    runner.result<void>();
    runner.run<where>();
    CHECK(runner.result<std::string>() == before);
    rmdir(directory.c_str());
    runner.run_payload<where>(arguments, directory);
    const wire::ErrorInfo info = runner.failure();
    CHECK(info.message.find("cannot enter the working directory '" + directory + "'") != std::string::npos);
    CHECK(info.message.find("No such file or directory") != std::string::npos);
    runner.run<where>();
    CHECK(runner.result<std::string>() == before);
  }

  TEST_CASE("the hello carries the whole table: names, where the code is, types") {
    Runner runner;
    const RunnerHello hello = runner.hello();
    const auto table = detail::registered_functions();
    REQUIRE(hello.functions.size() == table.size());
    const FunctionEntry& entry = hello.functions[table_index<inc>()];
    CHECK(entry.name == "loop_test::inc");
    CHECK(entry.signature.starts_with("+"));
    CHECK(entry.signature.ends_with(" long(long)"));
    CHECK(std::is_sorted(hello.functions.begin(), hello.functions.end(),
                         [](const auto& a, const auto& b) { return a.signature < b.signature; }));
  }

  TEST_CASE("tasks are executed in order, and the page says which") {
    Runner runner;
    runner.hello();
    for (long i = 0; i < 100; ++i) runner.run<inc>(i);
    for (long i = 0; i < 100; ++i) CHECK(runner.result<long>() == i + 1);
    runner.hang_up();
    CHECK(runner.status() == 0);
    CHECK(runner.page().started == 100);
    CHECK(runner.page().finished == 100);
    CHECK(runner.page().started_at_us > 0);
  }

  TEST_CASE("arguments that do not decode, and functions that are not there, fail the task alone") {
    Runner runner;
    runner.hello();
    runner.run_payload<inc>("garbage");
    CHECK(runner.failure().type == "weft::Error");
    runner.send(RunTask{.ordinal = 2, .function_index = 100000});
    CHECK(runner.failure().message.starts_with("function number 100000 was asked for, this program has "));
    runner.send(RunNamed{.function = "add", .task = {.ordinal = 3}});
    CHECK(runner.failure().message == "a shipped program serves its own functions only");
  }

  TEST_CASE("large arguments and results pass in memory of their own") {
    Runner runner;
    runner.hello();
    const std::vector<double> values(2'000'000, 1.5);
    runner.run<doubled>(values);
    CHECK((runner.result<std::vector<double>>() == std::vector<double>(2'000'000, 3.0)));
    runner.run<inc>(1);
    CHECK(runner.result<long>() == 2);
  }

  TEST_CASE("a task knows itself, from any thread") {
    Runner runner;
    runner.hello();
    runner.run<about>();
    CHECK(runner.result<std::string>() == "00000000-1 2 w1 go");
  }

  TEST_CASE("a task sees that it shall stop, and the next one does not") {
    Runner runner;
    runner.hello();
    runner.run<until_stopped>();
    runner.run<about>();
    runner.page().stop = 1;
    runner.result<void>();
    CHECK(runner.result<std::string>() == "00000000-2 2 w1 go");
  }

  TEST_CASE("after a rest a short result is announced at once, though a long task is behind it") {
    Runner runner;
    runner.hello();
    runner.run<inc>(1L);
    CHECK(runner.result<long>() == 2);  // the runner has read it; the agent sleeps again by then
    runner.send_together([&] {
      runner.run<inc>(2L);
      runner.run<until_stopped>();
    });
    CHECK(runner.rings());
    CHECK(runner.result<long>() == 3);
    runner.page().stop = 3;
    runner.result<void>();
  }

  TEST_CASE("outside a task this_task is neutral") {
    CHECK(this_task::id() == TaskId{});
    CHECK(this_task::attempt() == 0);
    CHECK(this_task::worker().empty());
    CHECK_FALSE(this_task::stop_requested());
    CHECK_FALSE(weft::in_runner());
    weft::init();  // must return
  }

  TEST_CASE("a runner that dies leaves its results, and the page names the task that it died in") {
    Runner runner;
    runner.hello();
    runner.run<inc>(1);
    runner.run<exits>(3);
    runner.run<inc>(2);
    CHECK(runner.result<long>() == 2);
    CHECK(runner.ended());
    CHECK(runner.status() == 3);
    CHECK(runner.page().started == 2);
    CHECK(runner.page().finished == 1);
  }

  TEST_CASE("a signal ends the runner and nothing else, and earlier results are still there") {
    Runner runner;
    runner.hello();
    runner.run<inc>(1);
    runner.run<segfaults>();
    runner.run<inc>(2);
    CHECK(runner.status() == -SIGSEGV);
    CHECK(runner.result<long>() == 2);
    CHECK(runner.ended());
    CHECK(runner.page().started == 2);
    CHECK(runner.page().finished == 1);
  }

  TEST_CASE("a task that closes every descriptor has its result, and its runner ends before another begins") {
    Runner runner;
    runner.hello();
    runner.run<closes_everything>();
    CHECK(runner.status() == kExitReplace);
    runner.result<void>();
    CHECK(runner.ended());
    CHECK(runner.page().started == 1);
  }

  TEST_CASE(
      "a task that closes every descriptor and then has a large result is the one that its runner dies in") {
    Runner runner;
    runner.hello();
    runner.run<closes_and_returns_much>();
    CHECK(runner.status() == kExitChannel);
    CHECK(runner.ended());
    CHECK(runner.page().started == 1);
    CHECK(runner.page().finished == 0);
  }

  TEST_CASE("what a task writes to every descriptor harms nobody") {
    const int sink = open("/dev/null", O_WRONLY);
    Runner runner(sink);
    close(sink);
    runner.hello();
    runner.run<writes_everywhere>();
    runner.result<void>();
    runner.run<inc>(1);
    CHECK(runner.result<long>() == 2);
  }

  TEST_CASE("what the agent takes back is not begun, and the next task is") {
    Runner runner;
    runner.hello();
    runner.run<until_stopped>();
    while (runner.page().started != 1) std::this_thread::yield();
    for (long i = 0; i < 5; ++i) runner.run<inc>(i);
    std::uint64_t started = 1;
    REQUIRE(runner.page().started.compare_exchange_strong(started, 1 | kTakenBack));
    runner.send(RunnerWelcome{});
    runner.send(RunTask{.ordinal = 2,
                        .function_index = table_index<inc>(),
                        .payload = wire::Payload(detail::Call<inc>::encode(41))});
    runner.page().stop = 1;
    runner.result<void>();
    CHECK(runner.result<long>() == 42);
    runner.run<about>();  // and it still knows its worker
    CHECK(runner.result<std::string>().ends_with(" w1 go"));
    CHECK(runner.page().started == 7);
  }

  TEST_CASE("what is taken back from a runner that has not read its name yet is not begun either") {
    Runner runner;
    runner.hello();
    runner.send_together([&] {
      std::uint64_t started = kNoneStarted;
      REQUIRE(runner.page().started.compare_exchange_strong(started, kNoneStarted | kTakenBack));
      runner.send(RunnerWelcome{"w1"});
      runner.run<inc>(1);
      runner.send(RunnerWelcome{});
      runner.send(RunTask{.ordinal = 1,
                          .function_index = table_index<inc>(),
                          .payload = wire::Payload(detail::Call<inc>::encode(41))});
    });
    CHECK(runner.result<long>() == 42);
    CHECK(runner.page().started == 1);
  }

  TEST_CASE("a runner that has much to say waits for the agent to read it") {
    Runner runner;
    runner.hello();
    constexpr std::size_t kBytes = 60'000;
    for (int i = 0; i < 20; ++i) runner.run<some_text>(kBytes);
    for (int i = 0; i < 20; ++i) CHECK(runner.result<std::string>().size() == kBytes);
  }

  TEST_CASE("the child of a task that forks does not become a second runner") {
    Runner runner;
    runner.hello();
    runner.run<forks>();
    runner.result<void>();
    runner.run<inc>(1);
    CHECK(runner.result<long>() == 2);
    runner.hang_up();
    CHECK(runner.status() == 0);
  }

  TEST_CASE("what a task printed is out before its result is") {
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    Runner runner(ends[1]);
    close(ends[1]);
    runner.hello();
    runner.run<prints>("no newline");
    runner.result<void>();
    char text[32] = {};
    CHECK(read(ends[0], text, sizeof text) == 10);
    CHECK(std::string(text) == "no newline");
    close(ends[0]);
  }

  TEST_CASE("tasks start with no signal blocked and SIGPIPE as usual") {
    sigset_t block, before;
    sigemptyset(&block);
    sigaddset(&block, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &block, &before);
    auto* const pipe_before = std::signal(SIGPIPE, SIG_IGN);
    Runner runner;
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    std::signal(SIGPIPE, pipe_before);
    runner.hello();
    runner.run<blocked_or_ignored>();
    CHECK_FALSE(runner.result<bool>());
  }

  TEST_CASE("nonsense from the agent ends the runner with its own exit code") {
    Runner runner;
    runner.hello();
    SUBCASE("a message that is none of its") { runner.send(TaskDone{.ordinal = 1}); }
    SUBCASE("a message that cannot be decoded") {
      runner.send(TaskDone{.outcome = static_cast<wire::Outcome>(99)});
    }
    CHECK(runner.status() == kExitChannel);
  }

  TEST_CASE("another version of the channel is refused") {
    CHECK(serve({.version = kChannelVersion + 1}, program_source()) == kExitVersion);
    CHECK(serve({kChannelVersion, -1, -1}, program_source()) == kExitChannel);
  }

  TEST_CASE("a long table comes in parts that fit the channel") {
    Parts parts;
    Source source;
    for (int i = 0; i < 1000; ++i) source.functions.push_back({std::string(2000, 'x'), std::to_string(i)});
    std::fflush(nullptr);
    const pid_t pid = fork();
    if (pid == 0) {
      parts.ends[0].reset();
      _exit(serve({kChannelVersion, parts.ends[1].get(), parts.memory_fd.get()}, source));
    }
    parts.ends[1].reset();
    SocketBell bell(parts.ends[0].get());
    Channel channel(bell, parts.memory, Channel::Role::agent);
    std::vector<FunctionEntry> functions;
    std::uint32_t total = 1;
    while (functions.size() < total) {
      channel.wake();  // there is room again
      Received received = next_of(channel, parts.ends[0].get());
      REQUIRE(received.kind == Received::Kind::message);
      const auto& part = std::get<RunnerHello>(*received.message);
      total = part.total;
      functions.insert(functions.end(), part.functions.begin(), part.functions.end());
    }
    CHECK(functions.size() == 1000);
    CHECK(functions[999].signature == "999");
    parts.ends[0].reset();
    int status = 0;
    waitpid(pid, &status, 0);
    CHECK(status == 0);
  }

  TEST_CASE("many tasks wait in the channel at once, and each has its result") {
    Runner runner;
    runner.hello();
    constexpr int kBatches = 50, kBatch = 50;
    for (int batch = 0; batch < kBatches; ++batch) {
      for (int i = 0; i < kBatch; ++i) runner.run<nothing>();
      for (int i = 0; i < kBatch; ++i) runner.result<void>();
    }
  }
}
