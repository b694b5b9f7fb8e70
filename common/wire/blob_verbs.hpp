// SPDX-License-Identifier: MIT
// What a core and its shell say to each other about blobs: one set of verbs for broker, worker and client.
// The core decides which blobs are here and how long they stay; the shell has their bytes.
//
//   FindBlob --> BlobMissing --> StoreChunk, StoreChunk, ... --> VerifyBlob
//       |                                                            |
//       +----> BlobReady, or BlobBad                                 +----> BlobReady, or BlobBad
#pragma once

#include <cstdint>
#include <string>

#include "common/base/bytes.hpp"
#include "common/wire/messages.hpp"

namespace weft {

// ---- actions ----

/// Is the blob stored here already? Discards chunks of it that were stored before. Answered by BlobReady,
/// BlobMissing or BlobBad.
struct FindBlob {
  BlobId id;
  std::uint64_t size = 0;
  std::string name;  // of a file, which is stored on disk as well; "": the blob is stored in memory alone
  bool operator==(const FindBlob&) const = default;
};
/// Store a part of a blob that is not here. Answered only when that fails, if at all, by BlobBad.
struct StoreChunk {
  BlobId id;
  std::uint64_t size = 0;  // of the blob
  std::uint64_t offset = 0;
  Bytes bytes;
  bool operator==(const StoreChunk&) const = default;
};
/// All chunks are stored: check the hash, and make the blob as durable as the store is. Answered by BlobReady
/// or BlobBad.
struct VerifyBlob {
  BlobId id;
  std::uint64_t size = 0;
  bool operator==(const VerifyBlob&) const = default;
};
/// Answer a GET with DATA or GONE, which may go out behind all other messages.
struct ServeChunk {
  wire::Get get;
  bool operator==(const ServeChunk&) const = default;
};
/// Nothing needs the blob: delete it (a cache on disk may keep it), or those of its chunks that are stored. A
/// FindBlob or VerifyBlob that is not answered yet need not be answered.
struct DropBlob {
  BlobId id;
  bool operator==(const DropBlob&) const = default;
};

// ---- events ----

/// The blob is stored, and its bytes match its hash.
struct BlobReady {
  BlobId id;
};
/// The blob is not stored here.
struct BlobMissing {
  BlobId id;
};
/// The blob cannot be stored: it has another hash, or the disk is full. What was stored of it is discarded.
struct BlobBad {
  BlobId id;
  std::string reason;
  bool no_room = false;  // no memory for it: to fetch it again would not help
};

}  // namespace weft
