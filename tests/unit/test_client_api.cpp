// SPDX-License-Identifier: MIT
// The interface that programs call: submit, map, futures, one task after the other.
#include <doctest/doctest.h>

#include <atomic>
#include <future>
#include <list>
#include <numeric>
#include <sstream>

#include "tests/support/condition.hpp"
#include "tests/unit/fake_broker.hpp"
#include "weft/weft.hpp"

using namespace std::chrono_literals;
using weft::client::test::FakeBroker;
using weft::support::eventually;

namespace {

long twice(long x) { return 2 * x; }
double scaled(double x, double factor) { return x * factor; }
std::string fail(const std::string& why) { throw std::runtime_error(why); }
void nothing(int) {}
std::string echo(const std::string& text) { return text; }

}  // namespace

TEST_SUITE("client: submit and map") {
  TEST_CASE("a function, a lambda and a map give their results in order") {
    FakeBroker broker;
    weft::Client client(broker.address());
    CHECK(client.submit<twice>(21).result() == 42);
    CHECK(client.submit([](int a, int b) { return a + b; }, 1, 2).result() == 3);
    auto futures = client.map<twice>(std::views::iota(0L, 3000L));
    const std::vector<long> results = client.gather(futures);
    REQUIRE(results.size() == 3000);
    for (long i = 0; i < 3000; ++i) CHECK(results[static_cast<std::size_t>(i)] == 2 * i);
    client.gather(client.map<nothing>(std::vector{1, 2}));
    CHECK(client.gather(client.map([](const std::string& s) { return s.size(); },
                                   std::list<std::string>{"a", "bc"})) == std::vector<std::size_t>{1, 2});
  }

  TEST_CASE("map walks ranges together and takes one value for every call") {
    FakeBroker broker;
    weft::Client client(broker.address());
    const std::vector<double> xs{1, 2, 3};
    const std::vector<double> factors{10, 20, 30};
    CHECK(client.gather(client.map<scaled>(xs, factors)) == std::vector<double>{10, 40, 90});
    CHECK(client.gather(client.map<scaled>(xs, weft::same(2))) == std::vector<double>{2, 4, 6});
    CHECK(client.map<twice>(std::vector<long>{}).empty());
  }

  TEST_CASE("ranges of different lengths: nothing is sent when it is known, cancelled when it shows") {
    FakeBroker broker;
    broker.hold = true;
    weft::Client client(broker.address());
    const std::vector<double> three{1, 2, 3};
    const std::vector<double> two{1, 2};
    CHECK_THROWS_WITH_AS(client.map<scaled>(three, two), "map: the ranges differ in length: 3 and 2",
                         std::invalid_argument);
    std::istringstream words("1 2");
    CHECK_THROWS_WITH_AS(client.map<scaled>(std::views::istream<double>(words), three),
                         "map: the ranges differ in length: one ends after 2 elements, another has more",
                         std::invalid_argument);
    broker.hold = false;
    CHECK(client.submit<twice>(1).result() == 2);
    CHECK(broker.executed == 1);
  }

  TEST_CASE("an integer that does not fit throws at the call") {
    FakeBroker broker;
    weft::Client client(broker.address());
    CHECK_THROWS_AS(client.submit<nothing>(1L << 40), std::out_of_range);
  }

  TEST_CASE("large arguments and large results travel in chunks") {
    FakeBroker broker;
    weft::Client client(broker.address());
    std::string text(3'000'000, 'a');
    for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>('a' + i % 23);
    auto future = client.submit<echo>(text);
    auto same = client.submit<echo>(text);
    CHECK(future.result() == text);
    CHECK(same.result() == text);
    CHECK(broker.chunks > 6);
    CHECK(eventually([&] { return broker.drops == 2; }));
  }

  TEST_CASE("options that make no sense are refused by name") {
    FakeBroker broker;
    weft::Client client(broker.address());
    CHECK_THROWS_WITH_AS(client.with({.retries = -1}), "TaskOptions::retries must not be negative",
                         std::invalid_argument);
    CHECK_THROWS_AS(client.with({.timeout = -1ms}), std::invalid_argument);
    CHECK_THROWS_AS(client.with({.crash_limit = 0}), std::invalid_argument);
    CHECK_THROWS_AS(client.with({.resources = {{"gpu", 0.0}}}), std::invalid_argument);
    CHECK_THROWS_WITH_AS(client.with({.detach = true}),
                         "TaskOptions::detach needs a label, by which attach() finds the tasks again",
                         std::invalid_argument);
    CHECK(client.with({.priority = 2, .label = "x"}).submit<twice>(4).result() == 8);
    CHECK_THROWS_AS(client.command({}), std::invalid_argument);
  }

  TEST_CASE("thousands of different labels do not keep thousands of specs") {
    FakeBroker broker;
    weft::Client client(broker.address());
    std::vector<weft::Future<long>> futures;
    for (int i = 0; i < 2500; ++i)
      futures.push_back(client.with({.label = std::to_string(i)}).submit<twice>(i));
    CHECK(client.gather(futures).back() == 4998);
  }
}

