// SPDX-License-Identifier: MIT
#include "common/system/crash_point.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <string>

#include "common/base/check.hpp"

namespace weft::detail {

namespace {

struct CrashPoint {
  std::string name;
  int passes = 1;  // the process is killed at this pass
};

CrashPoint from_environment() {
  const char* value = std::getenv("WEFT_CRASH_AT");
  const std::string_view text = value != nullptr ? value : "";
  CrashPoint wanted{std::string(text.substr(0, text.find(':')))};
  if (const auto colon = text.find(':'); colon != std::string_view::npos) {
    std::from_chars(text.data() + colon + 1, text.data() + text.size(), wanted.passes);
  }
  return wanted;
}

const CrashPoint wanted = from_environment();
std::atomic<int> passed{0};

}  // namespace

const bool crash_wanted = !wanted.name.empty();

void crash_if_named(std::string_view name) {
  WEFT_CHECK(std::find(kCrashPoints.begin(), kCrashPoints.end(), name) != kCrashPoints.end());
  if (name == wanted.name && ++passed == wanted.passes) kill(getpid(), SIGKILL);
}

}  // namespace weft::detail
