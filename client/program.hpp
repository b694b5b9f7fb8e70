// SPDX-License-Identifier: MIT
// Program: the running executable and the shared objects that travel with it, by content. Opened and
// hashed once per process, at the first submit; the open descriptors serve the bytes from then on, so that a
// rebuild or a deletion of the files changes nothing.
#pragma once

#include <optional>
#include <unordered_map>
#include <vector>

#include "common/bytes.hpp"
#include "common/messages.hpp"

namespace weft::client {

class Program {
 public:
  /// The one of this process. Throws Error when a file cannot be read.
  static const Program& current();

  const wire::FileRef& executable() const { return executable_; }
  const std::vector<wire::FileRef>& libraries() const { return libraries_; }
  /// A piece of one of them; nullopt: none is called `id`, or nothing is at that offset.
  std::optional<Bytes> read(const BlobId& id, std::uint64_t offset, std::uint32_t bytes) const;

 private:
  Program();
  wire::FileRef add(const std::string& path, std::string name);

  wire::FileRef executable_;
  std::vector<wire::FileRef> libraries_;
  std::unordered_map<BlobId, int> files_;  // open for the life of the process
};

/// Whether the shared object at real path `path` belongs to the system, and so does not travel.
bool is_system_path(const std::string& path);
/// The name that the loader looks for: DT_SONAME, else the file's name.
std::string loader_name(const std::string& path, const char* soname);

}  // namespace weft::client
