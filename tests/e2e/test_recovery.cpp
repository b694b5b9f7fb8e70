// SPDX-License-Identifier: MIT
// How fast the cluster recovers, end to end. Each test prints its measurement; the limits are generous, since
// tests run on busy machines.
#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <ranges>
#include <weft/weft.hpp>

#include "tests/e2e/executions.hpp"
#include "tests/e2e/harness.hpp"
#include "tests/support/proxy.hpp"

using namespace weft::e2e;

namespace {

long nap(const std::string& executions, long number, int ms) {
  note_execution(executions, number);
  usleep(static_cast<useconds_t>(ms) * 1000);
  return number * 3;
}

/// Whether task `number` has been started `times` times.
bool started(const std::string& executions, long number, int times = 1) {
  const auto all = executions_of(executions);
  const auto found = all.find(number);
  return found != all.end() && found->second >= times;
}

double seconds_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

/// Seconds from `from` to the last start of task `number`.
double seconds_to_start(const std::string& executions, long number, Clock::time_point from) {
  const auto all = executions_in(executions);
  const auto last = std::ranges::find(all.rbegin(), all.rend(), number, &Execution::task);
  REQUIRE(last != all.rend());
  return seconds_between(from, last->at);
}

std::string spread(std::vector<double> seconds) {
  std::ranges::sort(seconds);
  return "p50 " + std::to_string(seconds[seconds.size() / 2]) + " s, worst " +
         std::to_string(seconds.back()) + " s, of " + std::to_string(seconds.size());
}

/// A worker at a given address, such as a proxy's.
Process worker_at(const Cluster& cluster, const std::string& address, const std::string& name) {
  return Process({binary("weft-worker"), address, "--nprocs", "1", "--name", name, "--local-directory",
                  cluster.directory() / ("cache-" + name)});
}

constexpr long kLong = -1;  // number of the task that the test watches

/// One task that runs on worker `name`, while others queue behind it.
struct Scene {
  Scene(weft::Client& client, const std::string& name, const std::string& file) : executions(file) {
    longest = client.with({.prefer = {name}}).submit<nap>(executions, kLong, 400);
    REQUIRE(eventually([&] { return started(executions, kLong); }));
    REQUIRE(executions_in(executions).front().worker == name);
    queued = client.map<nap>(weft::same(executions), std::views::iota(0L, 60L), weft::same(10));
    REQUIRE(eventually([&] { return started(executions, 3); }));
  }
  void check_answers() {
    CHECK(longest.result() == kLong * 3);
    for (long i = 0; i < 60; ++i) CHECK(queued[static_cast<std::size_t>(i)].result() == i * 3);
  }
  std::string executions;
  weft::Future<long> longest;
  std::vector<weft::Future<long>> queued;
};

}  // namespace

