// SPDX-License-Identifier: MIT
#include "tests/e2e/programs/shipping/functions.hpp"

static std::string name(int) { return "first"; }

std::string submit_from_first(weft::Client& client) {
  auto one = client.submit([](int) { return std::string("first-1"); }, 0);
  auto two = client.submit([](int) { return std::string("first-2"); }, 0);
  return client.submit<name>(0).result() + " " + one.result() + " " + two.result();
}
