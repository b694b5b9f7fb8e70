// SPDX-License-Identifier: MIT
// IoThread: the shell of ClientCore, a loop of poll, decode, step, perform and pack. Run by one thread at a
// time, as LoopLease decides.
#pragma once

#include <functional>
#include <optional>
#include <vector>
#include <zmq.hpp>

#include "client/connection/inbox.hpp"
#include "client/core/client_core.hpp"
#include "common/net/link.hpp"
#include "common/wire/codec.hpp"

namespace weft::detail {

class IoThread final : private client::LoopLease::Loop {
 public:
  /// Called once: with "" after the first WELCOME, or with the reason why no WELCOME will come.
  using Greeted = std::function<void(const std::string& reason)>;

  IoThread(client::ClientCore::Settings settings, std::shared_ptr<Inbox> inbox, Greeted greeted);

  /// Returns when ClientCore is over and every future is done.
  void run();

 private:
  void poll_once(const client::LoopLease::Deadline& until) noexcept override;
  bool busy() const override;
  bool over() const override { return core_.over(); }

  static Time now();
  void poll(const client::LoopLease::Deadline& until);
  void receive();
  void take_inbox();
  void receive_frames();
  void receive_frame(const zmq::message_t& frame);
  void step(const client::Event& event);
  void perform();
  void perform(const client::OpenLink&);
  void perform(const client::CloseLink&);
  void perform(client::Send& action);
  void perform(client::Complete& action);
  void perform(const client::MarkRunning& action);
  void perform(const client::MarkJournaled& action);
  void perform(const client::CancelsSettled& action);
  void perform(const StoreChunk& action);
  void perform(const VerifyBlob& action);
  void perform(const ServeChunk& action);
  void perform(const DropBlob& action);
  void perform(const client::ReleaseArgument& action);
  void perform(const client::GaveUp& action);
  void perform(const client::Notify& action);
  void finish(IntrusivePtr<FutureState>& state, client::Completion& completion);
  void end(IntrusivePtr<FutureState>& state, std::string bytes, std::unique_ptr<Failure> failure);
  void finish_all(const std::string& reason);
  void wake_waiters();
  void flush();
  void greet(const std::string& reason);

  const std::string address_;
  std::shared_ptr<Inbox> inbox_;
  Greeted greeted_;
  zmq::context_t context_;
  Link link_;
  Time turn_;  // the time, read once per iteration
  client::ClientCore core_;
  client::Actions actions_;
  wire::Packer packer_;
  std::optional<std::string> refused_;  // backpressure: the frame that the link did not accept; sent first
  SequenceMap<IntrusivePtr<FutureState>> futures_;
  client::ResultStore results_;
  std::vector<client::Event> verified_;      // results of VerifyBlob, for the next iteration
  std::vector<client::Event> taken_events_;  // empty between calls; a member, to reuse its memory
  std::vector<IntrusivePtr<FutureState>> opened_;
  std::vector<pollfd> polled_;
  bool finished_ = false;                           // a future has finished since the last wake_waiters()
  std::vector<IntrusivePtr<FutureState>> awaited_;  // finished futures that threads sleep for
  bool answered_awaited_ = false;  // the last iteration finished a future that a thread was sleeping for
};

}  // namespace weft::detail
