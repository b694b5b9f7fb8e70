// SPDX-License-Identifier: MIT
#include "broker/journal/blob_directory.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <charconv>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <stdexcept>

#include "common/system/crash_point.hpp"
#include "common/system/hash.hpp"
#include "common/system/private_directory.hpp"

namespace weft::broker {

namespace fs = std::filesystem;

namespace {

[[noreturn]] void fail(const std::string& what) {
  throw std::system_error(errno, std::system_category(), what);
}

void sync(int fd, const std::string& path) {
  if (fsync(fd) < 0) fail("cannot sync " + path);
}

void sync_folder(const std::string& path) {
  const Fd folder = checked(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC), "cannot open " + path);
  sync(folder.get(), path);
}

/// The blob whose file is called `name`; nullopt: the file is not a complete blob.
std::optional<BlobId> id_of(const std::string& name) {
  BlobId id;
  if (name.size() != 2 * id.bytes.size()) return std::nullopt;
  for (std::size_t i = 0; i < id.bytes.size(); ++i) {
    const auto parsed = std::from_chars(&name[2 * i], &name[2 * i] + 2, id.bytes[i], 16);
    if (parsed.ptr != &name[2 * i] + 2) return std::nullopt;
  }
  return id.text() == name ? std::optional(id) : std::nullopt;
}

}  // namespace

BlobDirectory::BlobDirectory(const std::string& directory) try : directory_(directory) {
  const bool made = !fs::exists(directory_);
  require_private_directory(directory_, "name another journal");
  if (made) sync_folder(fs::absolute(directory_).parent_path());
  std::vector<fs::path> leftovers;
  for (const auto& entry : fs::directory_iterator(directory_)) {
    if (entry.path().extension() == ".part") leftovers.push_back(entry.path());
  }
  for (const fs::path& path : leftovers) fs::remove(path);
  sync_folder(directory_);  // a rename just before a crash may not have reached the disk
} catch (const fs::filesystem_error& error) {
  throw std::runtime_error(
      fmt::format("the folder {} cannot be used: {}", directory, error.code().message()));
}

void BlobDirectory::save(const BlobId& id, std::uint64_t size, std::uint64_t offset,
                         std::string_view bytes) try {
  if (has(id)) return;
  Part& part = parts_[id];
  if (!part.file) {
    const std::string path = path_of(id) + ".part";
    part.file =
        checked(open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), "cannot make " + path);
    part.size = size;
  }
  if (size != part.size || offset > size || bytes.size() > size - offset) {
    throw std::runtime_error(
        fmt::format("{} bytes at {} do not belong to a blob of {} bytes", bytes.size(), offset, part.size));
  }
  write_all_at(part.file.get(), bytes, static_cast<off_t>(offset));
  crash_point("journal.chunk_written");
} catch (const std::exception& error) {
  drop_part(id);
  throw std::runtime_error(
      fmt::format("the blob {} cannot be stored in {}: {}", id.text(16), directory_, error.what()));
}

void BlobDirectory::seal(const BlobId& id) try {
  if (has(id)) return drop_part(id);
  const auto found = parts_.find(id);
  if (found == parts_.end()) throw std::runtime_error("nothing of it has come");
  const int fd = found->second.file.get();
  struct stat status {};
  if (fstat(fd, &status) < 0) fail("cannot look at it");
  if (static_cast<std::uint64_t>(status.st_size) != found->second.size || hash_of_file(fd) != id) {
    throw std::runtime_error("what came does not have its hash");
  }
  sync(fd, "it");
  crash_point("journal.blob_synced");
  const std::string path = path_of(id);
  if (std::rename((path + ".part").c_str(), path.c_str()) < 0) fail("cannot rename it");
  sync_folder(directory_);
  parts_.erase(found);
  crash_point("journal.blob_named");
} catch (const std::exception& error) {
  drop_part(id);
  unlink(path_of(id).c_str());  // renamed already, if only the sync of the directory failed
  throw std::runtime_error(
      fmt::format("the blob {} cannot be stored in {}: {}", id.text(16), directory_, error.what()));
}

void BlobDirectory::drop_part(const BlobId& id) {
  if (parts_.erase(id) != 0) unlink((path_of(id) + ".part").c_str());
}

void BlobDirectory::forget(const BlobId& id) {
  drop_part(id);
  unlink(path_of(id).c_str());
  crash_point("journal.blob_forgotten");
}

bool BlobDirectory::has(const BlobId& id) const { return access(path_of(id).c_str(), F_OK) == 0; }

Bytes BlobDirectory::read(const BlobId& id, std::uint64_t offset, std::uint32_t bytes) const try {
  const std::string path = path_of(id);
  const Fd file = checked(open(path.c_str(), O_RDONLY | O_CLOEXEC), "cannot open it");
  std::string content(bytes, '\0');
  std::size_t done = 0;
  while (done < content.size()) {
    const ssize_t got =
        pread(file.get(), &content[done], content.size() - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail("cannot read it");
    if (got == 0) throw std::runtime_error(fmt::format("it ends before byte {}", offset + bytes));
    done += static_cast<std::size_t>(got);
  }
  return Bytes(content);
} catch (const std::exception& error) {
  throw std::runtime_error(
      fmt::format("the blob {} in {} cannot be read: {}", id.text(16), directory_, error.what()));
}

std::map<BlobId, std::uint64_t> BlobDirectory::list() const {
  std::map<BlobId, std::uint64_t> blobs;
  for (const auto& entry : fs::directory_iterator(directory_)) {
    std::error_code gone;
    const auto id = id_of(entry.path().filename());
    const std::uint64_t size = id ? entry.file_size(gone) : 0;
    if (id && !gone) blobs.emplace(*id, size);
  }
  return blobs;
}

}  // namespace weft::broker
