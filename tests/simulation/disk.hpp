// SPDX-License-Identifier: MIT
// Disk: the journal (write-ahead log) and the blob directory of a simulated broker, which outlive the
// broker's process. It does what broker/journal/journal_writer.cpp does with SQLite and files: it performs
// orders in turn, each after some time, and answers later. Whatever it has answered is durable. If the broker
// dies, the order in progress is either performed or not; the orders behind it are lost, and so is every blob
// that was not verified. A deletion is not synced: a power cut may undo it.
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
  /// `write_max`: the usual upper limit of the time of a write.
  Disk(World& world, Oracle& oracle, Duration write_max)
      : world_(world), oracle_(oracle), random_(world.random().fork()), write_max_(write_max) {}

  /// Sets where answers to the broker process that runs now go.
  void answer_to(std::function<void(broker::Event)> answer) { answer_ = std::move(answer); }
  /// REQUIRES: the action is an order to a disk.
  void give(broker::Action order);
  wire::Message read(const wire::Get& get) const;
  void process_down(Network::Power how);
  /// What a broker of protocol version `minor` finds when it starts now.
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
  std::deque<broker::Action> orders_;  // the first one is in progress
  std::uint64_t life_ = 0;             // counts broker processes; orders of an earlier one are void
  std::vector<std::string> rows_;
  std::map<BlobId, std::uint64_t> blobs_;      // verified blobs, with sizes
  std::map<BlobId, std::uint64_t> forgotten_;  // blobs deleted by this broker process, with sizes
  std::map<BlobId, Part> parts_;
  std::set<BlobId> spoiled_;  // blobs of which a chunk could not be written
  Time full_until_{};
  Time slow_until_{};
};

}  // namespace weft::sim
