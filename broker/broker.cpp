// SPDX-License-Identifier: MIT
#include "broker/broker.hpp"

#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "broker/peer_end.hpp"
#include "common/net/notice_log.hpp"
#include "common/system/crash_point.hpp"

namespace weft::broker {

namespace {

enum { kRouter, kMonitor, kStop };  // in Broker::polled_

constexpr int kMessagesPerTurn = 1000;                 // then the resulting frames are sent
constexpr std::size_t kBytesPerTurn = 128 << 10;       // of received frames
constexpr auto kRetry = std::chrono::milliseconds(2);  // for frames that a full pipe did not take

}  // namespace

Time Broker::now() {
  return Time(std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch()));
}

void Broker::run(int stop) {
  polled_ = {{router_.get(zmq::sockopt::fd), POLLIN, 0},
             {monitor_.get(zmq::sockopt::fd), POLLIN, 0},
             {stop, POLLIN, 0}};
  if (journal_) polled_.push_back({journal_->descriptor(), POLLIN, 0});
  read_monitor();  // libzmq's descriptors are edge-triggered: first read each socket until it is empty
  while (poll_once()) {
  }
  step(Shutdown{"the broker was told to stop"});
  flush();
}

bool Broker::poll_once() {
  poll();
  if (polled_[kStop].revents != 0) return false;
  receive();
  step(Tick{});
  flush();
  return true;
}

void Broker::poll() {
  const Time current = now();
  if (memory_.due(current)) malloc_trim(0);
  const Time due = earlier(memory_.deadline(), scheduler_.deadline()).value();
  auto wait =
      std::max(std::chrono::ceil<std::chrono::milliseconds>(due - current), std::chrono::milliseconds(0));
  if (blocked_ || !suspects_.empty()) wait = std::min(wait, std::chrono::milliseconds(kRetry));
  if (!quiet()) wait = std::chrono::milliseconds(0);
  // Not zmq::poll(), which makes several system calls per socket before and after it waits.
  poll_for(polled_, wait);
}

void Broker::receive() {
  if (polled_[kMonitor].revents != 0) read_monitor();
  receive_frames();
  memory_.moved(received_bytes_);
  if (journal_) read_journal_answers();
  check_suspects();
  check_processes();
}

void Broker::receive_frames() {
  received_bytes_ = 0;
  drained_ = false;
  for (int i = 0; i < kMessagesPerTurn && received_bytes_ < kBytesPerTurn && !drained_; ++i) {
    drained_ = !receive_frame();
    if (drained_) sent_ = false;
  }
}

/// Whether there is no frame before the router's descriptor becomes readable. Its edge may have been consumed
/// by libzmq during a send, so the socket is asked once after sends.
bool Broker::quiet() {
  if (drained_ && std::exchange(sent_, false)) {
    drained_ = (router_.get(zmq::sockopt::events) & ZMQ_POLLIN) == 0;
  }
  return drained_;
}

bool Broker::receive_frame() {
  zmq::message_t routing;
  if (!router_.recv(routing, zmq::recv_flags::dontwait)) return false;
  zmq::message_t frame;
  bool extra_parts = !routing.more();
  if (routing.more()) (void)router_.recv(frame, zmq::recv_flags::dontwait);
  for (bool more = frame.more(); more;) {
    extra_parts = true;
    zmq::message_t rest;
    more = router_.recv(rest, zmq::recv_flags::dontwait) && rest.more();
  }

  const std::string routing_id = routing.to_string();
  const auto [known, added] = peers_.try_emplace(routing_id, next_peer_);
  const PeerId peer = known->second;
  if (added) {
    ++next_peer_;
    Connection& connection = connections_[peer];
    connection.routing_id = routing_id;
    connection.fd = zmq_msg_get(frame.handle(), ZMQ_SRCFD);
    by_fd_[connection.fd] = peer;
  }

  const std::string_view text(static_cast<const char*>(frame.data()), frame.size());
  received_bytes_ += text.size();
  crash_point("broker.received");
  if (extra_parts) {
    ++garbage_;
    step(ReceivedGarbage{peer, "a message has more than one part", false});
    return true;
  }
  auto message = wire::decode(text);
  if (message) {
    if (const auto* hello = std::get_if<wire::HelloClient>(&*message))
      watch_client(connections_.at(peer), *hello);
    step(Received{peer, std::move(*message), wire::minor_of(text)});
  } else {
    ++garbage_;
    step(ReceivedGarbage{peer, message.fault(), wire::version_mismatch(text).has_value()});
  }
  crash_point("broker.stepped");
  return true;
}

void Broker::step(const Event& event) {
  scheduler_.step(now(), event, actions_);
  for (Action& action : actions_) perform(action);
  actions_.clear();
}

void Broker::touch(PeerId peer, Connection& connection) {
  if (!std::exchange(connection.touched, true)) touched_.push_back(peer);
}

