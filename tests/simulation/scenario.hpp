// SPDX-License-Identifier: MIT
// Scenario: what a seed stands for: how many of what, how likely each trouble, which programs there are, and
// what the programs of the clients will ask for. Drawn before anything happens.
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
  std::set<std::string> bad_on;  // names of workers where it does not start
};

/// The version of the protocol in which workers began to speak of their memory.
inline constexpr std::uint8_t kMemoryMinor = 3;
/// The version whose REANNOUNCE says which tasks are cancelled.
inline constexpr std::uint8_t kCancelledMinor = 3;

struct WorkerPlan {
  std::string name;
  std::uint32_t slots = 1;
  std::map<std::string, double> resources;
  std::vector<std::string> functions;  // of the task libraries that it has loaded
  std::uint64_t memory = 0;            // that it says it has; 0: nothing
  double memory_taken = 0;             // part of it, by what else is on its machine
  std::uint8_t minor = wire::kMinor;   // version of the protocol that it speaks
};

/// What a task does each time it is executed, in this order of executions.
struct TaskScript {
  Duration run{};                  // of an execution that ends by itself
  std::uint32_t crashes = 0;       // the first executions kill their runner
  std::uint32_t hangs = 0;         // the next ones never end by themselves
  std::uint32_t throws = 0;        // the next ones throw; all others return the value
  bool heeds_stop = true;          // this_task::stop_requested()
  bool heeds_term = true;          // SIGTERM
  std::uint64_t result_bytes = 0;  // 0: an inline result
  BlobId result_blob;
  std::uint64_t argument_bytes = 0;  // 0: an inline argument
  BlobId argument_blob;
  bool result_shared = false;  // others make the same blob
  double memory = 0;           // part of its worker's that it uses while it runs
  double memory_left = 0;      // and that its runner keeps
};

/// One submit or map.
struct Wave {
  Duration at{};
  wire::TaskSpec spec;
  std::vector<TaskScript> tasks;
  struct Cancel {
    Duration after{};  // the submit
    std::size_t task = 0;
  };
  std::vector<Cancel> cancels;
  bool retire = true;               // its spec, at once
  double take_chance = 1;           // that the program asks for an answer, where that is told
  std::optional<std::string> find;  // no tasks, but attached ones for all detached ones with this label
  std::vector<TaskId> named;        // and these
};

struct ClientPlan {
  std::string name;
  Duration joins{};
  std::vector<Wave> waves;
  std::optional<Duration> closes;  // without waiting for the rest
  std::uint8_t minor = wire::kMinor;
};

/// One before, this one, or the next.
std::uint8_t draw_minor(Random& random);

struct Scenario {
  explicit Scenario(std::uint64_t seed);

  std::uint64_t seed = 0;
  /// From this seed on a world hunts for what is rare: it is small and quiet but for some faults that belong
  /// together (Faults' stories), or has few kinds of faults, and its work is nearly all of one kind.
  static constexpr std::uint64_t kFirstHunt = 10'000'000;
  bool hunts = false;
  bool large = false;
  Network::Settings network;
  std::vector<Program> programs;
  std::vector<WorkerPlan> workers;
  std::vector<ClientPlan> clients;
  std::uint32_t faults = 0;
  Duration fault_phase{};        // faults begin before its end
  double corrupt_chance = 0;     // of a blob to arrive damaged
  double late_start_chance = 0;  // of a runner to never say HELLO
  double stubborn_chance = 0;    // of a runner to ignore that it is not needed
  std::uint32_t prefetch_max = 16;
  std::string broken_worker;     // where every task throws; empty: none
  bool short_of_memory = false;  // workers may run out of it
  bool mixed_minors = false;     // processes of the version before, of this one and of one that is to come
  bool journal = true;
  Duration disk_write_max{};
  std::size_t rewrite_bytes = 0;                    // of rows, until the journal is written anew
  Duration keep{};                                  // of answers that nobody fetches
  static const std::vector<std::string>& labels();  // of detached tasks

  /// Whether two clients compete for the workers at the end. Not where a runner may keep a slot to itself.
  bool competes() const;
  /// All slots of all workers.
  std::size_t slots() const;
  /// A client that submits `tasks` which any worker can run, all alike.
  ClientPlan rival(const std::string& name, std::size_t tasks) const;
  /// A client that attaches to all of these, and takes the answers.
  static ClientPlan sweeper(std::vector<TaskId> named);

  /// A client that comes after the first ones.
  ClientPlan next_client(Random& random, std::size_t number, std::size_t tasks) const;

 private:
  Wave wave(Random& random, std::size_t client, std::size_t number, std::size_t tasks) const;
  wire::TaskSpec spec(Random& random, std::size_t number) const;
  TaskScript task(Random& random, const wire::TaskSpec& spec, std::uint64_t name) const;

  double trouble_ = 0;  // of a task, to crash, hang or throw
  double blob_chance_ = 0;
  double cancel_chance_ = 0;
  double detach_chance_ = 0;   // of a wave
  std::size_t wave_max_ = 80;  // tasks
  double long_chance_ = 0;     // of a task to take seconds, in hunting worlds
  double hang_chance_ = 0;     // and to never end
  bool bulk_ = false;          // some blobs have several chunks
};

}  // namespace weft::sim
