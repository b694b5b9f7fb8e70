// SPDX-License-Identifier: MIT
// Runners execute exactly the client's code: the program as it was mapped, the right library for each of its
// users, and the right one of similar functions. A program that cannot start is reported at once.
#include <doctest/doctest.h>

#include <fstream>
#include <sstream>

#include "tests/e2e/harness.hpp"

namespace fs = std::filesystem;
using namespace weft::e2e;

namespace {

fs::path library(const std::string& directory) {
  return fs::path(binary("shipping")) / directory / "libanswer.so";
}

/// A copy of one of the asking programs, with its library in lib/ next to it.
struct Installed {
  Installed(const std::string& name, const std::string& directory) : program(temp.path() / "asking") {
    fs::copy_file(binary(name), program);
    fs::create_directory(temp.path() / "lib");
    fs::copy_file(library(directory), linked());
  }
  fs::path linked() const { return temp.path() / "lib/libanswer.so"; }

  TempDirectory temp;
  fs::path program;
};

/// The output of a program that must succeed.
std::string output_of(std::vector<std::string> argv, Environment environment = {}) {
  Process process(std::move(argv), {.environment = std::move(environment), .directory = {}, .output = {}});
  CHECK_MESSAGE(process.wait(60s) == 0, process.err());
  return process.out();
}

/// The error output of a program that must fail.
std::string error_of(Process& process) {
  CHECK_MESSAGE(process.wait(60s) == 1, process.out() << process.err());
  return process.err();
}

void overwrite(const fs::path& from, const fs::path& to) {
  std::ofstream(to, std::ios::binary | std::ios::trunc) << std::ifstream(from, std::ios::binary).rdbuf();
}

void replace(const fs::path& from, const fs::path& to) {
  const fs::path next = to.parent_path() / "next";
  fs::copy_file(from, next);
  fs::rename(next, to);
}

}  // namespace

