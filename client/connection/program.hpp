// SPDX-License-Identifier: MIT
// Program: the files that are shipped to the workers: the running executable and the program's shared
// objects, as they are mapped, named by the hash of their content. The files were opened when the program
// started (common/runner/mapped_objects.hpp); they are hashed at the first submit, and from then on workers
// are served from the open descriptors. The rules are in client/SHIPPING.md.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

#include "common/base/bytes.hpp"
#include "common/runner/mapped_objects.hpp"
#include "common/wire/messages.hpp"

namespace weft::client {

/// Thread-safe.
class Program {
 public:
  /// The program of this process. Throws Error when a file cannot be read, or is no longer the file that is
  /// mapped.
  static Program& current();

  /// Fills in `spec` for function `index` of this program: executable, libraries, and the definition of the
  /// function (`signature`). Throws Error when a file cannot be shipped, or has been overwritten.
  void describe(std::uint32_t index, wire::TaskSpec& spec);
  /// A hash of the libraries that are shipped now, updated after dlopen() and dlclose(). Throws Error like
  /// current().
  BlobId hash_of_libraries();
  /// Bytes of a file; nullopt: no file has this id, or `offset` is beyond its end. Throws Error when the file
  /// has been overwritten.
  std::optional<Bytes> read(const BlobId& id, std::uint64_t offset, std::uint32_t bytes);

 private:
  struct Shipped {
    MappedObject object;
    wire::FileRef file;
  };

  Program();
  void look();
  void list_libraries();
  Shipped ship(const MappedObject& object);
  std::string define(std::uint32_t index) const;

  std::mutex mutex_;
  std::uint64_t loads_ = 0;       // loader_changes() at the last look()
  std::vector<Shipped> objects_;  // the executable comes first
  std::vector<wire::FileRef> libraries_;
  // of shipped objects, by MappedObject::base: index in libraries_, or "" for the executable
  std::map<std::uintptr_t, std::string> labels_;
  std::unordered_map<std::uint32_t, std::string> definitions_;  // by function index
  std::unordered_map<BlobId, MappedObject> files_;
};

}  // namespace weft::client
