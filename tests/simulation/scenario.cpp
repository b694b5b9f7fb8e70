// SPDX-License-Identifier: MIT
#include "tests/simulation/scenario.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "tests/simulation/blobs.hpp"

namespace weft::sim {

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::size_t kFunctions = 4;   // of a program
constexpr std::uint64_t kOften = 1000;  // executions: more than any limit

Duration run_time(Random& random) {
  if (random.chance(0.02)) return random.duration(seconds(1), seconds(4));
  if (random.chance(0.3)) return random.duration(milliseconds(20), milliseconds(300));
  if (random.chance(0.5)) return random.duration(Duration(20), milliseconds(1));
  return random.duration(milliseconds(1), milliseconds(20));
}

}  // namespace

Scenario::Scenario(std::uint64_t seed_of) : seed(seed_of) {
  Random random(seed ^ 0x5ce9a210ULL);
  hunts = seed >= kFirstHunt;
  large = !hunts && seed % 100 == 0;
  network.delay_max = random.duration(milliseconds(1), milliseconds(20));
  network.spike_chance = random.chance(0.5) ? 0 : random.fraction() * 0.05;
  trouble_ = random.chance(0.2) ? 0 : random.fraction() * 0.15;
  blob_chance_ = random.chance(0.3) ? 0 : random.fraction() * 0.4;
  cancel_chance_ = random.chance(0.3) ? 0 : random.fraction() * 0.15;
  bulk_ = random.chance(0.05);
  corrupt_chance = random.chance(0.8) ? 0 : 0.02;
  late_start_chance = random.chance(0.9) ? 0 : 0.01;
  stubborn_chance = random.chance(0.7) ? 0 : 0.1;
  prefetch_max = random.chance(0.2) ? 0 : 16;
  faults = static_cast<std::uint32_t>(random.between(3, 12));
  fault_phase = random.duration(seconds(4), seconds(20));
  journal = random.chance(0.7);
  detach_chance_ = random.chance(0.2) ? 0 : random.fraction() * (journal ? 0.6 : 0.2);
  disk_write_max = milliseconds(random.chance(0.5) ? 2 : 50);
  rewrite_bytes = random.chance(0.5) ? random.between(500, 20'000) : 64 << 20;
  keep = random.chance(0.1) ? Duration(seconds(20)) : Duration(std::chrono::hours(24));
  if (hunts) {
    // In some worlds nearly all tasks are of one kind, so that tasks of that kind interact. In most, some
    // tasks outlast a restart of the broker, and clients have both detached and other tasks.
    if (random.chance(0.2)) blob_chance_ = 0.9;
    if (random.chance(0.1)) cancel_chance_ = 0.5;
    journal = journal || random.chance(0.6);
    if (journal && random.chance(0.7)) detach_chance_ = random.chance(0.3) ? 0.9 : 0.4;
    if (random.chance(0.6)) {
      long_chance_ = 0.3;
      hang_chance_ = 0.15;
    }
    if (random.chance(0.7)) wave_max_ = 20;
    fault_phase = random.duration(seconds(3), seconds(10));  // while many tasks are open
  }

  const std::size_t worker_count = large ? random.between(200, 400) : random.between(5, 8);
  for (std::size_t i = 0; i < worker_count; ++i) {
    WorkerPlan worker{fmt::format("worker{}", i), static_cast<std::uint32_t>(random.between(1, 4)), {}, {}};
    if (random.chance(0.6)) worker.resources["gpu"] = static_cast<double>(random.between(1, 2));
    if (random.chance(0.3)) worker.resources["licence"] = 1;
    if (random.chance(0.7)) worker.functions = {"square", "sum"};
    workers.push_back(std::move(worker));
  }
  Random minors(seed ^ 0x31410aULL);  // separate, so that versions leave all other draws unchanged
  mixed_minors = minors.chance(0.3);
  if (mixed_minors) {
    for (WorkerPlan& worker : workers) worker.minor = draw_minor(minors);
  }
  Random broken(seed ^ 0xb10ceaULL);
  if (broken.chance(0.1)) broken_worker = workers[broken.between(1, worker_count - 1)].name;
  Random memory(seed ^ 0x3e3021ULL);
  short_of_memory = memory.chance(0.4);
  if (memory.chance(0.4)) {
    for (WorkerPlan& worker : workers) {
      if (worker.minor >= kMemoryMinor && memory.chance(0.6)) worker.memory = memory.between(800, 3500);
    }
  }
  for (WorkerPlan& worker : workers) {
    if (short_of_memory && memory.chance(0.15)) worker.memory_taken = 0.5 + memory.fraction() / 2;
  }
  workers[0].resources = {{"gpu", 2}, {"licence", 1}};  // so that every task can run somewhere
  workers[0].functions = {"square", "sum"};

  for (std::uint64_t i = 0; i < 3; ++i) {
    Program program;
    program.file = {fmt::format("program{}", i), blob_called(seed, 1000 + i), random.between(500, 4000)};
    if (bulk_) program.file.size += wire::kChunkBytes * random.between(0, 3);
    for (std::uint64_t l = random.below(3); l > 0; --l) {
      program.libraries.push_back({fmt::format("lib{}.so", l), blob_called(seed, 2000 + l), 700 + l * 8});
    }
    for (const WorkerPlan& worker : workers) {
      if (random.chance(i == 2 ? 0.3 : 0.02)) program.bad_on.insert(worker.name);
    }
    if (i == 2 && random.chance(0.1)) {
      for (const WorkerPlan& worker : workers) program.bad_on.insert(worker.name);
    }
    programs.push_back(std::move(program));
  }

  const std::size_t client_count = large ? random.between(4, 8) : random.between(2, 4);
  const std::size_t tasks = large ? random.between(1500, 3000) : random.between(200, 350) / (hunts ? 2 : 1);
  for (std::size_t i = 0; i < client_count; ++i) {
    clients.push_back(next_client(random, i, tasks / client_count + 1));
  }
  clients[0].closes.reset();
}

std::uint8_t draw_minor(Random& random) { return static_cast<std::uint8_t>(random.below(wire::kMinor + 2)); }

bool Scenario::competes() const {
  return seed % 4 == 3 && broken_worker.empty() && late_start_chance == 0 && stubborn_chance == 0 &&
         corrupt_chance == 0 && !short_of_memory && network.spike_chance == 0;
}

std::size_t Scenario::slots() const {
  return std::accumulate(workers.begin(), workers.end(), std::size_t{0},
                         [](std::size_t sum, const WorkerPlan& worker) { return sum + worker.slots; });
}

ClientPlan Scenario::rival(const std::string& name, std::size_t tasks) const {
  Wave wave;
  wave.spec.kind = wire::TaskKind::command;
  wave.spec.label = name;
  wave.spec.crash_limit = 3;
  wave.tasks.assign(tasks, TaskScript{.run = milliseconds(60)});  // long enough that no task is prefetched
  return ClientPlan{name, {}, {std::move(wave)}, {}};
}

const std::vector<std::string>& Scenario::labels() {
  static const std::vector<std::string> kLabels = {"sweep", "nightly"};
  return kLabels;
}

ClientPlan Scenario::sweeper(std::vector<TaskId> named) {
  Wave wave;
  wave.find = "";
  wave.named = std::move(named);
  return ClientPlan{"sweeper", {}, {std::move(wave)}, {}};
}

ClientPlan Scenario::next_client(Random& random, std::size_t number, std::size_t tasks) const {
  ClientPlan client;
  client.name = fmt::format("client{}", number);
  client.joins = random.duration(Duration(0), seconds(2));
  Duration at{};
  for (std::size_t waves = 0; tasks > 0; ++waves) {
    const std::size_t size = std::min(
        tasks,
        static_cast<std::size_t>(random.chance(0.3) ? random.between(1, 4) : random.between(5, wave_max_)));
    Wave next = wave(random, number, waves, size);
    next.at = at;
    at += random.duration(Duration(0), seconds(3));
    tasks -= size;
    client.waves.push_back(std::move(next));
  }
  const bool detaches = std::any_of(client.waves.begin(), client.waves.end(),
                                    [](const Wave& wave) { return wave.spec.detach; });
  while (journal && random.chance(0.4)) {
    Wave others;
    others.at = random.duration(seconds(1), fault_phase);
    others.find = labels()[random.below(labels().size())];
    others.take_chance = random.fraction();
    client.waves.push_back(std::move(others));
  }
  Random minors(seed ^ (0x31410bULL + number));
  Random threads(seed ^ (0x7b2ead5ULL + number));
  if (mixed_minors) client.minor = draw_minor(minors);
  for (Wave& wave : client.waves) {
    constexpr std::uint8_t kOptionsMinor = 2;  // version that added these essential options
    if (client.minor < kOptionsMinor || wave.find) continue;
    if (minors.chance(0.15)) wave.spec.environment = {{"MODE", "fast"}};
    if (threads.chance(0.25))
      wave.spec.threads = static_cast<std::uint32_t>(threads.between(1, workers[0].slots));
  }
  if (random.chance(detaches ? 0.3 : 0.05)) client.closes = random.duration(seconds(1), seconds(10));
  return client;
}

Wave Scenario::wave(Random& random, std::size_t client, std::size_t number, std::size_t tasks) const {
  Wave wave;
  wave.spec = spec(random, number);
  if (random.chance(detach_chance_)) {
    wave.spec.detach = true;
    wave.spec.label = labels()[random.below(labels().size())];
    wave.take_chance = random.fraction();
  }
  for (std::size_t i = 0; i < tasks; ++i) {
    const std::uint64_t name = (client << 40) + (number << 20) + i;
    wave.tasks.push_back(task(random, wave.spec, name));
    TaskScript& script = wave.tasks.back();
    const bool endless = script.hangs > 0 && wave.spec.timeout_ms == 0;
    if (endless || random.chance(cancel_chance_)) {
      wave.cancels.push_back(
          {random.duration(Duration(0), endless ? seconds(hunts ? 15 : 6) : seconds(2)), i});
    }
  }
  wave.retire = random.chance(0.7);
  return wave;
}

wire::TaskSpec Scenario::spec(Random& random, std::size_t number) const {
  wire::TaskSpec spec;
  spec.label = fmt::format("wave{}", number);
  const double kind = random.fraction();
  if (kind < 0.75) {
    const Program& program = programs[random.below(random.chance(0.3) ? 3 : 2)];
    spec.program = program.file;
    spec.libraries = program.libraries;
    spec.function_index = static_cast<std::uint32_t>(random.below(kFunctions));
    spec.function = fmt::format("f{}", spec.function_index);
  } else if (kind < 0.9) {
    spec.kind = wire::TaskKind::library;
    spec.function = random.chance(0.5) ? "square" : "sum";
    spec.signature = "long(long)";
  } else {
    spec.kind = wire::TaskKind::command;
    spec.function = "true";
  }
  spec.priority = static_cast<std::int32_t>(random.below(3)) - 1;
  if (random.chance(0.4)) spec.retries = static_cast<std::uint32_t>(random.between(1, 3));
  if (random.chance(0.3)) spec.retry_delay_ms = random.between(1, 1500);
  if (random.chance(0.3)) spec.timeout_ms = random.between(50, 5000);
  if (hunts && long_chance_ > 0 && random.chance(0.15)) {
    spec.timeout_ms = random.between(2000, 9000);
    spec.retries = static_cast<std::uint32_t>(random.between(1, 3));
  }
  if (random.chance(0.1)) spec.queue_timeout_ms = random.between(500, 8000);
  spec.crash_limit = random.chance(0.2) ? 1 : static_cast<std::uint32_t>(random.between(2, 5));
  if (random.chance(0.2)) spec.resources["gpu"] = random.chance(0.3) ? 2 : 1;
  if (random.chance(0.1)) spec.resources["licence"] = 1;
  if (random.chance(0.1)) spec.workers = {workers[0].name, workers[random.below(workers.size())].name};
  if (random.chance(0.1)) spec.prefer = {workers[random.below(workers.size())].name};
  if (random.chance(0.02)) {  // no worker can run it
    spec.workers = {"nobody"};
    spec.queue_timeout_ms = random.between(500, 8000);
  }
  return spec;
}

TaskScript Scenario::task(Random& random, const wire::TaskSpec& spec, std::uint64_t name) const {
  TaskScript script;
  script.run = run_time(random);
  if (hunts && random.chance(long_chance_)) script.run = random.duration(seconds(1), seconds(8));
  if (random.chance(trouble_)) {
    const auto times = static_cast<std::uint32_t>(random.chance(0.2) ? kOften : random.between(1, 4));
    switch (random.below(4)) {
      case 0:
        script.crashes = times;
        break;
      case 1:
        script.hangs = times;
        break;
      case 2:
        script.throws = times;
        break;
      case 3:
        script.crashes = script.throws = 1;
        break;
    }
    script.heeds_stop = random.chance(0.5);
    script.heeds_term = random.chance(0.5);
  }
  if (hunts && random.chance(hang_chance_)) script.hangs = kOften;
  if (spec.detach && spec.timeout_ms == 0) script.hangs = 0;  // its client may be gone and cannot cancel it
  if (spec.timeout_ms > 0 && random.chance(0.8)) {
    script.run = std::min(script.run, Duration(milliseconds(spec.timeout_ms)) / 2);
  }
  const auto size_of = [&](std::uint64_t blob) {
    Random own(blob);
    return own.between(100, 3000) + (bulk_ && own.chance(0.1) ? wire::kChunkBytes * own.between(1, 10) : 0);
  };
  if (random.chance(blob_chance_)) {
    script.result_shared = random.chance(0.2);
    const std::uint64_t blob = script.result_shared ? 3000 + random.below(4) : name * 2 + 1 + (1ULL << 60);
    script.result_blob = blob_called(seed, blob);
    script.result_bytes = size_of(blob);
  }
  if (random.chance(blob_chance_)) {
    const std::uint64_t blob = (name / 4) * 2 + (1ULL << 61);  // tasks with neighbouring numbers share it
    script.argument_blob = blob_called(seed, blob);
    script.argument_bytes = size_of(blob);
  }
  Random memory(seed ^ 0x3e3022ULL ^ (name * 0x9e3779b97f4a7c15ULL));
  if (short_of_memory && memory.chance(0.15)) {
    script.memory = memory.fraction();
    if (memory.chance(0.5)) script.memory_left = script.memory * memory.fraction();
  }
  return script;
}

}  // namespace weft::sim
