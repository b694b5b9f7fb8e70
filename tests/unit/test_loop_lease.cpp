// SPDX-License-Identifier: MIT
// The lease of the client's loop: which thread runs it. All tests wait for conditions, with a deadline.
#include "client/connection/loop_lease.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <thread>
#include <vector>

#include "tests/support/condition.hpp"

namespace weft::client {

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

using support::eventually;

/// A loop that counts its turns by thread, and its I/O thread, which yields the loop when told to.
class Rig : private LoopLease::Loop {
 public:
  Rig() : io_([this] { run(); }) {}
  ~Rig() override {
    over_ = true;
    lease.reclaim();
    io_.join();
  }

  /// Makes the I/O thread yield the loop; returns whether it has. The thread stays away for only a
  /// millisecond, which this thread may miss on a busy machine, so it is asked until it is seen to be away.
  bool yield() {
    const bool away = eventually([this] {
      may_yield = true;
      return lease.is_free();
    });
    may_yield = false;
    return away;
  }
  /// Runs the loop once the I/O thread has yielded it, which lasts only for a moment.
  bool run_until(const std::function<bool()>& done, const LoopLease::Deadline& deadline = std::nullopt) {
    for (int i = 0; i < 100; ++i) {
      if (yield() && lease.run_until(done, deadline)) return true;
    }
    return false;
  }
  /// Whether the I/O thread has the loop and takes further turns.
  bool io_runs() {
    const int before = turns(io_.get_id());
    return eventually([&] { return turns(io_.get_id()) > before + 3; });
  }
  int turns(std::thread::id thread) {
    const std::lock_guard lock(mutex_);
    return turns_[thread];
  }
  int turns_here() { return turns(std::this_thread::get_id()); }
  bool at_once() const { return inside_max_ > 1; }

  LoopLease lease;
  std::atomic<bool> may_yield{false};
  std::atomic<bool> wanted{false};
  std::atomic<int> refusals{0};  // refused requests to yield the loop, since `wanted` was set
  std::atomic<bool> open{false};

 private:
  void run() {
    LoopLease::Lock lock = lease.begin(*this);
    while (!over_) {
      poll_once(std::nullopt);
      if (!may_yield.exchange(false)) continue;
      lease.yield(lock, [this] {
        if (wanted) ++refusals;
        return wanted.load();
      });
    }
    lease.end(std::move(lock));
  }

  void poll_once(const LoopLease::Deadline&) noexcept override {
    const int inside = ++inside_;
    inside_max_ = std::max(inside_max_.load(), inside);
    {
      const std::lock_guard lock(mutex_);
      ++turns_[std::this_thread::get_id()];
    }
    std::this_thread::yield();
    --inside_;
  }
  bool busy() const override { return open; }
  bool over() const override { return over_; }

  std::atomic<bool> over_{false};
  std::atomic<int> inside_{0};
  std::atomic<int> inside_max_{0};
  std::mutex mutex_;
  std::map<std::thread::id, int> turns_;
  std::thread io_;
};

bool never() { return false; }

}  // namespace

TEST_SUITE("lease") {
  TEST_CASE("while the I/O thread runs the loop nobody else does") {
    Rig rig;
    REQUIRE(rig.io_runs());
    CHECK_FALSE(rig.lease.is_free());
    CHECK_FALSE(rig.lease.run_until(never, std::nullopt));
    CHECK_FALSE(rig.lease.submit());
    CHECK(rig.turns_here() == 0);
  }

  TEST_CASE(
      "when it has yielded the loop, a thread that waits runs the loop until it has what it waits for") {
    Rig rig;
    int turns = 0;
    REQUIRE(rig.run_until([&] { return ++turns > 5; }));
    CHECK(rig.turns_here() == 5);
    CHECK(rig.io_runs());  // no other thread wants the loop
  }

  TEST_CASE("a thread that waits no longer than until a point in time leaves the loop then") {
    Rig rig;
    const auto deadline = Clock::now() + 30ms;
    REQUIRE(rig.run_until(never, deadline));
    CHECK(Clock::now() >= deadline);
    CHECK(rig.io_runs());
  }

  TEST_CASE("one that leaves it while answers are outstanding gives it back") {
    Rig rig;
    int turns = 0;
    REQUIRE(rig.run_until([&] {
      rig.open = true;
      return ++turns > 1;
    }));
    CHECK(rig.io_runs());
    CHECK_FALSE(rig.lease.is_free());
  }

  TEST_CASE("the first submit sends by itself, the second wakes the I/O thread") {
    Rig rig;
    bool first = false;
    for (int i = 0; i < 100 && !first; ++i) {  // the I/O thread stays away only for a moment
      REQUIRE(rig.yield());
      first = rig.lease.submit();
    }
    REQUIRE(first);
    CHECK(rig.turns_here() == 1);
    CHECK_FALSE(rig.lease.submit());
    CHECK(rig.turns_here() == 1);
    rig.lease.reclaim();
    CHECK(rig.io_runs());
  }

  TEST_CASE("it does not yield the loop when something came in at the last moment") {
    Rig rig;
    rig.wanted = true;
    rig.may_yield = true;
    REQUIRE(eventually([&] { return rig.refusals > 0; }));
    CHECK(rig.io_runs());
  }

  TEST_CASE("answers that nobody runs the loop for are not left waiting") {
    Rig rig;
    rig.open = true;
    REQUIRE(rig.yield());
    rig.lease.submit();
    CHECK(rig.io_runs());
  }

  TEST_CASE("any number of threads that come and go: one at a time has it") {
    Rig rig;
    std::atomic<int> runs{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&, i] {
        while (runs < 200) {
          rig.may_yield = true;
          if (i == 1) rig.lease.submit();
          int turns = 0;
          if (rig.lease.run_until([&] { return ++turns > 3; }, std::nullopt)) {
            ++runs;
            // Each reclaim() ends the time in which other threads may have the loop.
            if (i == 3) rig.lease.reclaim();
          }
          std::this_thread::yield();
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK_FALSE(rig.at_once());
    CHECK(rig.io_runs());
  }
}

}  // namespace weft::client
