// SPDX-License-Identifier: MIT
// Descriptors 0, 1 and 2 as a process finds them: closed, full, or behind a terminal that is stopped.
#pragma once

#include <string_view>

namespace weft {

/// Opens /dev/null in the place of each of 0, 1 and 2 that is closed. Otherwise the next descriptor that is
/// opened gets that number, and what the program prints goes into it.
void open_standard_files() noexcept;

/// Writes `text` to `fd` as far as that takes it without waiting. Returns whether it took all.
bool write_without_waiting(int fd, std::string_view text) noexcept;

/// Writes a line to stderr, for a thread that must never wait. A line that stderr does not take is dropped,
/// and the next one that it takes says how many were.
void report_line(std::string_view line) noexcept;

}  // namespace weft
