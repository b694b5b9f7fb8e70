// SPDX-License-Identifier: MIT
// The programs as processes: how they start, wait, join, leave and die.
#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fstream>
#include <ranges>
#include <set>
#include <weft/weft.hpp>

#include "tests/e2e/harness.hpp"

using namespace weft::e2e;

namespace {

long inc(long x) { return x + 1; }
long slow_inc(long x) {
  usleep(50'000);
  return x + 1;
}
/// The value is wrong if this is not the first execution.
long counted_inc(long x) { return slow_inc(x) + 1000 * (weft::this_task::attempt() - 1); }

/// A TCP socket that listens on a free port and never answers.
struct Listener {
  Listener() : fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    REQUIRE(bind(fd, reinterpret_cast<const sockaddr*>(&at), size) == 0);
    REQUIRE(listen(fd, 8) == 0);
    REQUIRE(getsockname(fd, reinterpret_cast<sockaddr*>(&at), &size) == 0);
    port = ntohs(at.sin_port);
  }
  ~Listener() { close(fd); }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  int fd;
  int port = 0;
};

int free_port() { return Listener().port; }

}  // namespace

TEST_SUITE("processes") {
  TEST_CASE("the broker says where it serves, and leaves at once with 0 on SIGTERM and SIGINT") {
    for (const int signal : {SIGTERM, SIGINT}) {
      Process broker({binary("weft-broker"), "--port", "0"});
      REQUIRE(broker.prints("serving on tcp://127.0.0.1:"));
      broker.signal(signal);
      CHECK(broker.wait() == 0);
    }
  }

  TEST_CASE("a taken port, a foreign address and wrong flags are refused with a sentence") {
    Listener taken;
    Process second({binary("weft-broker"), "--port", std::to_string(taken.port)});
    CHECK(second.wait() == 1);
    CHECK_MESSAGE(contains(second.err(), std::to_string(taken.port)), second.err());
    CHECK_MESSAGE(contains(second.err(), "in use"), second.err());

    Process open({binary("weft-broker"), "--host", "0.0.0.0", "--port", "0"});
    CHECK(open.wait() == 1);
    CHECK_MESSAGE(contains(open.err(), "--insecure"), open.err());

    for (const char* program : {"weft-broker", "weft-worker", "weft", "weft-runner"}) {
      Process wrong({binary(program), "--no-such-flag"});
      CHECK_MESSAGE(wrong.wait() == 2, program);
    }
  }

  TEST_CASE("a client without a broker gets a ConnectionError that names the address") {
    const std::string nobody = "127.0.0.1:" + std::to_string(free_port());
    try {
      weft::Client client(weft::ClientOptions{.address = nobody, .connect_timeout = 500ms});
      FAIL("there was no broker");
    } catch (const weft::ConnectionError& error) {
      CHECK_MESSAGE(contains(error.what(), nobody), error.what());
    }
    Listener mute;
    try {
      weft::Client client(
          weft::ClientOptions{.address = "127.0.0.1:" + std::to_string(mute.port), .connect_timeout = 500ms});
      FAIL("that was no broker");
    } catch (const weft::ConnectionError& error) {
      CHECK_MESSAGE(contains(error.what(), std::to_string(mute.port)), error.what());
    }
    Process ping({binary("weft"), "ping", nobody, "--timeout", "0.5"});
    CHECK(ping.wait() == 1);
    CHECK_MESSAGE(contains(ping.err(), nobody), ping.err());
  }

  TEST_CASE("a worker may start before its broker: it says for whom it waits, and joins") {
    const int port = free_port();
    const std::string address = "127.0.0.1:" + std::to_string(port);
    TempDirectory cache;
    Process worker({binary("weft-worker"), address, "--nprocs", "1", "--local-directory", cache.path()});
    CHECK(worker.prints("waiting"));
    CHECK(worker.prints(std::to_string(port)));
    Process broker({binary("weft-broker"), "--port", std::to_string(port)});
    CHECK(eventually([&] { return status_number(address, "slots") == 1; }, 15s));
  }

  TEST_CASE("weft ping says version, epoch and slots") {
    Cluster cluster;
    Process ping({binary("weft"), "ping", cluster.address()});
    CHECK(ping.wait() == 0);
    CHECK_MESSAGE(contains(ping.out(), "2 slots"), ping.out());
    CHECK_MESSAGE(contains(ping.out(), "epoch"), ping.out());
  }

  TEST_CASE("a worker that joins while tasks are queued gets some of them") {
    Cluster cluster({.nprocs = 1});
    weft::Client client(cluster.address());
    auto futures = client.map(
        [](int) {
          usleep(20'000);
          return weft::this_task::worker();
        },
        std::views::iota(0, 150));
    futures[0].wait();
    cluster.add_worker();
    std::set<std::string> names;
    for (auto& future : futures) names.insert(future.result());
    CHECK(names == std::set<std::string>{"worker-1", "worker-2"});
  }

  TEST_CASE("a worker leaves gracefully on SIGTERM: what runs is finished, nothing is charged") {
    Cluster cluster({.workers = 2, .nprocs = 1});
    weft::Client client(cluster.address());
    auto futures = client.with({.crash_limit = 1}).map<slow_inc>(std::views::iota(0L, 60L));
    futures[4].wait();
    cluster.worker(0).signal(SIGTERM);
    CHECK(client.gather(futures).back() == 60);
    CHECK(cluster.worker(0).wait() == 0);
    CHECK(cluster.status("slots") == 1);
  }

  TEST_CASE("a worker that is killed takes no task with it, and its runners die with it") {
    Cluster cluster({.workers = 2, .nprocs = 1});
    weft::Client client(cluster.address());
    auto futures = client.map<slow_inc>(std::views::iota(0L, 60L));
    futures[4].wait();
    const auto runners = descendants_of(cluster.worker(0).pid());
    CHECK(!runners.empty());
    cluster.worker(0).kill();
    CHECK(client.gather(futures).back() == 60);
    for (const pid_t runner : runners) CHECK(eventually([&] { return !process_exists(runner); }, 2s));
  }

  TEST_CASE("a broker that is killed and started again loses nothing, and what runs is adopted") {
    Cluster cluster({.workers = 2, .nprocs = 1});
    weft::Client client(cluster.address());
    auto futures = client.map<counted_inc>(std::views::iota(0L, 100L));
    futures[10].wait();
    cluster.broker().kill();
    cluster.restart_broker();
    std::vector<long> expected;
    for (long i = 1; i <= 100; ++i) expected.push_back(i);
    // Every task was executed once: each saw attempt 1.
    CHECK(client.gather(futures) == expected);
    CHECK(client.submit<inc>(1L).result() == 2);
    CHECK(eventually([&] { return cluster.status("slots") == 2; }));
  }

  TEST_CASE("a broker that stays away longer than give_up fails every open future with a ConnectionError") {
    Cluster cluster({.nprocs = 1});
    weft::Client client(weft::ClientOptions{.address = cluster.address(), .give_up = 1000ms});
    auto future = client.submit(
        [](int) {
          sleep(30);
          return 1;
        },
        1);
    REQUIRE(eventually([&] { return future.state() == weft::TaskState::running; }));
    cluster.broker().kill();
    CHECK_THROWS_AS(future.result(), weft::ConnectionError);
  }

  TEST_CASE("a worker whose name is taken is told by whom and leaves") {
    Cluster cluster({.nprocs = 1});
    Process second({binary("weft-worker"), cluster.address(), "--name", "worker-1", "--nprocs", "1",
                    "--local-directory", cluster.directory() / "other"});
    CHECK(second.wait() == 1);
    CHECK_MESSAGE(contains(second.err(), "worker-1"), second.err());
    CHECK(cluster.status("workers") == 1);
  }

  TEST_CASE("what a task prints appears in the worker's log with worker and task in front") {
    Cluster cluster({.nprocs = 1});
    weft::Client client(cluster.address());
    auto future = client.submit([] {
      std::printf("hello from a task\n");
      std::fprintf(stderr, "and from its stderr\n");
    });
    future.wait();
    CHECK(cluster.worker().prints("hello from a task"));
    CHECK(cluster.worker().prints("and from its stderr"));
    CHECK(cluster.worker().prints("worker-1"));
    CHECK(cluster.worker().prints(future.id().text()));
  }

  TEST_CASE(
      "a client that is killed: its tasks are cancelled, running ones too, and the cluster serves others") {
    Cluster cluster({.nprocs = 1, .broker_arguments = {"--client-grace", "0.5"}});
    Process victim({binary("weft_e2e_program"), "sleepers", cluster.address(), "20"});
    REQUIRE(victim.prints("running"));
    victim.kill();
    weft::Client client(cluster.address());
    CHECK(client.submit<inc>(1L).result() == 2);
    CHECK(eventually([&] { return cluster.status("queued") == 0 && cluster.status("slots_busy") == 0; }));
  }

  TEST_CASE("programs that fork, keep a static Client, or open a file in main behave") {
    Cluster cluster;
    for (const char* what : {"fork", "static"}) {
      Process program({binary("weft_e2e_program"), what, cluster.address()});
      CHECK_MESSAGE(program.wait() == 0, what << ": " << program.err());
      CHECK_MESSAGE(contains(program.out(), "42"), program.out());
    }
    TempDirectory temp;
    const auto file = temp.path() / "output";
    Process program({binary("weft_e2e_program"), "file", cluster.address(), file});
    CHECK_MESSAGE(program.wait() == 0, program.err());
    std::ifstream written(file);
    std::string text((std::istreambuf_iterator<char>(written)), {});
    CHECK(text == "written by main, once\n42\n");
  }

  TEST_CASE("the world of a runner is as promised") {
    Cluster cluster({.nprocs = 1});
    weft::Client client(cluster.address());
    setenv("WEFT_SECRET", "x", 1);
    CHECK(client
              .submit([] {
                return std::string(std::getenv("WEFT_RUNNER") != nullptr ? "runner " : "") +
                       (std::getenv("WEFT_BROKER") != nullptr ? "broker" : "");
              })
              .result()
              .empty());
    CHECK(client
              .submit([] {
                char c;
                return static_cast<int>(read(0, &c, 1));
              })
              .result() == 0);
    const std::string cwd = client.submit([] { return std::filesystem::current_path().string(); }).result();
    CHECK_MESSAGE(contains(cwd, "cache-1"), cwd);
    unsetenv("WEFT_SECRET");
  }
}
