// SPDX-License-Identifier: MIT
// Ids that outlive a connection: sessions, worker incarnations, tasks, blobs.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>

namespace weft {

/// A fixed number of opaque bytes, which can be compared, hashed and printed.
template <std::size_t N>
struct OpaqueId {
  std::array<std::uint8_t, N> bytes{};

  auto operator<=>(const OpaqueId&) const = default;
  /// Compares whole words: ids are compared for every task, and memcmp would be a call.
  bool operator==(const OpaqueId& other) const {
    static_assert(N % sizeof(std::uint64_t) == 0);
    std::uint64_t differing = 0;
    for (std::size_t at = 0; at < N; at += sizeof(std::uint64_t)) {
      std::uint64_t ours = 0;
      std::uint64_t theirs = 0;
      std::memcpy(&ours, bytes.data() + at, sizeof ours);
      std::memcpy(&theirs, other.bytes.data() + at, sizeof theirs);
      differing |= ours ^ theirs;
    }
    return differing == 0;
  }

  /// Whether all bytes are zero, a value that is never assigned.
  bool empty() const { return *this == OpaqueId{}; }

  /// Lower-case hexadecimal of the first `digits / 2` bytes.
  std::string text(std::size_t digits = 2 * N) const {
    static constexpr char kHex[] = "0123456789abcdef";
    std::string out;
    for (std::size_t i = 0; i < N && out.size() + 2 <= digits; ++i) {
      out.push_back(kHex[bytes[i] >> 4]);
      out.push_back(kHex[bytes[i] & 15]);
    }
    return out;
  }
};

/// Random: a client session or a worker incarnation.
using Uuid = OpaqueId<16>;
/// BLAKE2b-256 of the content.
using BlobId = OpaqueId<32>;

/// A task of one client session. Sequence numbers start at 1.
struct TaskId {
  Uuid session;
  std::uint64_t seq = 0;

  auto operator<=>(const TaskId&) const = default;

  /// "3f2a91c0-17": the first 8 digits of the session, and the sequence number.
  std::string text() const { return session.text(8) + "-" + std::to_string(seq); }
};

}  // namespace weft

template <std::size_t N>
struct std::hash<weft::OpaqueId<N>> {
  std::size_t operator()(const weft::OpaqueId<N>& id) const noexcept {
    std::size_t h;  // the bytes are random or a hash
    std::memcpy(&h, id.bytes.data(), sizeof h);
    return h;
  }
};

template <>
struct std::hash<weft::TaskId> {
  std::size_t operator()(const weft::TaskId& id) const noexcept {
    return std::hash<weft::Uuid>{}(id.session) ^ (id.seq * 0x9e3779b97f4a7c15ULL);
  }
};
