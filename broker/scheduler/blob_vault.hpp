// SPDX-License-Identifier: MIT
// BlobVault decides which blobs the blob directory of the journal holds: those that detached tasks need. The
// vault counts the users of each blob, and BlobFetch gets it from its holders. Pure; a part of Scheduler.
//
//   absent --keep()--> fetching --all chunks--> verifying --ready--> kept --last release()--> dropped
//                       ^    |                     |
//                       |    +- GONE, silence -----+ bad: the hash, or the disk
//                       +--------------------------+ tried again, as long as it has users
#pragma once

#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "broker/scheduler/events.hpp"
#include "common/wire/blob_fetch.hpp"

namespace weft::broker {

class BlobVault {
 public:
  struct Settings {
    BlobFetch::Settings fetch{.give_up = std::chrono::seconds(4), .tries = 5};
  };
  /// A wanted blob is stored now, or (with a fault) could not be: it is fetched again while it has users.
  struct Settled {
    BlobId id;
    std::string fault;
  };

  explicit BlobVault(const Settings& settings) : fetch_(settings.fetch) { fetch_.on_joined(); }

  /// The directory holds the blob already.
  void found(const BlobId& id) { blobs_[id].state = State::stored; }
  /// Adds a user of a blob of `size` bytes that `holder` has. True: it is stored already. False: Settled
  /// follows.
  bool retain(const BlobId& id, std::uint64_t size, const Uuid& holder);
  /// Removes a user; the blob is dropped with its last one.
  void release(const BlobId& id, Actions& actions);
  /// Whether the blob is stored.
  bool has(const BlobId& id) const;
  void on_data(Time now, const wire::Data& data, Actions& actions);
  void on_gone(Time now, const wire::Gone& gone, Actions& actions);
  void on_ready(const BlobReady& event, Actions& actions);
  void on_bad(Time now, const BlobBad& event, Actions& actions);
  /// Deletes the blobs without a user. REQUIRES: after a restart, all entries of the journal have added their
  /// blobs.
  void collect(Actions& actions);

  void tick(Time now, Actions& actions);
  std::optional<Time> deadline() const { return fetch_.deadline(); }
  /// Removes and returns the chunks to ask of holders.
  std::vector<wire::Get> take_gets(Time now, Actions& actions);
  std::vector<Settled> take_settled() { return std::exchange(settled_, {}); }

  void check_invariants() const;

 private:
  enum class State : std::uint8_t { fetching, stored };  // fetching: until it is verified
  struct Blob {
    State state = State::fetching;
    std::uint32_t users = 0;
  };

  /// Drops a blob that was released while it was verified. False: it still has users.
  bool drop_unused(const BlobId& id, Actions& actions);
  void perform(Time now, Actions& actions);

  BlobFetch fetch_;
  std::unordered_map<BlobId, Blob> blobs_;
  std::vector<wire::Get> gets_;
  std::vector<Settled> settled_;
};

}  // namespace weft::broker
