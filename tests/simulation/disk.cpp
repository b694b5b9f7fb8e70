// SPDX-License-Identifier: MIT
#include "tests/simulation/disk.hpp"

#include <fmt/format.h>

namespace weft::sim {

namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

}  // namespace

void Disk::give(broker::Action order) {
  orders_.push_back(std::move(order));
  if (orders_.size() == 1) begin_next();
}

Duration Disk::time_of(const broker::Action& order) {
  const bool synced = !std::holds_alternative<StoreChunk>(order) && !std::holds_alternative<DropBlob>(order);
  if (!synced) return random_.duration(microseconds(5), microseconds(500));
  if (world_.now() < slow_until_ || random_.chance(0.005)) {
    world_.coverage().count("fault: disk is slow");
    return random_.duration(milliseconds(100), seconds(1));
  }
  return random_.duration(microseconds(100), write_max_);
}

void Disk::begin_next() {
  if (orders_.empty()) return;
  world_.after(time_of(orders_.front()), [this, life = life_] {
    if (life != life_) return;
    perform_next();
    orders_.pop_front();
    begin_next();
  });
}

void Disk::perform_next() {
  std::visit(
      [this](const auto& order) {
        if constexpr (requires { this->perform(order); }) {
          perform(order);
        } else {
          fail("the disk is ordered to do what a disk cannot do");
        }
      },
      orders_.front());
}

void Disk::answer(broker::Event event) {
  world_.after(random_.duration(microseconds(10), milliseconds(1)),
               [this, life = life_, event = std::move(event)] {
                 if (life == life_) answer_(event);
               });
}

/// Why a write fails now; "" if it does not.
std::string Disk::fault() {
  if (world_.now() >= full_until_ || random_.chance(0.1)) return "";
  oracle_.disk_failed();
  world_.coverage().count("fault: disk is full");
  return "the disk is full";
}

void Disk::perform(const broker::Persist& order) {
  const std::string why = fault();
  if (why.empty()) {
    rows_.push_back(order.row);
    world_.coverage().count("disk: rows");
  }
  answer(broker::Persisted{order.number, why});
}

void Disk::perform(const broker::RewriteJournal& order) {
  const std::string why = fault();
  if (why.empty()) {
    rows_ = order.rows;
    world_.coverage().count("disk: rewrites");
  }
  answer(broker::Persisted{order.number, why});
}

void Disk::perform(const StoreChunk& order) {
  if (spoiled_.contains(order.id)) return;
  if (!fault().empty()) {
    parts_.erase(order.id);
    spoiled_.insert(order.id);
    return;
  }
  Part& part = parts_[order.id];
  part.size = order.size;
  if (!part.partial.store(order.id, order.offset, order.bytes))
    fail("wrong bytes, or bytes twice, in a blob for the folder");
}

void Disk::perform(const VerifyBlob& order) {
  const auto part = parts_.find(order.id);
  if (spoiled_.erase(order.id) > 0) return answer(BlobBad{order.id, "the disk is full"});
  if (part == parts_.end()) fail("a blob is verified of which nothing is there");
  if (part->second.partial.stored() != part->second.size) fail("a blob is verified that is not whole");
  blobs_[order.id] = part->second.size;
  world_.note("disk", [&] { return fmt::format("  keeps {}", order.id.text().substr(0, 8)); });
  parts_.erase(part);
  forgotten_.erase(order.id);
  world_.coverage().count("disk: blobs");
  answer(BlobReady{order.id});
}

void Disk::perform(const DropBlob& order) {
  spoiled_.erase(order.id);
  parts_.erase(order.id);
  world_.note("disk", [&] { return fmt::format("  forgets {}", order.id.text().substr(0, 8)); });
  if (auto blob = blobs_.extract(order.id)) forgotten_.insert(std::move(blob));
}

wire::Message Disk::read(const wire::Get& get) const {
  const auto found = blobs_.find(get.id);
  if (found == blobs_.end() || get.offset + get.bytes > found->second)
    return wire::Gone{get.id, "it is not in the folder"};
  world_.coverage().count("disk: reads");
  return wire::Data{get.id, get.offset, blob_part(get.id, get.offset, get.bytes)};
}

void Disk::process_down(Network::Power how) {
  if (!orders_.empty() && random_.chance(0.5)) perform_next();  // the broker never learns the outcome
  if (how == Network::Power::off) {
    for (const auto& [id, size] : forgotten_) {
      if (random_.chance(0.5)) blobs_[id] = size;
    }
  }
  ++life_;
  orders_.clear();
  parts_.clear();
  spoiled_.clear();
  forgotten_.clear();
}

broker::Recovered Disk::recover(std::uint8_t minor) const {
  broker::Recovered found;
  for (const std::string& row : rows_) {
    auto records = broker::decode_row(row, std::min(minor, wire::kMinor));
    if (!records) fail("a row of the journal cannot be decoded: " + records.fault());
    found.records.insert(found.records.end(), std::make_move_iterator(records->begin()),
                         std::make_move_iterator(records->end()));
  }
  for (const auto& [id, size] : blobs_) found.blobs.push_back(id);
  return found;
}

}  // namespace weft::sim
