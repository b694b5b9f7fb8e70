// SPDX-License-Identifier: MIT
// Fetcher: brings the blobs that tasks need to this worker: looks in the shell's cache first, then
// asks the holder for chunks in a window, oldest first, and lets the shell check the hash. Counts
// users, so that a blob is kept as long as somebody needs it and (within a budget) a little longer.
// Pure; part of worker::Session.
//
//   absent --> finding --> fetching --> checking --> ready
//     ^           |           |            |
//     +-----------+-----------+------------+   failed: told once to everyone who waits
#pragma once

#include <map>
#include <optional>
#include <set>

#include "worker/events.hpp"

namespace weft::worker {

class Fetcher {
 public:
  struct Settings {
    Duration ask_again = std::chrono::seconds(1);  // after GONE
    Duration give_up = std::chrono::seconds(5);    // after the first GONE without a chunk since
    Duration stall = std::chrono::seconds(30);     // neither DATA nor GONE while joined
    std::size_t active_max = 4;                    // blobs fetched side by side
    std::uint64_t idle_bytes_max = 64 << 20;       // kept although nobody needs them now
  };
  /// A blob that was wanted is there, or will not come.
  struct Settled {
    BlobKey key;
    bool ready = false;
    std::string text;  // why not
  };

  explicit Fetcher(const Settings& settings) : settings_(settings) {}

  /// One user more. True: it is ready. False: Settled follows in time.
  bool want(Time now, const BlobKey& key, const wire::BlobRef& ref, const std::string& name,
            Actions& actions);
  /// One user less.
  void unwant(const BlobKey& key, Actions& actions);

  void on_ready(Time now, const BlobKey& key, Actions& actions);
  void on_missing(Time now, const BlobKey& key, Actions& actions);
  void on_bad(Time now, const BlobKey& key, const std::string& text, Actions& actions);
  void on_data(Time now, const wire::Data& data, Actions& actions);
  void on_gone(Time now, const wire::Gone& gone);
  /// The broker is there (again): everything that was asked for is asked for again.
  void on_joined(Time now, Actions& actions);
  void on_lost();

  void tick(Time now, Actions& actions);
  std::optional<Time> deadline() const;
  /// At the end of a step: when a fetch was given up in it, another one may begin.
  void use_room(Time now, Actions& actions);
  /// Everything that was settled since the last call.
  std::vector<Settled> take_settled();

  void check_invariants() const;

 private:
  enum class State { absent, finding, fetching, checking, ready };
  struct Blob {
    State state = State::absent;
    std::uint64_t users = 0;
    std::uint64_t size = 0;
    std::string name;
    std::vector<Uuid> holders;        // sessions that have it; the first is asked
    std::set<std::uint64_t> asked;    // offsets under way
    std::set<std::uint64_t> unasked;  // offsets that were asked for and must be again
    std::uint64_t next = 0;           // the first offset that was never asked for
    std::uint64_t stored = 0;         // bytes
    Time progress_at;
    std::optional<Time> gone_since;
    std::string gone_reason;
    std::optional<Time> ask_at;    // not before
    std::uint64_t idle_since = 0;  // a counter, not a time; 0: in use
  };

  void fail(const BlobKey& key, Blob& blob, const std::string& text);
  void store(Time now, const BlobKey& key, Blob& blob, const wire::Data& data, Actions& actions);
  void ask(Time now, Actions& actions);
  void ask_for(Time now, const BlobKey& key, Blob& blob, Actions& actions);
  void trim_idle(Actions& actions);
  static std::uint32_t chunk_at(const Blob& blob, std::uint64_t offset);

  Settings settings_;
  bool joined_ = false;
  bool room_ = false;  // one of active_max may have become free
  std::map<BlobKey, Blob> blobs_;
  std::vector<Settled> settled_;
  std::uint64_t idle_bytes_ = 0;
  std::uint64_t idle_counter_ = 0;
};

}  // namespace weft::worker
