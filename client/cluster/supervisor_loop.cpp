// SPDX-License-Identifier: MIT
#include "client/cluster/supervisor_loop.hpp"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <csignal>

#include "client/cluster/process.hpp"
#include "common/system/daemon.hpp"

namespace weft::cluster {

namespace {

constexpr Duration kLeftoversLive = std::chrono::seconds(1);  // leftover processes are then killed: is_over()
constexpr Duration kLeftoversCheck = std::chrono::milliseconds(50);
constexpr Duration kForceWait = std::chrono::seconds(2);
constexpr std::size_t kRequestMax = 1 << 16;
constexpr std::size_t kReasonLines = 3;
constexpr int kSshFailed = 255;  // ssh's exit code, which our programs never use

Time now() {
  return Time(std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch()));
}

Fd make_signalfd() {
  sigset_t signals = block_stop_signals();
  sigaddset(&signals, SIGCHLD);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  return checked(signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK), "signalfd");
}

/// A pidfd of our parent, readable once it has ended. Throws std::system_error.
Fd open_owner(pid_t owner) {
  if (owner == 0) return {};
  Fd process = checked(static_cast<int>(syscall(SYS_pidfd_open, owner, 0)), "pidfd_open");
  if (getppid() != owner) throw std::runtime_error("the process whose cluster this is has ended");
  return process;
}

void send_to(const Fd& socket, const std::string& text) {
  const timeval patience{1, 0};  // for replies that are larger than the socket's buffer
  setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  std::string_view rest = text;
  while (!rest.empty()) {
    const ssize_t sent = send(socket.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;
    rest.remove_prefix(static_cast<std::size_t>(sent));
  }
}

}  // namespace

SupervisorLoop::SupervisorLoop(StateDirectory directory, ClusterState state)
    : directory_(std::move(directory)),
      settings_(std::move(state.settings)),
      identity_(identity_of(getpid())),
      signals_(make_signalfd()),
      listener_(listen_for_requests(directory_)),
      owner_(open_owner(settings_.owner)) {}

void SupervisorLoop::run() {
  begin();
  while (!stopped_) {
    publish();
    wait();
    take_signals();
    look_at_owner();
    accept_connections();
    for (Connection& connection : connections_) serve(connection);
    std::erase_if(connections_, [](const Connection& connection) { return connection.over; });
    for (auto& [name, running] : running_) read_output(name, running);
    finish_ended();
    feed(Tick{});
  }
  directory_.remove_run();
  if (settings_.owner == 0) return;
  std::error_code ignored;
  std::filesystem::remove_all(directory_.root(), ignored);
}

void SupervisorLoop::begin() {
  feed(AddBroker{});
  for (int i = 1; i <= settings_.workers; ++i) feed(AddWorker{fmt::format("worker-{}", i)});
  const auto remote = static_cast<int>(settings_.hosts.size());
  for (int i = 1; i <= remote; ++i) feed(AddWorker{fmt::format("worker-{}", settings_.workers + i), true});
}

void SupervisorLoop::wait() {
  std::vector<pollfd> items{{signals_.get(), POLLIN, 0}, {listener_.get(), POLLIN, 0}};
  if (owner_) items.push_back({owner_.get(), POLLIN, 0});
  for (const Connection& connection : connections_) items.push_back({connection.socket.get(), POLLIN, 0});
  std::optional<Time> until = supervisor_.deadline();
  for (const auto& [name, running] : running_) {
    if (running.open) items.push_back({running.process->output().get(), POLLIN, 0});
    if (running.wait_status) until = earlier(until, now() + kLeftoversCheck);
    until = earlier(until, running.kill_at);
  }
  if (changed_) until = earlier(until, publish_at_);
  const Duration left = until ? std::max(Duration{}, *until - now()) : std::chrono::hours(1);
  poll_for(items, std::chrono::ceil<std::chrono::milliseconds>(left));
}

// ---- events ----

void SupervisorLoop::take_signals() {
  signalfd_siginfo info{};
  while (read(signals_.get(), &info, sizeof info) == sizeof info)
    if (info.ssi_signo != SIGCHLD) feed(Stop{std::chrono::seconds(10)});
  reap();
}

