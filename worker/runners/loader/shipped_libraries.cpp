// SPDX-License-Identifier: MIT
// Auditor for the loader of runners (LD_AUDIT, rtld-audit(7)): wherever the loader searches for a library, by
// DT_NEEDED or dlopen(), it takes the one that the client has shipped, from the descriptor that holds its
// verified bytes. DT_RPATH, DT_RUNPATH, LD_LIBRARY_PATH and the host's own copies come after that, and
// symbols are searched in the client's order. The reasons are in client/SHIPPING.md.
//
// A shared object without a C library, embedded in weft-worker: an auditor lives in a separate link
// namespace, and would bring a second C library into each runner.
#include "common/runner/shipped_library.hpp"

namespace {

using namespace weft;

constexpr unsigned kAskedFor = 1;  // LA_SER_ORIG: the name as requested, before any directory is tried

const char* names = nullptr;  // the value of WEFT_LIBRARIES
bool started = false;         // all libraries that the program is linked with are loaded

struct Text {
  const char* begin;
  std::size_t size;
};

Text text_of(const char* zero_terminated) {
  std::size_t size = 0;
  while (zero_terminated[size] != '\0') ++size;
  return {zero_terminated, size};
}

bool same(const Text& a, const Text& b) {
  if (a.size != b.size) return false;
  for (std::size_t i = 0; i < a.size; ++i)
    if (a.begin[i] != b.begin[i]) return false;
  return true;
}

bool has(const Text& text, char wanted) {
  for (std::size_t i = 0; i < text.size; ++i)
    if (text.begin[i] == wanted) return true;
  return false;
}

Text base_of(const Text& path) {
  std::size_t begin = path.size;
  while (begin > 0 && path.begin[begin - 1] != '/') --begin;
  return {path.begin + begin, path.size - begin};
}

std::uint64_t number_of(const char* digits) {
  std::uint64_t number = 0;
  for (std::size_t i = 0; i < kPathHashDigits; ++i) {
    const char digit = digits[i];
    number = number * 16 + static_cast<std::uint64_t>(digit >= 'a' ? digit - 'a' + 10 : digit - '0');
  }
  return number;
}

/// The index of the shipped library that `wanted` refers to; -1: none.
int find(const Text& wanted) {
  const bool is_path = has(wanted, '/');
  // $ORIGIN and similar tokens refer to a directory on the client's host.
  const Text name = is_path && has(wanted, '$') ? base_of(wanted) : wanted;
  const std::uint64_t hash = hash_of_path(wanted.begin, wanted.size);
  int index = 0;
  for (const char* at = names; *at != '\0'; ++index) {
    Text entry{at, 0};
    while (at[entry.size] != '\0' && at[entry.size] != '/') ++entry.size;
    at += entry.size + (at[entry.size] == '/' ? 1 : 0);
    if (entry.size <= kNameTailBytes) continue;
    const Text known{entry.begin, entry.size - kNameTailBytes};
    const char* const digits = known.begin + known.size + 2;
    const bool by_path = is_path && number_of(digits) == hash;
    // A DT_NEEDED entry of that name never refers to a plug-in.
    const bool may_be_meant = started || known.begin[known.size + 1] == kRoleLinked;
    const bool by_name = may_be_meant && !has(name, '/') && same(known, name);
    if (by_path || by_name) return index;
  }
  return -1;
}

/// "/proc/self/fd/N" for a library. The loader keeps no pointer to it.
char* path_of(int index) {
  static char path[32];
  std::size_t size = 0;
  for (const char* from = kLibraryDirectory; *from != '\0'; ++from) path[size++] = *from;
  char digits[12];
  std::size_t count = 0;
  for (int number = kFirstLibraryFd + index; number > 0; number /= 10)
    digits[count++] = static_cast<char>('0' + number % 10);
  while (count > 0) path[size++] = digits[--count];
  path[size] = '\0';
  return path;
}

[[gnu::constructor]] void find_names(int, char**, char** environment) {
  const Text wanted = text_of(kLibrariesVariable);
  for (char** entry = environment; *entry != nullptr; ++entry) {
    std::size_t i = 0;
    while (i < wanted.size && (*entry)[i] == wanted.begin[i]) ++i;
    if (i == wanted.size && (*entry)[i] == '=') names = *entry + i + 1;
  }
}

}  // namespace

extern "C" {

[[gnu::visibility("default")]] unsigned la_version(unsigned version) { return version; }

[[gnu::visibility("default")]] void la_preinit(std::uintptr_t*) { started = true; }

[[gnu::visibility("default")]] char* la_objsearch(const char* name, std::uintptr_t*, unsigned flag) {
  const int index = flag == kAskedFor && names != nullptr ? find(text_of(name)) : -1;
  return index < 0 ? const_cast<char*>(name) : path_of(index);
}
}
