// SPDX-License-Identifier: MIT
#include "broker/broker.hpp"

#include <fmt/format.h>
#include <malloc.h>
#include <netdb.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include "broker/peer_end.hpp"
#include "common/net/notice_log.hpp"
#include "common/system/crash_point.hpp"

namespace weft::broker {

namespace {

constexpr int kMessagesPerTurn = 1000;                 // then what they led to is sent
constexpr std::size_t kBytesPerTurn = 128 << 10;       // of them
constexpr int kFramesQueuedMax = 256;                  // per connection in libzmq: credit comes first
constexpr auto kRetry = std::chrono::milliseconds(2);  // for frames that a full pipe did not take
constexpr int kSuspectChecks = 10;
constexpr auto kProcessesChecked = std::chrono::milliseconds(500);
constexpr int kReservedFiles = 16;                          // descriptors that no newcomer gets
constexpr auto kRefusalsLogged = std::chrono::seconds(10);  // at most this often
constexpr const char* kMonitor = "inproc://weft-broker-monitor";

Time now() {
  return Time(std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch()));
}

/// The numeric form that libzmq binds to.
std::string numeric_host(const std::string& host) {
  if (host == "*") return host;
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  if (const int code = getaddrinfo(host.c_str(), nullptr, &hints, &found); code != 0) {
    throw std::runtime_error(fmt::format("cannot find host '{}': {}", host, gai_strerror(code)));
  }
  std::array<char, NI_MAXHOST> text{};
  const int code =
      getnameinfo(found->ai_addr, found->ai_addrlen, text.data(), text.size(), nullptr, 0, NI_NUMERICHOST);
  freeaddrinfo(found);
  if (code != 0) throw std::runtime_error(fmt::format("host '{}' has no address", host));
  return text.data();
}

}  // namespace

bool is_loopback(const std::string& host) {
  if (host == "*") return false;
  try {
    const std::string numeric = numeric_host(host);
    return numeric.starts_with("127.") || numeric == "::1";
  } catch (const std::runtime_error&) {
    return false;
  }
}

Broker::Broker(zmq::context_t& context, const std::string& host, std::uint16_t port, Settings settings)
    : router_(context, zmq::socket_type::router),
      monitor_(context, zmq::socket_type::pair),
      heard_within_(
          std::chrono::duration_cast<std::chrono::milliseconds>(settings.heartbeat_interval * 3 / 2)),
      scheduler_(std::move(settings), now()) {
  router_.set(zmq::sockopt::router_mandatory, 1);
  router_.set(zmq::sockopt::linger, 500);
  router_.set(zmq::sockopt::backlog, 4096);
  router_.set(zmq::sockopt::handshake_ivl, 3000);
  router_.set(zmq::sockopt::maxmsgsize, std::int64_t{16} << 20);
  router_.set(zmq::sockopt::sndhwm, kFramesQueuedMax);
  router_.set(zmq::sockopt::rcvhwm, kFramesQueuedMax);
  // Half-open connections: the kernel of a machine that lost power sends no FIN. Not ZMTP's own heartbeats:
  // libzmq 4.3.4 aborts, here or in the peer, when it comes to send a PING or PONG on a connection that broke
  // while its reading was held up.
  router_.set(zmq::sockopt::tcp_keepalive, 1);
  router_.set(zmq::sockopt::tcp_keepalive_idle, 3);
  router_.set(zmq::sockopt::tcp_keepalive_intvl, 1);
  router_.set(zmq::sockopt::tcp_keepalive_cnt, 3);
  router_.set(zmq::sockopt::tcp_maxrt, 5000);  // while something is under way, the kernel asks nothing
  zmq_socket_monitor(router_.handle(), kMonitor, ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_ACCEPTED);
  monitor_.set(zmq::sockopt::linger, 0);
  monitor_.connect(kMonitor);

  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  newcomer_max_ = static_cast<int>(std::min<rlim_t>(files.rlim_cur, INT32_MAX)) - kReservedFiles;

  const std::string numeric = numeric_host(host);
  if (numeric.find(':') != std::string::npos) router_.set(zmq::sockopt::ipv6, 1);
  const std::string bracketed = numeric.find(':') != std::string::npos ? "[" + numeric + "]" : numeric;
  try {
    router_.bind(fmt::format("tcp://{}:{}", bracketed, port == 0 ? "*" : std::to_string(port)));
  } catch (const zmq::error_t& error) {
    const char* hint =
        error.num() == EADDRINUSE ? " (is a broker running already? --port chooses another one)" : "";
    throw std::runtime_error(fmt::format("cannot listen on {}:{}: {}{}", host, port, error.what(), hint));
  }
  address_ = router_.get(zmq::sockopt::last_endpoint);
}

