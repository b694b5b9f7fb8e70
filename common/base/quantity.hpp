// SPDX-License-Identifier: MIT
// Sizes and times as people write them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace weft {

/// Parses "2G", "512M", "1.5GiB", "1000000"; K, M, G and T are powers of 1024. nullopt: malformed, or 0.
std::optional<std::uint64_t> parse_bytes(std::string_view text);
/// Formats as "2.0 GiB".
std::string format_bytes(std::uint64_t bytes);

/// Parses "500ms", "90s", "1.5h", "7d" and "90" (seconds) to seconds. nullopt: malformed or negative.
std::optional<double> parse_seconds(std::string_view text);

}  // namespace weft
