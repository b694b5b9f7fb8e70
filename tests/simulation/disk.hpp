// SPDX-License-Identifier: MIT
// Disk: the journal (a write-ahead log) and the directory of blobs of a simulated broker, both of which
// outlive it. Stands in for broker/journal/journal_writer.cpp, SQLite and files: it performs orders one after
// the other, each with a delay, and answers when the order is durable. A death of the process may or may not
// complete the order that it interrupts; later orders and unsealed blobs are lost. A deletion is not synced,
// so a power cut may undo it.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <set>
#include <string>

#include "broker/scheduler/events.hpp"
#include "tests/simulation/blobs.hpp"
#include "tests/simulation/network.hpp"
#include "tests/simulation/oracle.hpp"
#include "tests/simulation/world.hpp"

namespace weft::sim {

class Disk {
 public:
  static constexpr const char* kFull = "the disk is full";

  /// A write takes at most `write_max` unless the disk is slow.
  Disk(World& world, Oracle& oracle, Duration write_max)
      : world_(world), oracle_(oracle), random_(world.random().fork()), write_max_(write_max) {}

  /// Sets the receiver of answers: the broker process that runs now.
  void answer_to(std::function<void(broker::Event)> answer) { answer_ = std::move(answer); }
  /// Queues an order. REQUIRES: it is one of the types that perform() takes.
  void give(broker::Action order);
  wire::Message read(const wire::Get& get) const;
  void process_down(Network::Power how);
  /// What a broker that starts now, with version `minor` of the protocol, finds on the disk.
  broker::Recovered recover(std::uint8_t minor) const;

  // ---- faults ----
  void fill_up(Duration lasts) { full_until_ = world_.now() + lasts; }
  void slow_down(Duration lasts) { slow_until_ = world_.now() + lasts; }

 private:
  struct Part {
    std::uint64_t size = 0;
    PartialBlob partial;
  };

  void begin_next();
  void perform_next();
  void perform(const broker::Persist& order);
  void perform(const broker::RewriteJournal& order);
  void perform(const StoreChunk& order);
  void perform(const VerifyBlob& order);
  void perform(const DropBlob& order);
  void answer(broker::Event event);
  std::string fault();
  Duration time_of(const broker::Action& order);

  World& world_;
  Oracle& oracle_;
  Random random_;
  Duration write_max_;
  std::function<void(broker::Event)> answer_;
  std::deque<broker::Action> orders_;  // the first is being performed
  std::uint64_t life_ = 0;             // of the process; orders of earlier lives are void
  std::vector<std::string> rows_;
  std::map<BlobId, std::uint64_t> blobs_;      // sealed: sizes
  std::map<BlobId, std::uint64_t> forgotten_;  // deleted, and not synced
  std::map<BlobId, Part> parts_;
  std::set<BlobId> spoiled_;  // blobs of which a chunk could not be written
  Time full_until_{};
  Time slow_until_{};
};

}  // namespace weft::sim
