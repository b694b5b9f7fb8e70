// SPDX-License-Identifier: MIT
#include "client/cli/cache_command.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <ranges>
#include <vector>

#include "common/system/program_cache.hpp"

namespace weft::client {

namespace {

std::string count_text(const std::vector<CachedFile>& files) {
  std::uint64_t bytes = 0;
  for (const CachedFile& file : files) bytes += file.bytes;
  return fmt::format("{} {}, {:.1f} MiB", files.size(), files.size() == 1 ? "file" : "files",
                     static_cast<double>(bytes) / (1 << 20));
}

std::string time_text(const CachedFile& file) {
  const auto wall = std::chrono::file_clock::to_sys(file.used);
  const std::time_t seconds = std::chrono::system_clock::to_time_t(
      std::chrono::time_point_cast<std::chrono::system_clock::duration>(wall));
  std::tm parts{};
  localtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M", &parts);
  return text;
}

}  // namespace

std::string cache_list_text(const std::string& directory) {
  const std::vector<CachedFile> files = cached_files(directory);
  std::string out = fmt::format("{}: {}\n", directory, count_text(files));
  std::size_t width = 0;
  for (const CachedFile& file : files) width = std::max(width, file.name.size());
  for (const CachedFile& file : std::views::reverse(files)) {
    const char* note = file.in_use ? "  in use" : file.old_build ? "  old build" : "";
    out +=
        fmt::format("  {:16.16}  {:{}}  {:>8.1f} MiB  {}{}\n", file.hash, file.name.empty() ? "?" : file.name,
                    width, static_cast<double>(file.bytes) / (1 << 20), time_text(file), note);
  }
  return out;
}

std::string clear_cache(const std::string& directory) {
  remove_leftovers(directory);
  const std::vector<CachedFile> removed = trim_cache(directory, 0);
  std::string out = fmt::format("{}: removed {}\n", directory, count_text(removed));
  if (const std::vector<CachedFile> left = cached_files(directory); !left.empty())
    out += fmt::format("workers use {}\n", count_text(left));
  return out;
}

}  // namespace weft::client
