// SPDX-License-Identifier: MIT
// Broker: the shell of the scheduler. Turns frames into events and actions into frames, and decides
// nothing. One thread owns it. Sends never block: under backpressure, a frame that a peer's pipe does not
// take waits here and is tried again; a peer that cannot be reached becomes an event.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>
#include <zmq.hpp>

#include "broker/journal/journal_writer.hpp"
#include "broker/memory_return.hpp"
#include "broker/scheduler/scheduler.hpp"
#include "common/system/fd.hpp"
#include "common/wire/codec.hpp"

namespace weft::broker {

class Broker {
 public:
  /// Binds to `host` (a numeric address or a name) and `port` (0: one that is free). `context` outlives the
  /// broker. Throws std::runtime_error with a sentence when the address cannot be resolved or bound.
  Broker(zmq::context_t& context, const std::string& host, std::uint16_t port, Settings settings);
  /// Has the broker write to the journal of `writer` and start from `recovered`, the journal's content.
  /// REQUIRES: run() has not been called, and Settings::journal is set.
  void use_journal(std::unique_ptr<JournalWriter> writer, Recovered recovered);
  ~Broker();

  /// "tcp://127.0.0.1:8786"
  const std::string& address() const { return address_; }

  /// Serves until descriptor `stop` becomes readable, then sends GOODBYE to all peers and returns.
  void run(int stop);

 private:
  struct Connection {
    std::string routing_id;
    wire::Packer packer;
    std::string waiting;  // a frame that the pipe did not take
    int fd = -1;          // of its TCP connection, to match the monitor's events
    Fd second;            // clients only: a second descriptor of that connection, to ask how it ended
    bool forgotten = false;
    bool touched = false;
  };
  /// A connection that the monitor reports as closed. Its descriptor may have been reused since, so the
  /// ROUTER is asked by sending to the peer.
  struct Suspect {
    PeerId peer;
    int checks_left;
  };

  /// The process of a client on this host.
  struct Process {
    Fd process;  // a pidfd
    Uuid session;
  };

  // The loop; those of worker and client have the same parts in the same order.
  static Time now();
  bool poll_once();  // false: the broker was told to stop
  void poll();
  void receive();
  void receive_frames();
  bool quiet();
  bool receive_frame();
  void read_monitor();
  void admit(int fd);
  void check_suspects();
  void watch_client(Connection& connection, const wire::HelloClient& hello);
  void check_processes();
  void step(const Event& event);
  void perform(Action& action);
  void perform(Send& action);
  void perform(const ForgetPeer& action);
  void perform(const Notify& action);
  void perform(Persist& action);
  void perform(RewriteJournal& action);
  void perform(StoreChunk& action);
  void perform(const VerifyBlob& action);
  void perform(const ServeChunk& action);
  void perform(const DropBlob& action);
  void read_journal_answers();
  void touch(PeerId peer, Connection& connection);
  void flush();
  enum class Sent { yes, later, unreachable };
  Sent try_send(const Connection& connection, const std::string& frame);
  bool flush_one(PeerId peer, Connection& connection);

  zmq::socket_t router_;
  zmq::socket_t monitor_;
  std::chrono::milliseconds heard_within_;  // the longest silence of a peer that is alive
  std::string address_;
  Scheduler scheduler_;
  Actions actions_;
  std::vector<pollfd> polled_;
  MemoryReturn memory_;
  std::unique_ptr<JournalWriter> journal_;
  std::unordered_map<std::string, PeerId> peers_;  // by routing id
  std::unordered_map<PeerId, Connection> connections_;
  std::unordered_map<int, PeerId> by_fd_;
  std::vector<PeerId> touched_;  // have something to flush
  std::vector<Suspect> suspects_;
  std::vector<Process> processes_;
  Time next_process_check_{};
  PeerId next_peer_ = 1;
  std::size_t received_bytes_ = 0;  // in this turn of the loop
  std::uint64_t garbage_ = 0;       // frames dropped
  int newcomer_max_ = 0;            // descriptors from this one on are reserved
  std::uint64_t refused_ = 0;       // new connections, for lack of descriptors, since the last log line
  Time refusal_logged_{};
  bool blocked_ = false;  // backpressure: some frame waits for its pipe
  bool drained_ = false;  // the last read of the router found no message
  bool sent_ = false;     // something was sent since that read
};

/// True for addresses that only this machine can reach.
bool is_loopback(const std::string& host);

}  // namespace weft::broker
