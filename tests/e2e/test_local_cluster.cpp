// SPDX-License-Identifier: MIT
// Clusters that belong to a process: weft::LocalCluster and `weft run`. None of their processes or files
// outlives the owner.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <ranges>
#include <weft/weft.hpp>

#include "tests/support/process.hpp"

using namespace weft::support;

namespace fs = std::filesystem;

namespace {

long inc(long x) { return x + 1; }

/// Returns once `path` exists.
std::string waits_for(const std::string& path) {
  std::ofstream(path + ".running." + std::to_string(weft::this_task::attempt()));
  while (!fs::exists(path)) std::this_thread::sleep_for(5ms);
  return weft::this_task::worker();
}

/// A directory for the state of private clusters, and environment variables that select it and this build's
/// programs.
struct Environments {
  TempDirectory runtime;
  Environments() {
    fs::permissions(runtime.path(), fs::perms::owner_all);
    setenv("XDG_RUNTIME_DIR", runtime.path().c_str(), 1);
    setenv("WEFT_BIN_DIR", fs::path(binary("weft")).parent_path().c_str(), 1);
  }
  ~Environments() {
    unsetenv("XDG_RUNTIME_DIR");
    unsetenv("WEFT_BIN_DIR");
  }
  bool empty() const { return fs::is_empty(runtime.path()); }
};

/// Processes whose environment contains the directory.
std::vector<std::string> processes_of(const Environments& environment) {
  std::vector<std::string> out;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    if (entry.path().filename() == std::to_string(getpid())) continue;
    std::ifstream file(entry.path() / "environ");
    const std::string text((std::istreambuf_iterator<char>(file)), {});
    if (text.find("XDG_RUNTIME_DIR=" + environment.runtime.path().string()) == std::string::npos) continue;
    std::ifstream names(entry.path() / "comm");
    std::string name;
    std::getline(names, name);
    out.push_back(entry.path().filename().string() + " " + name);
  }
  return out;
}

bool nothing_is_left(const Environments& environment) {
  const auto left = [&] { return processes_of(environment).empty() && environment.empty(); };
  const bool gone = eventually(left);
  if (!gone)
    for (const std::string& process : processes_of(environment)) MESSAGE(process);
  return gone;
}

}  // namespace

TEST_SUITE("local cluster") {
  TEST_CASE("a LocalCluster runs tasks, and nothing of it is left") {
    const Environments environment;
    {
      weft::LocalCluster cluster({.workers = 2, .nprocs = 2, .worker_args = {"--resources", "gpu=1"}});
      weft::Client client(cluster.address());
      CHECK(client.gather(client.map<inc>(std::views::iota(0L, 3L))) == std::vector<long>{1, 2, 3});
      CHECK(client.cluster().slots == 4);
      CHECK(client.cluster().workers.at(0).resources.at("gpu") == 1);
      CHECK(cluster.start_worker() == 2);
      CHECK(client.cluster().slots == 6);
      CHECK_THROWS_AS(cluster.kill_worker(3), std::out_of_range);
      CHECK_THROWS_AS(cluster.kill_worker(-1), std::out_of_range);
    }
    CHECK(nothing_is_left(environment));
  }

  TEST_CASE("kill_worker: what it ran is executed again elsewhere, and it does not come back") {
    const Environments environment;
    const std::string file = environment.runtime.path() / "go";
    {
      weft::LocalCluster cluster({.workers = 1, .nprocs = 1});
      weft::Client client(cluster.address());
      auto future = client.submit<waits_for>(file);
      REQUIRE(eventually([&] { return fs::exists(file + ".running.1"); }));
      CHECK(cluster.start_worker() == 1);
      cluster.kill_worker(0);
      CHECK(eventually([&] { return fs::exists(file + ".running.2"); }));
      std::ofstream{file};
      CHECK(future.result() == "worker-2");
      CHECK(client.cluster().slots == 1);
      cluster.kill_worker(0);  // must do nothing, since the worker is dead already
      CHECK(cluster.start_worker() == 2);
    }
    for (const char* name : {"", ".running.1", ".running.2"}) fs::remove(file + name);
    CHECK(nothing_is_left(environment));
  }

  TEST_CASE("a LocalCluster that does not come up says why") {
    const Environments environment;
    try {
      weft::LocalCluster cluster({.worker_args = {"--nonsense"}});
      FAIL("it has come up");
    } catch (const weft::Error& error) {
      CHECK(std::string(error.what()).find("--nonsense") != std::string::npos);
    }
    setenv("WEFT_BIN_DIR", "/nowhere", 1);
    CHECK_THROWS_AS(weft::LocalCluster(), weft::Error);
    CHECK(nothing_is_left(environment));
  }

  TEST_CASE("a program with a LocalCluster: its runners start none, and it may be killed") {
    const Environments environment;
    Process program({binary("weft_e2e_local_cluster")});
    CHECK(program.wait() == 0);
    CHECK(program.out().find("sum 285\n") != std::string::npos);
    CHECK(program.out().find("cannot be used inside a task") != std::string::npos);
    CHECK(nothing_is_left(environment));

    Process waits({"/bin/sh", "-c", "sleep 100 | " + binary("weft_e2e_local_cluster") + " wait"});
    REQUIRE(waits.prints("address "));
    for (const pid_t pid : children_of(waits.pid())) kill(pid, SIGKILL);
    CHECK(waits.wait().has_value());
    CHECK(nothing_is_left(environment));
  }
}

