// SPDX-License-Identifier: MIT
// Fetcher fetches large results to this client, by BlobFetch. It knows which tasks need which blob, so that
// equal results travel once. Pure; part of client::ClientCore.
#pragma once

#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "client/core/events.hpp"
#include "common/wire/blob_fetch.hpp"

namespace weft::client {

class Fetcher {
 public:
  struct Needer {
    std::uint64_t seq = 0;
    Uuid holder;  // the worker that has the result of this task
  };
  /// A blob that cannot be fetched.
  struct Lost {
    BlobId id;
    std::vector<Needer> needers;
    std::string reason;
    bool held = false;  // the holders may still have the blob
  };

  explicit Fetcher(const BlobFetch::Settings& settings) : fetch_(settings) {}

  /// Task `seq` needs the blob.
  void add(Time now, std::uint64_t seq, const wire::BlobRef& ref, Actions& actions);
  /// Task `seq` no longer needs the blob.
  void remove(Time now, std::uint64_t seq, const BlobId& id, Actions& actions);
  /// There is a new connection: chunks that were requested on the last connection are requested again.
  void on_joined(Time now, Actions& actions);
  void on_lost() { fetch_.on_lost(); }
  void on_data(Time now, const wire::Data& data, Actions& actions);
  void on_gone(Time now, const wire::Gone& gone, Actions& actions);
  /// The blob is stored and verified: returns the tasks that need it.
  std::vector<Needer> on_ready(const BlobReady& event);
  /// If there is no memory for the blob, returns the tasks that need it. Otherwise the blob is lost, or
  /// fetched again.
  std::vector<Needer> on_bad(Time now, const BlobBad& event, Actions& actions);
  void tick(Time now, Actions& actions);
  std::optional<Time> deadline() const { return fetch_.deadline(); }
  /// The blobs that were lost since the last call.
  std::vector<Lost> take_lost() { return std::exchange(lost_, {}); }

  bool needs(std::uint64_t seq, const BlobId& id) const;
  void clear();
  void check_invariants() const;

 private:
  std::vector<Needer> settle(const BlobId& id);
  void perform(Time now, Actions& actions);

  BlobFetch fetch_;
  std::unordered_map<BlobId, std::vector<Needer>> needers_;
  std::vector<Lost> lost_;
};

}  // namespace weft::client
