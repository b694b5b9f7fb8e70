// SPDX-License-Identifier: MIT
// Disk: the journal and the folder of blobs beside a simulated broker, which outlive it. Does what
// broker/journal/journal_writer.cpp does with SQLite and files: orders in turn, each after a while, answers
// later. What was answered is durable. The order that a death interrupts is done or is not; those behind it
// are lost, and so is every blob that was not sealed. A deletion is not synced: a power cut may undo it.
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

  /// `write_max` is what a write usually takes at most.
  Disk(World& world, Oracle& oracle, Duration write_max)
      : world_(world), oracle_(oracle), random_(world.random().fork()), write_max_(write_max) {}

  /// Where the answers of the process that runs now go.
  void answer_to(std::function<void(broker::Event)> answer) { answer_ = std::move(answer); }
  /// REQUIRES: it is an order to a disk.
  void give(broker::Action order);
  wire::Message read(const wire::Get& get) const;
  void process_down(Network::Power how);
  /// What a broker finds that starts now.
  /// For a broker of version `minor` of the protocol.
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
  std::uint64_t life_ = 0;             // of the process; what an older one ordered is void
  std::vector<std::string> rows_;
  std::map<BlobId, std::uint64_t> blobs_;      // sealed: sizes
  std::map<BlobId, std::uint64_t> forgotten_;  // and deleted since
  std::map<BlobId, Part> parts_;
  std::set<BlobId> spoiled_;  // of which a chunk could not be written
  Time full_until_{};
  Time slow_until_{};
};

}  // namespace weft::sim