TEST_SUITE("recovery") {
  TEST_CASE("the death of a worker that the kernel announces is acted on within 100 ms") {
    Cluster cluster({.workers = 1, .nprocs = 1});
    weft::Client client(cluster.address());
    std::vector<double> seconds;
    for (int round = 0; round < 5; ++round) {
      const std::string name = "victim-" + std::to_string(round);
      Process& victim = cluster.add_worker({"--name", name});
      cluster.wait_for_slots(2);
      Scene scene(client, name, cluster.directory() / ("executions-" + std::to_string(round)));
      const auto begin = Clock::now();
      victim.signal(SIGKILL);
      REQUIRE(eventually([&] { return started(scene.executions, kLong, 2); }));
      seconds.push_back(seconds_to_start(scene.executions, kLong, begin));
      scene.check_answers();
    }
    MESSAGE("from kill -9 of a worker to the start of its task elsewhere: ", spread(seconds));
    CHECK(*std::ranges::max_element(seconds) < 1.0);
  }

  TEST_CASE("a worker that falls silent is lost when its time is over, and works again when it wakes up") {
    Cluster cluster({.workers = 1, .nprocs = 1, .broker_arguments = {"--heartbeat-interval", "0.3"}});
    weft::Client client(cluster.address());
    Proxy proxy(cluster.address());
    for (const bool frozen : {true, false}) {
      CAPTURE(frozen);
      const std::string name = frozen ? "frozen" : "stalled";
      Process victim(worker_at(cluster, frozen ? cluster.address() : proxy.address(), name));
      cluster.wait_for_slots(2);
      Scene scene(client, name, cluster.directory() / name);
      const auto begin = Clock::now();
      if (frozen) {
        victim.signal(SIGSTOP);
      } else {
        proxy.stall_all(60s);
      }
      REQUIRE(eventually([&] { return started(scene.executions, kLong, 2); }));
      const double seconds = seconds_to_start(scene.executions, kLong, begin);
      MESSAGE("from the silence of a ", name,
              " worker to the start of its task elsewhere, at 3 x 0.3 s: ", seconds, " s");
      CHECK(seconds > 0.5);
      CHECK(seconds < 3 * 0.3 + 1.5);
      victim.signal(SIGCONT);
      proxy.heal();
      scene.check_answers();
      cluster.wait_for_slots(2);
      CHECK(client.with({.workers = {name}}).submit<nap>(scene.executions, 100L, 1).result() == 300);
      victim.signal(SIGTERM);
      CHECK(victim.wait() == 0);
      cluster.wait_for_slots(1);
    }
  }

  TEST_CASE("a broker killed under load: what runs is adopted, results arrive, new tasks start at once") {
    Cluster cluster({.workers = 2, .nprocs = 2});
    weft::Client client(cluster.address());
    const std::string executions = cluster.directory() / "executions";
    auto safe = client.with({.crash_limit = 1});  // fails if charged, or perhaps started
    std::vector<weft::Future<long>> futures;
    for (long i = 0; i < 2; ++i) futures.push_back(safe.submit<nap>(executions, i, 2500));
    for (long i = 2; i < 40; ++i) futures.push_back(client.submit<nap>(executions, i, 60));
    REQUIRE(eventually([&] { return started(executions, 1) && started(executions, 10); }));
    cluster.broker().kill();
    const auto begin = Clock::now();
    cluster.restart_broker();
    auto newest = client.submit<nap>(executions, 1000L, 1);
    CHECK(newest.result() == 3000);
    const double to_newest = seconds_to_start(executions, 1000, begin);
    for (long i = 0; i < 40; ++i) CHECK(futures[static_cast<std::size_t>(i)].result() == i * 3);
    for (const auto& [task, times] : executions_of(executions)) {
      CAPTURE(task);
      CHECK(times == 1);
    }
    MESSAGE("from the start of a new broker to that of a new task: ", to_newest, " s");
    CHECK(to_newest <
          1.9);  // in the adoption window, while those that were announced again wait for their claims
  }

  TEST_CASE("100,000 queued tasks are announced again and assigned soon after a broker's restart") {
    Cluster cluster({.workers = 1, .nprocs = 2});
    const std::string executions = cluster.directory() / "executions";
    weft::Client client(cluster.address());
    auto futures = client.map<nap>(weft::same(executions), std::views::iota(0L, 100'000L), weft::same(100));
    REQUIRE(eventually([&] { return started(executions, 1); }));
    REQUIRE(eventually([&] { return cluster.status("queued") > 99'000; }));
    cluster.broker().kill();
    const std::size_t before = executions_in(executions).size();
    const auto begin = Clock::now();
    cluster.restart_broker();
    REQUIRE(eventually([&] { return executions_in(executions).size() > before + 4; }, 30s));
    const double to_next = seconds_between(begin, executions_in(executions)[before + 4].at);
    CHECK(cluster.status("queued") > 99'000);
    MESSAGE("from the start of a new broker to that of tasks which 100,000 announced again: ", to_next, " s");
    CHECK(to_next < 6.0);
    for (auto& future : futures) future.cancel();
    CHECK(eventually([&] { return cluster.status("queued") == 0; }));
  }

  TEST_CASE("2,000 workers that reconnect at once after a broker's restart are welcomed within seconds") {
    constexpr long kMany = 2000;
    Cluster cluster({.workers = 1, .nprocs = 1});
    Process many({binary("weft_many_workers"), cluster.address(), std::to_string(kMany)});
    const std::string welcomed = std::to_string(kMany) + " workers welcomed after";
    REQUIRE_MESSAGE(many.prints(welcomed, 60s), many.err());
    cluster.broker().kill();
    REQUIRE(many.prints("lost 1"));
    const auto begin = Clock::now();
    cluster.restart_broker();
    const auto is_back = [&] { return many.out().rfind(welcomed) > many.out().find("lost 1"); };
    REQUIRE_MESSAGE(eventually(is_back, 60s), many.err());
    const double seconds = seconds_between(begin, Clock::now());
    MESSAGE("from the start of a new broker to the welcome of the last of 2,000 workers: ", seconds, " s");
    CHECK(seconds < 15);
    cluster.wait_for_slots(kMany + 1);
    // The many workers must not disturb the one that works.
    weft::Client client(cluster.address());
    const std::string executions = cluster.directory() / "executions";
    CHECK(client.submit<nap>(executions, 5L, 1).result() == 15);
    many.signal(SIGTERM);
    CHECK(many.wait() == 0);
  }

  TEST_CASE("a broker that was frozen itself expires nobody") {
    Cluster cluster({.workers = 2, .nprocs = 1, .broker_arguments = {"--heartbeat-interval", "0.3"}});
    weft::Client client(cluster.address());
    const std::string executions = cluster.directory() / "executions";
    std::vector<weft::Future<long>> futures;
    for (long i = 0; i < 6; ++i)
      futures.push_back(
          client.with({.crash_limit = 1}).submit<nap>(executions, i, 3000 + 10 * static_cast<int>(i)));
    REQUIRE(eventually([&] { return started(executions, 0) && started(executions, 1); }));
    const auto frozen = Clock::now();
    cluster.broker().signal(SIGSTOP);
    REQUIRE(eventually([&] { return Clock::now() - frozen > 2s; }));  // 2 s, more than 3 x 0.3 s
    cluster.broker().signal(SIGCONT);
    for (long i = 0; i < 6; ++i) CHECK(futures[static_cast<std::size_t>(i)].result() == i * 3);
    for (const auto& [task, times] : executions_of(executions)) CHECK(times == 1);
    CHECK(cluster.status("slots") == 2);
  }

  TEST_CASE("a client whose connection breaks comes back inside the grace and misses nothing") {
    Cluster cluster({.workers = 2, .nprocs = 1});
    Proxy proxy(cluster.address());
    weft::Client client(proxy.address());
    const std::string executions = cluster.directory() / "executions";
    auto futures = client.map<nap>(weft::same(executions), std::views::iota(0L, 150L), weft::same(20));
    std::vector<double> seconds;
    for (int cut = 0; cut < 5; ++cut) {
      futures[static_cast<std::size_t>(cut) * 10].wait();
      const auto done = [&] {
        return std::ranges::count_if(futures, [](const auto& f) { return f.done(); });
      };
      const auto begin = Clock::now();
      REQUIRE(proxy.cut(0));
      const auto before = done();
      REQUIRE(eventually([&] { return proxy.connections() > 0 && done() > before + 2; }));
      seconds.push_back(seconds_between(begin, Clock::now()));
    }
    for (long i = 0; i < 150; ++i) CHECK(futures[static_cast<std::size_t>(i)].result() == i * 3);
    const auto times = executions_of(executions);
    CHECK(times.size() == 150);
    for (const auto& [task, count] : times) CHECK(count == 1);
    MESSAGE("from a client's broken connection to its next results: ", spread(seconds));
    CHECK(*std::ranges::max_element(seconds) < 3.0);
  }

  TEST_CASE("a client whose network is down for long misses nothing, and nothing of it is executed again") {
    // The broker notices 0.6 s of silence, and both sides give up the connection.
    Cluster cluster({.workers = 2, .nprocs = 1, .broker_arguments = {"--heartbeat-interval", "0.2"}});
    Proxy proxy(cluster.address());
    weft::Client client(proxy.address());
    const std::string executions = cluster.directory() / "executions";
    auto once = client.with({.crash_limit = 1});
    auto futures = once.map<nap>(weft::same(executions), std::views::iota(0L, 120L), weft::same(50));
    futures[10].wait();
    proxy.stall_all(4s);
    REQUIRE(
        eventually([&] { return status_json(cluster.address()).find("\"silent\"") != std::string::npos; }));
    const auto started = [&] { return executions_in(executions).size(); };
    const auto before = started();
    for (long i = 0; i < 120; ++i) CHECK(futures[static_cast<std::size_t>(i)].result() == i * 3);
    MESSAGE(before, " of 120 had started when the client was found silent");
    CHECK(before < 120);
    const auto times = executions_of(executions);
    CHECK(times.size() == 120);
    for (const auto& [task, count] : times) CHECK(count == 1);
  }

  TEST_CASE("a client that stands still while its results fill the way to it comes back to all of them") {
    Cluster cluster({.workers = 1, .nprocs = 4});
    const std::string name = cluster.directory() / "started";
    Process client({binary("weft_e2e_program"), "piles_up", cluster.address(), name});
    REQUIRE(client.prints("running"));
    client.signal(SIGSTOP);
    // The broker's kernel ends the connection, since the other end no longer acknowledges any bytes.
    const auto is = [&](const char* state) {
      return status_json(cluster.address()).find(std::string("\"") + state + "\"") != std::string::npos;
    };
    REQUIRE(eventually([&] { return is("silent") || is("lost"); }));
    CHECK(cluster.broker().prints("is lost: it cannot be reached"));
    client.signal(SIGCONT);
    CHECK_MESSAGE(client.wait() == 0, client.err());
    std::ifstream lines(name);
    std::map<long, int> times;
    for (long number = 0; lines >> number;) ++times[number];
    CHECK(times.size() == 200);
    for (const auto& [task, count] : times) CHECK(count == 1);
  }

  TEST_CASE(
      "a client that is killed frees its slots within 2 s, though a child of its keeps the connection") {
    Cluster cluster({.workers = 1, .nprocs = 2});
    Process victim({binary("weft_e2e_program"), "leaves_child", cluster.address()});
    REQUIRE(victim.prints("running"));
    REQUIRE(cluster.status("slots_busy") == 2);
    const std::vector<pid_t> children = children_of(victim.pid());
    REQUIRE(children.size() == 1);
    const auto begin = Clock::now();
    victim.kill();
    CHECK(eventually([&] { return cluster.status("clients") == 0 && cluster.status("slots_busy") == 0; }));
    const double seconds = seconds_between(begin, Clock::now());
    MESSAGE("from a client's death to free slots: ", seconds, " s");
    CHECK(seconds < 4.5);  // escalation: SIGTERM and SIGKILL after 1 s each
    CHECK(status_json(cluster.address()).find("2 open tasks cancelled (2 with workers)") !=
          std::string::npos);
    CHECK(process_exists(children.front()));
    kill(children.front(), SIGKILL);
  }

  TEST_CASE("a client that is killed: what it runs is stopped when its process has ended") {
    Cluster cluster({.workers = 1, .nprocs = 2});
    Process victim({binary("weft_e2e_program"), "sleepers", cluster.address()});
    REQUIRE(victim.prints("running"));
    REQUIRE(eventually([&] { return cluster.status("slots_busy") == 2; }));
    const auto begin = Clock::now();
    victim.kill();
    REQUIRE(eventually([&] { return cluster.status("queued") == 0; }));
    const double to_cancel = seconds_between(begin, Clock::now());
    REQUIRE(eventually([&] { return cluster.status("slots_busy") == 0; }));
    const double to_free = seconds_between(begin, Clock::now());
    MESSAGE("from a client's kill: tasks cancelled after ", to_cancel, " s, slots free after ", to_free,
            " s");
    CHECK(to_cancel < 3);
    CHECK(to_free < 6);  // escalation: request to stop, SIGTERM, SIGKILL
  }
}