void SupervisorLoop::look_at_owner() {
  pollfd item{owner_.get(), POLLIN, 0};
  if (!owner_ || poll(&item, 1, 0) <= 0) return;
  owner_.reset();
  feed(Stop{});
}

void SupervisorLoop::accept_connections() {
  for (;;) {
    Fd socket(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!socket) return;
    connections_.push_back({std::move(socket), "", false, false});
  }
}

void SupervisorLoop::serve(Connection& connection) {
  char bytes[4096];
  const ssize_t got = recv(connection.socket.get(), bytes, sizeof bytes, MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  connection.over = got <= 0 || connection.request.size() > kRequestMax;
  if (got > 0) connection.request.append(bytes, static_cast<std::size_t>(got));
  const std::size_t end = connection.request.find('\n');
  if (connection.over || end == std::string::npos) return;
  const std::string request = std::exchange(connection.request, {}).substr(0, end);
  send_to(connection.socket, reply_to(connection, request));
  connection.over = !connection.hears;
}

std::string SupervisorLoop::reply_to(Connection& connection, const std::string& request) try {
  const std::optional<Event> event = event_of(request);
  if (!event) return to_json(state_now(true)) + "\n";
  connection.hears = std::holds_alternative<Stop>(*event);
  answer_.reset();
  feed(*event);
  return to_line(answer_.value_or(Answer{}));
} catch (const std::exception& error) {
  return to_line(Answer{false, error.what()});
}

void SupervisorLoop::read_output(const std::string& name, Running& running) {
  constexpr int kReadsMax = 16;  // then other members are read, so that a verbose one does not starve them
  char bytes[1 << 16];
  for (int i = 0; running.open && i < kReadsMax; ++i) {
    const ssize_t got = read(running.process->output().get(), bytes, sizeof bytes);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    running.open = got > 0;
    if (got <= 0) return;
    const std::string_view text(bytes, static_cast<std::size_t>(got));
    log_of(name).write(text);
    if (name == "broker" && address_.empty()) look_for_address(text);
  }
}

/// Finds the broker's address in its output. Later restarts use the same port.
void SupervisorLoop::look_for_address(std::string_view bytes) {
  constexpr std::string_view kBefore = "serving on tcp://";
  broker_said_ += bytes;
  const std::size_t before = broker_said_.find(kBefore);
  const std::size_t end = broker_said_.find('\n', before);
  if (before == std::string::npos || end == std::string::npos) return;
  const std::size_t begin = before + kBefore.size();
  address_ = broker_said_.substr(begin, end - begin);
  const std::size_t colon = address_.rfind(':');
  const std::string port = address_.substr(colon + 1);
  const std::string host = address_.substr(0, colon);
  settings_.port = std::atoi(port.c_str());
  // A broker that serves a wildcard address is reached by loopback from this machine.
  if (host == "0.0.0.0" || host == "*") address_ = "127.0.0.1:" + port;
  if (host == "[::]") address_ = "[::1]:" + port;
  broker_said_.clear();
  feed(Serving{});
}

void SupervisorLoop::reap() {
  int status = 0;
  for (pid_t pid = 0; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
    for (auto& [name, running] : running_)
      if (!running.wait_status && running.process->pid() == pid) {
        running.wait_status = status;
        running.reaped = now();
      }
}

/// Whether no process of the member is left. A worker's children end by themselves within a second, and also
/// kill processes that have left the worker's session; leftover processes of the session are then killed.
bool SupervisorLoop::is_over(Running& running) {
  if (running.kill_at && *running.kill_at <= now()) {
    kill(running.process->pid(), SIGKILL);
    running.kill_at.reset();
  }
  if (!running.wait_status) return false;
  const pid_t session = running.process->pid();
  if (!session_has_processes(session)) return true;
  if (now() - running.reaped < kLeftoversLive) return false;
  kill_session(session);
  return now() - running.reaped > kLeftoversLive + kForceWait;
}

void SupervisorLoop::finish_ended() {
  std::vector<Ended> events;
  for (auto& [name, running] : running_) {
    if (!is_over(running)) continue;
    read_output(name, running);
    events.push_back(ended(name, running));
  }
  for (const Ended& event : events) running_.erase(event.name);
  for (const Ended& event : events) feed(event);
}

Ended SupervisorLoop::ended(const std::string& name, const Running& running) {
  const int status = *running.wait_status;
  const Duration lived = running.reaped - running.began;
  std::string words;
  std::vector<std::string> lines = log_of(name).last_lines();
  if (lines.size() > kReasonLines) lines.erase(lines.begin(), lines.end() - kReasonLines);
  for (const std::string& line : lines) words += (words.empty() ? "" : " / ") + line;
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
  return {.name = name,
          .by_code = signal_of(status) == 0 && code != kSshFailed,
          .code = code,
          .how = fmt::format("{} after {:.1f} s", describe_exit(status),
                             std::chrono::duration<double>(lived).count()),
          .last_words = words.empty() ? "it has not printed anything" : words,
          .lived = lived,
          .full_disk = full_disk()};
}

// ---- actions ----

void SupervisorLoop::feed(const Event& event) {
  supervisor_.step(now(), event, actions_);
  supervisor_.check_invariants();
  while (!actions_.empty()) {  // performing may feed further events
    const Actions actions = std::exchange(actions_, {});
    for (const Action& action : actions) std::visit([this](const auto& a) { perform(a); }, action);
    changed_ = true;
  }
}

void SupervisorLoop::perform(const Start& action) {
  LogFile& log = log_of(action.name);
  log.forget_lines();
  const LaunchOrder order = order_for(action.name);
  Launcher& launcher = order.host.empty() ? static_cast<Launcher&>(here_) : elsewhere_;
  try {
    auto process = launcher.start(order);
    const std::string identity = identity_of(process->pid());
    running_[action.name] = {.process = std::move(process), .identity = identity, .began = now()};
  } catch (const std::system_error& error) {
    feed(Ended{.name = action.name,
               .by_code = true,
               .code = 127,
               .how = "could not be started",
               .last_words = error.what(),
               .full_disk = full_disk()});
  }
}

void SupervisorLoop::perform(const TellToLeave& action) {
  const auto found = running_.find(action.name);
  if (found == running_.end() || found->second.wait_status) return;
  found->second.process->tell(action.force ? SIGKILL : SIGTERM);
  if (action.force) found->second.kill_at = now() + kForceWait;
}

void SupervisorLoop::perform(const Note& action) { log_of(action.name).note(action.text); }

void SupervisorLoop::perform(const Say& action) {
  for (const Connection& connection : connections_)
    if (connection.hears) send_to(connection.socket, to_line(action));
}

void SupervisorLoop::perform(const Answer& action) { answer_ = action; }

void SupervisorLoop::perform(const Stopped&) { stopped_ = true; }

const Host* SupervisorLoop::host_of(const std::string& name) const {
  const Member* member = supervisor_.find(name);
  if (member == nullptr || !member->remote) return nullptr;
  const int number = std::atoi(name.substr(name.rfind('-') + 1).c_str());
  return &settings_.hosts.at(static_cast<std::size_t>(number - settings_.workers - 1));
}

LaunchOrder SupervisorLoop::order_for(const std::string& name) const {
  LaunchOrder order{.argv = {},
                    .bin_directory = settings_.bin_directory,
                    .host = "",
                    .dies_with_parent = settings_.owner != 0};
  if (name == "broker") {
    order.argv = {"weft-broker", "--host", settings_.host, "--port", std::to_string(settings_.port)};
    order.argv.insert(order.argv.end(), settings_.broker_args.begin(), settings_.broker_args.end());
    return order;
  }
  const Host* host = host_of(name);
  const int nprocs = host == nullptr ? settings_.nprocs : host->nprocs;
  if (host != nullptr) order.host = host->name;
  order.argv = {"weft-worker", address_, "--name", name};
  if (nprocs > 0) order.argv.insert(order.argv.end(), {"--nprocs", std::to_string(nprocs)});
  order.argv.insert(order.argv.end(), settings_.worker_args.begin(), settings_.worker_args.end());
  return order;
}

LogFile& SupervisorLoop::log_of(const std::string& name) {
  const auto found = logs_.find(name);
  if (found != logs_.end()) return found->second;
  return logs_.try_emplace(name, directory_.logs().string(), name, settings_.log_size).first->second;
}

}  // namespace weft::cluster
