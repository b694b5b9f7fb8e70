// SPDX-License-Identifier: MIT
#include "tests/simulation/worker_blobs.hpp"

namespace weft::sim {

void WorkerBlobs::answer(const BlobId& id, worker::Event event) {
  answer_(std::move(event), [this, id, serial = searches_.at(id).serial] {
    const auto search = searches_.find(id);
    return search != searches_.end() && search->second.serial == serial;
  });
}

void WorkerBlobs::perform(const FindBlob& find) {
  const bool is_file = !find.name.empty();
  searches_[find.id] = Search{find.size, is_file, next_serial_++, {}};
  if ((is_file && disk_.contains(find.id)) || results_.contains(find.id)) {
    ready_.insert(find.id);
    return answer(find.id, BlobReady{find.id});
  }
  answer(find.id, BlobMissing{find.id});
}

void WorkerBlobs::perform(const StoreChunk& chunk) {
  const auto search = searches_.find(chunk.id);
  if (search == searches_.end()) fail("a chunk of a blob that is not being fetched is stored");
  if (!search->second.partial.store(chunk.id, chunk.offset, chunk.bytes))
    fail("wrong bytes, or bytes twice, in a fetched blob");
  world_.coverage().count("blob chunks to workers");
}

void WorkerBlobs::perform(const VerifyBlob& verify) {
  const auto search = searches_.find(verify.id);
  if (search == searches_.end() || search->second.partial.stored() != search->second.size) {
    fail("a blob is verified that is not whole");
  }
  if (random_.chance(corrupt_chance_)) {
    world_.coverage().count("fault: fetched blob is bad");
    return answer(verify.id, BlobBad{verify.id, "its hash is another"});
  }
  ready_.insert(verify.id);
  if (search->second.is_file) disk_.insert(verify.id);
  answer(verify.id, BlobReady{verify.id});
}

void WorkerBlobs::perform(const DropBlob& drop) {
  const bool was_search = searches_.erase(drop.id) > 0;
  const bool was_result = results_.erase(drop.id) > 0;
  ready_.erase(drop.id);
  if (!was_search && !was_result) fail("a blob is dropped that is not there");
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