Broker::~Broker() { zmq_socket_monitor(router_.handle(), nullptr, 0); }

void Broker::run(int stop) {
  enum { kRouter, kMonitor, kStop };
  std::vector<pollfd> items{{router_.get(zmq::sockopt::fd), POLLIN, 0},
                            {monitor_.get(zmq::sockopt::fd), POLLIN, 0},
                            {stop, POLLIN, 0}};
  if (journal_) items.push_back({journal_->descriptor(), POLLIN, 0});
  read_monitor();  // libzmq's descriptors tell of what comes after a socket was found empty
  for (;;) {
    const Time current = now();
    if (memory_.due(current)) malloc_trim(0);
    const Time due = earlier(memory_.deadline(), scheduler_.deadline()).value();
    auto wait =
        std::max(std::chrono::ceil<std::chrono::milliseconds>(due - current), std::chrono::milliseconds(0));
    if (blocked_ || !suspects_.empty()) wait = std::min(wait, std::chrono::milliseconds(kRetry));
    if (!quiet()) wait = std::chrono::milliseconds(0);
    // Not zmq::poll(), which asks each socket before and after with several system calls.
    poll_for(items, wait);
    if (items[kStop].revents != 0) break;
    if (items[kMonitor].revents != 0) read_monitor();
    receive_all();
    memory_.moved(received_bytes_);
    if (journal_) read_journal_answers();
    check_suspects();
    check_processes();
    step(Tick{});
    flush();
  }
  step(Shutdown{"the broker was told to stop"});
  flush();
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
  journal_->give(JournalWriter::SaveChunk{action.id, action.size, action.offset, std::move(action.bytes)});
}

void Broker::perform(const VerifyBlob& action) { journal_->give(JournalWriter::SealBlob{action.id}); }

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

void Broker::perform(const DropBlob& action) { journal_->give(JournalWriter::ForgetBlob{action.id}); }

void Broker::read_journal_answers() {
  for (JournalWriter::Answer& answer : journal_->take()) {
    if (auto* appended = std::get_if<JournalWriter::Appended>(&answer)) {
      step(Persisted{appended->number, std::move(appended->fault)});
    } else if (auto* rewritten = std::get_if<JournalWriter::Rewritten>(&answer)) {
      step(Persisted{rewritten->number, std::move(rewritten->fault)});
    } else if (auto* sealed = std::get_if<JournalWriter::Sealed>(&answer)) {
      step(sealed->fault.empty() ? Event(BlobReady{sealed->id})
                                 : Event(BlobBad{sealed->id, std::move(sealed->fault)}));
    }
  }
}

// ---- in ----

void Broker::receive_all() {
  received_bytes_ = 0;
  drained_ = false;
  for (int i = 0; i < kMessagesPerTurn && received_bytes_ < kBytesPerTurn && !drained_; ++i) {
    drained_ = !receive_one();
    if (drained_) sent_ = false;
  }
}

/// Whether nothing is there until the router's descriptor is readable. libzmq may have taken notice of what
/// came in while something was sent.
bool Broker::quiet() {
  if (drained_ && std::exchange(sent_, false)) {
    drained_ = (router_.get(zmq::sockopt::events) & ZMQ_POLLIN) == 0;
  }
  return drained_;
}

