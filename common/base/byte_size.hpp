// SPDX-License-Identifier: MIT
// Parses and formats sizes in bytes, for command lines and messages.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace weft {

/// Parses "2G", "512M", "1.5GiB", "1000000"; K, M, G and T are powers of 1024. nullopt: malformed.
std::optional<std::uint64_t> parse_bytes(std::string_view text);
/// Formats as "2.0 GiB".
std::string format_bytes(std::uint64_t bytes);

}  // namespace weft
