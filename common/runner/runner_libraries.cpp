// SPDX-License-Identifier: MIT
#include "common/runner/runner_libraries.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <vector>

#include "common/runner/runner_loop.hpp"
#include "common/runner/shipped_library.hpp"

namespace weft::runner {

namespace {

struct Library {
  std::string name;
  char role;
  std::string path;  // of its descriptor
};

/// The content of WEFT_LIBRARIES. Never destroyed.
std::vector<Library>* the_libraries = nullptr;

std::vector<Library> parse(std::string_view text) {
  std::vector<Library> found;
  while (!text.empty()) {
    const std::string_view entry = text.substr(0, text.find('/'));
    text.remove_prefix(std::min(text.size(), entry.size() + 1));
    const std::string path =
        kLibraryDirectory + std::to_string(kFirstLibraryFd + static_cast<int>(found.size()));
    const bool has_tail = entry.size() > kNameTailBytes && entry[entry.size() - kNameTailBytes] == kRoleMark;
    found.push_back({std::string(entry.substr(0, entry.size() - (has_tail ? kNameTailBytes : 0))),
                     has_tail ? entry[entry.size() - kNameTailBytes + 1] : kRolePlugin, path});
  }
  return found;
}

/// The value of an entry "NAME=value", or null.
char* value_of(char* entry, std::string_view name) {
  return std::strncmp(entry, name.data(), name.size()) == 0 && entry[name.size()] == '='
             ? entry + name.size() + 1
             : nullptr;
}

/// Removes the first element (up to a colon) of `value`, which the worker has added. Returns true, with
/// `value` unchanged, if it is the only element.
bool drop_first(char* value) {
  char* const rest = std::strchr(value, ':');
  if (rest == nullptr) return true;
  std::memmove(value, rest + 1, std::strlen(rest + 1) + 1);
  return false;
}

/// Ends the process if the loader has loaded another file for `library`. A library that is not loaded is not
/// an error: the client may have loaded it by LD_PRELOAD.
void require_shipped(const Library& library) {
  if (has_object(library.path)) return;
  const std::string other = path_of_object(library.name);
  if (other.empty()) return;
  const std::string text = "weft runner: the shipped library " + library.name + " was loaded from " + other +
                           " instead of the copy from the client: the loader "
                           "of this program does not support LD_AUDIT (rtld-audit(7))\n";
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text.data(), text.size());
  _exit(kExitLibraries);
}

}  // namespace

void take_libraries(char** environment) {
  const char* names = nullptr;
  char** keep = environment;
  for (char** entry = environment; *entry != nullptr; ++entry)
    if (const char* value = value_of(*entry, kLibrariesVariable)) names = value;
  if (names == nullptr) return;
  for (char** entry = environment; *entry != nullptr; ++entry) {
    char* const audit = value_of(*entry, "LD_AUDIT");
    char* const tunables = value_of(*entry, "GLIBC_TUNABLES");
    const bool is_ours =
        tunables != nullptr && std::strncmp(tunables, kTlsTunable, std::strlen(kTlsTunable)) == 0;
    if (value_of(*entry, kLibrariesVariable) != nullptr) continue;
    if (audit != nullptr && drop_first(audit)) continue;
    if (is_ours && drop_first(tunables)) continue;
    *keep++ = *entry;
  }
  *keep = nullptr;

  the_libraries = new std::vector<Library>(parse(names));
  ::close(kLoaderFd);
  for (std::size_t i = 0; i < the_libraries->size(); ++i) {
    const Library& library = (*the_libraries)[i];
    ::fcntl(kFirstLibraryFd + static_cast<int>(i), F_SETFD, FD_CLOEXEC);
    if (library.role == kRoleLinked) require_shipped(library);
  }
}

void open_plugins() {
  if (the_libraries == nullptr) return;
  for (const Library& library : *the_libraries) {
    if (library.role != kRolePluginWithTasks) continue;
    if (::dlopen(library.path.c_str(), RTLD_NOW | RTLD_LOCAL) == nullptr)
      std::fprintf(stderr, "weft runner: the plug-in %s of the program cannot be opened: %s\n",
                   library.name.c_str(), ::dlerror());
  }
}

std::string object_of(const CodeLocation& where) {
  if (where.path.empty()) return "";
  for (std::size_t i = 0; the_libraries != nullptr && i < the_libraries->size(); ++i)
    if ((*the_libraries)[i].path == where.path) return std::to_string(i);
  return where.path.substr(where.path.rfind('/') + 1);
}

}  // namespace weft::runner