TEST_SUITE("client: futures") {
  TEST_CASE("a task's error is thrown every time, with all that is known") {
    FakeBroker broker;
    weft::Client client(broker.address());
    auto future = client.with({.label = "row 7"}).submit<fail>("too far");
    for (int i = 0; i < 2; ++i) {
      try {
        future.result();
        FAIL("no exception");
      } catch (const weft::TaskFailed& error) {
        CHECK(error.text() == "too far");
        CHECK(error.type() == "std::runtime_error");
        CHECK(error.worker() == "w1");
        CHECK(error.label() == "row 7");
        CHECK(error.function().find("fail") != std::string::npos);
        CHECK(error.attempt() == 1);
        CHECK(error.task() == future.id());
      }
    }
    CHECK(future.state() == weft::TaskState::failed);
    CHECK(future.error()->text() == "too far");
    CHECK_THROWS_AS(client.call<int>("no_such", 1).result(), weft::TaskFailed);
  }

  TEST_CASE("gather throws the first failure; with outcomes each stands in its place") {
    FakeBroker broker;
    weft::Client client(broker.address());
    std::vector<weft::Future<std::string>> futures{client.submit<echo>("a"), client.submit<fail>("b"),
                                                   client.submit<echo>("c")};
    CHECK_THROWS_AS(client.gather(futures), weft::TaskFailed);
    const auto outcomes = client.gather(futures, weft::outcomes);
    REQUIRE(outcomes.size() == 3);
    CHECK(outcomes[0].value() == "a");
    CHECK(outcomes[1].error().text() == "b");
    CHECK(outcomes[2].value() == "c");
    CHECK(client.gather(client.map<nothing>(std::vector{1}), weft::outcomes)[0].ok());
  }

  TEST_CASE("waiting with a limit") {
    FakeBroker broker;
    broker.hold = true;
    broker.say_running = true;
    weft::Client client(broker.address());
    auto future = client.submit<twice>(1);
    CHECK_FALSE(future.result_for(10ms));
    CHECK_FALSE(future.wait_for(0ms));
    CHECK_FALSE(future.done());
    CHECK(eventually([&] { return future.state() == weft::TaskState::running; }));
    broker.hold = false;
    CHECK(future.result_for(10s) == 2);
    CHECK(future.state() == weft::TaskState::done);
    CHECK_FALSE(future.error());
    CHECK(client.submit<nothing>(1).result_for(10s));
  }

  TEST_CASE("cancel is at once, and the broker hears of it; of a finished task it is nothing") {
    FakeBroker broker;
    weft::Client client(broker.address());
    auto finished = client.submit<twice>(1);
    finished.wait();
    finished.cancel();
    CHECK(finished.result() == 2);
    broker.hold = true;
    auto future = client.submit<twice>(1);
    future.cancel();
    CHECK(future.state() == weft::TaskState::cancelled);
    CHECK_THROWS_AS(future.result(), weft::TaskCancelled);
    broker.hold = false;
    CHECK(client.submit<twice>(2).result() == 4);
  }

  TEST_CASE("a value can be moved out once; then it is gone for every copy") {
    FakeBroker broker;
    weft::Client client(broker.address());
    auto future = client.submit<echo>("text");
    auto copy = future;
    CHECK(&future.result() == &copy.result());
    CHECK(std::move(future).result() == "text");
    CHECK_THROWS_AS(copy.result(), weft::Error);
    CHECK(copy.done());
    CHECK_THROWS_AS(weft::Future<int>().result(), weft::Error);
  }

  TEST_CASE("a callback runs once, in its own thread; one that throws or submits harms nothing") {
    FakeBroker broker;
    weft::Client client(broker.address());
    std::promise<long> got;
    std::promise<long> chained;
    broker.hold = true;
    auto future = client.submit<twice>(5);
    future.on_done([](weft::Future<long>) { throw std::runtime_error("expected by the test"); });
    future.on_done([&](weft::Future<long> done) { got.set_value(done.result()); });
    future.on_done([&](weft::Future<long>) {
      client.submit<twice>(7).on_done([&](weft::Future<long> done) { chained.set_value(done.result()); });
    });
    broker.hold = false;
    CHECK(got.get_future().get() == 10);
    CHECK(chained.get_future().get() == 14);
    bool at_once = false;
    future.on_done([&](weft::Future<long>) { at_once = true; });
    CHECK(at_once);
  }

  TEST_CASE("many threads may ask one future") {
    FakeBroker broker;
    weft::Client client(broker.address());
    auto future = client.submit<echo>("shared");
    std::atomic<int> right{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i)
      threads.emplace_back([future, &right] { right += future.result() == "shared"; });
    for (auto& thread : threads) thread.join();
    CHECK(right == 4);
  }

  TEST_CASE("what waits for many futures") {
    FakeBroker broker;
    weft::Client client(broker.address());
    auto futures = client.map<twice>(std::views::iota(0L, 100L));
    futures.push_back(futures.front());
    long sum = 0;
    std::size_t count = 0;
    for (auto& future : weft::as_completed(futures)) {
      sum += std::as_const(future).result();
      ++count;
    }
    CHECK(count == 101);
    CHECK(sum == 9900);
    CHECK(weft::wait(futures).pending.empty());
    CHECK(weft::wait_any(futures).done.size() == 101);
    CHECK(weft::wait_any(std::vector<weft::Future<long>>{}).done.empty());
    broker.hold = true;
    auto held = client.map<twice>(std::views::iota(0L, 3L));
    CHECK(weft::wait_any(held, 1ms).done.empty());
    CHECK(weft::wait(held, 1ms).pending.size() == 3);
    std::thread later([&] { held[1].cancel(); });
    CHECK(weft::wait_any(held).done.size() == 1);
    later.join();
    broker.hold = false;
    CHECK(weft::progress(held).size() == 3);
    CHECK(weft::progress(client.submit<twice>(1)).result() == 2);
  }
}

