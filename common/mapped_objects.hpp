// SPDX-License-Identifier: MIT
// The code of this process as it is mapped: its executable and its shared objects. Files may be replaced at
// any time; what counts is what the kernel has mapped, which is opened before a path can mean another file.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weft {

/// The executable, or a shared object that belongs to the program and not to the system.
struct MappedObject {
  std::string path;         // as the loader was asked for it; of the executable: where it was
  std::string name;         // that the loader looks for: DT_SONAME, else the file's name
  std::uintptr_t base = 0;  // what is added to its addresses
  std::string device;       // of its file, as the kernel lists them
  std::uint64_t inode = 0;
  bool at_start = false;  // it was there before the first initialiser ran; else it was opened by dlopen()
  int fd = -1;            // open for the life of the process; -1: see `fault`
  struct stat opened {};  // as it was when it was opened
  std::string fault;      // why its bytes cannot be had
  bool replaced = false;  // because another file stands at its path
};

/// Opens the executable and the libraries that are mapped now. Called once, before any initialiser runs, and
/// not in a runner. Throws nothing; what cannot be opened has a `fault`.
void open_program_files() noexcept;

/// The executable first, then the shared objects in the order of the loader, with those that dlopen() has
/// brought since. Those of the start are opened now when open_program_files() was never called. Serialised by
/// the caller.
std::vector<MappedObject> own_objects();

/// Differs from what it was when libraries were opened or closed since.
std::uint64_t loader_changes();

/// "" while the file behind `object` has the bytes that it had when it was opened, else a sentence.
std::string why_changed(const MappedObject& object);

/// Where code is.
struct CodeLocation {
  std::string path;  // of its object as the loader knows it; "": the executable
  std::uintptr_t base = 0;
  std::uintptr_t offset = 0;  // in its object
};
/// nullopt: in no object.
std::optional<CodeLocation> locate_code(std::uintptr_t address);

/// Whether the loader has an object that it was asked for by this very path.
bool has_object(std::string_view path);
/// The path of a mapped object that is called `name` (DT_SONAME, or the file's name); "": there is none.
std::string path_of_object(std::string_view name);

/// Whether the shared object at real path `path` belongs to the system, and so does not travel.
bool is_system_path(std::string_view path);

}  // namespace weft
