// SPDX-License-Identifier: MIT
// JournalWriter: the thread that writes the journal and its blobs, so that a slow disk never stops the
// broker's loop. Orders are performed strictly in order; appends that wait behind one another become one row
// and one commit, so that under load a commit is shared by as many as came during the one before it.
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

  /// Without a fault, the append of this number and those between it and the one answered before are durable.
  /// With one, the append of this number alone was refused.
  struct Appended {
    std::uint64_t number = 0;
    std::string fault;
  };
  struct Rewritten {
    std::uint64_t number = 0;
    std::string fault;
  };
  /// Also answers for the chunks, of which none is answered alone.
  struct Sealed {
    BlobId id;
    std::string fault;
  };
  using Answer = std::variant<Appended, Rewritten, Sealed>;

  /// `file` was read.
  JournalWriter(JournalFile file, BlobDirectory folder);
  /// Performs what was given.
  ~JournalWriter();
  JournalWriter(const JournalWriter&) = delete;
  JournalWriter& operator=(const JournalWriter&) = delete;

  /// Readable while take() has something.
  int descriptor() const { return ready_.get(); }
  void give(Order order);
  std::vector<Answer> take();

  /// For has() and read(), which may run beside the thread.
  const BlobDirectory& folder() const { return folder_; }
  /// Of the journal's rows.
  std::uint64_t bytes() const { return bytes_; }

 private:
  void run();
  /// The first of `orders`, or as many appends as come first.
  void perform_next(std::deque<Order>& orders);
  void append_group(std::deque<Order>& orders);
  void perform(const Rewrite& order);
  void perform(const SaveChunk& order);
  void perform(const SealBlob& order);
  void perform(const ForgetBlob& order);
  void answer(Answer answer);

  JournalFile file_;                           // the thread's
  BlobDirectory folder_;                       // the thread's, but for its const members
  std::map<BlobId, std::string> chunk_fault_;  // the thread's: of blobs that are not sealed
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
