// SPDX-License-Identifier: MIT
#include <mutex>

#include "weft/function.hpp"

namespace weft::detail {
namespace {

// A function-local static, so that it exists for the first static initialiser that registers a function.
// Never destroyed, since static destructors of the program may still use it.
struct Table {
  std::mutex mutex;  // a thread may load a plug-in, which registers its functions
  std::vector<RegisteredFunction> functions;
};

Table& table() {
  static auto* const the_table = new Table;
  return *the_table;
}

}  // namespace

std::uint32_t register_function(const RegisteredFunction& function) {
  const std::lock_guard lock(table().mutex);
  table().functions.push_back(function);
  return static_cast<std::uint32_t>(table().functions.size() - 1);
}

std::vector<RegisteredFunction> registered_functions() {
  const std::lock_guard lock(table().mutex);
  return table().functions;
}

}  // namespace weft::detail
