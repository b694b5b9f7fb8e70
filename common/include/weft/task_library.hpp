// SPDX-License-Identifier: MIT
// For task libraries: shared objects whose functions are called by name.
//
//   #include <weft/task_library.hpp>
//   long add(long a, long b) { return a + b; }
//   WEFT_TASK(add, add)              // or WEFT_TASK("sums/add", add)
//
// Build the file as a shared library with the CMake target weft::task_library (headers only). A client calls
// the task with client.call<long>("add", 1L, 2L). The types of the call must be exactly those of the
// function: the runner compares their signatures. Include this header only in task libraries, since it
// defines the exported symbol. All other symbols are hidden, so that libraries in one runner do not
// interfere.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "weft/detail/exception_text.hpp"
#include "weft/function.hpp"
#include "weft/task_abi.h"
#include "weft/this_task.hpp"

#define WEFT_HIDDEN __attribute__((visibility("hidden")))

namespace weft::detail {

/// The tasks of this shared object. Hidden: the static variable of an exported inline function would be
/// shared by all libraries of a process.
WEFT_HIDDEN inline std::vector<weft_task_entry>& library_tasks() {
  static std::vector<weft_task_entry> tasks;
  return tasks;
}

/// C is a Call<f>.
template <class C>
WEFT_HIDDEN void invoke_in_library(const weft_task_entry*, const weft_task_call* call) noexcept {
  try {
    const ByteBuffer result = C::invoke(std::string_view(call->arguments, call->arguments_size));
    call->result(call, result.data(), result.size());
  } catch (...) {
    const ExceptionText text = current_exception_text();
    call->error(call, text.type.c_str(), text.message.c_str());
  }
}

/// `name` as written in WEFT_TASK: an identifier or a string literal.
template <class C>
WEFT_HIDDEN bool add_library_task(std::string_view name) {
  if (name.size() >= 2 && name.front() == '"') name = name.substr(1, name.size() - 2);
  // Never freed, since the table refers to both strings until the process ends.
  const auto* kept_name = new std::string(name);
  const auto* kept_signature = new std::string(C::signature());
  library_tasks().push_back({kept_name->c_str(), kept_signature->c_str(), &invoke_in_library<C>, nullptr});
  return true;
}

/// The table that the exported function returns; complete once the library is loaded.
WEFT_HIDDEN inline const weft_task_library& library_table() {
  static weft_task_library table{WEFT_TASK_ABI_VERSION, 0, nullptr};
  table.count = static_cast<std::uint32_t>(library_tasks().size());
  table.entries = library_tasks().data();
  return table;
}

}  // namespace weft::detail

/// The only exported symbol of a task library.
extern "C" __attribute__((visibility("default"), used)) inline const weft_task_library*
weft_task_library_v1() {
  return &weft::detail::library_table();
}

#define WEFT_TASK_JOIN_(a, b) a##b
#define WEFT_TASK_JOIN(a, b) WEFT_TASK_JOIN_(a, b)

/// Registers `function` under `name`, an identifier or a string literal. Use at namespace scope, once for
/// each task; the function may be static.
#define WEFT_TASK(name, ...)                                                              \
  [[maybe_unused]] static const bool WEFT_TASK_JOIN(weft_task_registered_, __COUNTER__) = \
      ::weft::detail::add_library_task<::weft::detail::Call<__VA_ARGS__>>(#name);
