// SPDX-License-Identifier: MIT
// Scenario: the plan of a world, drawn from the seed before it starts: the number of processes, the
// likelihood of each fault, the programs, and the tasks that clients submit.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "common/wire/messages.hpp"
#include "tests/simulation/network.hpp"
#include "tests/simulation/random.hpp"

namespace weft::sim {

/// A program that clients ship.
struct Program {
  wire::FileRef file;
  std::vector<wire::FileRef> libraries;
  std::set<std::string> bad_on;  // names of workers where the program does not start
};

/// The version of the protocol since which workers report their memory.
inline constexpr std::uint8_t kMemoryMinor = 3;
/// The version whose REANNOUNCE says which tasks are cancelled.
inline constexpr std::uint8_t kCancelledMinor = 3;

struct WorkerPlan {
  std::string name;
  std::uint32_t slots = 1;
  std::map<std::string, double> resources;
  std::vector<std::string> functions;  // of the task libraries that it has loaded
  std::uint64_t memory = 0;            // that it reports; 0: none
  double memory_taken = 0;             // fraction that other processes of its machine use
  std::uint8_t minor = wire::kMinor;   // version of the protocol that it speaks
};

/// What each execution of a task does, in this order of executions.
struct TaskScript {
  Duration run{};                  // of an execution that ends by itself
  std::uint32_t crashes = 0;       // the first executions kill their runner
  std::uint32_t hangs = 0;         // the next ones run until they are stopped
  std::uint32_t throws = 0;        // the next ones throw; all others return the value
  bool heeds_stop = true;          // this_task::stop_requested()
  bool heeds_term = true;          // SIGTERM
  std::uint64_t result_bytes = 0;  // 0: an inline result
  BlobId result_blob;
  std::uint64_t argument_bytes = 0;  // 0: an inline argument
  BlobId argument_blob;
  bool result_shared = false;  // other tasks return the same blob
  double memory = 0;           // fraction of its worker's that it uses while it runs
  double memory_left = 0;      // fraction that it leaks in its runner
};

/// One submit or map.
struct Wave {
  Duration at{};
  wire::TaskSpec spec;
  std::vector<TaskScript> tasks;
  struct Cancel {
    Duration after{};  // from the submit
    std::size_t task = 0;
  };
  std::vector<Cancel> cancels;
  bool retire = true;               // retires its spec right after the submit
  double take_chance = 1;           // of the program to ask for the answer of a detached or attached task
  std::optional<std::string> find;  // instead of tasks: attaches to all detached ones with this label
  std::vector<TaskId> named;        // and to these
};

struct ClientPlan {
  std::string name;
  Duration joins{};
  std::vector<Wave> waves;
  std::optional<Duration> closes;  // when it closes, even if tasks are open
  std::uint8_t minor = wire::kMinor;
};

/// The protocol version of a process: the previous, the present or the next one.
std::uint8_t draw_minor(Random& random);

struct Scenario {
  explicit Scenario(std::uint64_t seed);

  std::uint64_t seed = 0;
  /// Worlds from this seed on hunt for rare cases: they are small and have only some faults that belong
  /// together (the stories of Faults) or few kinds of faults, and nearly all their tasks are of one kind.
  static constexpr std::uint64_t kFirstHunt = 10'000'000;
  bool hunts = false;
  bool large = false;
  Network::Settings network;
  std::vector<Program> programs;
  std::vector<WorkerPlan> workers;
  std::vector<ClientPlan> clients;
  std::uint32_t faults = 0;
  Duration fault_phase{};        // faults begin before its end
  double corrupt_chance = 0;     // that a blob arrives damaged
  double late_start_chance = 0;  // that a runner never sends HELLO
  double stubborn_chance = 0;    // that a runner ignores the order to end
  std::uint32_t prefetch_max = 16;
  std::string broken_worker;     // where every task throws; empty: none
  bool short_of_memory = false;  // workers may run out of it
  bool mixed_minors = false;     // processes speak the previous, the present and the next version
  bool journal = true;
  Duration disk_write_max{};
  std::size_t rewrite_bytes = 0;                    // size of the journal at which it is rewritten
  Duration keep{};                                  // retention of answers that no program fetches
  static const std::vector<std::string>& labels();  // of detached tasks

  /// Whether two clients compete for the workers at the end, to check fair queueing. False where a runner may
  /// occupy a slot forever.
  bool competes() const;
  /// The number of slots of all workers.
  std::size_t slots() const;
  /// A client that submits `tasks` equal tasks, which every worker can run.
  ClientPlan rival(const std::string& name, std::size_t tasks) const;
  /// A client that attaches to all of these tasks, and takes their answers.
  static ClientPlan sweeper(std::vector<TaskId> named);

  /// A client that joins later than those of `clients`.
  ClientPlan next_client(Random& random, std::size_t number, std::size_t tasks) const;

 private:
  Wave wave(Random& random, std::size_t client, std::size_t number, std::size_t tasks) const;
  wire::TaskSpec spec(Random& random, std::size_t number) const;
  TaskScript task(Random& random, const wire::TaskSpec& spec, std::uint64_t name) const;

  double trouble_ = 0;  // chance of a task to crash, hang or throw
  double blob_chance_ = 0;
  double cancel_chance_ = 0;
  double detach_chance_ = 0;   // that a wave is detached
  std::size_t wave_max_ = 80;  // tasks in a wave
  double long_chance_ = 0;     // that a task takes seconds, in hunting worlds
  double hang_chance_ = 0;     // that a task never ends, in hunting worlds
  bool bulk_ = false;          // some blobs have several chunks
};

}  // namespace weft::sim
