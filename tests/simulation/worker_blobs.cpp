// SPDX-License-Identifier: MIT
#include "tests/simulation/worker_blobs.hpp"

namespace weft::sim {

void WorkerBlobs::answer(const worker::BlobKey& key, worker::Event event) {
  answer_(std::move(event), [this, key, serial = searches_.at(key).serial] {
    const auto search = searches_.find(key);
    return search != searches_.end() && search->second.serial == serial;
  });
}

void WorkerBlobs::perform(const worker::FindBlob& find) {
  searches_[find.key] = Search{find.size, next_serial_++, {}};
  if (find.key.place == worker::BlobPlace::file && disk_.contains(find.key.id)) {
    ready_.insert(find.key);
    return answer(find.key, worker::BlobReady{find.key});
  }
  answer(find.key, worker::BlobMissing{find.key});
}

void WorkerBlobs::perform(const worker::StoreChunk& chunk) {
  const auto search = searches_.find(chunk.key);
  if (search == searches_.end()) fail("a chunk of a blob that is not being fetched is stored");
  if (!search->second.partial.store(chunk.key.id, chunk.offset, chunk.bytes))
    fail("wrong bytes, or bytes twice, in a fetched blob");
  world_.coverage().count("blob chunks to workers");
}

void WorkerBlobs::perform(const worker::AdmitBlob& admit) {
  const auto search = searches_.find(admit.key);
  if (search == searches_.end() || search->second.partial.stored() != search->second.size) {
    fail("a blob is admitted that is not whole");
  }
  if (random_.chance(corrupt_chance_)) {
    world_.coverage().count("fault: fetched blob is bad");
    return answer(admit.key, worker::BlobBad{admit.key, "its hash is another"});
  }
  ready_.insert(admit.key);
  if (admit.key.place == worker::BlobPlace::file) disk_.insert(admit.key.id);
  answer(admit.key, worker::BlobReady{admit.key});
}

void WorkerBlobs::perform(const worker::AbandonBlob& abandon) {
  searches_.erase(abandon.key);
  ready_.erase(abandon.key);
}

void WorkerBlobs::perform(const worker::ReleaseBlob& release) {
  if (release.key.place == worker::BlobPlace::result) {
    if (results_.erase(release.key.id) == 0) fail("a result blob is released twice");
    return;
  }
  if (ready_.erase(release.key) == 0) fail("a blob is released that is not there");
  searches_.erase(release.key);
}

bool WorkerBlobs::has_result(const BlobId& id, std::uint64_t offset, std::uint32_t bytes) const {
  const auto found = results_.find(id);
  return found != results_.end() && offset + bytes <= found->second;
}

void WorkerBlobs::end_process() {
  searches_.clear();
  ready_.clear();
  results_.clear();
}

}  // namespace weft::sim
