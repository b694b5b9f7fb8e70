// SPDX-License-Identifier: MIT
// Functions that are hard to tell apart, and that a runner registers in another order than the client: the
// client's static initialisers submit some of them before main, a runner's do not.
#include "tests/e2e/programs/shipping/functions.hpp"

#include <cstdio>
#include <cstdlib>

namespace {

std::string before_main(int) { return "before main"; }

struct Early {
  Early() {
    if (weft::in_runner() || std::getenv("WEFT_BROKER") == nullptr) return;
    weft::Client client;
    text = client.submit<before_main>(0).result() + ", " + submit_from_second(client);
  }
  std::string text;
};
const Early early;

}  // namespace

int main() {
  try {
    weft::Client client;
    std::printf("%s, %s, %s\n", early.text.c_str(), submit_from_first(client).c_str(),
                submit_from_second(client).c_str());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
