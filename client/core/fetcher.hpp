// SPDX-License-Identifier: MIT
// Fetcher brings large results to this client. It knows which tasks need which blob, so that equal results
// travel once, and has BlobFetch get them. Pure; part of client::ClientCore.
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
    Uuid holder;  // of the result of this task
  };
  /// A blob that will not come.
  struct Lost {
    BlobId id;
    std::vector<Needer> needers;
    std::string reason;
    bool held = false;  // the holders may still have it
  };

  explicit Fetcher(const BlobFetch::Settings& settings) : fetch_(settings) {}

  /// Task `seq` needs the blob.
  void add(Time now, std::uint64_t seq, const wire::BlobRef& ref, Actions& actions);
  /// Task `seq` does not need it any more.
  void remove(Time now, std::uint64_t seq, const BlobId& id, Actions& actions);
  /// There is a (new) connection: what was asked for on the last one is asked for again.
  void on_joined(Time now, Actions& actions);
  void on_lost() { fetch_.on_lost(); }
  void on_data(Time now, const wire::Data& data, Actions& actions);
  void on_gone(Time now, const wire::Gone& gone, Actions& actions);
  /// Returns who needed the blob: it is here.
  std::vector<Needer> on_ready(const BlobReady& event);
  /// Returns who needed the blob if there is no room for it. Otherwise it is lost, or fetched again.
  std::vector<Needer> on_bad(Time now, const BlobBad& event, Actions& actions);
  void tick(Time now, Actions& actions);
  std::optional<Time> deadline() const { return fetch_.deadline(); }
  /// Everything that was lost since the last call.
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