bool Broker::receive_one() {
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

/// A closed connection shows here at once, long before a heartbeat is missed; a new one before it speaks.
void Broker::read_monitor() {
  zmq::message_t what;
  while (monitor_.recv(what, zmq::recv_flags::dontwait)) {
    zmq::message_t endpoint;
    (void)monitor_.recv(endpoint, zmq::recv_flags::dontwait);
    if (what.size() < sizeof(std::uint16_t) + sizeof(std::int32_t)) continue;
    std::uint16_t event = 0;
    std::memcpy(&event, what.data(), sizeof event);
    std::int32_t fd = 0;
    std::memcpy(&fd, static_cast<const char*>(what.data()) + sizeof(std::uint16_t), sizeof fd);
    if (event == ZMQ_EVENT_ACCEPTED) {
      admit(fd);
    } else if (const auto found = by_fd_.find(fd); found != by_fd_.end()) {
      suspects_.push_back({found->second, kSuspectChecks});
    }
  }
}

/// Closes a new connection when few descriptors are left: the kernel gives out the lowest that is free.
/// Without any, libzmq's accept() would fail again and again at the speed of the processor, and newcomers
/// would wait for an answer instead of trying later. (Should `fd` be another connection's by now: that is as
/// new.)
void Broker::admit(int fd) {
  if (fd < newcomer_max_) return;
  shutdown(fd, SHUT_RDWR);
  ++refused_;
  if (refusal_logged_ != Time{} && now() < refusal_logged_ + kRefusalsLogged) return;
  refusal_logged_ = now();
  spdlog::warn(
      "out of descriptors: {} newcomers were refused, and will be until somebody leaves; ulimit -n is {}, a "
      "higher one admits more",
      std::exchange(refused_, 0), newcomer_max_ + kReservedFiles);
}

void Broker::check_suspects() {
  static const std::string kProbe = wire::encode(wire::Heartbeat{});
  std::vector<Suspect> still;
  for (Suspect suspect : suspects_) {
    const auto found = connections_.find(suspect.peer);
    if (found == connections_.end()) continue;
    if (try_send(found->second, kProbe) == Sent::unreachable) {
      step(PeerGone{suspect.peer, is_ended_by_peer(found->second.second, heard_within_)});
      found->second.forgotten = true;
      touch(suspect.peer, found->second);
    } else if (--suspect.checks_left > 0) {
      still.push_back(suspect);
    }
  }
  suspects_ = std::move(still);
}

/// Before its HELLO counts: how its connection and its process end is to be known.
void Broker::watch_client(Connection& connection, const wire::HelloClient& hello) {
  connection.second = second_descriptor(connection.fd);
  if (connection.second.get() >= newcomer_max_) connection.second.reset();
  std::erase_if(processes_, [&](const Process& process) { return process.session == hello.session; });
  Fd process = process_at_other_end(connection.second, hello.host, hello.pid);
  if (process && process.get() < newcomer_max_) processes_.push_back({std::move(process), hello.session});
}

/// Its connection may outlive it, in a process that it has forked.
void Broker::check_processes() {
  if (processes_.empty() || now() < next_process_check_) return;
  next_process_check_ = now() + kProcessesChecked;
  std::erase_if(processes_, [&](const Process& process) { return !scheduler_.has_session(process.session); });
  std::vector<pollfd> items;
  for (const Process& process : processes_) items.push_back({process.process.get(), POLLIN, 0});
  if (poll_for(items, std::chrono::milliseconds(0)) == 0) return;
  std::vector<Process> still;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (items[i].revents == 0) {
      still.push_back(std::move(processes_[i]));
    } else {
      step(ProcessGone{processes_[i].session});
    }
  }
  processes_ = std::move(still);
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

/// Sends until the pipe is full or nothing is left. False when something is left.
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
  // A PeerGone can make others dirty: until nothing is.
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