TEST_SUITE("shipping") {
  TEST_CASE("a library that was replaced on disk before the first submit: the one that is mapped runs") {
    enum class Change { library_replaced, library_removed, executable_replaced } change{};
    SUBCASE("another library is there") { change = Change::library_replaced; }
    SUBCASE("no library is there") { change = Change::library_removed; }
    SUBCASE("another executable is there") { change = Change::executable_replaced; }
    Cluster cluster;
    for (const char* name : {"weft_e2e_asking_runpath", "weft_e2e_asking_rpath"}) {
      Installed installed(name, "1");
      const fs::path go = installed.temp.path() / "go";
      Process client({installed.program, cluster.address(), "wait", go, "ask"});
      REQUIRE(client.prints("waiting"));
      if (change == Change::library_replaced) replace(library("2"), installed.linked());
      if (change == Change::library_removed) fs::remove(installed.linked());
      if (change == Change::executable_replaced) replace(binary("weft_e2e_plain"), installed.program);
      std::ofstream(go) << "go";
      CHECK_MESSAGE(client.wait(60s) == 0, client.err());
      CHECK_MESSAGE(contains(client.out(), "in a task 1\n"), name << ": " << client.out());
    }
  }

  TEST_CASE("a library that was overwritten in place is refused, with what to do") {
    Cluster cluster;
    Installed installed("weft_e2e_asking_runpath", "1");
    const fs::path go = installed.temp.path() / "go";
    Process client({installed.program, cluster.address(), "wait", go, "ask"});
    REQUIRE(client.prints("waiting"));
    overwrite(library("2"), installed.linked());
    std::ofstream(go) << "go";
    CHECK(client.wait(60s).value_or(0) != 0);  // it may even crash at its end, since its code is gone
    const std::string error = client.err();
    CHECK_MESSAGE(contains(error, installed.linked().string() + " was overwritten on disk"), error);
    CHECK_MESSAGE(contains(error, "start the program again"), error);
  }

  TEST_CASE(
      "a worker that finds another library by DT_RPATH, or has one that others use, takes the client's") {
    Cluster cluster({.workers = 0});
    Installed installed("weft_e2e_asking_rpath", "1");
    cluster.add_worker({}, {{"LD_LIBRARY_PATH", library("2").parent_path()}});
    cluster.wait_for_slots(2);
    const fs::path go = installed.temp.path() / "go";
    // The first runner starts while the other library is at the place that DT_RPATH names.
    Process client({installed.program, cluster.address(), "wait", go, "ask"});
    REQUIRE(client.prints("waiting"));
    replace(library("2"), installed.linked());
    std::ofstream(go) << "go";
    CHECK_MESSAGE(client.wait(60s) == 0, client.err());
    CHECK(contains(client.out(), "in a task 1\n"));
  }

  TEST_CASE("a library without a soname travels, and one with much thread-local memory") {
    Cluster cluster;
    const Installed nameless("weft_e2e_asking_nameless", "nameless");
    CHECK(output_of({nameless.program, cluster.address(), "ask"}) == "in a task 3\n");
    const Installed large("weft_e2e_asking_tls", "tls");
    CHECK(output_of({large.program, cluster.address(), "ask"}) == "in a task 42\n");
  }

  TEST_CASE("what LD_PRELOAD has put into the client is what tasks find, if they look for it") {
    Cluster cluster;
    const Installed installed("weft_e2e_asking_rpath", "1");
    const std::vector<std::string> ask = {installed.program, cluster.address(), "ask"};
    CHECK(output_of(ask, {{"LD_PRELOAD", library("2")}}) == "in a task 2\n");
    CHECK(output_of(ask, {{"LD_PRELOAD", binary("libweft_e2e_baggage.so")}}) == "in a task 1\n");
  }

  TEST_CASE(
      "what was for the loader does not reach the processes of a task; the worker's own environment does") {
    Cluster cluster({.workers = 0});
    cluster.add_worker({},
                       {{"LD_LIBRARY_PATH", "/of/the/worker"}, {"GLIBC_TUNABLES", "glibc.malloc.check=0"}});
    cluster.wait_for_slots(2);
    for (const auto& [name, directory] :
         {std::pair("weft_e2e_asking_rpath", "1"), {"weft_e2e_asking_tls", "tls"}}) {
      const Installed installed(name, directory);
      const std::string out = output_of(
          {installed.program, cluster.address(), "run", "env | grep -E '^(LD_|GLIBC_|WEFT_)' | sort"});
      CHECK(out == "GLIBC_TUNABLES=glibc.malloc.check=0\nLD_LIBRARY_PATH=/of/the/worker\nstatus 0\n");
    }
  }

  TEST_CASE("any character may be in the path of --local-directory") {
    Cluster cluster({.workers = 0, .nprocs = 1});
    const Installed installed("weft_e2e_asking_runpath", "1");
    TempDirectory temp;
    for (const char* name :
         {"a b", "12:30", "a;b", "$LIB", "$ORIGIN", "${PLATFORM}", "%s{}", "'\"\\", "a\nb", "größe"}) {
      Process& worker = cluster.add_worker({"--local-directory", temp.path() / name / "cache"});
      cluster.wait_for_slots(1);
      CHECK_MESSAGE(output_of({installed.program, cluster.address(), "ask"}) == "in a task 1\n", name);
      worker.signal(SIGTERM);
      CHECK(worker.wait() == 0);
      cluster.wait_for_slots(0);
    }
  }

  TEST_CASE("a plug-in that has name and soname of a linked library: each user finds its own") {
    Cluster cluster;
    const Installed installed("weft_e2e_asking_rpath", "1");
    const fs::path plugin = installed.temp.path() / "libanswer.so";
    SUBCASE("opened before the first submit, and replaced after it") {
      fs::copy_file(library("2"), plugin);
      const fs::path go = installed.temp.path() / "go";
      Process client({installed.program, cluster.address(), "open", plugin, "ask", "", "wait", go,
                      "ask-plugin", plugin});
      REQUIRE(client.prints("waiting"));
      replace(library("1"), plugin);
      std::ofstream(go) << "go";
      CHECK_MESSAGE(client.wait(60s) == 0, client.err());
      CHECK(client.out() == "in a task 1\nwaiting\nlinked 1, plug-in 2\n");
    }
    SUBCASE("of the same content: still two objects") {
      fs::copy_file(library("1"), plugin);
      CHECK(output_of({installed.program, cluster.address(), "open", plugin, "count", plugin}) ==
            "linked 1, plug-in 1, plug-in 2\n");
    }
    SUBCASE("opened after it, and gone from the disk") {
      fs::copy_file(library("2"), plugin);
      const fs::path go = installed.temp.path() / "go";
      CHECK(output_of({installed.program, cluster.address(), "ask", "", "open", plugin, "ask-plugin",
                       plugin}) == "in a task 1\nlinked 1, plug-in 2\n");
    }
  }

  TEST_CASE("a plug-in that was opened after its user had been submitted travels with the next one") {
    Cluster cluster;
    const Installed installed("weft_e2e_asking_rpath", "1");
    const fs::path first = installed.temp.path() / "libfirst.so";
    const fs::path second = installed.temp.path() / "libsecond.so";
    fs::copy_file(library("1"), first);
    fs::copy_file(library("2"), second);
    const fs::path go = installed.temp.path() / "go";
    Process client({installed.program, cluster.address(), "open", first, "ask-plugin", first, "open", second,
                    "wait", go, "ask-plugin", second, "ask-plugin", first});
    REQUIRE(client.prints("waiting"));
    replace(library("1"), second);
    std::ofstream(go) << "go";
    CHECK_MESSAGE(client.wait(60s) == 0, client.err());
    CHECK(client.out() == "linked 1, plug-in 1\nwaiting\nlinked 1, plug-in 2\nlinked 1, plug-in 1\n");
  }

  TEST_CASE("a task of a plug-in that main has opened runs, and the program's own go on") {
    Cluster cluster;
    CHECK(output_of({binary("weft_e2e_host"), cluster.address(),
                     fs::path(binary("shipping")) / "libweft_e2e_plugin.so"}) ==
          "own 2\nplug-in's 500\nown 3\n");
  }

  TEST_CASE("an instruction that the worker's processor lacks is named, and charges nothing") {
    Cluster cluster;
#ifdef __x86_64__
    const Installed installed("weft_e2e_asking_runpath", "1");
    Process client({installed.program, cluster.address(), "lack", "", "ask"});
    const std::string error = error_of(client);
    CHECK_MESSAGE(contains(error, "this processor does not have AVX2"), error);
    CHECK_MESSAGE(contains(error, "-march=native"), error);
#endif
  }

  TEST_CASE("functions and lambdas of one name are each called as themselves, before main too") {
    Cluster cluster;
    CHECK(output_of({binary("weft_e2e_functions")}, {{"WEFT_BROKER", cluster.address()}}) ==
          "before main, second second-1 second-2, first first-1 first-2, second second-1 second-2\n");
  }

  TEST_CASE("a program that does not start: each task is told at once, with the reason") {
    Cluster cluster;
    const auto check = [&](const std::string& name, const std::string& reason) {
      std::istringstream lines(output_of({binary(name), cluster.address()}));
      int told = 0;
      for (std::string line; std::getline(lines, line);) {
        int ms = 0;
        if (std::sscanf(line.c_str(), "told after %d ms", &ms) != 1) continue;
        ++told;
        CHECK_MESSAGE(ms < 5000, line);
      }
      CHECK(told == 3);
      CHECK_MESSAGE(contains(lines.str(), reason), lines.str());
    };
    check("weft_e2e_not_starting", "cannot open application.ini");
    check("weft_e2e_submits_early", "a static initialiser of this program submits a task");
  }

  TEST_CASE("a program that was started through the loader, or has an odd name, is shipped itself") {
    Cluster cluster;
    const Installed installed("weft_e2e_asking_runpath", "1");
    const fs::path loader = "/lib64/ld-linux-x86-64.so.2";
    if (fs::exists(loader))
      CHECK(output_of({loader, installed.program, cluster.address(), "ask"}) == "in a task 1\n");
    for (const std::string& name :
         {std::string("a (deleted)"), std::string("-n"), std::string(250, 'x'), std::string("a\nb")}) {
      const fs::path program = installed.temp.path() / name;
      fs::copy_file(installed.program, program);
      CHECK_MESSAGE(output_of({program, cluster.address(), "ask"}) == "in a task 1\n", name);
    }
  }
}
