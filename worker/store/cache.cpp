// SPDX-License-Identifier: MIT
#include "worker/store/cache.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "common/base/quantity.hpp"
#include "common/system/hash.hpp"
#include "common/system/private_directory.hpp"
#include "common/system/program_cache.hpp"

namespace weft::worker {

namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t kBytesMax = 10ULL << 30;  // or less; see trim()

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

Fd make_memfd(std::string name) {
  constexpr std::size_t kNameBytesMax = 200;  // the kernel takes 249
  name.resize(std::min(name.size(), kNameBytesMax));
  // Kernels since Linux 6.3 want to know whether a memfd will be executed; older ones reject the flag.
  int fd = memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
  if (fd < 0 && errno == EINVAL) fd = memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING);
  return checked(fd, "cannot make memory for " + name);
}

}  // namespace

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
    if (got == 0) break;  // shorter than expected: the hash will differ
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

Cache::Cache(const std::string& directory) : directory_(directory) {
  for (const std::string& path :
       {directory, directory + "/blobs", directory + "/names", directory + "/run"}) {
    require_private_directory(path, "choose another --local-directory");
  }
  remove_leftovers(directory);
  make_run_directory(directory + "/run");
}

Cache::~Cache() {
  std::error_code ignored;
  fs::remove_all(run_directory_, ignored);
}

void Cache::make_run_directory(const std::string& runs) {
  // Between mkdir() and flock() another worker may take the directory for one of a dead worker and remove it:
  // then try again.
  for (int attempt = 0; attempt < 10; ++attempt) {
    run_directory_ = fmt::format("{}/{}-{}", runs, getpid(), random_uuid().text(8));
    if (mkdir(run_directory_.c_str(), 0700) < 0) continue;
    run_lock_ = Fd(open(run_directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (run_lock_ && flock(run_lock_.get(), LOCK_EX | LOCK_NB) == 0 &&
        mkdir((run_directory_ + "/used").c_str(), 0700) == 0)
      return;
  }
  throw std::runtime_error(fmt::format("cannot make a directory in {}: {}", runs, std::strerror(errno)));
}

/// Marks the blob as used by this worker. Called before the file is opened, so that it is not evicted in
/// between.
void Cache::mark(const BlobId& id, const std::string& name) const {
  const Fd mark(open(mark_of(id).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  std::ofstream(directory_ + "/names/" + id.text()) << name << '\n';
}

void Cache::release(const BlobId& id) { unlink(mark_of(id).c_str()); }

Fd Cache::load(const BlobId& id, std::uint64_t size, const std::string& name) {
  const std::string path = path_of(id);
  mark(id, name);
  const Fd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status {};
  if (!file || fstat(file.get(), &status) < 0) {
    release(id);
    return {};
  }
  if (static_cast<std::uint64_t>(status.st_size) == size) {
    BlobId found;
    Fd memory = sealed_copy(file.get(), size, name, found);
    if (found == id) {
      futimens(file.get(), nullptr);  // least recently used files are evicted first
      return memory;
    }
  }
  unlink(path.c_str());  // damaged
  release(id);
  return {};
}

Cache::Begin Cache::begin(const BlobId& id, Part& part) {
  part.abandon();
  const std::string path = path_of(id) + ".part";
  Fd file = checked(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600), "cannot write to the cache");
  if (flock(file.get(), LOCK_EX | LOCK_NB) < 0) return Begin::busy;
  // The previous holder of the lock may have renamed or removed the file between open() and flock() here.
  struct stat ours {};
  struct stat named {};
  const bool still_named =
      fstat(file.get(), &ours) == 0 && stat(path.c_str(), &named) == 0 && ours.st_ino == named.st_ino;
  if (!still_named) return Begin::busy;  // the caller tries again soon
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
  if (found != id) throw std::runtime_error("its bytes do not have the hash " + id.text(16));
  mark(id, name);
  if (rename(part.path_.c_str(), path_of(id).c_str()) < 0) {
    throw std::system_error(errno, std::system_category(), "cannot rename in the cache");
  }
  part.fd_.reset();  // disarms the destructor, which would unlink part.path_
  trim(id);
  return memory;
}

/// Evicts blobs above the limit: at most 10 GiB, and at most half of the space that is free or used by the
/// cache.
void Cache::trim(const BlobId& newest) const {
  std::uint64_t bytes_max = kBytesMax;
  struct statvfs disk {};
  if (statvfs(directory_.c_str(), &disk) == 0) {
    std::uint64_t total = 0;
    for (const CachedFile& file : cached_files(directory_)) total += file.bytes;
    bytes_max = std::min(bytes_max, (disk.f_bavail * disk.f_frsize + total) / 2);
  }
  for (const CachedFile& file : trim_cache(directory_, bytes_max, newest.text()))
    spdlog::info("removed {} ({}) from the cache to make room",
                 file.name.empty() ? file.hash.substr(0, 16) : file.name, format_bytes(file.bytes));
}

}  // namespace weft::worker
