// SPDX-License-Identifier: MIT
#include "broker/scheduler/roster.hpp"

#include "common/base/check.hpp"

namespace weft::broker {

Roster::~Roster() {
  for (auto& [id, session] : sessions_)
    session->tasks.for_each([](std::uint64_t, Task& task) { TaskList::remove(task); });
}

void Roster::check_invariants() const {
  WEFT_CHECK(names_.size() == workers_.size());
  for (const auto& [incarnation, worker] : workers_) {
    WEFT_CHECK(worker->hello.incarnation == incarnation);
    WEFT_CHECK(find_worker_called(worker->hello.name) == worker.get());
  }
  std::size_t bytes = 0;
  for (const auto& [id, session] : sessions_) {
    WEFT_CHECK(session->id == id);
    std::size_t of_session = 0;
    session->tasks.for_each([&](std::uint64_t, const Task& task) { of_session += task.payload.size(); });
    for (const auto& [seq, entry] : session->detached) of_session += entry.answer.payload.size();
    WEFT_CHECK(of_session == session->queued_bytes);
    session->deliveries.check_invariants();
    bytes += of_session;
  }
  WEFT_CHECK(bytes == queued_bytes_);
  peers_.for_each([](PeerId id, const Peer& peer) {
    WEFT_CHECK((peer.session != nullptr) != (peer.worker != nullptr));
    WEFT_CHECK(peer.session == nullptr || peer.session->peer == id);
    WEFT_CHECK(peer.worker == nullptr || peer.worker->peer == id);
  });
}

}  // namespace weft::broker
