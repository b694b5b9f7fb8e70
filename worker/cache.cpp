// SPDX-License-Identifier: MIT
#include "worker/cache.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <vector>

#include "common/hash.hpp"
#include "common/private_directory.hpp"

namespace weft::worker {

namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t kBytesMax = 10ULL << 30;  // or half of what is free

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

Fd make_memfd(const std::string& name) {
  // Newer kernels want to be told that it will be executed, older ones do not know the flag.
  int fd = memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
  if (fd < 0 && errno == EINVAL) fd = memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING);
  return checked(fd, "cannot make memory for " + name);
}

}  // namespace

std::string default_cache_directory() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  if (cache && *cache == '/') return std::string(cache) + "/weft";
  const char* home = std::getenv("HOME");
  if (home && *home == '/' && access(home, W_OK) == 0) return std::string(home) + "/.cache/weft";
  return fmt::format("/tmp/weft-cache-{}", getuid());
}

Fd sealed_copy(int fd, std::uint64_t size, const std::string& name, BlobId& id) {
  Fd memory = make_memfd(name);
  Hasher hasher;
  std::string buffer(1 << 20, '\0');
  std::uint64_t offset = 0;
  while (offset < size) {
    const std::size_t want = std::min<std::uint64_t>(buffer.size(), size - offset);
    const ssize_t got = pread(fd, buffer.data(), want, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw std::system_error(errno, std::system_category(), "cannot read " + name);
    if (got == 0) break;  // shorter than it should be: the hash will say so
    const std::string_view piece(buffer.data(), static_cast<std::size_t>(got));
    hasher.add(piece);
    write_all_at(memory.get(), piece, static_cast<off_t>(offset));
    offset += piece.size();
  }
  if (fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0) {
    throw std::system_error(errno, std::system_category(), "cannot seal " + name);
  }
  id = hasher.finish();
  return memory;
}

Cache::Part& Cache::Part::operator=(Part&& other) noexcept {
  abandon();
  path_ = std::move(other.path_);
  fd_ = std::move(other.fd_);
  return *this;
}

void Cache::Part::abandon() {
  if (fd_) unlink(path_.c_str());
  fd_.reset();
}

Cache::Cache(const std::string& directory) : blobs_(directory + "/blobs") {
  for (const std::string& path : {directory, blobs_, directory + "/run"}) {
    require_private_directory(path, "choose another --local-directory");
  }
  make_run_directory(directory + "/run");
}

Cache::~Cache() {
  std::error_code ignored;
  fs::remove_all(run_directory_, ignored);
}

void Cache::make_run_directory(const std::string& runs) {
  std::error_code ignored;
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(runs, ignored)) found.push_back(entry.path());
  for (const fs::path& path : found) {
    const Fd lock(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (lock && flock(lock.get(), LOCK_EX | LOCK_NB) == 0)
      fs::remove_all(path, ignored);  // its worker is dead
  }
  // Between its making and its lock another worker may take it for a dead one's: then it is made again.
  for (int attempt = 0; attempt < 10; ++attempt) {
    run_directory_ = fmt::format("{}/{}-{}", runs, getpid(), random_uuid().text(8));
    if (mkdir(run_directory_.c_str(), 0700) < 0) continue;
    run_lock_ = Fd(open(run_directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (run_lock_ && flock(run_lock_.get(), LOCK_EX | LOCK_NB) == 0 &&
        access(run_directory_.c_str(), F_OK) == 0)
      return;
  }
  throw std::runtime_error(fmt::format("cannot make a folder in {}: {}", runs, std::strerror(errno)));
}

Fd Cache::load(const BlobId& id, std::uint64_t size, const std::string& name) {
  const std::string path = path_of(id);
  const Fd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status {};
  if (!file || fstat(file.get(), &status) < 0) return {};
  if (static_cast<std::uint64_t>(status.st_size) == size) {
    BlobId found;
    Fd memory = sealed_copy(file.get(), size, name, found);
    if (found == id) {
      futimens(file.get(), nullptr);  // used just now: the last to go
      return memory;
    }
  }
  unlink(path.c_str());  // damaged
  return {};
}

Cache::Begin Cache::begin(const BlobId& id, Part& part) {
  part.abandon();
  const std::string path = path_of(id) + ".part";
  Fd file = checked(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600), "cannot write to the cache");
  if (flock(file.get(), LOCK_EX | LOCK_NB) < 0) return Begin::busy;
  // Whoever had it before may have renamed or removed it between our open and our lock.
  struct stat ours {};
  struct stat named {};
  const bool still_named =
      fstat(file.get(), &ours) == 0 && stat(path.c_str(), &named) == 0 && ours.st_ino == named.st_ino;
  if (!still_named) return Begin::busy;  // look again in a moment
  if (access(path_of(id).c_str(), F_OK) == 0) {
    unlink(path.c_str());
    return Begin::complete;
  }
  if (ftruncate(file.get(), 0) < 0)
    throw std::system_error(errno, std::system_category(), "cannot write to the cache");
  part.path_ = path;
  part.fd_ = std::move(file);
  return Begin::mine;
}

Fd Cache::admit(const BlobId& id, std::uint64_t size, const std::string& name, Part part) {
  BlobId found;
  Fd memory = sealed_copy(part.fd(), size, name, found);
  if (found != id) throw std::runtime_error("what came does not have the hash " + id.text(16));
  if (rename(part.path_.c_str(), path_of(id).c_str()) < 0) {
    throw std::system_error(errno, std::system_category(), "cannot rename in the cache");
  }
  part.fd_.reset();  // nothing is left to remove
  trim();
  return memory;
}

/// The blobs that were used longest ago go, until the rest is within the bound.
void Cache::trim() {
  struct File {
    fs::file_time_type used;
    std::uint64_t size;
    fs::path path;
  };
  std::error_code error;
  std::vector<File> files;
  std::uint64_t total = 0;
  for (const auto& entry : fs::directory_iterator(blobs_, error)) {
    if (entry.path().extension() == ".part" || !entry.is_regular_file(error)) continue;
    files.push_back({entry.last_write_time(error), entry.file_size(error), entry.path()});
    total += files.back().size;
  }
  struct statvfs disk {};
  std::uint64_t bytes_max = kBytesMax;
  if (statvfs(blobs_.c_str(), &disk) == 0)
    bytes_max = std::min(bytes_max, (disk.f_bavail * disk.f_frsize + total) / 2);
  std::sort(files.begin(), files.end(), [](const File& a, const File& b) { return a.used < b.used; });
  for (std::size_t i = 0; i + 1 < files.size() && total > bytes_max; ++i) {  // never the newest
    fs::remove(files[i].path, error);
    total -= files[i].size;
  }
}

}  // namespace weft::worker
