// SPDX-License-Identifier: MIT
// How a program's own libraries are called on their way, and what a runner's loader is told of them. In
// FileRef's `name`:
//
//   libanswer.so.1@l00f3a1...   the name that the loader looks for, '@', the role, a hash of the path by
//   which
//                               the program had opened it (16 hexadecimal digits)
//
// A runner finds them in descriptors that it inherits, the first in kFirstLibraryFd, in the order of
// WEFT_LIBRARIES="name/name/...", a variable that goes before any initialiser runs. No file name has a slash.
//
// This file is also compiled into the loader's part (worker/loader/), which has no C library: it includes
// nothing that needs one.
#pragma once

#include <cstddef>
#include <cstdint>

namespace weft {

inline constexpr const char* kLibrariesVariable = "WEFT_LIBRARIES";
inline constexpr int kLoaderFd = 6;  // in the runner: what LD_AUDIT names
inline constexpr int kFirstLibraryFd = 7;
inline constexpr const char* kLoaderPath = "/proc/self/fd/6";
inline constexpr const char* kLibraryDirectory = "/proc/self/fd/";

/// A loader that audits gives the libraries of the start their thread-local memory from what is spare. Where
/// that is too little, more is asked for by this, in front of what GLIBC_TUNABLES has already.
inline constexpr const char* kTlsTunable = "glibc.rtld.optional_static_tls=2097152";

inline constexpr char kRoleMark = '@';
inline constexpr char kRoleLinked = 'l';           // there when the program starts
inline constexpr char kRolePlugin = 'p';           // opened later
inline constexpr char kRolePluginWithTasks = 't';  // and its functions are submitted: the runner opens it
inline constexpr std::size_t kPathHashDigits = 16;
inline constexpr std::size_t kNameTailBytes = 2 + kPathHashDigits;

/// FNV-1a, of what the loader is asked for.
constexpr std::uint64_t hash_of_path(const char* path, std::size_t size) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (std::size_t i = 0; i < size; ++i) hash = (hash ^ static_cast<unsigned char>(path[i])) * 0x100000001b3;
  return hash;
}

}  // namespace weft
