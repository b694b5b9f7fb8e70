// SPDX-License-Identifier: MIT
// JournalWriter: the thread that writes the journal (write-ahead log) and its blobs, so that a slow disk
// never stops the broker's loop. Orders are performed in order. Consecutive appends that wait share one row
// and one commit (group commit): under load, all that came during the commit before.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "broker/journal/blob_directory.hpp"
#include "broker/journal/journal_file.hpp"
#include "common/base/bytes.hpp"
#include "common/system/fd.hpp"
#include "weft/ids.hpp"

namespace weft::broker {

class JournalWriter {
 public:
  struct Append {
    std::uint64_t number = 0;  // the caller's, increasing
    std::string records;
  };
  struct Rewrite {
    std::uint64_t number = 0;
    std::vector<std::string> rows;
  };
  struct StoreChunk {
    BlobId id;
    std::uint64_t size = 0;  // of the whole blob
    std::uint64_t offset = 0;
    Bytes bytes;
  };
  struct VerifyBlob {
    BlobId id;
  };
  struct DropBlob {
    BlobId id;
  };
  using Order = std::variant<Append, Rewrite, StoreChunk, VerifyBlob, DropBlob>;

  /// Without a fault, all appends up to `number` that were not answered before are durable. With a fault,
  /// only append `number` was refused.
  struct Appended {
    std::uint64_t number = 0;
    std::string fault;
  };
  struct Rewritten {
    std::uint64_t number = 0;
    std::string fault;
  };
  /// Answers a VerifyBlob, and with it the StoreChunk orders of the blob, which have no answers.
  struct Verified {
    BlobId id;
    std::string fault;
  };
  using Answer = std::variant<Appended, Rewritten, Verified>;

  /// Starts the thread. REQUIRES: `file` has been read (JournalFile::read()).
  JournalWriter(JournalFile file, BlobDirectory folder);
  /// Performs all orders that were given, and stops the thread.
  ~JournalWriter();
  JournalWriter(const JournalWriter&) = delete;
  JournalWriter& operator=(const JournalWriter&) = delete;

  /// A descriptor that is readable while take() has answers. The writer owns it.
  int descriptor() const { return ready_.get(); }
  /// Queues an order; does not block on the disk.
  void give(Order order);
  /// Removes and returns the answers so far.
  std::vector<Answer> take();

  /// The blob directory, for its thread-safe functions has() and read().
  const BlobDirectory& folder() const { return folder_; }
  /// Bytes of the journal's rows. May be called while the thread writes.
  std::uint64_t bytes() const { return bytes_; }

 private:
  void run();
  /// Performs and removes the first of `orders`, or all appends at the front (group commit).
  void perform_next(std::deque<Order>& orders);
  void append_group(std::deque<Order>& orders);
  void perform(const Rewrite& order);
  void perform(const StoreChunk& order);
  void perform(const VerifyBlob& order);
  void perform(const DropBlob& order);
  void answer(Answer answer);

  JournalFile file_;                           // used by the thread only
  BlobDirectory folder_;                       // used by the thread only, except its const members
  std::map<BlobId, std::string> chunk_fault_;  // used by the thread only: faults of blobs not sealed yet
  std::atomic<std::uint64_t> bytes_;
  Fd ready_;

  std::mutex mutex_;
  std::condition_variable given_;
  std::deque<Order> orders_;
  std::vector<Answer> answers_;
  bool ending_ = false;

  std::thread thread_;
};

}  // namespace weft::broker
