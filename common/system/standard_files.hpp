// SPDX-License-Identifier: MIT
// Descriptors 0, 1 and 2, which may be closed, full, or on a stopped terminal.
#pragma once

#include <string_view>

namespace weft {

/// Opens /dev/null for each of 0, 1 and 2 that is closed. Otherwise the next opened file would get that
/// number, and the program's output would go into it.
void open_standard_files() noexcept;

/// Writes `text` to `fd` without blocking. Returns whether all of it was written.
bool write_without_waiting(int fd, std::string_view text) noexcept;

/// Writes a line to stderr without blocking. A line that cannot be written is dropped, and the next one that
/// can be written reports how many were.
void report_line(std::string_view line) noexcept;

}  // namespace weft
