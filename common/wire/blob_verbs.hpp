// SPDX-License-Identifier: MIT
// The actions and events about blobs between a core and its shell, the same for broker, worker and client.
// The core decides which blobs this process stores and for how long; the shell stores their bytes.
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

/// Find out whether the blob is stored here, and discard the chunks of an incomplete one. Answered by
/// BlobReady, BlobMissing or BlobBad.
struct FindBlob {
  BlobId id;
  std::uint64_t size = 0;
  std::string name;  // of a file, which is stored on disk as well; "": the blob is stored in memory alone
  bool operator==(const FindBlob&) const = default;
};
/// Store a part of a blob that is not stored here. If that fails, BlobBad may answer it; otherwise nothing
/// does.
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
/// Answer a GET with DATA or GONE, which may be sent after all other messages.
struct ServeChunk {
  wire::Get get;
  bool operator==(const ServeChunk&) const = default;
};
/// Nothing needs the blob: delete it (a cache on disk may retain it until eviction), or its stored chunks. A
/// FindBlob or VerifyBlob that has not been answered need not be answered.
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
/// The blob cannot be stored: its hash differs, or the disk is full. Its stored chunks have been discarded.
struct BlobBad {
  BlobId id;
  std::string reason;
  bool no_room = false;  // there is not enough memory, so to fetch the blob again would not help
};

}  // namespace weft
