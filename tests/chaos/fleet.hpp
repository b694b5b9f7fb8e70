// SPDX-License-Identifier: MIT
// Fleet: a broker, workers and clients as real processes, some of them behind a proxy, and every fault that
// can be injected. A process that ends unexpectedly, or in an unexpected way, is a std::runtime_error that
// says which and how.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "tests/chaos/board.hpp"
#include "tests/support/process.hpp"
#include "tests/support/proxy.hpp"

namespace weft::chaos {

using Clock = std::chrono::steady_clock;

class Fleet {
 public:
  struct Settings {
    std::filesystem::path folder;  // logs, boards, caches
    std::uint64_t seed = 1;
    int workers = 3;
    int slots = 2;  // of each worker
    int clients = 3;
  };
  struct Totals {
    std::uint64_t submitted = 0;
    std::uint64_t answered = 0;
    std::uint64_t verified = 0;
    std::uint64_t failed_rightly = 0;
  };
  struct WorkerKill {
    std::string worker;
    std::int64_t at_us = 0;  // monotonic
  };

  /// Starts all processes, and returns once clients have had their first answers.
  explicit Fleet(Settings settings);
  /// Ends all processes.
  ~Fleet();
  Fleet(const Fleet&) = delete;
  Fleet& operator=(const Fleet&) = delete;

  /// Injects one fault, drawn from the seed.
  void break_something();
  /// Performs what is due, and checks every process. Call it every few milliseconds.
  void look();
  /// Ends all faults, waits until the clients have finished, and has all processes leave.
  void finish();

  Totals totals() const;
  const std::map<std::string, int>& faults() const { return faults_; }
  /// From the start of a new broker to the first answer of any client, for brokers that lived that long.
  const std::vector<double>& broker_recoveries_s() const { return broker_recoveries_s_; }
  const std::vector<WorkerKill>& worker_kills() const { return worker_kills_; }
  /// The file to which every task appends a line when it starts.
  std::string starts() const { return settings_.folder / "starts"; }

 private:
  struct Member {
    std::string name;
    std::unique_ptr<support::Process> process;
    std::unique_ptr<Board> board;  // a client's
    bool frozen = false;
    std::optional<Clock::time_point> leaves_by;  // set when it was asked to leave
  };
  using Members = std::list<std::shared_ptr<Member>>;
  struct Fault {
    const char* name;
    int weight;
    bool (Fleet::*act)();  // false: there was no victim
  };
  static const std::vector<Fault>& kinds();

  bool kill_broker();
  bool freeze_broker_shortly();
  bool freeze_broker_long();
  bool kill_worker();
  bool freeze_worker_shortly();
  bool freeze_worker_long();
  bool drain_worker();
  bool kill_runner();
  bool kill_client();
  bool freeze_client_shortly();
  bool freeze_client_long();
  bool cut();
  bool cut_all();
  bool stall_shortly();
  bool stall_long();
  bool stall_all();
  bool slow();
  bool half_close();

  void start_broker();
  void start_worker();
  void start_client();
  std::shared_ptr<Member> start(const std::string& name, std::vector<std::string> argv);
  bool freeze(const std::shared_ptr<Member>& member, int from_ms, int to_ms);
  std::shared_ptr<Member> draw(const Members& members);
  const std::string& address_for(int number) const;
  void look_at(Members& members);
  void measure_recovery();
  void do_due(Clock::time_point now);
  void later(int from_ms, int to_ms, std::function<void()> what);
  void wait_until(const std::string& what, std::chrono::seconds within,
                  const std::function<bool()>& condition);
  void check_nobody_is_left();
  int draw(int from, int to);
  std::size_t draw_index();

  Settings settings_;
  std::mt19937_64 random_;
  std::string address_;
  std::unique_ptr<support::Proxy> proxy_;
  std::shared_ptr<Member> broker_;  // null while it is down
  Members workers_;
  Members clients_;
  int brokers_started_ = 0;
  int workers_started_ = 0;
  int clients_started_ = 0;

  std::multimap<Clock::time_point, std::function<void()>> due_;
  std::map<std::string, int> faults_;
  std::vector<std::unique_ptr<Board>> old_boards_;  // of clients that have ended
  std::vector<WorkerKill> worker_kills_;
  std::vector<double> broker_recoveries_s_;
  std::optional<Clock::time_point> broker_started_;  // while no client has had an answer since
  std::uint64_t answered_before_ = 0;
};

}  // namespace weft::chaos
