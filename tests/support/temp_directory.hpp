// SPDX-License-Identifier: MIT
// TempDirectory: a new directory of a test.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace weft::support {

/// The destructor removes the directory and its contents.
class TempDirectory {
 public:
  TempDirectory();
  ~TempDirectory();
  TempDirectory(const TempDirectory&) = delete;
  TempDirectory& operator=(const TempDirectory&) = delete;

  const std::filesystem::path& path() const { return path_; }
  /// The path of an entry, which need not exist.
  std::string operator/(std::string_view name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

}  // namespace weft::support
