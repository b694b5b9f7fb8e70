// SPDX-License-Identifier: MIT
// BlobTable decides which blobs this worker has, and for how long. It has one row for each blob, whatever the
// blob is used for: where its bytes are, and what pins it. A blob that is needed is looked up in the shell's
// store, and fetched by BlobFetch if it is not there. A blob without a pin is dropped. Pure; part of
// worker::WorkerCore.
//
//            FindBlob          BlobMissing           BlobReady, after VerifyBlob
//   absent ------------> finding -----------> fetching ---------------------------> ready
//     ^                   | | ^                |  |                                  ^
//     | failed: Settled   | | +- made here ----+  |                                  |
//     +-------------------+-|---------------------+                                  |
//                           +-------------------- BlobReady -------------------------+
//
// Pins:
//   needed    by each spec (its program and libraries) and by each task (those, and its large argument)
//   results   a large result, in escrow for its session: once for each task that has made it
//   recent    a blob that is no longer needed is retained within a budget; eviction is least recently needed
//             first
//
// Invariants (see check_invariants):
//   1. Each blob is pinned. A recent blob is ready and not needed.
//   2. A blob is in one BlobFetch exactly while it is fetching. It is then needed, and not a result.
//   3. The recent blobs have `recent_bytes_max` bytes at most.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/wire/blob_fetch.hpp"
#include "worker/core/events.hpp"

namespace weft::worker {

class BlobTable {
 public:
  struct Settings {
    BlobFetch::Settings fetch{.active_max = 4};  // of programs and libraries; as many arguments
    std::uint64_t recent_bytes_max = 64 << 20;
  };
  /// What became of a needed blob: it is ready, or could not be fetched.
  struct Settled {
    BlobId id;
    bool ready = false;
    std::string reason;  // why not
  };

  explicit BlobTable(const Settings& settings)
      : settings_(settings), file_fetch_(settings.fetch), argument_fetch_(settings.fetch) {}

  // ---- blobs that are needed here ----

  /// Pins a program or library that client `holder` has. True: it is ready. False: take_settled() will report
  /// it.
  bool need_file(const wire::FileRef& file, const Uuid& holder, Actions& actions);
  /// Pins an argument. True: it is ready. False: take_settled() will report it.
  bool need_argument(const wire::BlobRef& argument, Actions& actions);
  /// Removes a pin of need_file() or need_argument().
  void unneed(const BlobId& id, Actions& actions);

  // ---- results ----

  /// A task of `session` has made this blob, which pins it.
  void add_result(const Uuid& session, const wire::BlobRef& result, Actions& actions);
  /// A task has made this blob: drops it unless something pins it.
  void discard_result(const wire::BlobRef& result, Actions& actions);
  /// The receiver of one task's result has fetched it (DROP): removes one pin of a session.
  void drop_result(const BlobId& id, Actions& actions);
  /// Removes all pins of a session.
  void end_session(const Uuid& session, Actions& actions);
  /// Answers a GET by ServeChunk, or by GONE with the reason: only results are served.
  void serve(const wire::Get& get, Actions& actions) const;
  bool has_results() const;
  bool has_results_of(const Uuid& session) const;

  // ---- from the shell and from the broker ----

  void on_ready(const BlobId& id);
  void on_missing(const BlobId& id, Actions& actions);
  void on_bad(Time now, const BlobId& id, const std::string& reason);
  void on_data(Time now, const wire::Data& data);
  void on_gone(Time now, const wire::Gone& gone);
  /// The worker has joined a broker: requests that the previous connection left unanswered are repeated.
  void on_joined();
  /// The connection to the broker is lost: fetches pause until on_joined().
  void on_lost();

  // ---- time ----

  void tick(Time now);
  std::optional<Time> deadline() const;
  /// Appends the actions of the fetches. Called at the end of a step, when all needs of the step are known.
  void perform(Time now, Actions& actions);
  /// The needed blobs that were settled since the last call.
  std::vector<Settled> take_settled() { return std::exchange(settled_, {}); }

  /// Aborts if an invariant is broken.
  void check_invariants() const;

 private:
  /// Whether tasks here can use the blob. A result is absent until a task needs it: only FindBlob seals its
  /// bytes, so that the runner that made them can no longer change them.
  enum class State : std::uint8_t { absent, finding, fetching, ready };
  struct Blob {
    State state = State::absent;
    std::uint64_t size = 0;
    std::string name;           // of the program or library; "": was first needed as an argument
    std::vector<Uuid> holders;  // finding, fetching: the clients and workers that have the blob
    // The pins:
    std::uint64_t needed = 0;
    std::map<Uuid, std::uint32_t> results;  // number of tasks that have made it, by session
    std::uint64_t recent_no = 0;            // its key in recent_; 0: not in recent_
  };
  using Row = std::map<BlobId, Blob>::iterator;

  bool need(const wire::BlobRef& ref, const std::string& name, Actions& actions);
  static void find(const BlobId& id, Blob& blob, Actions& actions);
  void fail(const BlobId& id, Blob& blob, const std::string& reason);
  Row on_made(const wire::BlobRef& result, Actions& actions);
  Row release(Row row, Actions& actions);
  void retain(Row row, Actions& actions);
  void stop_retaining(Blob& blob);
  void perform(Time now, BlobFetch& fetch, Actions& actions);
  BlobFetch& fetch_of(const Blob& blob) { return blob.name.empty() ? argument_fetch_ : file_fetch_; }

  Settings settings_;
  // Separate fetches, so that a program does not wait for large arguments.
  BlobFetch file_fetch_;
  BlobFetch argument_fetch_;
  std::map<BlobId, Blob> blobs_;
  std::map<std::uint64_t, Row> recent_;  // least recently needed first
  std::uint64_t recent_last_ = 0;        // the highest key that was in recent_
  std::uint64_t recent_bytes_ = 0;
  std::vector<Settled> settled_;
};

}  // namespace weft::worker
