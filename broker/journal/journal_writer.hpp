// SPDX-License-Identifier: MIT
// JournalWriter: the thread that writes the journal and its blobs, so that a slow disk never stops the
// broker's loop. Orders are performed strictly in order. Consecutive appends that wait become one row and one
// commit (group commit), so that under load all appends that came during one commit share the next.
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
  struct SaveChunk {
    BlobId id;
    std::uint64_t size = 0;  // of the whole blob
    std::uint64_t offset = 0;
    Bytes bytes;
  };
  struct SealBlob {
    BlobId id;
  };
  struct ForgetBlob {
    BlobId id;
  };
  using Order = std::variant<Append, Rewrite, SaveChunk, SealBlob, ForgetBlob>;

  /// Without a fault, the append of this number and all since the last answered one are durable. With a
  /// fault, only the append of this number has failed.
  struct Appended {
    std::uint64_t number = 0;
    std::string fault;
  };
  struct Rewritten {
    std::uint64_t number = 0;
    std::string fault;
  };
  /// Answers SealBlob, and with it all SaveChunks of the blob, which have no answers themselves.
  struct Sealed {
    BlobId id;
    std::string fault;
  };
  using Answer = std::variant<Appended, Rewritten, Sealed>;

  /// Starts the thread. REQUIRES: file.read() has been called. Throws std::system_error.
  JournalWriter(JournalFile file, BlobDirectory folder);
  /// Performs all orders that were given, then ends the thread.
  ~JournalWriter();
  JournalWriter(const JournalWriter&) = delete;
  JournalWriter& operator=(const JournalWriter&) = delete;

  /// A descriptor to poll, readable while take() has answers. The writer owns it.
  int descriptor() const { return ready_.get(); }
  /// Queues an order. Never waits for the disk.
  void give(Order order);
  /// The answers since the last call. Never waits.
  std::vector<Answer> take();

  /// For has() and read(), which are safe to call while the thread runs.
  const BlobDirectory& folder() const { return folder_; }
  /// Size of the content of the journal's rows.
  std::uint64_t bytes() const { return bytes_; }

 private:
  void run();
  /// Performs the first of `orders`, or all appends at their front as one group commit, and removes them.
  void perform_next(std::deque<Order>& orders);
  void append_group(std::deque<Order>& orders);
  void perform(const Rewrite& order);
  void perform(const SaveChunk& order);
  void perform(const SealBlob& order);
  void perform(const ForgetBlob& order);
  void answer(Answer answer);

  JournalFile file_;                           // the thread's
  BlobDirectory folder_;                       // the thread's, except its const members
  std::map<BlobId, std::string> chunk_fault_;  // the thread's: first fault of each unsealed blob
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
