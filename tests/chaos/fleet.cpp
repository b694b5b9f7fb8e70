// SPDX-License-Identifier: MIT
#include "tests/chaos/fleet.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <stdexcept>
#include <thread>

#include "tests/chaos/tasks.hpp"

namespace weft::chaos {

using support::Process;

namespace {

constexpr auto kLook = std::chrono::milliseconds(3);
constexpr auto kLeaving =
    std::chrono::seconds(60);  // for a worker to end after it was told to leave, whatever faults hit it
constexpr auto kEnd = std::chrono::seconds(120);  // of all clients, after the last fault

/// A port below the range that the kernel gives to outgoing connections: a peer that looks for a broker that
/// is down must not occupy the broker's port.
std::uint16_t free_port(std::mt19937_64& random) {
  for (int tries = 0; tries < 1000; ++tries) {
    const auto port = static_cast<std::uint16_t>(std::uniform_int_distribution<int>(12'000, 32'000)(random));
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(port);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const bool free = bind(fd, reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0;
    close(fd);
    if (free) return port;
  }
  throw std::runtime_error("no free port between 12000 and 32000");
}

/// The end of a log.
std::string tail(const std::string& text) {
  const std::size_t most = 1500;
  return text.size() > most ? "..." + text.substr(text.size() - most) : text;
}

std::string program_of(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/cmdline");
  std::string name;
  std::getline(file, name, '\0');
  return name;
}

}  // namespace

Fleet::Fleet(Settings settings)
    : settings_(std::move(settings)),
      random_(settings_.seed),
      address_("127.0.0.1:" + std::to_string(free_port(random_))) {
  start_broker();
  proxy_ = std::make_unique<support::Proxy>(address_);
  for (int i = 0; i < settings_.workers; ++i) start_worker();
  for (int i = 0; i < settings_.clients; ++i) start_client();
  wait_until("the first answers", std::chrono::seconds(60), [this] { return totals().verified > 0; });
}

Fleet::~Fleet() {
  // Agents first, so that they end the processes that they have started.
  clients_.clear();
  workers_.clear();
  broker_.reset();
}

int Fleet::draw(int from, int to) { return std::uniform_int_distribution<int>(from, to)(random_); }
std::size_t Fleet::draw_index() { return static_cast<std::size_t>(draw(0, 1'000'000)); }

std::shared_ptr<Fleet::Member> Fleet::draw(const Members& members) {
  if (members.empty()) return nullptr;
  return *std::next(members.begin(), draw(0, static_cast<int>(members.size()) - 1));
}

// ---- starting ----

std::shared_ptr<Fleet::Member> Fleet::start(const std::string& name, std::vector<std::string> argv) {
  auto member = std::make_shared<Member>();
  member->name = name;
  member->process = std::make_unique<Process>(
      std::move(argv),
      Process::Options{.environment = {}, .directory = settings_.folder, .output = settings_.folder / name});
  return member;
}

void Fleet::start_broker() {
  const auto begin = Clock::now();
  const auto colon = address_.find(':');
  broker_ = start("broker-" + std::to_string(++brokers_started_),
                  {support::binary("weft-broker"), "--port", address_.substr(colon + 1),
                   "--heartbeat-interval", "0.3", "--client-grace", "2"});
  if (!broker_->process->prints("serving on")) {
    throw std::runtime_error("the broker does not serve: " + tail(broker_->process->err()));
  }
  broker_started_ = begin;
  answered_before_ = totals().answered;
}

/// Members with odd numbers connect through the proxy.
const std::string& Fleet::address_for(int number) const {
  return number % 2 == 0 ? address_ : proxy_->address();
}

void Fleet::start_worker() {
  const std::string name = "worker-" + std::to_string(++workers_started_);
  workers_.push_back(start(name, {support::binary("weft-worker"), address_for(workers_started_), "--nprocs",
                                  std::to_string(settings_.slots), "--name", name, "--local-directory",
                                  settings_.folder / "cache"}));
}

void Fleet::start_client() {
  const std::string name = "client-" + std::to_string(++clients_started_);
  const std::string board = settings_.folder / (name + ".board");
  auto member =
      start(name, {support::binary("weft_chaos_client"), address_for(clients_started_),
                   std::to_string(settings_.seed), std::to_string(clients_started_), board, starts()});
  member->board = std::make_unique<Board>(board);
  clients_.push_back(std::move(member));
}

// ---- faults ----

const std::vector<Fleet::Fault>& Fleet::kinds() {
  static const std::vector<Fault> all = {
      {"broker killed", 6, &Fleet::kill_broker},
      {"broker frozen shortly", 2, &Fleet::freeze_broker_shortly},
      {"broker frozen past expiry", 3, &Fleet::freeze_broker_long},
      {"worker killed", 6, &Fleet::kill_worker},
      {"worker frozen shortly", 2, &Fleet::freeze_worker_shortly},
      {"worker frozen past expiry", 4, &Fleet::freeze_worker_long},
      {"worker drained", 4, &Fleet::drain_worker},
      {"runner killed", 8, &Fleet::kill_runner},
      {"client killed", 3, &Fleet::kill_client},
      {"client frozen shortly", 2, &Fleet::freeze_client_shortly},
      {"client frozen past expiry", 3, &Fleet::freeze_client_long},
      {"connection cut", 6, &Fleet::cut},
      {"all connections cut", 2, &Fleet::cut_all},
      {"connection stalled shortly", 3, &Fleet::stall_shortly},
      {"connection stalled past expiry", 4, &Fleet::stall_long},
      {"all connections stalled", 2, &Fleet::stall_all},
      {"connection slowed", 4, &Fleet::slow},
      {"connection half-closed", 5, &Fleet::half_close},
  };
  return all;
}

void Fleet::break_something() {
  int weights = 0;
  for (const Fault& fault : kinds()) weights += fault.weight;
  for (bool done = false; !done;) {
    int at = draw(0, weights - 1);
    for (const Fault& fault : kinds()) {
      if ((at -= fault.weight) >= 0) continue;
      done = (this->*fault.act)();
      if (done) ++faults_[fault.name];
      break;
    }
  }
}

bool Fleet::kill_broker() {
  if (!broker_) return false;
  broker_->process->kill();
  broker_.reset();
  broker_started_.reset();
  later(0, 1500, [this] { start_broker(); });
  return true;
}

bool Fleet::kill_worker() {
  const auto worker = draw(workers_);
  if (!worker) return false;
  if (!worker->frozen) worker_kills_.push_back({worker->name, monotonic_us()});
  worker->process->kill();
  workers_.remove(worker);
  if (!worker->leaves_by) later(0, 1000, [this] { start_worker(); });
  return true;
}

bool Fleet::drain_worker() {
  const auto worker = draw(workers_);
  if (!worker || worker->leaves_by) return false;
  worker->process->signal(SIGTERM);
  worker->leaves_by = Clock::now() + kLeaving;
  later(0, 300, [this] { start_worker(); });
  return true;
}

bool Fleet::kill_runner() {
  const auto worker = draw(workers_);
  if (!worker) return false;
  std::vector<pid_t> runners = support::descendants_of(worker->process->pid());
  std::erase_if(runners, [](pid_t pid) { return program_of(pid) != "weft_chaos_client"; });
  if (runners.empty()) return false;
  ::kill(runners[draw_index() % runners.size()], SIGKILL);
  return true;
}

bool Fleet::kill_client() {
  const auto client = draw(clients_);
  if (!client) return false;
  client->process->kill();
  old_boards_.push_back(std::move(client->board));
  clients_.remove(client);
  later(0, 500, [this] { start_client(); });
  return true;
}

bool Fleet::freeze(const std::shared_ptr<Member>& member, int from_ms, int to_ms) {
  if (!member || member->frozen) return false;
  member->process->signal(SIGSTOP);
  member->frozen = true;
  later(from_ms, to_ms, [member] {
    member->process->signal(SIGCONT);
    member->frozen = false;
  });
  return true;
}

bool Fleet::freeze_broker_shortly() { return freeze(broker_, 50, 500); }
bool Fleet::freeze_broker_long() {
  broker_started_.reset();
  return freeze(broker_, 1200, 2500);
}
bool Fleet::freeze_worker_shortly() { return freeze(draw(workers_), 50, 600); }
bool Fleet::freeze_worker_long() { return freeze(draw(workers_), 1200, 3000); }
bool Fleet::freeze_client_shortly() { return freeze(draw(clients_), 50, 600); }
bool Fleet::freeze_client_long() { return freeze(draw(clients_), 1200, 4500); }  // may exceed its grace

bool Fleet::cut() { return proxy_->cut(draw_index()); }
bool Fleet::cut_all() {
  const std::size_t count = proxy_->connections();
  for (std::size_t i = 0; i < count; ++i) proxy_->cut(i);
  return count > 0;
}
bool Fleet::stall_shortly() { return proxy_->stall(draw_index(), std::chrono::milliseconds(draw(50, 600))); }
bool Fleet::stall_long() { return proxy_->stall(draw_index(), std::chrono::milliseconds(draw(1200, 3000))); }
bool Fleet::stall_all() {
  proxy_->stall_all(std::chrono::milliseconds(draw(300, 2000)));
  return true;
}
bool Fleet::slow() {
  return proxy_->slow(draw_index(), static_cast<std::size_t>(draw(100, 10'000)),
                      std::chrono::milliseconds(draw(500, 4000)));
}
bool Fleet::half_close() { return proxy_->half_close(draw_index()); }

// ---- time ----

void Fleet::later(int from_ms, int to_ms, std::function<void()> what) {
  due_.emplace(Clock::now() + std::chrono::milliseconds(draw(from_ms, to_ms)), std::move(what));
}

void Fleet::do_due(Clock::time_point now) {
  while (!due_.empty() && due_.begin()->first <= now) {
    const auto what = std::move(due_.begin()->second);
    due_.erase(due_.begin());
    what();
  }
}

void Fleet::look() {
  do_due(Clock::now());
  if (broker_ && !broker_->process->running()) {
    throw std::runtime_error("the broker ended by itself: " + tail(broker_->process->err()));
  }
  look_at(workers_);
  look_at(clients_);
  measure_recovery();
}

void Fleet::look_at(Members& members) {
  for (auto at = members.begin(); at != members.end();) {
    Member& member = **at;
    const auto code = member.process->wait(std::chrono::milliseconds(0));
    if (code && (!member.leaves_by || *code != 0)) {
      throw std::runtime_error(member.name + " ended with " + std::to_string(*code) + ": " +
                               tail(member.process->err()));
    }
    if (!code && member.leaves_by && Clock::now() > *member.leaves_by) {
      throw std::runtime_error(member.name +
                               " was asked to leave and has not left: " + tail(member.process->err()));
    }
    if (code && member.board) old_boards_.push_back(std::move(member.board));
    at = code ? members.erase(at) : std::next(at);
  }
}

void Fleet::measure_recovery() {
  if (!broker_started_ || totals().answered <= answered_before_) return;
  broker_recoveries_s_.push_back(std::chrono::duration<double>(Clock::now() - *broker_started_).count());
  broker_started_.reset();
}

Fleet::Totals Fleet::totals() const {
  Totals totals;
  const auto add = [&](const Board& board) {
    totals.submitted += board->submitted;
    totals.answered += board->answered;
    totals.verified += board->verified;
    totals.failed_rightly += board->failed_rightly;
  };
  for (const auto& board : old_boards_) add(*board);
  for (const auto& client : clients_) add(*client->board);
  return totals;
}

// ---- the end ----

void Fleet::wait_until(const std::string& what, std::chrono::seconds within,
                       const std::function<bool()>& condition) {
  const auto deadline = Clock::now() + within;
  while (!condition()) {
    look();
    if (Clock::now() > deadline) {
      throw std::runtime_error("waited " + std::to_string(within.count()) + " s for " + what + ", in vain");
    }
    std::this_thread::sleep_for(kLook);  // poll interval
  }
}

void Fleet::finish() {
  proxy_->heal();
  do_due(Clock::time_point::max());
  const auto end = Clock::now() + kEnd;
  for (const auto& client : clients_) {
    (*client->board)->stop = true;
    client->leaves_by = end;
  }
  wait_until("the clients to have all their answers", kEnd, [this] { return clients_.empty(); });
  wait_until("the drained workers to leave and all others to be there", std::chrono::seconds(60), [this] {
    return static_cast<int>(workers_.size()) == settings_.workers &&
           support::status_number(address_, "workers") == settings_.workers;
  });
  // Clients that were killed must leave nothing either.
  wait_until("the broker to have nothing queued and nothing running", std::chrono::seconds(30), [this] {
    return support::status_number(address_, "queued") == 0 &&
           support::status_number(address_, "slots_busy") == 0;
  });
  for (const auto& worker : workers_) {
    worker->process->signal(SIGTERM);
    worker->leaves_by = Clock::now() + kLeaving;
  }
  wait_until("the workers to leave", kLeaving, [this] { return workers_.empty(); });
  broker_->process->signal(SIGTERM);
  if (broker_->process->wait() != 0) throw std::runtime_error("the broker did not leave with 0 on SIGTERM");
  broker_.reset();
  check_nobody_is_left();
}

/// Fails if this process, as the subreaper, has inherited a process from a killed agent.
void Fleet::check_nobody_is_left() {
  std::string left;
  support::eventually(
      [&] {
        left.clear();
        for (const pid_t pid : support::children_of(getpid())) {
          if (waitpid(pid, nullptr, WNOHANG) == 0)
            left += " " + std::to_string(pid) + " (" + program_of(pid) + ")";
        }
        return left.empty();
      },
      std::chrono::seconds(5));
  if (!left.empty()) throw std::runtime_error("processes are left behind:" + left);
}

}  // namespace weft::chaos
