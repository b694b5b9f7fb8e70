// SPDX-License-Identifier: MIT
#include <mutex>

#include "weft/function.hpp"

namespace weft::detail {
namespace {

// Function-local, so that it is there for whichever static initialiser comes first. Never destroyed:
// static destructors of the program may still look.
struct Table {
  std::mutex mutex;  // a program may load a plugin, with functions of its own, from a thread
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