void Broker::perform(Action& action) {
  std::visit([this](auto& a) { perform(a); }, action);
}

void Broker::perform(Send& action) {
  const auto found = connections_.find(action.peer);
  if (found == connections_.end()) return;
  found->second.packer.add(action.message);
  touch(action.peer, found->second);
}

void Broker::perform(const ForgetPeer& action) {
  const auto found = connections_.find(action.peer);
  if (found == connections_.end()) return;
  found->second.forgotten = true;
  touch(action.peer, found->second);
}

void Broker::perform(const Notify& action) { log_notice(*action.notice); }

// ---- the journal ----

void Broker::use_journal(std::unique_ptr<JournalWriter> writer, Recovered recovered) {
  journal_ = std::move(writer);
  step(std::move(recovered));
}

void Broker::perform(Persist& action) {
  journal_->give(JournalWriter::Append{action.number, std::move(action.row)});
}

void Broker::perform(RewriteJournal& action) {
  journal_->give(JournalWriter::Rewrite{action.number, std::move(action.rows)});
}

void Broker::perform(StoreChunk& action) {
  journal_->give(JournalWriter::StoreChunk{action.id, action.size, action.offset, std::move(action.bytes)});
}

void Broker::perform(const VerifyBlob& action) { journal_->give(JournalWriter::VerifyBlob{action.id}); }

void Broker::perform(const ServeChunk& action) {
  const wire::Get& get = action.get;
  Send answer{action.peer, {}};
  try {
    answer.message = wire::Data{get.id, get.offset, journal_->folder().read(get.id, get.offset, get.bytes)};
  } catch (const std::exception& error) {
    answer.message = wire::Gone{get.id, error.what()};
  }
  perform(answer);
}

void Broker::perform(const DropBlob& action) { journal_->give(JournalWriter::DropBlob{action.id}); }

void Broker::read_journal_answers() {
  for (JournalWriter::Answer& answer : journal_->take()) {
    if (auto* appended = std::get_if<JournalWriter::Appended>(&answer)) {
      step(Persisted{appended->number, std::move(appended->fault)});
    } else if (auto* rewritten = std::get_if<JournalWriter::Rewritten>(&answer)) {
      step(Persisted{rewritten->number, std::move(rewritten->fault)});
    } else if (auto* sealed = std::get_if<JournalWriter::Verified>(&answer)) {
      step(sealed->fault.empty() ? Event(BlobReady{sealed->id})
                                 : Event(BlobBad{sealed->id, std::move(sealed->fault)}));
    }
  }
}

// ---- out ----

Broker::Sent Broker::try_send(const Connection& connection, const std::string& frame) {
  sent_ = true;
  try {
    const auto flags = zmq::send_flags::sndmore | zmq::send_flags::dontwait;
    if (!router_.send(zmq::buffer(connection.routing_id), flags)) return Sent::later;
    (void)router_.send(zmq::buffer(frame), zmq::send_flags::dontwait);
    memory_.moved(frame.size());
    return Sent::yes;
  } catch (const zmq::error_t& error) {
    if (error.num() == EHOSTUNREACH) return Sent::unreachable;
    throw;
  }
}

/// Sends until the pipe is full or all frames are sent. False: frames are left (backpressure).
bool Broker::flush_one(PeerId peer, Connection& connection) {
  for (;;) {
    if (connection.waiting.empty()) {
      auto frame = connection.packer.take();
      if (!frame) return true;
      connection.waiting = std::move(*frame);
    }
    switch (try_send(connection, connection.waiting)) {
      case Sent::yes:
        connection.waiting.clear();
        break;
      case Sent::later:
        return false;
      case Sent::unreachable:
        connection.waiting.clear();
        connection.packer = {};
        connection.forgotten = true;
        step(PeerGone{peer, is_ended_by_peer(connection.second, heard_within_)});
        return true;
    }
  }
}

void Broker::flush() {
  blocked_ = false;
  const bool sends = !touched_.empty();
  // A PeerGone can add frames for other peers: repeated until no connection is touched.
  std::vector<PeerId> left;
  while (!touched_.empty()) {
    std::vector<PeerId> now_touched;
    now_touched.swap(touched_);
    for (const PeerId peer : now_touched) {
      const auto found = connections_.find(peer);
      if (found == connections_.end()) continue;
      found->second.touched = false;
      if (!flush_one(peer, found->second)) {
        found->second.touched = true;
        left.push_back(peer);
        blocked_ = true;
      } else if (found->second.forgotten) {
        peers_.erase(found->second.routing_id);
        if (const auto fd = by_fd_.find(found->second.fd); fd != by_fd_.end() && fd->second == peer)
          by_fd_.erase(fd);
        connections_.erase(found);
      }
    }
  }
  touched_ = std::move(left);
  if (sends) crash_point("broker.sent");
}

}  // namespace weft::broker
