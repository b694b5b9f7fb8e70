// SPDX-License-Identifier: MIT
// Functions that wait for many futures wait for their callbacks as well.
#include <doctest/doctest.h>

#include <atomic>
#include <future>
#include <ranges>
#include <thread>

#include "tests/unit/captured_stderr.hpp"
#include "tests/unit/fake_broker.hpp"
#include "weft/weft.hpp"

using namespace std::chrono_literals;
using weft::client::test::CapturedStderr;
using weft::client::test::FakeBroker;

namespace {

long twice(long x) { return 2 * x; }
void nothing(long) {}
std::string fail(const std::string& why) { throw std::runtime_error(why); }

using Futures = std::vector<weft::Future<long>>;

/// A sum that callbacks compute without a lock, as a program merges its results.
struct Merge {
  FakeBroker broker;
  weft::Client client{broker.address()};
  long sum = 0;

  Futures submit() {
    sum = 0;
    broker.hold = true;
    Futures futures = client.map<twice>(std::views::iota(0L, 100L));
    for (auto& future : futures) {
      future.on_done([this](weft::Future<long> done) {
        std::this_thread::sleep_for(100us);  // slower than the results arrive
        sum += done.result();
      });
    }
    broker.hold = false;
    return futures;
  }
};
constexpr long kSum = 9900;

}  // namespace

TEST_SUITE("client: callbacks") {
  TEST_CASE("what waits for all returns when the callbacks have") {
    Merge merge;
    merge.client.gather(merge.submit());
    CHECK(merge.sum == kSum);
    merge.client.gather(merge.submit(), weft::outcomes);
    CHECK(merge.sum == kSum);
    weft::wait(merge.submit());
    CHECK(merge.sum == kSum);
    weft::wait(merge.submit(), 1h);
    CHECK(merge.sum == kSum);
    weft::progress(merge.submit());
    CHECK(merge.sum == kSum);
    std::size_t count = 0;
    for (auto& future : weft::as_completed(merge.submit())) count += future.done() ? 1 : 0;
    CHECK(merge.sum == kSum);
    for (auto& future : weft::progress(weft::as_completed(merge.submit()))) {
      const weft::Future<long> taken = std::move(future);
      count += taken.done() ? 1 : 0;
    }
    CHECK(merge.sum == kSum);
    CHECK(count == 200);
  }

  TEST_CASE("for void, for failures and for cancelled tasks as well") {
    FakeBroker broker;
    weft::Client client(broker.address());
    int called = 0;
    broker.hold = true;
    auto voids = client.map<nothing>(std::vector{1L, 2L});
    auto failed = client.submit<fail>("expected by the test");
    auto cancelled = client.submit<twice>(1);
    const auto count = [&](const auto&) {
      std::this_thread::sleep_for(1ms);
      ++called;
    };
    for (auto& future : voids) future.on_done(count);
    failed.on_done(count);
    cancelled.on_done(count);
    cancelled.cancel();
    broker.hold = false;
    client.gather(voids);
    weft::wait(std::vector{failed});
    weft::wait(std::vector{cancelled});
    CHECK(called == 4);
  }

  TEST_CASE("a callback may wait, for its own task too: it waits for results only") {
    FakeBroker broker;
    weft::Client client(broker.address());
    broker.hold = true;
    Futures futures = client.map<twice>(std::views::iota(0L, 3L));
    std::atomic<int> waited{0};
    for (auto& future : futures) {
      future.on_done([&](weft::Future<long> done) {
        weft::wait(std::vector{done});
        client.gather(futures);
        waited += client.submit<twice>(1).result() == 2;
      });
    }
    broker.hold = false;
    client.gather(futures);
    CHECK(waited == 3);
    futures[0].on_done([&](weft::Future<long> done) {  // at once, in this thread
      weft::wait(std::vector{done});
      ++waited;
    });
    CHECK(waited == 4);
  }

  TEST_CASE("callbacks of other futures, and wait() and result(), are not waited for") {
    FakeBroker broker;
    weft::Client client(broker.address());
    std::promise<void> entered;
    std::promise<void> release;
    broker.hold = true;
    auto slow = client.submit<twice>(1);
    slow.on_done([&](weft::Future<long>) {
      entered.set_value();
      release.get_future().wait();
    });
    broker.hold = false;
    entered.get_future().wait();
    slow.wait();
    CHECK(slow.result() == 2);
    CHECK(client.gather(client.map<twice>(std::vector{1L, 2L})).size() == 2);
    CHECK(weft::wait(std::vector{slow}, 1ms).done.size() == 1);  // done, and its callback was waited for
    release.set_value();
    weft::wait(std::vector{slow});
  }

  TEST_CASE("the first exception is reported, the others are counted") {
    FakeBroker broker;
    CapturedStderr stderr_text;
    {
      weft::Client client(broker.address());
      broker.hold = true;
      Futures futures = client.map<twice>(std::views::iota(0L, 50L));
      for (auto& future : futures)
        future.on_done([](weft::Future<long>) { throw std::runtime_error("careless"); });
      broker.hold = false;
      client.gather(futures);
      CHECK(stderr_text.count("careless") == 1);
    }
    CHECK(stderr_text.count("weft: 50 on_done callbacks threw; the last, of task ") == 1);
    CHECK(stderr_text.count("careless") == 2);
  }
}

TEST_SUITE("client: progress") {
  TEST_CASE("it shows the label, and results are taken while it draws") {
    FakeBroker broker;
    weft::Client client(broker.address());
    CapturedStderr stderr_text;
    long sum = 0;
    for (auto& future :
         weft::progress(weft::as_completed(client.with({.label = "fit"}).map<twice>(std::vector{1L, 2L}))))
      sum += future.result();
    CHECK(sum == 6);
    CHECK(stderr_text.count("fit [") >= 1);
    CHECK(stderr_text.count(" 2/2 100%") == 1);
    weft::progress(Futures{client.with({.label = "a"}).submit<twice>(1), client.submit<twice>(1)});
    CHECK(stderr_text.count("2 labels [") >= 1);
    for (auto& future : weft::progress(weft::as_completed(Futures{}))) future.wait();
  }

  TEST_CASE("it says that no worker has joined") {
    FakeBroker broker;
    broker.workers = 0;
    broker.hold = true;
    weft::Client client(broker.address());
    auto future = client.submit<twice>(1);
    CapturedStderr stderr_text;
    std::thread waits([&] { weft::progress(future); });
    CHECK(stderr_text.eventually_has("| no worker has joined |"));
    broker.hold = false;
    waits.join();
    CHECK(stderr_text.count("no worker has joined") == 1);
  }
}
