// SPDX-License-Identifier: MIT
// --resources gpu=[3,5]: each task learns its devices, and no two tasks share a whole device.
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <ranges>
#include <thread>
#include <tuple>
#include <weft/weft.hpp>

#include "tests/e2e/harness.hpp"

namespace weft::e2e {
namespace {

using namespace std::chrono_literals;

std::int64_t now_us() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

/// Devices held, value of CUDA_VISIBLE_DEVICES, begin, end.
using Use = std::tuple<std::vector<int>, std::string, std::int64_t, std::int64_t>;

Use use_device(int milliseconds) {
  const std::int64_t begin = now_us();
  std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
  const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
  return {weft::this_task::resource("gpu"), visible != nullptr ? visible : "", begin, now_us()};
}

std::vector<int> devices_of_nothing() { return weft::this_task::resource("gpu"); }

bool overlap(const Use& a, const Use& b) {
  return std::get<2>(a) < std::get<3>(b) && std::get<2>(b) < std::get<3>(a);
}

}  // namespace

TEST_SUITE("resources with indices") {
  TEST_CASE("two devices and three slots: each task has one device to itself") {
    Cluster cluster({.nprocs = 3, .worker_arguments = {"--resources", "gpu=[3,5],licence=2"}});
    weft::Client client(cluster.address());
    auto uses = client.with({.resources = {{"gpu", 1}}}).map<use_device>(std::vector<int>(12, 20));
    auto without = client.submit<devices_of_nothing>();
    const std::vector<Use> all = client.gather(uses);
    CHECK(without.result().empty());
    for (std::size_t i = 0; i < all.size(); ++i) {
      const std::vector<int>& devices = std::get<0>(all[i]);
      REQUIRE(devices.size() == 1);
      CHECK((devices[0] == 3 || devices[0] == 5));
      CHECK(std::get<1>(all[i]) == std::to_string(devices[0]));
      for (std::size_t j = 0; j < i; ++j)
        CHECK_FALSE((std::get<0>(all[j]) == devices && overlap(all[i], all[j])));
    }
    const Use both = client.with({.resources = {{"gpu", 2}}}).submit<use_device>(1).result();
    CHECK(std::get<0>(both) == std::vector<int>{3, 5});
    CHECK(std::get<1>(both) == "3,5");
    CHECK(weft::this_task::resource("gpu").empty());
  }

  TEST_CASE("tasks that ask for half a device share it, two at once") {
    Cluster cluster({.nprocs = 4, .worker_arguments = {"--resources", "gpu=[0]"}});
    weft::Client client(cluster.address());
    auto uses = client.with({.resources = {{"gpu", 0.5}}}).map<use_device>(std::vector<int>(8, 20));
    const std::vector<Use> all = client.gather(uses);
    for (const Use& use : all) {
      CHECK(std::get<0>(use) == std::vector<int>{0});
      CHECK(std::count_if(all.begin(), all.end(), [&](const Use& other) {
              return std::get<2>(other) <= std::get<2>(use) && std::get<2>(use) < std::get<3>(other);
            }) <= 2);
    }
  }
}

}  // namespace weft::e2e
