// SPDX-License-Identifier: MIT
// Shipping: the client's program runs on the worker, however it was built.
#include <doctest/doctest.h>

#include <fstream>
#include <ranges>
#include <weft/weft.hpp>

#include "tests/e2e/harness.hpp"

namespace fs = std::filesystem;
using namespace weft::e2e;

namespace {

/// Runs one build of travelling.cpp and expects this sum of its tasks' results.
void check_sum(const std::string& program, const std::string& address, long sum) {
  Process client({program, address});
  CHECK_MESSAGE(client.wait(60s) == 0, program << ": " << client.err());
  CHECK_MESSAGE(contains(client.out(), "sum " + std::to_string(sum) + ","), client.out());
}

}  // namespace

TEST_SUITE("shipping") {
  TEST_CASE("two programs run side by side, and one that was rebuilt is another program") {
    Cluster cluster;
    TempDirectory temp;
    const fs::path program = temp.path() / "program";
    fs::copy_file(binary("weft_e2e_plain"), program);
    Process beside({binary("weft_e2e_rebuilt"), cluster.address()});
    check_sum(program, cluster.address(), 4950);
    fs::remove(program);
    fs::copy_file(binary("weft_e2e_rebuilt"), program);
    check_sum(program, cluster.address(), 9900);
    CHECK(beside.wait(60s) == 0);
    CHECK(contains(beside.out(), "sum 9900,"));
  }

  TEST_CASE("a stripped program and one that deletes itself after its start work") {
    Cluster cluster;
    TempDirectory temp;
    const fs::path program = temp.path() / "program";
    Process strip({"strip", "-o", program, binary("weft_e2e_plain")});
    REQUIRE(strip.wait() == 0);
    check_sum(program, cluster.address(), 4950);
    Process deleting({program, cluster.address(), "--delete-self"});
    CHECK_MESSAGE(deleting.wait(60s) == 0, deleting.err());
    CHECK(!fs::exists(program));
  }

  TEST_CASE("an ASan program works") {
    Cluster cluster;
    if (!fs::exists(binary("weft_e2e_asan"))) {
      MESSAGE("skipped: this build has sanitizers itself");
      return;
    }
    check_sum(binary("weft_e2e_asan"), cluster.address(), 4950);
  }

  TEST_CASE("a static-pie program works") {
    Cluster cluster;
    if (!fs::exists(binary("weft_e2e_static"))) {
      MESSAGE("skipped: there is no static libzmq to link with");
      return;
    }
    check_sum(binary("weft_e2e_static"), cluster.address(), 4950);
  }

  TEST_CASE("a program brings its own shared libraries with it") {
    Cluster cluster;
    check_sum(binary("weft_e2e_baggage_program"), cluster.address(), 14850);
  }

  TEST_CASE("a program is fetched once per host and found again by a worker that was restarted") {
    Cluster cluster;
    check_sum(binary("weft_e2e_plain"), cluster.address(), 4950);
    cluster.worker().signal(SIGTERM);
    CHECK(cluster.worker().wait() == 0);
    const auto cached = [&] {
      std::size_t files = 0;
      for (const auto& entry : fs::recursive_directory_iterator(cluster.directory() / "cache-1")) {
        if (entry.is_regular_file() && entry.file_size() > 100'000) ++files;
      }
      return files;
    };
    CHECK(cached() == 1);
    Process again({binary("weft-worker"), cluster.address(), "--nprocs", "2", "--local-directory",
                   cluster.directory() / "cache-1"});
    cluster.wait_for_slots(2);
    check_sum(binary("weft_e2e_plain"), cluster.address(), 4950);
    CHECK(cached() == 1);
    CHECK(again.running());
  }

  TEST_CASE("a program whose library is missing on the worker fails with the loader's own message") {
    Cluster cluster;
    TempDirectory temp;
    // A library below /usr/lib counts as the system's and is not shipped, so this test makes a program whose
    // loader does not exist.
    const fs::path source = temp.path() / "broken.sh";
    std::ofstream(source) << "#!/nonexistent/interpreter\n";
    fs::permissions(source, fs::perms::owner_all);
    weft::Client client(cluster.address());
    auto future = client.command({source.string()});
    auto error = future.error();
    REQUIRE(error.has_value());
    CHECK_MESSAGE(contains(error->what(), "broken.sh"), error->what());
  }
}

TEST_SUITE("libraries and commands") {
  TEST_CASE("a command gets its arguments and input, and its exit code, output and errors come back") {
    Cluster cluster;
    weft::Client client(cluster.address());
    auto result =
        client.command({"sh", "-c", "cat; echo \"$0 $1\" >&2; exit 5", "zero", "one two"}, "some input\n")
            .result();
    CHECK(result.exit_code == 5);
    CHECK(result.out == "some input\n");
    CHECK(result.err == "zero one two\n");
    const std::string large(5'000'000, 'z');
    CHECK(client.command({"cat"}, large).result().out == large);
    auto missing = client.command({"no-such-program-anywhere"}).error();
    REQUIRE(missing.has_value());
    CHECK_MESSAGE(contains(missing->what(), "no-such-program-anywhere"), missing->what());
  }

  TEST_CASE("a task library is called by name; wrong names and types are explained") {
    Cluster cluster({.worker_arguments = {"--load", binary("libtasks.so")}});
    weft::Client client(cluster.address());
    CHECK(client.call<long>("fib", 20L).result() == 6765);
    auto unknown = client.call<long>("no_such_task", 1L).error();
    REQUIRE(unknown.has_value());
    CHECK_MESSAGE(contains(unknown->what(), "fib"), unknown->what());
    auto mismatch = client.call<std::string>("fib", std::string("twenty")).error();
    REQUIRE(mismatch.has_value());
    CHECK_MESSAGE(contains(mismatch->what(), "string"), mismatch->what());
    CHECK_MESSAGE(contains(mismatch->what(), "long"), mismatch->what());
  }

  TEST_CASE("a library that does not load keeps its worker from starting, with the loader's message") {
    TempDirectory temp;
    std::ofstream(temp.path() / "libbad.so") << "not a library";
    Process worker({binary("weft-worker"), "127.0.0.1:1", "--load", temp.path() / "libbad.so",
                    "--local-directory", temp.path() / "cache"});
    CHECK(worker.wait() == 1);
    CHECK_MESSAGE(contains(worker.err(), "libbad.so"), worker.err());
  }
}
