// SPDX-License-Identifier: MIT
#include "tests/support/temp_directory.hpp"

#include <cstdlib>
#include <stdexcept>
#include <system_error>

namespace weft::support {

namespace fs = std::filesystem;

TempDirectory::TempDirectory() {
  std::string name = (fs::temp_directory_path() / "weft-test-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot make a temporary directory: " + name);
  path_ = name;
}

TempDirectory::~TempDirectory() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

}  // namespace weft::support
