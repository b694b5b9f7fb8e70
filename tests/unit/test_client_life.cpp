// SPDX-License-Identifier: MIT
// The life of a Client: no broker, its end, brokers that come back, fork. The progress line.
#include <doctest/doctest.h>
#include <malloc.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <future>
#include <numeric>

#include "client/connection/progress_line.hpp"
#include "tests/support/condition.hpp"
#include "tests/unit/fake_broker.hpp"
#include "weft/weft.hpp"

using namespace std::chrono_literals;
using weft::client::test::FakeBroker;
using weft::support::eventually;

namespace {

long twice(long x) { return 2 * x; }
void nothing(int) {}

}  // namespace

TEST_SUITE("client: its life") {
  TEST_CASE("no broker: the address and the reason") {
    try {
      weft::Client client(weft::ClientOptions{.address = "127.0.0.1:9", .connect_timeout = 300ms});
      FAIL("connected");
    } catch (const weft::ConnectionError& error) {
      CHECK(std::string(error.what())
                .starts_with("no broker answered at tcp://127.0.0.1:9 within 0.3 s: nothing listens there"));
    }
    CHECK_THROWS_AS(weft::Client("nonsense"), std::invalid_argument);
  }

  TEST_CASE("its end cancels what is not done, and futures keep their values") {
    FakeBroker broker;
    weft::Future<long> finished;
    weft::Future<long> open;
    std::atomic<bool> called{false};
    {
      weft::Client client(broker.address());
      finished = client.submit<twice>(1);
      finished.wait();
      broker.hold = true;
      open = client.submit<twice>(2);
      open.on_done([&](weft::Future<long>) { called = true; });
    }
    CHECK(finished.result() == 2);
    CHECK_THROWS_AS(open.result(), weft::TaskCancelled);
    CHECK(called);
    open.cancel();
    CHECK(eventually([&] { return broker.goodbyes == 1; }));
  }

  TEST_CASE("a slow callback does not hold it up") {
    FakeBroker broker;
    auto release = std::make_shared<std::promise<void>>();
    auto entered = std::make_shared<std::promise<void>>();
    {
      weft::Client client(broker.address());
      broker.hold = true;  // or a finished task would call back on this thread
      client.submit<twice>(1).on_done([=](weft::Future<long>) {
        entered->set_value();
        release->get_future().wait();
      });
      broker.hold = false;
      entered->get_future().wait();
    }
    release->set_value();  // the client has ended before the callback
  }

  TEST_CASE("a broker that comes back is told everything; one that does not ends in ConnectionError") {
    auto broker = std::make_unique<FakeBroker>(1);
    const int port = broker->port();
    weft::Client client(weft::ClientOptions{.address = broker->address(), .give_up = 1500ms});
    broker->hold = true;
    auto futures = client.map<twice>(std::views::iota(0L, 100L));
    broker.reset();
    broker = std::make_unique<FakeBroker>(2, port);
    CHECK(client.gather(futures).back() == 198);
    auto there = client.submit<twice>(4);
    auto there_void = client.submit<nothing>(4);
    weft::wait(std::vector{there});
    there_void.wait();
    broker->hold = true;
    auto lost = client.submit<twice>(1);
    auto lost_void = client.submit<nothing>(1);
    broker.reset();
    const auto outcomes = client.gather(std::vector{lost, there}, weft::outcomes);
    REQUIRE(outcomes.size() == 2);
    CHECK_FALSE(outcomes[0].ok());
    CHECK(outcomes[0].connection_lost());
    CHECK_THROWS_AS(static_cast<void>(outcomes[0].value()), weft::ConnectionError);
    CHECK_THROWS_AS(static_cast<void>(outcomes[0].error()), weft::ConnectionError);
    CHECK(outcomes[1].value() == 8);
    CHECK_FALSE(outcomes[1].connection_lost());
    const auto voids = client.gather(std::vector{lost_void, there_void}, weft::outcomes);
    CHECK(voids[0].connection_lost());
    CHECK_THROWS_AS(voids[0].value(), weft::ConnectionError);
    CHECK(voids[1].ok());
    CHECK_THROWS_AS(lost.result(), weft::ConnectionError);
    CHECK_THROWS_AS(client.submit<twice>(1), weft::ConnectionError);
  }

  TEST_CASE("cluster() says what is there") {
    FakeBroker broker;
    weft::Client client(broker.address());
    const weft::ClusterInfo info = client.cluster();
    CHECK(info.slots == 4);
    CHECK(info.workers.at(0).name == "w1");
  }

  TEST_CASE("a child of fork() gets an error and ends cleanly") {
    FakeBroker broker;
    weft::Client client(broker.address());
    broker.hold = true;
    auto future = client.submit<twice>(1);
    const pid_t child = ::fork();
    if (child == 0) {
      int code = 0;
      try {
        client.submit<twice>(1);
        code = 1;
      } catch (const weft::Error&) {
      }
      try {
        future.wait();
        code = 2;
      } catch (const weft::Error&) {
      }
      ::_exit(code);
    }
    int status = -1;
    ::waitpid(child, &status, 0);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
    broker.hold = false;
    CHECK(future.result() == 2);
  }

  TEST_CASE("signals stay with the program") {
    FakeBroker broker;
    sigset_t before;
    pthread_sigmask(SIG_SETMASK, nullptr, &before);
    weft::Client client(broker.address());
    sigset_t after;
    pthread_sigmask(SIG_SETMASK, nullptr, &after);
    CHECK(sigismember(&before, SIGINT) == sigismember(&after, SIGINT));
    CHECK(client.submit<twice>(1).result() == 2);
  }

  TEST_CASE("a pending future costs at most 300 bytes") {
    FakeBroker broker;
    broker.hold = true;
    weft::Client client(broker.address());
    client.submit<twice>(1);
    constexpr long kTasks = 20'000;
    const std::size_t before = ::mallinfo2().uordblks;
    auto futures = client.map<twice>(std::views::iota(0L, kTasks));
    // The heap of this process, with that of the fake broker and libzmq; tests/bench has the exact figure.
    const std::size_t after = ::mallinfo2().uordblks;
    MESSAGE("bytes for each future, just submitted: " << (after - before) / kTasks);
    CHECK(sizeof(weft::Future<long>) == sizeof(void*));
    CHECK(sizeof(weft::detail::TypedState<long>) <= 104);
    broker.hold = false;
    client.gather(futures);
  }
}

TEST_SUITE("client: progress line") {
  using weft::client::progress_line;
  TEST_CASE("it says how far, how fast and how long") {
    CHECK(progress_line({.done = 1234, .total = 5000, .running = 16, .failed = 2, .seconds = 12}, 100) ==
          "[#######>......................] 1234/5000 24% | 103 task/s | running 16, failed 2 | 00:12 ETA "
          "00:36");
    CHECK(progress_line({.done = 0, .total = 10, .seconds = 0}, 40) ==
          "0/10 0% | 0 task/s | 00:00 ETA --:--");
    CHECK(progress_line({.done = 10, .total = 10, .cancelled = 1, .seconds = 4000}, 60) ==
          "[##########] 10/10 100% | 0.0 task/s | cancelled 1 | 1:06:40");
    CHECK(progress_line({.done = 0, .total = 0}, 79).find("0/0 100%") != std::string::npos);
    CHECK(progress_line({.done = 1234, .total = 5000, .seconds = 12}, 10).size() == 10);
  }
}
