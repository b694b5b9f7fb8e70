// SPDX-License-Identifier: MIT
// The mapped code of this process: its executable and shared objects. Runners must get the bytes that the
// kernel has mapped here, and files on disk may be replaced at any time, so the files are opened before their
// paths can refer to others.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weft {

/// The executable, or a shared object of the program, as opposed to one of the system.
struct MappedObject {
  std::string path;         // as requested from the loader; for the executable, its location
  std::string name;         // that the loader searches for: DT_SONAME, or the name of the file
  std::uintptr_t base = 0;  // load bias of its addresses
  std::string device;       // of its file, as in /proc/self/maps
  std::uint64_t inode = 0;
  bool at_start = false;  // loaded before the first initialiser ran, and not by dlopen()
  int fd = -1;            // open as long as the process lives; -1: see `fault`
  struct stat opened {};  // its status when it was opened
  std::string fault;      // why its bytes are not available
  bool replaced = false;  // `fault` is that another file is at its path
};

/// Opens the executable and the libraries that are mapped now. Called once, before any initialiser runs, and
/// not in a runner. Does not throw: an object that cannot be opened has a `fault`.
void open_program_files() noexcept;

/// The executable, then the shared objects in the order of the loader, including those loaded by dlopen()
/// since. Calls open_program_files() if it has not been called. Calls must be serialised by the caller.
std::vector<MappedObject> own_objects();

/// A number that changes whenever libraries are opened or closed.
std::uint64_t loader_changes();

/// "" while the file of `object` still has the bytes that it had when it was opened; otherwise a sentence
/// that says what has changed.
std::string why_changed(const MappedObject& object);

/// The location of code.
struct CodeLocation {
  std::string path;  // of its object, as known to the loader; "": the executable
  std::uintptr_t base = 0;
  std::uintptr_t offset = 0;  // in its object
};
/// nullopt: the address is in no mapped object.
std::optional<CodeLocation> locate_code(std::uintptr_t address);

/// Whether an object is loaded that was requested by exactly this path.
bool has_object(std::string_view path);
/// The path of a loaded object with this name (DT_SONAME or file name); "": none.
std::string path_of_object(std::string_view name);

/// Whether the shared object at real path `path` belongs to the system, and so is not shipped.
bool is_system_path(std::string_view path);

}  // namespace weft
