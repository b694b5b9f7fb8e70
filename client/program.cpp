// SPDX-License-Identifier: MIT
#include "client/program.hpp"

#include <fcntl.h>
#include <link.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <system_error>

#include "common/hash.hpp"
#include "weft/error.hpp"

namespace weft::client {

namespace {

struct Loaded {
  std::string path;
  std::string name;
};

/// DT_SONAME of a loaded object, or null.
const char* soname_of(const dl_phdr_info& info) {
  for (int i = 0; i < info.dlpi_phnum; ++i) {
    const ElfW(Phdr)& header = info.dlpi_phdr[i];
    if (header.p_type != PT_DYNAMIC) continue;
    const char* strings = nullptr;
    const ElfW(Dyn)* name = nullptr;
    for (const auto* entry = reinterpret_cast<const ElfW(Dyn)*>(info.dlpi_addr + header.p_vaddr);
         entry->d_tag != DT_NULL; ++entry) {
      // glibc has relocated the addresses in here already, except in objects that it cannot write to.
      if (entry->d_tag == DT_STRTAB) {
        const ElfW(Addr) at = entry->d_un.d_ptr;
        strings = reinterpret_cast<const char*>(at < info.dlpi_addr ? at + info.dlpi_addr : at);
      }
      if (entry->d_tag == DT_SONAME) name = entry;
    }
    if (strings != nullptr && name != nullptr) return strings + name->d_un.d_val;
  }
  return nullptr;
}

/// Every shared object of this process that has a file and is not the system's.
std::vector<Loaded> loaded_objects() {
  std::vector<Loaded> found;
  ::dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* out) {
        const std::string path = info->dlpi_name == nullptr ? "" : info->dlpi_name;
        if (path.find('/') == std::string::npos) return 0;  // the program itself, or the vdso
        char real[PATH_MAX];
        const std::string resolved = ::realpath(path.c_str(), real) != nullptr ? real : path;
        if (is_system_path(resolved)) return 0;
        static_cast<std::vector<Loaded>*>(out)->push_back({path, loader_name(path, soname_of(*info))});
        return 0;
      },
      &found);
  return found;
}

}  // namespace

bool is_system_path(const std::string& path) {
  static constexpr std::array<std::string_view, 10> kFolders = {
      "/lib/",     "/lib32/",     "/lib64/",     "/libx32/",     "/libexec/",
      "/usr/lib/", "/usr/lib32/", "/usr/lib64/", "/usr/libx32/", "/usr/libexec/"};
  return std::any_of(kFolders.begin(), kFolders.end(),
                     [&](std::string_view folder) { return path.starts_with(folder); });
}

std::string loader_name(const std::string& path, const char* soname) {
  const std::string name = soname != nullptr && *soname != '\0' ? soname : path;
  return name.substr(name.rfind('/') + 1);
}

const Program& Program::current() {
  static const Program* const one = new Program;  // never destroyed: a static Client still serves it
  return *one;
}

Program::Program() {
  char path[PATH_MAX];
  const ssize_t size = ::readlink("/proc/self/exe", path, sizeof path - 1);
  std::string name(path, size > 0 ? static_cast<std::size_t>(size) : 0);
  if (name.ends_with(" (deleted)")) name.resize(name.size() - std::strlen(" (deleted)"));
  executable_ = add("/proc/self/exe", name.substr(name.rfind('/') + 1));
  for (Loaded& object : loaded_objects()) libraries_.push_back(add(object.path, std::move(object.name)));
}

wire::FileRef Program::add(const std::string& path, std::string name) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat status {};
  if (fd < 0 || ::fstat(fd, &status) != 0) {
    const std::string reason = std::strerror(errno);
    if (fd >= 0) ::close(fd);
    throw Error("cannot read " + path + " (" + name + "), which has to travel to the workers: " + reason);
  }
  wire::FileRef file{.name = std::move(name), .id = {}, .size = static_cast<std::uint64_t>(status.st_size)};
  try {
    file.id = hash_of_file(fd);
  } catch (const std::system_error& error) {
    ::close(fd);
    throw Error("cannot read " + path + ", which has to travel to the workers: " + error.what());
  }
  if (!files_.try_emplace(file.id, fd).second) ::close(fd);
  return file;
}

std::optional<Bytes> Program::read(const BlobId& id, std::uint64_t offset, std::uint32_t bytes) const {
  const auto it = files_.find(id);
  if (it == files_.end()) return std::nullopt;
  std::string text(std::min<std::size_t>(bytes, wire::kChunkBytes), '\0');
  std::size_t filled = 0;
  while (filled < text.size()) {
    const ssize_t got =
        ::pread(it->second, text.data() + filled, text.size() - filled, static_cast<off_t>(offset + filled));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    filled += static_cast<std::size_t>(got);
  }
  if (filled == 0) return std::nullopt;
  return Bytes(std::string_view(text).substr(0, filled));
}

}  // namespace weft::client
