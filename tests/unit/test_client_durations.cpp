// SPDX-License-Identifier: MIT
// "As long as it takes", written as the largest duration.
#include <doctest/doctest.h>

#include <thread>

#include "tests/unit/fake_broker.hpp"
#include "weft/weft.hpp"

using namespace std::chrono_literals;
using weft::client::test::FakeBroker;

namespace {

long twice(long x) { return 2 * x; }

/// Lets `broker` answer once it has task number `tasks`.
std::thread answers_after(FakeBroker& broker, std::uint64_t tasks) {
  return std::thread([&broker, tasks] {
    while (broker.arrived < tasks) std::this_thread::yield();
    broker.hold = false;
  });
}

template <class D>
void check_forever(FakeBroker& broker, weft::Client& client, D time) {
  const auto check = [&](auto wait) {
    broker.hold = true;
    std::thread later = answers_after(broker, broker.arrived + 1);
    auto future = client.submit<twice>(1);
    CHECK(wait(future));
    later.join();
  };
  check([&](auto& future) { return future.wait_for(time); });
  check([&](auto& future) { return future.result_for(time) == 2; });
  check([&](auto& future) { return weft::wait(std::vector{future}, time).done.size() == 1; });
  check([&](auto& future) { return weft::wait_any(std::vector{future}, time).done.size() == 1; });
}

}  // namespace

TEST_SUITE("client: durations") {
  TEST_CASE("the largest of any unit is for ever") {
    FakeBroker broker;
    weft::Client client(broker.address());
    check_forever(broker, client, std::chrono::milliseconds::max());
    check_forever(broker, client, std::chrono::milliseconds::max() / 1000);
    check_forever(broker, client, std::chrono::nanoseconds::max());
    check_forever(broker, client, std::chrono::hours::max());
    check_forever(broker, client, std::chrono::hours(24 * 365 * 300));
    check_forever(broker, client, std::chrono::duration<double>(1e200));
  }

  TEST_CASE("a negative one does not wait") {
    FakeBroker broker;
    weft::Client client(broker.address());
    broker.hold = true;
    auto future = client.submit<twice>(1);
    CHECK_FALSE(future.wait_for(-1ms));
    CHECK_FALSE(future.wait_for(std::chrono::milliseconds::min()));
    CHECK_FALSE(future.wait_for(std::chrono::hours::min()));
    CHECK(weft::wait(std::vector{future}, std::chrono::seconds::min()).pending.size() == 1);
    CHECK(weft::wait_any(std::vector{future}, -1h).pending.size() == 1);
    broker.hold = false;
    CHECK(future.result() == 2);
  }

  TEST_CASE("a client and its tasks take them too, and a broker that comes back is waited for") {
    for (const auto time : {std::chrono::milliseconds::max(), std::chrono::milliseconds::max() / 1000,
                            std::chrono::milliseconds(std::chrono::hours(24 * 365 * 300))}) {
      auto broker = std::make_unique<FakeBroker>(1);
      const int port = broker->port();
      weft::Client client(
          weft::ClientOptions{.address = broker->address(), .connect_timeout = time, .give_up = time});
      broker->hold = true;
      auto future = client.with({.retries = 1, .retry_delay = time, .timeout = time, .queue_timeout = time})
                        .submit<twice>(4);
      broker.reset();
      broker = std::make_unique<FakeBroker>(2, port);
      CHECK(future.result() == 8);
    }
  }
}
