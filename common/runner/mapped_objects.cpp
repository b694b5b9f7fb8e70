// SPDX-License-Identifier: MIT
#include "common/runner/mapped_objects.hpp"

#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>
#include <utility>

namespace weft {

namespace {

// ---- the loader's list ----

struct Loaded {
  std::string path;           // "": the executable
  std::string soname;         // DT_SONAME; "": none
  std::uintptr_t base = 0;    // load bias
  std::uintptr_t mapped = 0;  // an address inside its mapping
};

std::string_view base_name(std::string_view path) { return path.substr(path.rfind('/') + 1); }

std::string soname_of(const dl_phdr_info& info) {
  for (int i = 0; i < info.dlpi_phnum; ++i) {
    const ElfW(Phdr)& header = info.dlpi_phdr[i];
    if (header.p_type != PT_DYNAMIC) continue;
    const char* strings = nullptr;
    const ElfW(Dyn)* name = nullptr;
    for (const auto* entry = reinterpret_cast<const ElfW(Dyn)*>(info.dlpi_addr + header.p_vaddr);
         entry->d_tag != DT_NULL; ++entry) {
      // glibc has relocated these addresses already, except in objects that are read-only.
      if (entry->d_tag == DT_STRTAB) {
        const ElfW(Addr) at = entry->d_un.d_ptr;
        strings = reinterpret_cast<const char*>(at < info.dlpi_addr ? at + info.dlpi_addr : at);
      }
      if (entry->d_tag == DT_SONAME) name = entry;
    }
    if (strings != nullptr && name != nullptr) return strings + name->d_un.d_val;
  }
  return "";
}

/// Calls `visit(info, is_executable)` for each object until it returns true.
template <class Visit>
void visit_objects(Visit visit) {
  struct State {
    Visit& visit;
    bool first = true;
  } state{visit};
  ::dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* data) {
        auto& s = *static_cast<State*>(data);
        return s.visit(*info, std::exchange(s.first, false)) ? 1 : 0;
      },
      &state);
}

std::string_view path_of(const dl_phdr_info& info) { return info.dlpi_name == nullptr ? "" : info.dlpi_name; }

std::vector<Loaded> loaded_objects() {
  std::vector<Loaded> found;
  visit_objects([&](const dl_phdr_info& info, bool is_executable) {
    const std::string_view path = path_of(info);
    if (!is_executable && path.find('/') == std::string_view::npos) return false;  // the kernel's vdso
    Loaded object{is_executable ? "" : std::string(path), soname_of(info), info.dlpi_addr, 0};
    for (int i = info.dlpi_phnum - 1; i >= 0; --i)
      if (info.dlpi_phdr[i].p_type == PT_LOAD) object.mapped = info.dlpi_addr + info.dlpi_phdr[i].p_vaddr;
    found.push_back(std::move(object));
    return false;
  });
  return found;
}

// ---- the kernel's list ----

struct Mapping {
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
  std::string device;  // in the kernel's format
  std::uint64_t inode = 0;
  std::string path;
};