TEST_SUITE("weft run") {
  TEST_CASE("a program has a cluster while it runs, and its exit code is passed on") {
    const Environments environment;
    Process run({binary("weft"), "run", "-n", "3", "sh", "-c", "\"$WEFT_BIN_DIR/weft\" ping; exit 7"});
    CHECK(run.wait() == 7);
    CHECK(run.out().find("3 slots") != std::string::npos);
    CHECK(nothing_is_left(environment));
  }

  TEST_CASE("the program's own options are its own") {
    const Environments environment;
    Process run({binary("weft"), "run", "echo", "-n", "5", "--help"});
    CHECK(run.wait() == 0);
    CHECK(run.out() == "5 --help");
  }

  TEST_CASE("signals go on to the program") {
    const Environments environment;
    Process run({binary("weft"), "run", "sh", "-c",
                 "trap 'echo asked; exit 5' TERM; echo ready; while :; do sleep 0.05; done"});
    REQUIRE(run.prints("ready"));
    run.signal(SIGTERM);
    CHECK(run.wait() == 5);
    CHECK(run.out() == "ready\nasked\n");
    CHECK(nothing_is_left(environment));
  }

  TEST_CASE("a program that a signal ends, one that is not there, wrong usage") {
    const Environments environment;
    CHECK(Process({binary("weft"), "run", "sh", "-c", "kill -KILL $$"}).wait() == 128 + SIGKILL);
    Process missing({binary("weft"), "run", "./not-there"});
    CHECK(missing.wait() == 127);
    CHECK(missing.err().find("not-there") != std::string::npos);
    for (const auto& words :
         std::vector<std::vector<std::string>>{{}, {"-n"}, {"-n", "0", "true"}, {"-x", "true"}}) {
      std::vector<std::string> argv{binary("weft"), "run"};
      argv.insert(argv.end(), words.begin(), words.end());
      CHECK(Process(argv).wait() == 2);
    }
    CHECK(nothing_is_left(environment));
  }

  TEST_CASE("weft run itself may be killed") {
    const Environments environment;
    Process run({binary("weft"), "run", "sh", "-c", "echo ready; exec sleep 100"});
    REQUIRE(run.prints("ready"));
    run.kill();
    CHECK(nothing_is_left(environment));
  }
}