// A thread that waits for the only open task runs the client's loop itself, once an answer was waited for.
TEST_SUITE("client: one task after the other") {
  TEST_CASE("from several threads, beside callbacks and cancels: each gets its own answer") {
    FakeBroker broker;
    weft::Client client(broker.address());
    std::atomic<int> called{0};
    std::atomic<int> wrong{0};
    std::vector<std::thread> threads;
    for (long number = 0; number < 4; ++number) {
      threads.emplace_back([&, number] {
        for (long i = number; i < 800; i += 4) {
          if (client.submit<twice>(i).result() != 2 * i) ++wrong;
          if (number == 1 && i % 3 == 0)
            client.submit<twice>(i).on_done([&](weft::Future<long>) { ++called; });
          if (number == 2 && i % 3 == 0) client.submit<twice>(i).cancel();
          if (number == 3 && i % 7 == 0 && client.gather(client.map<twice>(std::vector{i, i})).size() != 2)
            ++wrong;
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(wrong == 0);
    CHECK(eventually([&] { return called == 66; }));
  }

  TEST_CASE("then by callback: no waiting thread runs the loop, and the answers come all the same") {
    FakeBroker broker;
    weft::Client client(broker.address());
    for (long i = 0; i < 50; ++i) {
      CHECK(client.submit<twice>(i).result() == 2 * i);
      std::promise<long> promise;
      client.submit<twice>(i).on_done([&](weft::Future<long> future) { promise.set_value(future.result()); });
      CHECK(promise.get_future().get() == 2 * i);
    }
  }

  TEST_CASE("a wait with a limit ends in time") {
    FakeBroker broker;
    weft::Client client(broker.address());
    for (long i = 0; i < 20; ++i) CHECK(client.submit<twice>(i).result() == 2 * i);
    broker.hold = true;
    auto future = client.submit<twice>(1);
    const auto start = std::chrono::steady_clock::now();
    CHECK_FALSE(future.wait_for(50ms));
    CHECK(std::chrono::steady_clock::now() - start >= 50ms);
    broker.hold = false;
    CHECK(future.result() == 2);
  }

  TEST_CASE("another thread may cancel, submit and destroy the client meanwhile") {
    FakeBroker broker;
    auto client = std::make_unique<weft::Client>(broker.address());
    for (long i = 0; i < 20; ++i) CHECK(client->submit<twice>(i).result() == 2 * i);
    broker.hold = true;
    auto cancelled = client->submit<twice>(1);
    std::thread waits([&] { CHECK_THROWS_AS(cancelled.result(), weft::TaskCancelled); });
    CHECK(eventually([&] { return broker.arrived == 21; }));
    cancelled.cancel();
    waits.join();
    broker.hold = false;
    for (long i = 0; i < 20; ++i) CHECK(client->submit<twice>(i).result() == 2 * i);
    broker.hold = true;
    auto open = client->submit<twice>(1);
    std::thread waits_too([&] { CHECK_THROWS_AS(open.result(), weft::TaskCancelled); });
    auto other = client->submit<twice>(2);
    CHECK(eventually([&] { return broker.arrived == 43; }));
    client.reset();
    waits_too.join();
    CHECK_THROWS_AS(other.result(), weft::TaskCancelled);
  }
}
