// SPDX-License-Identifier: MIT
// A client that submits waves of every kind of task and checks every answer by value and count, until its
// board says stop:
//   weft_chaos_client ADDRESS SEED NUMBER BOARD STARTS
// Exits with 0 if every answer was right, with 1 and a message at the first wrong one.
#include <cstdio>
#include <deque>
#include <functional>
#include <random>
#include <thread>

#include "tests/chaos/board.hpp"
#include "tests/chaos/tasks.hpp"

namespace weft::chaos {

namespace {

constexpr auto kPatience = std::chrono::seconds(90);  // for one answer; faults end long before
constexpr int kLosses = 1'000'000;                    // crash_limit of tasks that must never be given up
constexpr std::size_t kWavesOpen = 3;

[[noreturn]] void wrong(const std::string& what) { throw std::runtime_error(what); }

/// A future, with checks of its answer.
struct Expected {
  std::function<bool()> wait;    // returns false if no answer came in time
  std::function<void()> verify;  // throws if the answer is wrong
  std::shared_ptr<std::atomic<int>> answers = std::make_shared<std::atomic<int>>(0);
};

class Load {
 public:
  Load(const std::string& address, std::uint64_t seed, std::uint64_t number, std::string board,
       std::string starts)
      : random_(seed ^ mix(number)),
        next_(number << 32),
        board_(board),
        starts_(std::move(starts)),
        client_(ClientOptions{.address = address,
                              .connect_timeout = std::chrono::minutes(1),
                              .give_up = std::chrono::hours(1),
                              .name = "chaos-" + std::to_string(number)}) {}

  void run() {
    std::deque<std::vector<Expected>> open;
    while (!board_->stop) {
      open.push_back(wave());
      if (open.size() < kWavesOpen) continue;
      settle(open.front());
      open.pop_front();
    }
    for (auto& old : open) settle(old);
  }

 private:
  int draw(int from, int to) { return std::uniform_int_distribution<int>(from, to)(random_); }

  /// Registers `future`, the answer of task `number`. `right` returns "" if the answer is as it must be, or
  /// the reason why not; its second argument is empty if the future has a value.
  template <class R, class Right>
  Expected expect(Future<R> future, std::uint64_t number, Right right) {
    Expected expected;
    ++board_->submitted;
    Counters* counters = board_.operator->();
    future.on_done([answers = expected.answers, counters](const auto&) {
      ++*answers;
      ++counters->answered;
    });
    expected.wait = [future] { return future.wait_for(kPatience); };
    expected.verify = [future, number, right, counters] {
      std::string what;
      try {
        const auto error = future.error();
        if (error) ++counters->failed_rightly;
        what = right(future, error);
        if (!what.empty() && error) what += std::string("; it failed: ") + error->what();
      } catch (const ConnectionError& error) {
        what = std::string("a ConnectionError, but nobody gave up: ") + error.what();
      }
      if (!what.empty()) wrong("task " + std::to_string(number) + " (" + future.id().text() + "): " + what);
    };
    return expected;
  }

  template <class R>
  Expected expect_value(Future<R> future, std::uint64_t number, std::uint64_t value) {
    return expect(std::move(future), number, [value](const auto& done, const auto& error) -> std::string {
      if (error) return "it must succeed";
      if constexpr (std::is_same_v<R, Blob>) {
        return sum_of(done.result()) == value ? "" : "the wrong bytes came back";
      } else {
        return done.result() == value ? "" : "the wrong value came back";
      }
    });
  }

  template <class R>
  Expected expect_error(Future<R> future, std::uint64_t number, TaskErrorKind kind, std::string text) {
    return expect(std::move(future), number, [kind, text](const auto&, const auto& error) -> std::string {
      if (!error) return "it must fail";
      if (error->kind() != kind) return "it failed in the wrong way";
      return error->text().find(text) != std::string::npos ? "" : "its text does not say \"" + text + "\"";
    });
  }