std::string read_text(const char* path) {
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  std::string text;
  char piece[16 << 10];
  for (ssize_t got = 0;
       fd >= 0 && ((got = ::read(fd, piece, sizeof piece)) > 0 || (got < 0 && errno == EINTR));)
    text.append(piece, static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  if (fd >= 0) ::close(fd);
  return text;
}

std::vector<Mapping> mappings() {
  std::vector<Mapping> found;
  const std::string text = read_text("/proc/self/maps");
  for (std::size_t at = 0; at < text.size();) {
    std::size_t end = text.find('\n', at);
    if (end == std::string::npos) end = text.size();
    const std::string line = text.substr(at, end - at);
    at = end + 1;
    unsigned long from = 0;
    unsigned long to = 0;
    unsigned long inode = 0;
    char device[32] = "";
    int size = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx %*4s %*x %31s %lu %n", &from, &to, device, &inode, &size) < 4)
      continue;
    Mapping mapping{from, to, device, inode,
                    line.substr(std::min<std::size_t>(static_cast<std::size_t>(size), line.size()))};
    for (std::size_t escape; (escape = mapping.path.find("\\012")) != std::string::npos;)
      mapping.path.replace(escape, 4, "\n");
    found.push_back(std::move(mapping));
  }
  return found;
}

const Mapping* mapping_at(const std::vector<Mapping>& all, std::uintptr_t address) {
  const auto found = std::find_if(all.begin(), all.end(), [&](const Mapping& mapping) {
    return mapping.begin <= address && address < mapping.end;
  });
  return found == all.end() ? nullptr : &*found;
}

/// Whether `fd` is the file of `mapping`. On overlayfs and btrfs stat() and /proc/self/maps report different
/// numbers, so the file is then mapped too and the two mappings are compared.
bool is_file_of(int fd, const Mapping& mapping) {
  struct stat status {};
  char device[32] = "";
  if (::fstat(fd, &status) != 0) return false;
  std::snprintf(device, sizeof device, "%02x:%02x", major(status.st_dev), minor(status.st_dev));
  if (status.st_ino == mapping.inode && device == mapping.device) return true;
  void* const probe = ::mmap(nullptr, 1, PROT_READ, MAP_PRIVATE, fd, 0);
  if (probe == MAP_FAILED) return false;
  const std::vector<Mapping> all = mappings();
  const Mapping* const same = mapping_at(all, reinterpret_cast<std::uintptr_t>(probe));
  const bool is = same != nullptr && same->inode == mapping.inode && same->device == mapping.device;
  ::munmap(probe, 1);
  return is;
}

/// The path in /proc/self/maps, without the mark of a deleted file.
std::string path_of(const Mapping& mapping) {
  constexpr std::string_view kDeleted = " (deleted)";
  struct stat status {};
  const bool deleted = mapping.path.ends_with(kDeleted) && ::stat(mapping.path.c_str(), &status) != 0;
  return mapping.path.substr(0, mapping.path.size() - (deleted ? kDeleted.size() : 0));
}

/// Avoids descriptors 0, 1 and 2, which may be closed and are left to the program.
int open_file(const char* path) {
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || fd > STDERR_FILENO) return fd;
  const int moved = ::fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  const int error = errno;
  ::close(fd);
  errno = error;
  return moved;
}

/// Opens the file of `mapping` by the first of `paths` that still refers to it. -1: none does.
int open_mapped(const Mapping& mapping, const std::vector<std::string>& paths, int& error) {
  for (const std::string& path : paths) {
    const int fd = open_file(path.c_str());
    if (fd >= 0 && is_file_of(fd, mapping)) return fd;
    error = fd < 0 ? errno : ESTALE;
    if (fd >= 0) ::close(fd);
  }
  // By the mapping itself; needs CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE.
  char link[64];
  std::snprintf(link, sizeof link, "/proc/self/map_files/%lx-%lx", static_cast<unsigned long>(mapping.begin),
                static_cast<unsigned long>(mapping.end));
  return open_file(link);
}

// ---- the program's objects ----

MappedObject open_object(const Loaded& loaded, const Mapping& mapping) {
  const bool is_executable = loaded.path.empty();
  MappedObject object{.path = is_executable ? path_of(mapping) : loaded.path,
                      .name = {},
                      .base = loaded.base,
                      .device = mapping.device,
                      .inode = mapping.inode};
  object.name = base_name(loaded.soname.empty() || is_executable ? object.path : loaded.soname);
  // For a program that was started through the loader, /proc/self/exe is the loader.
  int error = 0;
  object.fd = is_executable ? open_mapped(mapping, {"/proc/self/exe", object.path}, error)
                            : open_mapped(mapping, {path_of(mapping)}, error);
  if (object.fd >= 0 && ::fstat(object.fd, &object.opened) != 0) {
    error = errno;
    ::close(std::exchange(object.fd, -1));
  }
  if (object.fd >= 0) return object;
  object.replaced = error == ESTALE;
  object.fault =
      object.replaced
          ? object.path + " was replaced on disk after this program had loaded it: start the program again"
          : "cannot read " + object.path + ", which has to be sent to the workers: " + std::strerror(error);
  return object;
}

/// Whether the descriptor still refers to the opened file: daemons close all descriptors when they start.
bool is_open(const MappedObject& object) {
  struct stat now {};
  return object.fd >= 0 && ::fstat(object.fd, &now) == 0 && now.st_dev == object.opened.st_dev &&
         now.st_ino == object.opened.st_ino;
}

/// Compares base, path and file, since another library of the same name may have been loaded in the place of
/// a closed one. The inode is 0 for code that a program has moved to anonymous memory (large pages).
bool same_object(const MappedObject& known, const Loaded& loaded, const Mapping& mapping) {
  return known.base == loaded.base && (loaded.path.empty() || known.path == loaded.path) &&
         (mapping.inode == 0 || (known.device == mapping.device && known.inode == mapping.inode));
}

