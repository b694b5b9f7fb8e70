// SPDX-License-Identifier: MIT
// Program: what travels to the workers: the running executable and the shared objects of its own, by content,
// as they are mapped. The files were opened when the program started (common/mapped_objects.hpp); they are
// hashed at the first submit, and the descriptors serve the bytes from then on. client/SHIPPING.md has the
// rules.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

#include "common/bytes.hpp"
#include "common/mapped_objects.hpp"
#include "common/messages.hpp"

namespace weft::client {

/// May be used from any thread.
class Program {
 public:
  /// The one of this process. Throws Error when a file cannot be read, or is not what is mapped any more.
  static Program& current();

  /// Says in `spec` what travels for function `index` of this program: executable, libraries, and what the
  /// function is (`signature`). Throws Error with a sentence.
  void describe(std::uint32_t index, wire::TaskSpec& spec);
  /// Of the libraries that travel now. Throws Error as describe() does.
  BlobId hash_of_libraries();
  /// A piece of one of the files; nullopt: none is called `id`, or nothing is at that offset. Throws Error
  /// when the file was overwritten.
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
  std::uint64_t loads_ = 0;       // loader_changes() when we looked last
  std::vector<Shipped> objects_;  // the executable is the first
  std::vector<wire::FileRef> libraries_;
  std::map<std::uintptr_t, std::string> labels_;                // of what travels, by MappedObject::base
  std::unordered_map<std::uint32_t, std::string> definitions_;  // by index
  std::unordered_map<BlobId, MappedObject> files_;
};

}  // namespace weft::client
