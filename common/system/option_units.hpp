// SPDX-License-Identifier: MIT
// Sizes and times as values of command line options, with the same units and the same complaint everywhere.
#pragma once

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <string>

#include "common/base/quantity.hpp"

namespace weft {

/// For transform(): the variable gets seconds.
inline CLI::Validator as_seconds(double least, double most) {
  return CLI::Validator(
      [least, most](std::string& text) {
        const auto seconds = parse_seconds(text);
        if (!seconds) return "'" + text + "' is not a time: write for example 500ms, 90s, 10m, 2h or 7d";
        if (*seconds < least || *seconds > most) {
          return fmt::format("'{}' is not between {} s and {} s", text, least, most);
        }
        text = fmt::format("{}", *seconds);
        return std::string();
      },
      "TIME");
}

/// For transform(): the variable gets bytes.
inline CLI::Validator as_bytes() {
  return CLI::Validator(
      [](std::string& text) {
        const auto bytes = parse_bytes(text);
        if (!bytes) return "'" + text + "' is not a size: write for example 500M or 2G";
        text = fmt::format("{}", *bytes);
        return std::string();
      },
      "SIZE");
}

}  // namespace weft
