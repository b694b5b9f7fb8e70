// SPDX-License-Identifier: MIT
// BlobFetch fetches blobs from their holders, chunk by chunk: the needer's half of PROTOCOL.md section 7, for
// broker, worker and client. Flow control: each blob has a window of open GETs, lowest offset first. After
// GONE, silence or a lost connection a fetch resumes where it stopped. The user of this class stores the
// chunks and verifies the blob. Pure.
//
//                 take()                   last chunk                on_good()
//   start() ----> waiting ----------> asking ----------> verifying ------------> (over)
//                  ^   ^  its turn      |                    |
//                  |   |                |                    |
//                  |   +----------------+                    |
//                  |     GONE or silence: the next holder    |
//                  |     is asked, after `retry`;            |
//                  |     connection lost: see on_joined()    |
//                  |                                         |
//                  +-----------------------------------------+
//                    on_bad(): all chunks again, after `retry`
//
// Failed is reported once GONE has been the only answer for `give_up`, and at every `tries`-th silence or bad
// verdict. The fetch goes on after `retry`, unless the user removes it.
//
// Invariants (see check_invariants):
//   1. A blob is asking if and only if it has open GETs: at most `window`, and none while disconnected.
//   2. At most `active_max` blobs are asking; the others wait in the order of start().
//   3. Each chunk is stored once, until a verdict is bad.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "common/base/time.hpp"
#include "common/wire/blob_verbs.hpp"
#include "common/wire/messages.hpp"

namespace weft {

class BlobFetch {
 public:
  struct Settings {
    Duration retry = std::chrono::seconds(1);    // after GONE, silence, or a bad verdict
    Duration give_up = std::chrono::seconds(5);  // a GONE this long after the first in a row is a failure
    Duration stall = std::chrono::seconds(30);   // silence: neither DATA nor GONE while connected
    int tries = 1;                               // silences and bad verdicts until the fetch has failed
    std::size_t active_max = SIZE_MAX;           // blobs that are asked for at a time
    std::size_t window = wire::kChunksInFlight;  // open GETs of each blob
    std::uint32_t chunk_bytes = wire::kChunkBytes;
  };

  // ---- actions: these, StoreChunk, and VerifyBlob, which on_good() or on_bad() answers ----

  /// The blob cannot be fetched for now.
  struct Failed {
    enum class Cause : std::uint8_t {
      gone,    // its holders do not have it
      silent,  // a holder that may have it does not answer
      bad,     // on_bad() was called; the chunks of the blob are no longer stored
    };
    BlobId id;
    Cause cause = Cause::gone;
    std::string reason;
    bool operator==(const Failed&) const = default;
  };
  using Action = std::variant<wire::Get, StoreChunk, VerifyBlob, Failed>;
  using Actions = std::vector<Action>;

  explicit BlobFetch(const Settings& settings) : settings_(settings) {}

  // ---- from the user ----

  /// Starts to fetch the blob of `size` bytes from the first of `holders`. REQUIRES: `holders` is not empty,
  /// and the blob is not being fetched.
  void start(const BlobId& id, std::uint64_t size, std::vector<Uuid> holders);
  /// Adds a holder, which is asked after the others. REQUIRES, here and below: the blob is being fetched.
  void add_holder(const BlobId& id, const Uuid& holder);
  /// Further GETs go to this holder, until it fails.
  void prefer_holder(const BlobId& id, const Uuid& holder);
  /// The holder is no longer asked, unless it is the only one.
  void remove_holder(const BlobId& id, const Uuid& holder);
  /// The blob is no longer wanted: no action for it follows, and its VerifyBlob need not be answered.
  void remove(const BlobId& id);
  void clear();
  bool contains(const BlobId& id) const { return fetches_.contains(id); }
  /// Whether an answer to VerifyBlob is due.
  bool is_verifying(const BlobId& id) const;

  /// The bytes are right: the fetch is over. REQUIRES: is_verifying(id).
  void on_good(const BlobId& id);
  /// The bytes are wrong or cannot be stored, and the user has dropped the chunks of the blob.
  void on_bad(Time now, const BlobId& id, const std::string& fault);

  // ---- from the wire ----

  /// A connection has been made. Earlier GONEs no longer count and no retry is delayed: the holders may have
  /// been disconnected too.
  void on_joined();
  void on_lost();
  void on_data(Time now, const wire::Data& data);
  void on_gone(Time now, const wire::Gone& gone);

  // ---- time ----

  void tick(Time now);
  std::optional<Time> deadline() const;

  /// Returns the actions since the last call, in order. Call at the end of a step, when it is known which
  /// blobs are still wanted: first it asks for blobs that wait, up to `active_max`.
  Actions take(Time now);

  /// Aborts if an invariant is broken.
  void check_invariants() const;

 private:
  enum class State : std::uint8_t { waiting, asking, verifying };
  struct Fetch {
    State state = State::waiting;
    int failures = 0;            // of `tries`
    std::uint64_t start_no = 0;  // counts the calls of start()
    std::uint64_t size = 0;
    std::vector<Uuid> holders;            // the first is asked
    std::map<std::uint64_t, Time> asked;  // open GETs: offset, and since when
    std::set<std::uint64_t> missed;       // offsets asked for without an answer
    std::uint64_t next = 0;               // the first offset that was never asked for
    std::uint64_t stored = 0;             // bytes
    Time progress_at{};                   // asking: when the last chunk came, or when asking began
    std::optional<Time> gone_since;       // the first GONE since the last chunk
    std::optional<Time> retry_at;         // waiting: not asked for before this time
  };

  void move_to(State state, const BlobId& id, Fetch& fetch);
  void begin(Time now, const BlobId& id, Fetch& fetch);
  void fill_window(Time now, const BlobId& id, Fetch& fetch);
  void verify_if_whole(const BlobId& id, Fetch& fetch);
  void close_window(const BlobId& id, Fetch& fetch);
  void retry_later(Time now, const BlobId& id, Fetch& fetch);
  void count_gone(Time now, const BlobId& id, Fetch& fetch, const std::string& reason);
  void count_failure(const BlobId& id, Fetch& fetch, Failed::Cause cause, const std::string& reason);
  std::uint32_t length_at(const Fetch& fetch, std::uint64_t offset) const;
  Time stall_due(const Fetch& fetch) const;

  Settings settings_;
  bool connected_ = false;
  std::unordered_map<BlobId, Fetch> fetches_;
  std::map<std::uint64_t, BlobId> waiting_;  // by start_no
  std::size_t active_ = 0;                   // blobs that are asking
  std::uint64_t last_start_no_ = 0;
  Time heard_at_{};         // when the last answer came, for any blob
  Time newest_answered_{};  // when the youngest of all answered GETs was sent
  Time ticked_at_{};
  Actions actions_;
};

}  // namespace weft
