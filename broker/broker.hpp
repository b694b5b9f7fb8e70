// SPDX-License-Identifier: MIT
// Broker: the shell of the scheduler. Turns frames into events and actions into frames, and makes no
// decisions. One thread owns it. Sends never block: under backpressure (a full pipe) a frame waits here and
// is tried again; an unreachable peer becomes a PeerGone event.
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
  /// Binds to `host` (a numeric address or a name) and `port` (0: any free port). Throws std::runtime_error
  /// with a sentence for people when that fails. `context` outlives the broker.
  Broker(zmq::context_t& context, const std::string& host, std::uint16_t port, Settings settings);
  /// Journals detached tasks with `writer`, whose journal held `recovered`. REQUIRES: run() has not been
  /// called, and Settings::journal is set.
  void use_journal(std::unique_ptr<JournalWriter> writer, Recovered recovered);
  ~Broker();

  /// The address it is bound to, such as "tcp://127.0.0.1:8786".
  const std::string& address() const { return address_; }

  /// Serves until descriptor `stop` becomes readable, then sends GOODBYE to all peers and returns.
  void run(int stop);

 private:
  struct Connection {
    std::string routing_id;
    wire::Packer packer;
    std::string waiting;  // a frame that the full pipe did not take (backpressure)
    int fd = -1;          // libzmq's descriptor of the TCP connection, which monitor events name
    Fd second;            // clients only: a duplicate of `fd`, to ask the kernel how the connection ended
    bool forgotten = false;
    bool touched = false;
  };
  /// A connection that is closed according to the monitor. Its descriptor may have been reused by now, so the
  /// ROUTER is asked.
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
  bool poll_once();  // false: `stop` is readable
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
  std::chrono::milliseconds heard_within_;  // longest silence of a peer that is alive
  std::string address_;
  Scheduler scheduler_;
  Actions actions_;
  std::vector<pollfd> polled_;
  MemoryReturn memory_;
  std::unique_ptr<JournalWriter> journal_;
  std::unordered_map<std::string, PeerId> peers_;  // by routing id
  std::unordered_map<PeerId, Connection> connections_;
  std::unordered_map<int, PeerId> by_fd_;
  std::vector<PeerId> touched_;  // connections with something to flush
  std::vector<Suspect> suspects_;
  std::vector<Process> processes_;
  Time next_process_check_{};
  PeerId next_peer_ = 1;
  std::size_t received_bytes_ = 0;  // in this turn of the loop
  std::uint64_t garbage_ = 0;       // frames dropped
  int newcomer_max_ = 0;            // new connections whose descriptor is not below this are refused
  std::uint64_t refused_ = 0;       // connections refused for lack of descriptors, since the last log line
  Time refusal_logged_{};
  bool blocked_ = false;  // some frame waits for its pipe
  bool drained_ = false;  // the router had no more frames
  bool sent_ = false;     // frames were sent since then
};

/// Whether only this machine can reach the address `host`.
bool is_loopback(const std::string& host);

}  // namespace weft::broker
