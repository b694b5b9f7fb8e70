// SPDX-License-Identifier: MIT
// Fetcher brings the blobs that tasks need to this worker: it looks in the shell's cache first, and has
// BlobFetch get what is not there. It counts users, so that a blob is kept as long as a task or spec needs it
// and (within a budget) a little longer. Pure; part of worker::WorkerCore.
//
//   absent --> finding --> fetching --> ready
//     ^           |           |
//     +-----------+-----------+   failed: all users are told once (Settled)
#pragma once

#include <array>
#include <map>
#include <optional>

#include "common/wire/blob_fetch.hpp"
#include "worker/core/events.hpp"

namespace weft::worker {

class Fetcher {
 public:
  struct Settings {
    BlobFetch::Settings fetch{.active_max = 4};  // of programs and libraries; as many arguments
    std::uint64_t idle_bytes_max = 64 << 20;     // kept without a user
  };
  /// A blob that was wanted is there, or will not come.
  struct Settled {
    BlobKey key;
    bool ready = false;
    std::string text;  // why not
  };

  explicit Fetcher(const Settings& settings)
      : settings_(settings), fetches_{BlobFetch(settings.fetch), BlobFetch(settings.fetch)} {}

  /// Adds a user. True: the blob is ready. False: Settled follows in time.
  bool want(const BlobKey& key, const wire::BlobRef& ref, const std::string& name, Actions& actions);
  /// Removes a user.
  void unwant(const BlobKey& key, Actions& actions);

  void on_ready(Time now, const BlobKey& key, Actions& actions);
  void on_missing(Time now, const BlobKey& key, Actions& actions);
  void on_bad(Time now, const BlobKey& key, const std::string& text, Actions& actions);
  void on_data(Time now, const wire::Data& data, Actions& actions);
  void on_gone(Time now, const wire::Gone& gone, Actions& actions);
  /// There is a (new) connection to the broker: what was asked for on the last one is asked for again.
  void on_joined(Time now, Actions& actions);
  void on_lost();

  void tick(Time now, Actions& actions);
  std::optional<Time> deadline() const;
  /// At the end of a step: a fetch that was given up in it may have made room for another one.
  void use_room(Time now, Actions& actions) { perform_all(now, actions); }
  /// Everything that was settled since the last call.
  std::vector<Settled> take_settled();

  void check_invariants() const;

 private:
  enum class State : std::uint8_t { absent, finding, fetching, ready };
  struct Blob {
    State state = State::absent;
    std::uint64_t users = 0;
    std::uint64_t size = 0;
    std::string name;
    std::vector<Uuid> holders;     // finding: sessions that have it
    std::uint64_t idle_since = 0;  // a counter, not a time; 0: in use
  };

  /// Programs and arguments are fetched apart: the same bytes may be wanted in both places.
  BlobFetch& fetch_for(BlobPlace place) { return fetches_.at(static_cast<std::size_t>(place)); }
  void perform_all(Time now, Actions& actions);
  void perform(Time now, BlobPlace place, Actions& actions);
  void fail(const BlobKey& key, Blob& blob, const std::string& text);
  void trim_idle(Actions& actions);

  Settings settings_;
  std::array<BlobFetch, 2> fetches_;  // by BlobPlace: file, argument
  std::map<BlobKey, Blob> blobs_;
  std::vector<Settled> settled_;
  std::uint64_t idle_bytes_ = 0;
  std::uint64_t idle_counter_ = 0;
};

}  // namespace weft::worker
