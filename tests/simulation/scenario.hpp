// SPDX-License-Identifier: MIT
// Scenario: what a seed stands for: how many processes there are, how likely each kind of trouble is, which
// programs exist, and what the clients' programs will submit. All of it is drawn before the world starts.
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

/// The version of the protocol in which workers began to report their memory.
inline constexpr std::uint8_t kMemoryMinor = 3;
/// The version whose REANNOUNCE says which tasks are cancelled.
inline constexpr std::uint8_t kCancelledMinor = 3;

struct WorkerPlan {
  std::string name;
  std::uint32_t slots = 1;
  std::map<std::string, double> resources;
  std::vector<std::string> functions;  // of the task libraries that it has loaded
  std::uint64_t memory = 0;            // that the worker reports; 0: it reports none
  double memory_taken = 0;             // fraction that other processes on the machine use
  std::uint8_t minor = wire::kMinor;   // version of the protocol that it speaks
};

/// What each execution of a task does, in order: first the crashes, then the hangs, then the throws.
struct TaskScript {
  Duration run{};                  // run time of an execution that ends by itself
  std::uint32_t crashes = 0;       // so many executions kill their runner
  std::uint32_t hangs = 0;         // then so many never end by themselves
  std::uint32_t throws = 0;        // then so many throw; all others return the value
  bool heeds_stop = true;          // returns early when this_task::stop_requested()
  bool heeds_term = true;          // ends on SIGTERM
  std::uint64_t result_bytes = 0;  // 0: an inline result
  BlobId result_blob;
  std::uint64_t argument_bytes = 0;  // 0: an inline argument
  BlobId argument_blob;
  bool result_shared = false;  // other tasks make the same blob
  double memory = 0;           // fraction of the worker's memory that it uses while it runs
  double memory_left = 0;      // fraction that its runner still uses afterwards
};

/// One submit or map.
struct Wave {
  Duration at{};
  wire::TaskSpec spec;
  std::vector<TaskScript> tasks;
  struct Cancel {
    Duration after{};  // from the submit on
    std::size_t task = 0;
  };
  std::vector<Cancel> cancels;
  bool retire = true;               // retires its spec at once
  double take_chance = 1;           // of a task: that the program asks for its answer
  std::optional<std::string> find;  // no tasks, but attached ones, for all detached tasks with this label
  std::vector<TaskId> named;        // and for these tasks
};

struct ClientPlan {
  std::string name;
  Duration joins{};
  std::vector<Wave> waves;
  std::optional<Duration> closes;  // closes at this time, with or without answers
  std::uint8_t minor = wire::kMinor;
};

/// Draws the version before kMinor, kMinor, or the next one.
std::uint8_t draw_minor(Random& random);

struct Scenario {
  explicit Scenario(std::uint64_t seed);

  std::uint64_t seed = 0;
  /// From this seed on a world hunts for rare bugs: it is small, with either a few faults that belong
  /// together (Faults::plan_stories) or few kinds of faults, and its tasks are nearly all of one kind.
  static constexpr std::uint64_t kFirstHunt = 10'000'000;
  bool hunts = false;
  bool large = false;
  Network::Settings network;
  std::vector<Program> programs;
  std::vector<WorkerPlan> workers;
  std::vector<ClientPlan> clients;
  std::uint32_t faults = 0;
  Duration fault_phase{};        // faults begin before this time
  double corrupt_chance = 0;     // that a blob arrives damaged
  double late_start_chance = 0;  // that a runner never says HELLO
  double stubborn_chance = 0;    // that a runner ignores that it is not needed
  std::uint32_t prefetch_max = 16;
  std::string broken_worker;     // the worker on which every task throws; empty: none
  bool short_of_memory = false;  // workers may run out of memory
  bool mixed_minors = false;     // processes speak the previous, this, or the next protocol version
  bool journal = true;
  Duration disk_write_max{};
  std::size_t rewrite_bytes = 0;                    // size of the journal from which it is rewritten
  Duration keep{};                                  // retention time of answers that no client fetches
  static const std::vector<std::string>& labels();  // all labels of detached tasks

  /// Whether two clients compete for the workers at the end. They do not where a runner may block a slot.
  bool competes() const;
  /// The number of slots of all workers.
  std::size_t slots() const;
  /// A client that submits `tasks` equal tasks, which any worker can run.
  ClientPlan rival(const std::string& name, std::size_t tasks) const;
  /// A client that attaches to all of these tasks, and takes the answers.
  static ClientPlan sweeper(std::vector<TaskId> named);

  /// A client that joins after the first ones.
  ClientPlan next_client(Random& random, std::size_t number, std::size_t tasks) const;

 private:
  Wave wave(Random& random, std::size_t client, std::size_t number, std::size_t tasks) const;
  wire::TaskSpec spec(Random& random, std::size_t number) const;
  TaskScript task(Random& random, const wire::TaskSpec& spec, std::uint64_t name) const;

  double trouble_ = 0;  // chance that a task crashes, hangs or throws
  double blob_chance_ = 0;
  double cancel_chance_ = 0;
  double detach_chance_ = 0;   // that a wave is detached
  std::size_t wave_max_ = 80;  // tasks in a wave
  double long_chance_ = 0;     // that a task takes seconds, in hunting worlds
  double hang_chance_ = 0;     // that a task never ends, in hunting worlds
  bool bulk_ = false;          // some blobs have several chunks
};

}  // namespace weft::sim