  std::vector<Expected> wave() {
    std::vector<Expected> all;
    auto safe = client_.with({.crash_limit = kLosses});
    for (int i = draw(20, 250); i > 0; --i) {
      const auto n = ++next_;
      all.push_back(expect_value(safe.submit<tiny>(starts_, n), n, mix(n)));
    }
    for (int i = draw(5, 15); i > 0; --i) {
      const auto n = ++next_;
      all.push_back(expect_value(safe.submit<nap>(starts_, n, draw(10, 300)), n, mix(n)));
    }
    for (int i = draw(0, 3); i > 0; --i) {
      const auto n = ++next_;
      const Blob blob = blob_of(n, static_cast<std::size_t>(draw(65'000, 1'500'000)));
      all.push_back(expect_value(safe.submit<takes_large>(starts_, n, blob), n, sum_of(blob)));
    }
    for (int i = draw(0, 3); i > 0; --i) {
      const auto n = ++next_;
      const auto bytes = static_cast<std::uint64_t>(draw(65'000, 1'500'000));
      all.push_back(expect_value(safe.submit<gives_large>(starts_, n, bytes), n, sum_of(blob_of(n, bytes))));
    }
    for (int i = draw(0, 4); i > 0; --i) {
      const auto n = ++next_;
      all.push_back(expect_error(safe.submit<throws>(starts_, n), n, TaskErrorKind::failed,
                                 "number " + std::to_string(n)));
    }
    for (int i = draw(0, 4); i > 0; --i) {
      const auto n = ++next_;
      auto patient =
          client_.with({.retries = 2, .retry_delay = std::chrono::milliseconds(50), .crash_limit = kLosses});
      all.push_back(expect_value(patient.submit<fails_twice>(starts_, n), n, mix(n)));
    }
    if (draw(0, 3) == 0) {
      const auto n = ++next_;
      all.push_back(expect_error(client_.with({.crash_limit = 2}).submit<crashes>(starts_, n), n,
                                 TaskErrorKind::crashed, ""));
    }
    if (draw(0, 3) == 0) {
      const auto n = ++next_;
      auto limited =
          client_.with({.timeout = std::chrono::milliseconds(draw(50, 400)), .crash_limit = kLosses});
      all.push_back(expect_error(limited.submit<too_long>(starts_, n), n, TaskErrorKind::timeout, ""));
    }
    for (int i = draw(0, 3); i > 0; --i) add_cancelled(all);
    for (int i = draw(0, 3); i > 0; --i) {
      const auto n = ++next_;
      all.push_back(
          expect_once(client_.with({.crash_limit = 1}).submit<nap_once>(starts_, n, draw(1, 200)), n));
    }
    return all;
  }

  /// Either its value comes first, or the task is cancelled from this moment on.
  void add_cancelled(std::vector<Expected>& all) {
    const auto n = ++next_;
    Future<std::uint64_t> future =
        client_.with({.crash_limit = kLosses}).submit<nap>(starts_, n, draw(1, 100));
    all.push_back(expect(future, n, [n](const auto& done, const auto& error) -> std::string {
      if (error)
        return error->kind() == TaskErrorKind::cancelled ? "" : "it may only succeed or be cancelled";
      return done.result() == mix(n) ? "" : "the wrong value came back";
    }));
    if (draw(0, 1) == 0) (void)future.wait_for(std::chrono::milliseconds(draw(0, 60)));
    future.cancel();
    if (!future.done()) wrong("task " + std::to_string(n) + " is not done after cancel()");
  }

  /// Expects the value, or the error that it was lost; the driver sees in the starts file that the task did
  /// not start twice.
  Expected expect_once(Future<std::uint64_t> future, std::uint64_t number) {
    return expect(std::move(future), number, [number](const auto& done, const auto& error) -> std::string {
      if (error) return error->kind() == TaskErrorKind::crashed ? "" : "it may only succeed or be lost";
      return done.result() == mix(number) ? "" : "the wrong value came back";
    });
  }

  void settle(std::vector<Expected>& all) {
    for (Expected& expected : all) {
      if (!expected.wait()) {
        wrong("a task has not been answered for " + std::to_string(kPatience.count()) + " s");
      }
      expected.verify();
    }
    // Callbacks run in another thread, after the answer has arrived.
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    for (Expected& expected : all) {
      while (*expected.answers == 0 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
      if (*expected.answers != 1)
        wrong("a task was answered " + std::to_string(*expected.answers) + " times");
      ++board_->verified;
    }
  }

  std::mt19937_64 random_;
  std::uint64_t next_;
  Board board_;
  std::string starts_;
  Client client_;
};

}  // namespace

}  // namespace weft::chaos

int main(int argc, char** argv) {
  if (argc != 6) {
    std::fprintf(stderr, "usage: weft_chaos_client ADDRESS SEED NUMBER BOARD STARTS\n");
    return 2;
  }
  try {
    weft::chaos::Load(argv[1], std::stoull(argv[2]), std::stoull(argv[3]), argv[4], argv[5]).run();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "weft_chaos_client: %s\n", error.what());
    return 1;
  }
  return 0;
}
