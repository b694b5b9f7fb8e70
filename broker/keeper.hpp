// SPDX-License-Identifier: MIT
// Keeper decides what the journal and the folder of blobs beside it hold: it gathers records into rows,
// one of which is under way at a time, so that what comes meanwhile shares the next commit; and it fetches
// the blobs that detached tasks need from those who hold them. Pure; a part of Scheduler.
//
//   blob:  absent --keep--> fetching --all chunks--> sealing --stored--> kept --last release--> forgotten
//                               ^---- GONE, or the store was at fault: again, a few times ----'
#pragma once

#include <deque>
#include <optional>
#include <set>
#include <unordered_map>

#include "broker/events.hpp"
#include "common/time.hpp"

namespace weft::broker {

class Keeper {
 public:
  struct Settings {
    std::size_t row_bytes_max = 16 << 20;
    std::size_t rewrite_bytes = 64 << 20;       // of rows since the journal was written anew
    Duration retry = std::chrono::seconds(1);   // after a fault
    int fetch_tries = 5;                        // for a blob
    Duration stall = std::chrono::seconds(30);  // without a chunk
  };
  /// A blob that is wanted is kept, or (with a fault) will not be.
  struct Settled {
    BlobId id;
    std::string fault;
  };

  explicit Keeper(const Settings& settings) : settings_(settings) {}

  // ---- the journal ----

  void record(JournalRecord record) { queue_.push_back(std::move(record)); }
  /// The next row, when there is something to write and nothing is under way.
  std::optional<Persist> next_row(Time now);
  /// Whether the journal has grown so much that it should be written anew.
  bool wants_rewrite(Time now) const;
  RewriteJournal rewrite(std::vector<std::string> rows);
  /// The answer: what is durable now. After a fault: the tasks that will not be; the other records are
  /// written again later.
  std::vector<JournalRecord> on_persisted(Time now, const Persisted& event);
  const std::string& fault() const { return fault_; }

  // ---- blobs ----

  /// The folder holds it already.
  void found(const BlobId& id) { blobs_[id].state = State::kept; }
  /// One user more, who can have it from `holder`. True: it is kept. False: Settled follows.
  bool keep(Time now, const BlobId& id, std::uint64_t size, const Uuid& holder);
  /// One user less.
  void release(const BlobId& id, Actions& actions);
  bool has(const BlobId& id) const;
  void on_data(Time now, const wire::Data& data, Actions& actions);
  void on_gone(Time now, const wire::Gone& gone);
  void on_stored(Time now, const BlobStored& event, Actions& actions);
  /// Deletes what the folder holds and nobody needs: once everybody has said what he needs.
  void collect(Actions& actions);

  void tick(Time now, Actions& actions);
  std::optional<Time> deadline() const;
  /// What is to be asked of holders.
  std::vector<wire::Get> take_gets() { return std::exchange(gets_, {}); }
  std::vector<Settled> take_settled() { return std::exchange(settled_, {}); }

  void check_invariants() const;

 private:
  enum class State : std::uint8_t { fetching, sealing, kept };
  struct Blob {
    State state = State::fetching;
    std::uint32_t users = 0;
    std::uint64_t size = 0;
    Uuid holder;
    std::set<std::uint64_t> asked;  // offsets
    std::uint64_t next = 0;         // the first that was not asked for
    std::uint64_t stored = 0;       // bytes
    int tries = 0;
    Time moved{};                 // when something of it last came, or was asked for
    std::optional<Time> again{};  // waits until then to be fetched from the start
  };

  void fetch(Time now, const BlobId& id, Blob& blob);
  void ask(const BlobId& id, Blob& blob);
  void try_again(Time now, const BlobId& id, Blob& blob, const std::string& fault);

  Settings settings_;
  std::deque<JournalRecord> queue_;
  std::size_t under_way_records_ = 0;  // at the front of queue_
  std::size_t under_way_bytes_ = 0;
  std::uint64_t number_ = 0;  // of the last row
  bool under_way_ = false;    // a row or a rewrite
  bool rewriting_ = false;
  std::optional<Time> not_before_;  // after a fault
  std::string fault_;               // of the last write
  std::size_t written_ = 0;         // bytes since the last rewrite
  std::size_t rewrite_at_ = 0;      // of written_; 0: at the first opportunity
  std::unordered_map<BlobId, Blob> blobs_;
  std::vector<wire::Get> gets_;
  std::vector<Settled> settled_;
};

}  // namespace weft::broker
