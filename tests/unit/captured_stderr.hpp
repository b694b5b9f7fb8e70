// SPDX-License-Identifier: MIT
// CapturedStderr: captures what this process prints on stderr during the object's lifetime.
#pragma once

#include <string>

namespace weft::client::test {

class CapturedStderr {
 public:
  CapturedStderr();
  ~CapturedStderr();
  CapturedStderr(const CapturedStderr&) = delete;
  CapturedStderr& operator=(const CapturedStderr&) = delete;

  std::string text() const;
  /// Waits for at most ten seconds.
  bool eventually_has(const std::string& part) const;
  std::size_t count(const std::string& part) const;

 private:
  int file_;
  int before_;
};

}  // namespace weft::client::test
