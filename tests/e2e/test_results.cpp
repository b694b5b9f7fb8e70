// SPDX-License-Identifier: MIT
// An ordinary program on a real cluster: arguments, results, and their order.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <numeric>
#include <optional>
#include <ranges>
#include <set>
#include <thread>
#include <variant>
#include <weft/weft.hpp>

#include "tests/e2e/harness.hpp"

using namespace weft::e2e;

namespace {

struct Point {
  double x = 0;
  double y = 0;
  std::string name;
  MSGPACK_DEFINE(x, y, name)
  bool operator==(const Point&) const = default;
};
enum class Colour : std::uint8_t { red, green, blue };

long inc(long x) { return x + 1; }
std::string greet(const std::string& name, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += name;
  return out;
}
void nothing() {}
Point mirror(Point p) { return {p.y, p.x, p.name}; }
Colour next(Colour c) { return static_cast<Colour>((static_cast<int>(c) + 1) % 3); }
std::optional<std::optional<int>> nested(std::optional<std::optional<int>> o) { return o; }
std::variant<int, std::string> flip(std::variant<int, std::string> v) {
  if (v.index() == 0) return std::to_string(std::get<0>(v));
  return std::stoi(std::get<1>(v));
}
std::chrono::milliseconds twice(std::chrono::milliseconds d) { return d * 2; }
std::map<std::string, std::vector<int>> group(std::vector<std::pair<std::string, int>> items) {
  std::map<std::string, std::vector<int>> out;
  for (auto& [key, value] : items) out[key].push_back(value);
  return out;
}
std::vector<std::byte> reverse_bytes(std::vector<std::byte> bytes) { return {bytes.rbegin(), bytes.rend()}; }
std::vector<double> scale(std::vector<double> values, double factor) {
  for (double& value : values) value *= factor;
  return values;
}
std::tuple<int, std::string, double> triple(int a, std::string b, double c) { return {a * 2, b + b, c / 2}; }
long add(long a, long b) { return a + b; }
pid_t who() { return getpid(); }
int nap(int ms, int value) {
  usleep(static_cast<useconds_t>(ms) * 1000);
  return value;
}
std::string where() { return std::filesystem::current_path(); }
std::string variable(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value != nullptr ? value : "none";
}
void sets_variable(const std::string& name, int value) {
  setenv(name.c_str(), std::to_string(value).c_str(), 1);
}
/// The number of these tasks that run at the start of this one. Each appends a byte to `file`, and removes it
/// at its end.
int most_at_once(const std::string& file, int) {
  const auto change = [&](int by) {
    const int fd = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    flock(fd, LOCK_EX);
    const auto size = static_cast<int>(lseek(fd, 0, SEEK_END)) + by;
    const bool done = ftruncate(fd, size) == 0;
    close(fd);
    return done ? size : -1;
  };
  const int now = change(1);
  usleep(20'000);
  change(-1);
  return now;
}
std::string task_facts() {
  return weft::this_task::worker() + " " + std::to_string(weft::this_task::attempt()) + " " +
         weft::this_task::id().text();
}

}  // namespace

TEST_SUITE("results") {
  TEST_CASE("map gives a future for each input, in order, and gather their values") {
    Cluster cluster;
    weft::Client client(cluster.address());
    auto futures = client.map<inc>(std::views::iota(0L, 1000L));
    REQUIRE(futures.size() == 1000);
    std::vector<long> expected(1000);
    std::iota(expected.begin(), expected.end(), 1L);
    CHECK(client.gather(futures) == expected);
    CHECK(futures[7].state() == weft::TaskState::done);
    CHECK(futures[7].result() == 8);
    CHECK(std::move(futures[8]).result() == 9);
  }

  TEST_CASE("a task has the variables that it asks for, and the next one has not") {
    Cluster cluster({.workers = 1, .nprocs = 1});
    weft::Client client(cluster.address());
    CHECK(client.submit<variable>("WEFT_TEST_A").result() == "none");
    auto with_a = client.with({.environment = {{"WEFT_TEST_A", "a = b"}, {"WEFT_TEST_EMPTY", ""}}});
    CHECK(with_a.submit<variable>("WEFT_TEST_A").result() == "a = b");
    CHECK(with_a.submit<variable>("WEFT_TEST_EMPTY").result() == "");
    CHECK(client.submit<variable>("WEFT_TEST_A").result() == "none");
    CHECK(with_a.command({"sh", "-c", "echo $WEFT_TEST_A"}).result().out == "a = b\n");
    CHECK_THROWS_AS(client.with({.environment = {{"", "x"}}}), std::invalid_argument);
    CHECK_THROWS_AS(client.with({.environment = {{"A=B", "x"}}}), std::invalid_argument);
  }

  TEST_CASE("a task of several threads has them for itself, and its libraries are told") {
    // At least as many slots as cores, so each task gets one thread.
    Cluster cluster({.workers = 0, .nprocs = 64});
    cluster.add_worker();
    cluster.wait_for_slots(64);
    weft::Client client(cluster.address());
    for (const std::string name : {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS",
                                   "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NUMEXPR_NUM_THREADS"}) {
      CAPTURE(name);
      CHECK(client.submit<variable>(name).result() == "1");
      CHECK(client.with({.threads = 3}).submit<variable>(name).result() == "3");
      CHECK(client.with({.threads = 3, .environment = {{name, "7"}}}).submit<variable>(name).result() == "7");
    }
    CHECK_THROWS_AS(client.with({.threads = 0}), std::invalid_argument);

    // 64 slots allow one task with 40 threads at a time.
    const auto counter = (cluster.directory() / "running").string();
    auto most = client.gather(
        client.with({.threads = 40}).map<most_at_once>(weft::same(counter), std::views::iota(0, 6)));
    CHECK(*std::max_element(most.begin(), most.end()) == 1);
    auto impossible = client.with({.queue_timeout = 300ms, .threads = 65}).submit<variable>("PATH");
    impossible.wait();
    REQUIRE(impossible.error().has_value());
    CHECK_MESSAGE(impossible.error()->text().find("it needs 65 slots of one worker") != std::string::npos,
                  impossible.error()->what());
  }

  TEST_CASE("what is to be done at the start of a worker's processes is done before their first tasks") {
    Cluster cluster({.workers = 2, .nprocs = 2});
    weft::Client client(cluster.address());
    CHECK(client.submit<variable>("WEFT_TEST_START").result() == "none");
    client.on_worker_start<sets_variable>("WEFT_TEST_START", 17);
    for (const auto& [name, value] : client.run_on_workers<variable>("WEFT_TEST_START")) CHECK(value == "17");
    const auto values = client.gather(client.map<variable>(std::vector<std::string>(100, "WEFT_TEST_START")));
    CHECK(std::count(values.begin(), values.end(), "17") == 100);
  }

  TEST_CASE("a call on each worker gives the results by name") {
    Cluster cluster({.workers = 3, .nprocs = 2});
    weft::Client client(cluster.address());
    const auto facts = client.run_on_workers<task_facts>();
    REQUIRE(facts.size() == 3);
    for (const auto& [name, text] : facts) CHECK(text.starts_with(name + " 1 "));
    const auto sums = client.run_on_workers<add>(2, 3);
    CHECK(sums == std::map<std::string, long>{{"worker-1", 5}, {"worker-2", 5}, {"worker-3", 5}});
    CHECK(client.run_on_workers<nothing>().size() == 3);
  }

  TEST_CASE("OpenMP uses the threads that its task has, whatever a task before it has asked for") {
    if (!std::filesystem::exists(binary("weft_e2e_openmp"))) return;  // the compiler lacks OpenMP
    Cluster cluster({.workers = 1, .nprocs = 64});
    Process program({binary("weft_e2e_openmp")},
                    {.environment = {{"WEFT_BROKER", cluster.address()}}, .directory = {}, .output = {}});
    CHECK(program.wait() == 0);
    CHECK_MESSAGE(program.out() == "1 3 1 2 1\n", program.err());
  }

  TEST_CASE("who starts the worker has the last word on the number of threads, but for the task") {
    Cluster cluster({.workers = 0, .nprocs = 4});
    cluster.add_worker({}, {{"OMP_NUM_THREADS", "5"}});
    cluster.wait_for_slots(4);
    weft::Client client(cluster.address());
    CHECK(client.submit<variable>("OMP_NUM_THREADS").result() == "5");
    CHECK(client.with({.threads = 2}).submit<variable>("OMP_NUM_THREADS").result() == "5");
    CHECK(client.with({.threads = 2}).submit<variable>("MKL_NUM_THREADS").result() == "2");
    CHECK(client.with({.threads = 2, .environment = {{"OMP_NUM_THREADS", "3"}}})
              .submit<variable>("OMP_NUM_THREADS")
              .result() == "3");
  }

  TEST_CASE("a task runs in the directory that it asks for, or fails with the reason") {
    Cluster cluster;
    weft::Client client(cluster.address());
    const std::string there = std::filesystem::canonical(cluster.directory());
    CHECK(client.with({.directory = there}).submit<where>().result() == there);
    const std::string scratch = client.submit<where>().result();
    CHECK(scratch != there);
    auto command = client.with({.directory = there}).command({"pwd"});
    CHECK(command.result().out == there + "\n");
    auto nowhere = client.with({.directory = there + "/nowhere"}).submit<where>();
    try {
      nowhere.result();
      FAIL("it ran somewhere");
    } catch (const weft::TaskFailed& error) {
      CHECK_MESSAGE(
          std::string(error.what()).find("cannot enter the working directory '" + there + "/nowhere'") !=
              std::string::npos,
          error.what());
    }
    CHECK_THROWS_AS(client.with({.directory = std::string("a\0b", 3)}), std::invalid_argument);
    CHECK_THROWS_AS(client.with({.directory = std::string(10'000, 'a')}), std::invalid_argument);
  }

  TEST_CASE("every kind of value goes there and back") {
    Cluster cluster;
    weft::Client client(cluster.address());
    CHECK(client.submit<greet>("ab", 3).result() == "ababab");
    client.submit<nothing>().result();
    CHECK(client.submit<mirror>(Point{1, 2, "p"}).result() == Point{2, 1, "p"});
    CHECK(client.submit<next>(Colour::blue).result() == Colour::red);
    CHECK(client.submit<nested>(std::optional<std::optional<int>>(std::optional<int>())).result() ==
          std::optional<std::optional<int>>(std::optional<int>()));
    CHECK(client.submit<nested>(std::nullopt).result() == std::nullopt);
    CHECK(std::get<std::string>(client.submit<flip>(5).result()) == "5");
    CHECK(std::get<int>(client.submit<flip>(std::string("6")).result()) == 6);
    CHECK(client.submit<twice>(std::chrono::seconds(2)).result() == 4s);
    CHECK(client.submit<group>(std::vector<std::pair<std::string, int>>{{"a", 1}, {"b", 2}, {"a", 3}})
              .result() == std::map<std::string, std::vector<int>>{{"a", {1, 3}}, {"b", {2}}});
    CHECK(client.submit<triple>(4, "x", 3.0).result() == std::tuple(8, std::string("xx"), 1.5));
    CHECK(client.submit([](int a) { return a * a; }, 12).result() == 144);
  }

  TEST_CASE("17 MB and 100 MB travel both ways, and another client's small tasks go on meanwhile") {
    Cluster cluster;
    weft::Client client(cluster.address());
    for (const std::size_t size : {std::size_t{17'000'000}, std::size_t{100'000'000}}) {
      std::vector<std::byte> bytes(size);
      for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i * 31 >> 3);
      auto large = client.submit<reverse_bytes>(bytes);
      CHECK(client.submit<inc>(1L).result() == 2);
      std::vector<std::byte> back = std::move(large).result();
      std::reverse(back.begin(), back.end());
      CHECK(back == bytes);
    }
    std::vector<double> values(2'000'000, 1.5);
    CHECK(client.submit<scale>(values, 2.0).result() == std::vector<double>(2'000'000, 3.0));
  }

  TEST_CASE("map takes several ranges, one value for all calls, and lambdas") {
    Cluster cluster;
    weft::Client client(cluster.address());
    const std::vector<long> a = {1, 2, 3};
    CHECK(client.gather(client.map<add>(a, std::vector<long>{10, 20, 30})) == std::vector<long>{11, 22, 33});
    CHECK(client.gather(client.map<add>(a, weft::same(5))) == std::vector<long>{6, 7, 8});
    CHECK(client.gather(client.map([](long x) { return x * 10; }, a)) == std::vector<long>{10, 20, 30});
    CHECK_THROWS_AS(client.map<add>(a, std::vector<long>{1}), std::invalid_argument);
    CHECK(client.map<inc>(std::vector<long>{}).empty());
  }

  TEST_CASE("as_completed yields each future when it is ready, as often as it was given") {
    Cluster cluster;
    weft::Client client(cluster.address());
    std::vector<weft::Future<int>> futures = {client.submit<nap>(600, 1), client.submit<nap>(1, 2)};
    futures.push_back(futures[1]);
    std::vector<int> order;
    for (auto& future : weft::as_completed(futures)) order.push_back(future.result());
    CHECK(order == std::vector<int>{2, 2, 1});
  }

  TEST_CASE("wait and wait_any say what is done and what is not") {
    Cluster cluster;
    weft::Client client(cluster.address());
    std::vector<weft::Future<int>> futures = {client.submit<nap>(60'000, 1), client.submit<nap>(1, 2)};
    auto any = weft::wait_any(futures, 20s);
    REQUIRE(any.done.size() == 1);
    CHECK(any.done[0].result() == 2);
    CHECK(any.pending.size() == 1);
    CHECK(weft::wait(futures, 50ms).pending.size() == 1);
    CHECK_FALSE(futures[0].wait_for(20ms));
    CHECK(futures[0].result_for(20ms) == std::nullopt);
    CHECK(eventually([&] { return futures[0].state() == weft::TaskState::running; }));
  }

  TEST_CASE("gather with outcomes gives one for each and shifts nothing") {
    Cluster cluster;
    weft::Client client(cluster.address());
    auto futures = client.map(
        [](int x) {
          if (x == 2) throw std::runtime_error("two is not wanted");
          return x;
        },
        std::vector<int>{1, 2, 3});
    auto outcomes = client.gather(futures, weft::outcomes);
    REQUIRE(outcomes.size() == 3);
    CHECK(outcomes[0].value() == 1);
    CHECK_FALSE(outcomes[1].ok());
    CHECK(std::string(outcomes[1].error().what()).find("two is not wanted") != std::string::npos);
    CHECK(outcomes[2].value() == 3);
    CHECK_THROWS_AS(client.gather(futures), weft::TaskFailed);
  }

  TEST_CASE("callbacks run once, in order, and one that throws or submits harms nothing") {
    Cluster cluster;
    std::atomic<int> calls{0};
    std::atomic<long> nested_value{0};
    {
      weft::Client client(cluster.address());
      auto future = client.submit<inc>(1L);
      future.on_done([&](auto) {
        ++calls;
        throw std::runtime_error("a careless callback");
      });
      future.on_done([&](auto done) {
        ++calls;
        client.submit<inc>(done.result()).on_done([&](auto inner) { nested_value = inner.result(); });
      });
      CHECK(eventually([&] { return nested_value == 3; }));
      future.on_done([&](auto) { ++calls; });
      CHECK(eventually([&] { return calls == 3; }));
    }
  }

  TEST_CASE("values outlive the client, and what was not finished is cancelled with it") {
    Cluster cluster;
    std::optional<weft::Future<long>> finished;
    std::optional<weft::Future<int>> open;
    {
      weft::Client client(cluster.address());
      finished = client.submit<inc>(41L);
      finished->wait();
      open = client.submit<nap>(60'000, 1);
    }
    CHECK(finished->result() == 42);
    CHECK(open->state() == weft::TaskState::cancelled);  // the client's destructor did not wait for it
    CHECK_THROWS_AS(open->result(), weft::TaskCancelled);
    CHECK_MESSAGE(eventually([&] { return cluster.status("slots_busy") == 0; }),
                  status_json(cluster.address()));
  }

  TEST_CASE("a client is used from many threads at once") {
    Cluster cluster;
    weft::Client client(cluster.address());
    std::atomic<long> sum{0};
    {
      std::vector<std::jthread> threads;
      for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&] {
          for (long i = 0; i < 200; ++i) sum += client.submit<inc>(i).result();
        });
      }
    }
    CHECK(sum == 4 * (200 * 199 / 2 + 200));
  }

  TEST_CASE("a task knows its worker, its attempt and its id") {
    Cluster cluster;
    weft::Client client(cluster.address());
    auto future = client.submit<task_facts>();
    CHECK(future.result() == "worker-1 1 " + future.id().text());
  }

  TEST_CASE("short tasks do not wait behind one of their kind that takes long") {
    Cluster cluster;  // has two slots
    weft::Client client(cluster.address());
    client.gather(client.map<nap>(std::vector<int>(500, 0), weft::same(1)));  // the broker learns their time
    std::vector<int> ms(500, 0);
    ms[10] = 5000;
    auto futures = client.map<nap>(ms, weft::same(1));
    for (std::size_t i = 0; i < futures.size(); ++i) {
      if (i != 10) CHECK(futures[i].wait_for(std::chrono::seconds(4)));
    }
    CHECK_FALSE(futures[10].done());
    futures[10].cancel();
  }

  TEST_CASE("runners stay warm: many tasks run in as many processes as there are slots") {
    Cluster cluster;
    weft::Client client(cluster.address());
    std::set<pid_t> pids;
    for (auto& future : client.map([](int) { return who(); }, std::views::iota(0, 200)))
      pids.insert(future.result());
    CHECK(pids.size() <= 2);
    CHECK(!pids.contains(getpid()));
  }

  TEST_CASE("the cluster's workers, slots and tasks can be asked for") {
    Cluster cluster;
    weft::Client client(cluster.address());
    client.submit<inc>(1L).wait();
    const weft::ClusterInfo info = client.cluster();
    REQUIRE(info.workers.size() == 1);
    CHECK(info.workers[0].name == "worker-1");
    CHECK(info.slots == 2);
  }
}
