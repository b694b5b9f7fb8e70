// SPDX-License-Identifier: MIT
// Worker: the shell around worker::WorkerCore. One thread polls the link to the broker, the runners and the
// signals, turns what happens into events, and performs actions. It makes no decisions.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <vector>
#include <zmq.hpp>

#include "common/net/link.hpp"
#include "common/system/fd.hpp"
#include "common/wire/codec.hpp"
#include "worker/core/worker_core.hpp"
#include "worker/runners/fork_server.hpp"
#include "worker/runners/memory_meter.hpp"
#include "worker/runners/runner_pool.hpp"
#include "worker/store/blob_store.hpp"
#include "worker/store/cache.hpp"

namespace weft::worker {

class Worker {
 public:
  struct Settings {
    WorkerCore::Settings session;
    RunnerPool::Settings runners;  // `launcher.directory` is set by Worker
    std::string cache_directory;
    std::optional<std::uint64_t> memory;    // --memory, in bytes
    std::size_t blob_files_max = SIZE_MAX;  // descriptors for arguments, and the same number for results
  };

  /// Throws std::runtime_error, with the reason, when the cache cannot be used.
  Worker(Settings settings, ForkServer& server);
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  /// Runs until SIGTERM or SIGINT, which the caller has blocked, or until the broker refuses this worker for
  /// good. Returns the exit code. Throws std::runtime_error when the fork server has died.
  int run();

 private:
  // The loop. The loops of broker and client have the same parts in the same order.
  void poll_once();
  void poll();
  void receive();
  void receive_frames();
  void read_signals();
  void read_memory();
  void deliver(Event event);
  void step();
  void flush();
  void send_bulk();
  void leave();
  int timeout_ms() const;

  void perform(const OpenLink&);
  void perform(const CloseLink&);
  void perform(const Send&);
  void perform(const StartRunner&);
  void perform(const RunTask&);
  void perform(const RequestStop&);
  void perform(const TakeBackTasks&);
  void perform(const EndRunner&);
  void perform(const KillRunner&);
  void perform(const FindBlob&);
  void perform(const StoreChunk&);
  void perform(const VerifyBlob&);
  void perform(const ServeChunk&);
  void perform(const DropBlob&);
  void perform(const Notify&);
  void perform(const Exit&);

  std::string broker_;
  ForkServer& server_;
  Cache cache_;
  BlobStore blobs_;
  RunnerPool runners_;
  MemoryMeter memory_;
  Time memory_due_{};  // when to read the memory in use again
  WorkerCore core_;
  Fd signals_;
  bool draining_ = false;

  zmq::context_t context_;
  Link link_;
  wire::Packer packer_;
  std::deque<std::string> frames_;  // packed, but not yet accepted by the link
  std::deque<ServeChunk> bulk_;     // chunks of results, sent after everything in frames_

  std::vector<pollfd> polled_;
  bool waited_ = false;  // the last poll has timed out
  std::vector<Event> events_;
  std::vector<Event> in_hand_;  // the events that are being stepped
  Actions actions_;
  std::optional<int> exit_code_;
};

}  // namespace weft::worker
