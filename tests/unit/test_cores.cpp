// SPDX-License-Identifier: MIT
// How many cores a worker may use: with made-up trees of cgroups, and with a real affinity.
#include "worker/runners/cores.hpp"

#include <doctest/doctest.h>
#include <sched.h>

#include <filesystem>
#include <fstream>

#include "tests/support/temp_directory.hpp"
#include "worker/core/limits.hpp"

namespace weft::worker {

namespace {

/// The mount points and files of a machine, below a directory.
struct Machine {
  void write(const std::string& path, const std::string& text) const {
    const std::filesystem::path file = temp.path().string() + path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  void version_2(const std::string& group, const std::string& max) const {
    write("/sys/fs/cgroup" + group + "/cpu.max", max + "\n");
  }
  void version_1(const std::string& group, const std::string& quota,
                 const std::string& period = "100000") const {
    write("/sys/fs/cgroup/cpu,cpuacct" + group + "/cpu.cfs_quota_us", quota + "\n");
    write("/sys/fs/cgroup/cpu,cpuacct" + group + "/cpu.cfs_period_us", period + "\n");
  }
  std::optional<double> cores() const {
    return cores_by_quota({temp.path(), temp / "mountinfo", temp / "cgroup"});
  }
  support::TempDirectory temp;
};

const std::string kVersion2 =
    "30 23 0:27 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
const std::string kVersion1 =
    "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
    "33 32 0:28 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
    "34 32 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n";

}  // namespace

TEST_SUITE_BEGIN("cores");

TEST_CASE("version 2: the smallest quota on the way up counts") {
  Machine machine;
  machine.write("/mountinfo", kVersion2);
  machine.write("/cgroup", "0::/user.slice/me.scope\n");
  CHECK(!machine.cores());
  machine.version_2("/user.slice/me.scope", "max 100000");
  CHECK(!machine.cores());
  machine.version_2("/user.slice/me.scope", "400000 100000");
  CHECK(machine.cores() == 4);
  machine.version_2("/user.slice", "150000 100000");
  CHECK(machine.cores() == 1.5);
  machine.version_2("", "50000 100000");  // the root cgroup of a container has a limit, too
  CHECK(machine.cores() == 0.5);
  machine.version_2("/other", "1000 100000");
  CHECK(machine.cores() == 0.5);
}

TEST_CASE("version 1: the same") {
  Machine machine;
  machine.write("/mountinfo", kVersion1);
  machine.write("/cgroup", "5:cpuset:/elsewhere\n4:cpu,cpuacct:/a/b\n0::/\n");
  machine.version_1("/a/b", "-1");
  CHECK(!machine.cores());
  machine.version_1("/a", "300000");
  CHECK(machine.cores() == 3);
  machine.version_1("/a/b", "25000", "50000");
  CHECK(machine.cores() == 0.5);
}

TEST_CASE("both at once, as systemd mounts them: whichever allows less") {
  Machine machine;
  machine.write("/mountinfo", kVersion1 + "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
  machine.write("/cgroup", "4:cpu,cpuacct:/a\n0::/b\n");
  machine.version_1("/a", "300000");
  CHECK(machine.cores() == 3);
  machine.version_2("/unified/b", "200000 100000");
  CHECK(machine.cores() == 2);
}

TEST_CASE("a container sees a part of the hierarchy") {
  Machine machine;
  machine.write("/mountinfo",
                "34 32 0:29 /docker/c1 /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct\n");
  machine.version_1("", "200000");
  machine.version_1("/inner", "100000");
  for (const auto& [group, cores] : {std::pair("/docker/c1", 2.0), std::pair("/docker/c1/inner", 1.0),
                                     std::pair("/docker/c12", 2.0), std::pair("/../other", 2.0)}) {
    machine.write("/cgroup", "4:cpu,cpuacct:" + std::string(group) + "\n");
    CHECK_MESSAGE(machine.cores() == cores, group);
  }
}

TEST_CASE("names with blanks and colons, and files that are not there") {
  Machine machine;
  CHECK(!machine.cores());
  machine.write("/mountinfo",
                "30 23 0:27 / /sys/fs/cgroup/with\\040blank rw - cgroup2 cgroup2 rw\ngarbage\n");
  machine.write("/cgroup", "0::/a:b\n");
  CHECK(!machine.cores());
  machine.version_2("/with blank/a:b", "100000 100000");
  CHECK(machine.cores() == 1);
  machine.version_2("/with blank/a:b", "what is this");
  CHECK(!machine.cores());
}

TEST_CASE("whole cores, at least one") {
  CHECK(usable_cores(8, std::nullopt) == 8);
  CHECK(usable_cores(8, 0.5) == 1);
  CHECK(usable_cores(8, 2.5) == 2);
  CHECK(usable_cores(2, 3.0) == 2);
  CHECK(usable_cores(1, 0.01) == 1);
  CHECK(usable_cores(8, 2.99999) == 3);
}

TEST_CASE("affinity") {
  cpu_set_t before;
  REQUIRE(sched_getaffinity(0, sizeof before, &before) == 0);
  CHECK(cores_by_affinity() == static_cast<unsigned>(CPU_COUNT(&before)));
  cpu_set_t one;
  CPU_ZERO(&one);
  for (int core = 0; core < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++core)
    if (CPU_ISSET(core, &before)) CPU_SET(core, &one);
  REQUIRE(sched_setaffinity(0, sizeof one, &one) == 0);
  CHECK(cores_by_affinity() == 1);
  CHECK(usable_cores() == 1);
  sched_setaffinity(0, sizeof before, &before);
}

TEST_CASE("slots that a limit of open files allows") {
  CHECK(slots_for_files(1 << 20) > 4096);
  CHECK(slots_for_files(RLIM_INFINITY) == UINT32_MAX);
  CHECK(slots_for_files(kOwnFiles + 3 * kFilesPerSlot) == 3);
  CHECK(slots_for_files(kOwnFiles + kFilesPerSlot - 1) == 0);
  CHECK(slots_for_files(0) == 0);
  CHECK(blob_files_for(kOwnFiles + 3 * kFilesPerSlot, 3) == 3);
  CHECK(blob_files_for(kOwnFiles + 3 * kFilesPerSlot, 1) > 3);
}

TEST_SUITE_END();

}  // namespace weft::worker
