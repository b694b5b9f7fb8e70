// SPDX-License-Identifier: MIT
// WorkerBlobs: the blobs of a simulated worker's shell: files in a cache on disk that outlives the process,
// arguments and results in the memory of the process.
#pragma once

#include <functional>
#include <map>
#include <set>

#include "tests/simulation/blobs.hpp"
#include "tests/simulation/world.hpp"
#include "worker/core/events.hpp"

namespace weft::sim {

class WorkerBlobs {
 public:
  /// `answer` delivers an event to the core after a delay, if `still_wanted()` holds then.
  using Answer = std::function<void(worker::Event, std::function<bool()> still_wanted)>;
  WorkerBlobs(World& world, double corrupt_chance, Answer answer)
      : world_(world),
        corrupt_chance_(corrupt_chance),
        answer_(std::move(answer)),
        random_(world.random().fork()) {}

  void perform(const FindBlob& find);
  void perform(const StoreChunk& chunk);
  void perform(const VerifyBlob& verify);
  void perform(const DropBlob& drop);
  /// Adds a result that a task has returned.
  void add_result(const wire::BlobRef& blob) { results_[blob.id] = blob.size; }

  bool has_result(const BlobId& id, std::uint64_t offset, std::uint32_t bytes) const;
  bool ready(const BlobId& id) const { return ready_.contains(id); }
  void end_process();
  std::size_t results() const { return results_.size(); }

 private:
  struct Search {
    std::uint64_t size = 0;
    bool is_file = false;
    std::uint64_t serial = 0;  // so that an answer to an abandoned search is dropped
    PartialBlob partial;
  };
  void answer(const BlobId& id, worker::Event event);

  World& world_;
  double corrupt_chance_;
  Answer answer_;
  Random random_;
  std::map<BlobId, Search> searches_;
  std::uint64_t next_serial_ = 1;
  std::set<BlobId> ready_;  // in memory
  std::set<BlobId> disk_;
  std::map<BlobId, std::uint64_t> results_;  // sizes
};

}  // namespace weft::sim
