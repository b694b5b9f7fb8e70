// SPDX-License-Identifier: MIT
// How much memory a worker may use and has used: with made-up control groups and machines, and with real
// processes.
#include "worker/runners/memory_meter.hpp"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>

#include "tests/support/temp_directory.hpp"
#include "worker/runners/memory.hpp"

namespace weft::worker {

namespace {

constexpr std::uint64_t kMiB = 1 << 20;

/// A machine of 1,000 MiB, of which half are available, as files below a directory.
struct Machine {
  Machine() {
    write("/mountinfo",
          "30 23 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
          "34 32 0:29 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n");
    write("/cgroup", "4:memory:/a/b\n1:cpu:/elsewhere\n0::/user/me\n");
    available(500);
  }
  void write(const std::string& path, const std::string& text) const {
    const std::filesystem::path file = temp.path().string() + path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  void available(std::uint64_t mib) const {
    write("/meminfo", "MemTotal:        " + std::to_string(1000 * 1024) +
                          " kB\nMemFree:         1 kB\nMemAvailable:   " + std::to_string(mib * 1024) +
                          " kB\n");
  }
  /// Sizes in MiB; `files` MiB of `used` are pages of files.
  void version_2(const std::string& group, const std::string& max, std::uint64_t used,
                 std::uint64_t files) const {
    const std::string directory = "/sys/fs/cgroup/unified" + group;
    write(directory + "/memory.max", max + "\n");
    write(directory + "/memory.current", std::to_string(used * kMiB) + "\n");
    write(directory + "/memory.stat", "anon 7\ninactive_file " + std::to_string(files * kMiB / 2) +
                                          "\nactive_file " + std::to_string(files * kMiB / 2) + "\n");
  }
  void version_1(const std::string& group, std::uint64_t limit, std::uint64_t used,
                 std::uint64_t files) const {
    const std::string directory = "/sys/fs/cgroup/memory" + group;
    write(directory + "/memory.limit_in_bytes", std::to_string(limit) + "\n");
    write(directory + "/memory.usage_in_bytes", std::to_string(used * kMiB) + "\n");
    write(directory + "/memory.stat",
          "inactive_file 5\ntotal_inactive_file " + std::to_string(files * kMiB) + "\ntotal_active_file 0\n");
  }
  MemoryMeter meter(std::optional<std::uint64_t> own = {}) const {
    return MemoryMeter(own, {temp.path(), temp / "mountinfo", temp / "cgroup"}, temp / "meminfo");
  }
  support::TempDirectory temp;
};

bool is(const MemoryUsed& memory, std::uint64_t used, std::uint64_t limit, const std::string& of) {
  return memory.used == used * kMiB && memory.limit == limit * kMiB && memory.of == of;
}

}  // namespace

TEST_SUITE("memory meter") {
  TEST_CASE("without other limits it is the machine's") {
    const Machine machine;
    CHECK(machine.meter().limit() == 1000 * kMiB);
    CHECK(is(machine.meter().read(0), 500, 1000, "the memory of its machine of 1000.0 MiB"));
    machine.available(50);
    CHECK(is(machine.meter().read(0), 950, 1000, "the memory of its machine of 1000.0 MiB"));
  }

  TEST_CASE(
      "version 2: of the groups on the way up, the one that is nearest to its limit; files can be dropped") {
    const Machine machine;
    machine.version_2("/user/me", "max", 400, 0);
    CHECK(machine.meter().limit() == 1000 * kMiB);
    machine.version_2("/user", std::to_string(400 * kMiB), 390, 100);
    CHECK(machine.meter().limit() == 400 * kMiB);
    CHECK(is(machine.meter().read(0), 290, 400, "the memory of its control group of 400.0 MiB"));
    machine.version_2("/user/me", std::to_string(300 * kMiB), 290, 10);
    CHECK(machine.meter().limit() == 300 * kMiB);
    CHECK(is(machine.meter().read(0), 280, 300, "the memory of its control group of 300.0 MiB"));
    machine.available(10);
    CHECK(is(machine.meter().read(0), 990, 1000, "the memory of its machine of 1000.0 MiB"));
  }

  TEST_CASE("the memory of a group of version 1") {
    const Machine machine;
    machine.version_1("/a", 9223372036854771712U, 100, 0);  // the kernel's value for no limit
    CHECK(machine.meter().limit() == 1000 * kMiB);
    machine.version_1("/a/b", 200 * kMiB, 190, 50);
    CHECK(machine.meter().limit() == 200 * kMiB);
    CHECK(is(machine.meter().read(0), 140, 200, "the memory of its control group of 200.0 MiB"));
  }

  TEST_CASE("--memory is for this process, all below it, and the blobs that it keeps") {
    const Machine machine;
    machine.available(990);
    const MemoryMeter meter = machine.meter(64 * kMiB);
    CHECK(meter.limit() == 64 * kMiB);
    const MemoryUsed before = meter.read(0);
    REQUIRE(before.of == "its memory (--memory) of 64.0 MiB");
    CHECK(meter.read(40 * kMiB).used >= before.used + 39 * kMiB);

    int ends[2];
    REQUIRE(pipe(ends) == 0);
    const pid_t child = fork();
    if (child == 0) {
      const auto block = std::make_unique<char[]>(40 * kMiB);
      std::memset(block.get(), 1, 40 * kMiB);
      char byte = block[kMiB];
      if (write(ends[1], &byte, 1) == 1) pause();
      _exit(0);
    }
    char byte = 0;
    REQUIRE(read(ends[0], &byte, 1) == 1);
    CHECK(meter.read(0).used >= before.used + 39 * kMiB);
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    CHECK(meter.read(0).used < before.used + 20 * kMiB);
    close(ends[0]);
    close(ends[1]);
  }

  TEST_CASE("a system that says nothing limits nothing") {
    const MemoryMeter meter(std::nullopt, {"/nowhere", "/nowhere", "/nowhere"}, "/nowhere");
    CHECK(meter.limit() == 0);
    CHECK(meter.read(0).used == 0);
  }
}

}  // namespace weft::worker
