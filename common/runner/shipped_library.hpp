// SPDX-License-Identifier: MIT
// How shipped libraries are named, and how a runner's loader finds them. FileRef's `name` is for example
//
//   libanswer.so.1@l00f3a1...
//
// that is, the name that the loader searches for, '@', the role, and a hash of the path by which the program
// had opened the library (16 hexadecimal digits).
//
// A runner finds the libraries in inherited descriptors, from kFirstLibraryFd on, in the order of
// WEFT_LIBRARIES="name/name/...", a variable that is removed before any initialiser runs. The separator is a
// slash, since no file name contains one.
//
// This file is also compiled into the auditor (worker/loader/), which has no C library, so it includes
// nothing that needs one.
#pragma once

#include <cstddef>
#include <cstdint>

namespace weft {

inline constexpr const char* kLibrariesVariable = "WEFT_LIBRARIES";
inline constexpr int kLoaderFd = 6;  // in the runner: the auditor
inline constexpr int kFirstLibraryFd = 7;
inline constexpr const char* kLoaderPath = "/proc/self/fd/6";
inline constexpr const char* kLibraryDirectory = "/proc/self/fd/";

/// With an auditor, the loader allocates the thread-local memory of the initial libraries from its surplus.
/// Where that is too small, this requests more, in front of any existing GLIBC_TUNABLES.
inline constexpr const char* kTlsTunable = "glibc.rtld.optional_static_tls=2097152";

inline constexpr char kRoleMark = '@';
inline constexpr char kRoleLinked = 'l';  // loaded when the program starts
inline constexpr char kRolePlugin = 'p';  // opened by dlopen() later
// a plug-in whose functions are submitted, so the runner opens it
inline constexpr char kRolePluginWithTasks = 't';
inline constexpr std::size_t kPathHashDigits = 16;
inline constexpr std::size_t kNameTailBytes = 2 + kPathHashDigits;

/// FNV-1a hash of a path that the loader is asked for.
constexpr std::uint64_t hash_of_path(const char* path, std::size_t size) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (std::size_t i = 0; i < size; ++i) hash = (hash ^ static_cast<unsigned char>(path[i])) * 0x100000001b3;
  return hash;
}

}  // namespace weft
