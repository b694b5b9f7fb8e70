// SPDX-License-Identifier: MIT
// BlobPuller fetches large results: it asks for the chunks of a blob, oldest first and a few at a time,
// asks again when the holder is away, and says when a blob is lost. Pure; a part of Session.
//
// Invariant: at most kChunksInFlight chunks of a blob are asked for and not answered.
#pragma once

#include <optional>
#include <set>
#include <unordered_map>
#include <vector>

#include "client/session_events.hpp"
#include "common/time.hpp"

namespace weft::client {

class BlobPuller {
 public:
  struct Needer {
    std::uint64_t seq = 0;
    Uuid holder;
  };
  struct Settings {
    Duration retry = std::chrono::seconds(1);    // after GONE
    Duration give_up = std::chrono::seconds(5);  // after the first GONE in a row
  };

  explicit BlobPuller(Settings settings) : settings_(settings) {}

  /// Task `seq` needs the blob. `joined`: asking makes sense now.
  void add(std::uint64_t seq, const wire::BlobRef& ref, bool joined, Actions& actions);
  /// Task `seq` does not need it any more.
  void remove(std::uint64_t seq, const BlobId& id, Actions& actions);
  /// There is a connection again: asks for what was under way.
  void on_joined(Actions& actions);
  void on_data(const wire::Data& data, bool joined, Actions& actions);
  /// Those whose blob is lost by this are returned.
  std::vector<Needer> on_gone(Time now, const wire::Gone& gone, Actions& actions);
  /// VerifyBlob was answered: the pull is over. Who needed it; nobody when the answer is to an earlier pull.
  std::vector<Needer> on_verified(const BlobId& id);
  void tick(Time now, bool joined, Actions& actions);
  std::optional<Time> deadline() const;

  bool needs(std::uint64_t seq, const BlobId& id) const;
  void clear() { pulls_.clear(); }
  void check_invariants() const;

 private:
  struct Pull {
    wire::BlobRef ref;  // its holder is the one that is asked
    std::vector<Needer> needers;
    std::uint64_t next = 0;             // offset that was not asked for yet
    std::set<std::uint64_t> under_way;  // offsets
    std::optional<Time> gone_since;
    std::optional<Time> retry_at;
    bool verifying = false;
  };

  static void ask(const Pull& pull, std::uint64_t offset, Actions& actions);
  static void ask_more(Pull& pull, Actions& actions);
  static void verify_if_whole(Pull& pull, Actions& actions);
  std::vector<Needer> finish(const BlobId& id);

  Settings settings_;
  std::unordered_map<BlobId, Pull> pulls_;
};

}  // namespace weft::client