/// All objects opened so far. Never destroyed, since a static Client may still use it.
std::vector<MappedObject>* known_objects = nullptr;

void look(bool at_start) {
  if (known_objects == nullptr) known_objects = new std::vector<MappedObject>;
  const std::vector<Mapping> all = mappings();
  std::vector<MappedObject> found;
  for (const Loaded& loaded : loaded_objects()) {
    const Mapping* const mapping = mapping_at(all, loaded.mapped);
    if (mapping == nullptr && loaded.path.empty()) {
      found.push_back({.path = "/proc/self/maps", .base = loaded.base, .at_start = true});
      found.back().fault = "cannot read /proc/self/maps, which lists the files of this program: mount /proc";
    }
    if (mapping == nullptr) continue;
    if (!loaded.path.empty() && is_system_path(path_of(*mapping))) continue;
    const auto known =
        std::find_if(known_objects->begin(), known_objects->end(),
                     [&](const MappedObject& object) { return same_object(object, loaded, *mapping); });
    if (known != known_objects->end()) {
      found.push_back(std::move(*known));
      MappedObject& object = found.back();
      if (!object.fault.empty() || is_open(object)) continue;
      const MappedObject again = open_object(loaded, *mapping);
      object.fd = again.fd;
      object.fault = again.fault;
      object.replaced = again.replaced;
    } else {
      found.push_back(open_object(loaded, *mapping));
      found.back().at_start = at_start;
    }
  }
  *known_objects = std::move(found);
}

}  // namespace

void open_program_files() noexcept {
  try {
    if (known_objects == nullptr) look(true);
  } catch (...) {
    // Out of memory: own_objects() tries again.
  }
}

std::vector<MappedObject> own_objects() {
  open_program_files();
  look(false);
  return *known_objects;
}

std::uint64_t loader_changes() {
  std::uint64_t changes = 0;
  visit_objects([&](const dl_phdr_info& info, bool) {
    changes = (std::uint64_t{info.dlpi_adds} << 32) + info.dlpi_subs;
    return true;
  });
  return changes;
}

std::string why_changed(const MappedObject& object) {
  if (!object.fault.empty()) return object.fault;
  struct stat now {};
  if (!is_open(object) || ::fstat(object.fd, &now) != 0)
    return "this program has closed the descriptor of " + object.path + ", which weft::Client needs";
  const struct stat& then = object.opened;
  if (now.st_size == then.st_size && now.st_mtim.tv_sec == then.st_mtim.tv_sec &&
      now.st_mtim.tv_nsec == then.st_mtim.tv_nsec)
    return "";
  return object.path +
         " was overwritten on disk after this program had loaded it, and no longer has the code that runs "
         "here: start the program again";
}

std::optional<CodeLocation> locate_code(std::uintptr_t address) {
  std::optional<CodeLocation> found;
  visit_objects([&](const dl_phdr_info& info, bool is_executable) {
    for (int i = 0; i < info.dlpi_phnum; ++i) {
      const ElfW(Phdr)& header = info.dlpi_phdr[i];
      const std::uintptr_t begin = info.dlpi_addr + header.p_vaddr;
      if (header.p_type != PT_LOAD || address < begin || address - begin >= header.p_memsz) continue;
      found = CodeLocation{is_executable ? "" : std::string(path_of(info)), info.dlpi_addr,
                           address - info.dlpi_addr};
    }
    return found.has_value();
  });
  return found;
}

bool has_object(std::string_view path) {
  bool found = false;
  visit_objects([&](const dl_phdr_info& info, bool) { return found = path_of(info) == path; });
  return found;
}

std::string path_of_object(std::string_view name) {
  std::string found;
  visit_objects([&](const dl_phdr_info& info, bool is_executable) {
    if (!is_executable && (soname_of(info) == name || base_name(path_of(info)) == name))
      found = path_of(info);
    return !found.empty();
  });
  return found;
}

bool is_system_path(std::string_view path) {
  static constexpr std::array<std::string_view, 10> kDirectories = {
      "/lib/",     "/lib32/",     "/lib64/",     "/libx32/",     "/libexec/",
      "/usr/lib/", "/usr/lib32/", "/usr/lib64/", "/usr/libx32/", "/usr/libexec/"};
  return std::any_of(kDirectories.begin(), kDirectories.end(),
                     [&](std::string_view directory) { return path.starts_with(directory); });
}

}  // namespace weft
