// SPDX-License-Identifier: MIT
// weft_bench_instructions WHAT TASKS: one fixed piece of work for callgrind; scripts/instructions.sh.
#include "tests/bench/instructions.hpp"

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <vector>

#include "common/base/check.hpp"
#include "common/wire/codec.hpp"
#include "tests/bench/scheduler_load.hpp"

namespace {

using namespace weft;
using namespace weft::bench;

constexpr std::size_t kRecords = 250;
const std::string kPayload(16, 'p');

Uuid session() {
  Uuid id;
  id.bytes.fill(1);
  return id;
}

// ---- the four messages of a task's life, full ----

wire::Message submit(std::uint64_t first) {
  wire::Submit message;
  for (std::uint64_t i = 0; i < kRecords; ++i)
    message.tasks.push_back({first + i, 1, wire::Payload(kPayload)});
  return message;
}
wire::Message assign(std::uint64_t first) {
  wire::Assign message{session(), {}};
  for (std::uint64_t i = 0; i < kRecords; ++i)
    message.tasks.push_back({first + i, first + i, 1, 1, false, wire::Payload(kPayload)});
  return message;
}
wire::Message results(std::uint64_t first) {
  wire::Results message{session(), 77, false, first, {}};
  for (std::uint64_t i = 0; i < kRecords; ++i)
    message.records.push_back({first + i, first + i, 5, wire::Outcome::ok, wire::Payload(kPayload)});
  return message;
}
wire::Message deliver(std::uint64_t first) {
  wire::Deliver message{first, {}};
  for (std::uint64_t i = 0; i < kRecords; ++i)
    message.records.push_back({.seq = first + i, .payload = wire::Payload(kPayload)});
  return message;
}
constexpr wire::Message (*kMessages[])(std::uint64_t) = {submit, assign, results, deliver};

void run_encode(std::uint64_t tasks) {
  for (std::uint64_t first = 1; first <= tasks; first += kRecords) {
    for (const auto& make : kMessages) {
      const wire::Message message = make(first);
      const Counted counted;
      WEFT_CHECK(!wire::encode(message).empty());
    }
  }
}

void run_decode(std::uint64_t tasks) {
  for (std::uint64_t first = 1; first <= tasks; first += kRecords) {
    for (const auto& make : kMessages) {
      const std::string frame = wire::encode(make(first));
      const Counted counted;
      WEFT_CHECK(wire::decode(frame));
    }
  }
}

/// DELIVERs of one record each, as tasks that finish one by one cause them.
void run_packer(std::uint64_t tasks) {
  wire::Packer packer;
  for (std::uint64_t first = 1; first <= tasks; first += kRecords) {
    std::vector<wire::Message> messages;
    for (std::uint64_t i = 0; i < kRecords; ++i)
      messages.push_back(wire::Deliver{first + i, {{.seq = first + i, .payload = wire::Payload(kPayload)}}});
    const Counted counted;
    for (const wire::Message& message : messages) packer.add(message);
    while (packer.take()) {
    }
  }
}

void run_scheduler(std::uint64_t tasks, std::size_t workers) {
  SchedulerLoad load({.workers = workers, .slots = 2});
  count_from_here();
  load.run(tasks);
}

struct Work {
  const char* name;
  void (*run)(std::uint64_t tasks);
};
constexpr Work kWork[] = {
    {"scheduler", [](std::uint64_t tasks) { run_scheduler(tasks, 10); }},
    {"scheduler-1000", [](std::uint64_t tasks) { run_scheduler(tasks, 1000); }},
    {"encode", run_encode},
    {"decode", run_decode},
    {"packer", run_packer},
    {"client", run_client_core},
    {"worker", run_worker_core},
};

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::string(argv[1]) == "--list") {
    for (const Work& work : kWork) std::printf("%s\n", work.name);
    return 0;
  }
  try {
    for (const Work& work : kWork) {
      if (argc != 3 || std::string(argv[1]) != work.name) continue;
      work.run(std::stoull(argv[2]));
      return 0;
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "weft_bench_instructions: %s\n", error.what());
    return 1;
  }
  std::fprintf(stderr, "usage: weft_bench_instructions --list | WHAT TASKS\n");
  return 2;
}
