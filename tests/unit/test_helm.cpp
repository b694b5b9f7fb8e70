// SPDX-License-Identifier: MIT
// Who runs the client's loop. Everything waits for a condition, with a deadline.
#include "client/helm.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <thread>
#include <vector>

namespace weft::client {

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

/// Waits for `condition` at most twenty seconds.
template <class F>
bool eventually(F condition) {
  const auto deadline = Clock::now() + 20s;
  while (!condition()) {
    if (Clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

/// A loop that counts its turns by thread, and its I/O thread, which steps back whenever it is told to.
class Rig : private Helm::Loop {
 public:
  Rig() : io_([this] { run(); }) {}
  ~Rig() override {
    over_ = true;
    helm.recall();
    io_.join();
  }

  /// The I/O thread steps back; true when it has. It stays away for a millisecond only, which this thread may
  /// miss on a busy machine: so it is asked until it is seen to be away.
  bool step_back() {
    const bool away = eventually([this] {
      may_step_back = true;
      return helm.is_free();
    });
    may_step_back = false;
    return away;
  }
  /// Steers once the I/O thread has stepped back, which it does for a moment only.
  bool steer(const std::function<bool()>& done, const Helm::Deadline& deadline = std::nullopt) {
    for (int i = 0; i < 100; ++i) {
      if (step_back() && helm.steer(done, deadline)) return true;
    }
    return false;
  }
  /// The I/O thread has it, and goes on: it takes more turns.
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

  Helm helm;
  std::atomic<bool> may_step_back{false};
  std::atomic<bool> wanted{false};
  std::atomic<int> refusals{0};  // to step back, since something was wanted
  std::atomic<bool> open{false};

 private:
  void run() {
    Helm::Lock lock = helm.begin(*this);
    while (!over_) {
      turn(std::nullopt);
      if (!may_step_back.exchange(false)) continue;
      helm.step_back(lock, [this] {
        if (wanted) ++refusals;
        return wanted.load();
      });
    }
    helm.end(std::move(lock));
  }

  void turn(const Helm::Deadline&) noexcept override {
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

TEST_SUITE("helm") {
  TEST_CASE("while the I/O thread runs the loop nobody else does") {
    Rig rig;
    REQUIRE(rig.io_runs());
    CHECK_FALSE(rig.helm.is_free());
    CHECK_FALSE(rig.helm.steer(never, std::nullopt));
    CHECK_FALSE(rig.helm.submit());
    CHECK(rig.turns_here() == 0);
  }

  TEST_CASE("when it has stepped back, a thread that waits runs the loop until it has what it waits for") {
    Rig rig;
    int turns = 0;
    REQUIRE(rig.steer([&] { return ++turns > 5; }));
    CHECK(rig.turns_here() == 5);
    CHECK(rig.io_runs());  // nobody wants it any more
  }

  TEST_CASE("a thread that waits no longer than until a point in time leaves the loop then") {
    Rig rig;
    const auto deadline = Clock::now() + 30ms;
    REQUIRE(rig.steer(never, deadline));
    CHECK(Clock::now() >= deadline);
    CHECK(rig.io_runs());
  }

  TEST_CASE("one that leaves it while answers are outstanding gives it back") {
    Rig rig;
    int turns = 0;
    REQUIRE(rig.steer([&] {
      rig.open = true;
      return ++turns > 1;
    }));
    CHECK(rig.io_runs());
    CHECK_FALSE(rig.helm.is_free());
  }

  TEST_CASE("the first submit sends by itself, the second wakes the I/O thread") {
    Rig rig;
    bool first = false;
    for (int i = 0; i < 100 && !first; ++i) {  // it stays away for a moment only
      REQUIRE(rig.step_back());
      first = rig.helm.submit();
    }
    REQUIRE(first);
    CHECK(rig.turns_here() == 1);
    CHECK_FALSE(rig.helm.submit());
    CHECK(rig.turns_here() == 1);
    rig.helm.recall();
    CHECK(rig.io_runs());
  }

  TEST_CASE("it does not step back when something came in at the last moment") {
    Rig rig;
    rig.wanted = true;
    rig.may_step_back = true;
    REQUIRE(eventually([&] { return rig.refusals > 0; }));
    CHECK(rig.io_runs());
  }

  TEST_CASE("answers that nobody steers for are not left waiting") {
    Rig rig;
    rig.open = true;
    REQUIRE(rig.step_back());
    rig.helm.submit();
    CHECK(rig.io_runs());
  }

  TEST_CASE("any number of threads that come and go: one at a time has it") {
    Rig rig;
    std::atomic<bool> stop{false};
    std::atomic<int> steered{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&, i] {
        while (!stop) {
          if (i == 0) rig.may_step_back = true;
          if (i == 1) rig.helm.submit();
          int turns = 0;
          if (rig.helm.steer([&] { return ++turns > 3; }, std::nullopt)) ++steered;
          if (i == 3) rig.helm.recall();
          std::this_thread::yield();
        }
      });
    }
    CHECK(eventually([&] { return steered > 200; }));
    stop = true;
    for (std::thread& thread : threads) thread.join();
    CHECK_FALSE(rig.at_once());
    CHECK(rig.io_runs());
  }
}

}  // namespace weft::client
