// SPDX-License-Identifier: MIT
// How programs see detached tasks that other programs have submitted, and their own failed tasks.
#include <doctest/doctest.h>
#include <unistd.h>

#include <fstream>
#include <ranges>
#include <weft/weft.hpp>

#include "tests/e2e/harness.hpp"

using namespace weft::e2e;

namespace {

long squares(long x) { return x * x; }
long halves(long x) { return x / 2; }
long sleeps(long ms) {
  usleep(static_cast<unsigned>(ms) * 1000);
  return ms;
}
std::string doubles(std::string text) { return text + text; }
long throws(long x) { throw std::runtime_error("no " + std::to_string(x)); }
/// Fails as long as file `path` does not exist.
std::string reads(const std::string& path, const std::string& tail) {
  std::ifstream file(path);
  std::string word;
  if (!(file >> word)) throw std::runtime_error("there is no " + path);
  return word + tail;
}
weft::TaskOptions detached(const std::string& label) { return {.label = label, .detach = true}; }

struct Journaled {
  TempDirectory temp;
  Cluster cluster{{.broker_arguments = {"--journal", temp / "journal"}}};
};

}  // namespace

TEST_CASE("cancelling a detached sweep and leaving at once stops all of it") {
  Journaled j;
  Process program({binary("weft_e2e_program"), "fickle", j.cluster.address()});
  CHECK(program.wait() == 0);
  CHECK(program.err().empty());
  CHECK(eventually([&] {
    return j.cluster.status("queued") + j.cluster.status("assigned") + j.cluster.status("slots_busy") == 0;
  }));
  weft::Client client(j.cluster.address());
  CHECK(client.attach<int>("sweep").empty());
  // The same through attached futures.
  client.with(detached("long")).map<sleeps>(std::vector<long>(500, 60'000));
  client.flush();
  const auto begin = std::chrono::steady_clock::now();
  {
    weft::Client other(j.cluster.address());
    for (auto& future : other.attach<long>("long")) future.cancel();
  }
  CHECK(std::chrono::steady_clock::now() - begin < 8s);  // ~Client did not wait for the tasks
  CHECK(eventually([&] { return j.cluster.status("queued") + j.cluster.status("slots_busy") == 0; }));
}

TEST_CASE("attach tells at once what is done, under the name and id of the original") {
  Journaled j;
  weft::Client owner(weft::ClientOptions{.address = j.cluster.address(), .name = "owner"});
  auto originals = owner.with(detached("sweep")).map<squares>(std::views::iota(0L, 200L));
  originals.push_back(owner.with(detached("sweep")).submit<throws>(7L));
  auto open = owner.with({.workers = {"nobody"}, .label = "sweep", .detach = true}).submit<squares>(1L);
  weft::wait(originals);
  weft::Client client(j.cluster.address());
  auto futures = client.attach<long>("sweep");
  REQUIRE(futures.size() == 202);
  for (std::size_t i = 0; i < 201; ++i) {
    CHECK(futures[i].done());
    CHECK(futures[i].id() == originals[i].id());
  }
  CHECK_FALSE(futures[201].done());
  CHECK(futures[201].id() == open.id());
  CHECK(futures[200].error()->task() == originals[200].id());
  CHECK(futures[200].error()->function() == originals[200].error()->function());
  CHECK(futures[200].error()->label() == "sweep");
  CHECK_THROWS_WITH_AS(client.retry(futures[200]),
                       doctest::Contains("it was attached, and the broker does not retain the arguments"),
                       weft::Error);
  CHECK_THROWS_AS(owner.retry(originals[200]).result(), weft::TaskFailed);  // the owner has the arguments
}

TEST_CASE("sweeps with one label are told apart by client, function and time") {
  Journaled j;
  const auto before = std::chrono::system_clock::now() - 1s;
  weft::Client first(weft::ClientOptions{.address = j.cluster.address(), .name = "first"});
  weft::Client second(weft::ClientOptions{.address = j.cluster.address(), .name = "second"});
  weft::wait(first.with(detached("sweep")).map<squares>(std::vector<long>{1, 2, 3}));
  weft::wait(first.with(detached("sweep")).map<halves>(std::vector<long>{8}));
  second.with({.workers = {"nobody"}, .label = "sweep", .detach = true})
      .map<squares>(std::vector<long>{5, 6});
  second.flush();
  weft::Client client(j.cluster.address());
  const std::vector<weft::Sweep> sweeps = client.sweeps("sweep");
  REQUIRE(sweeps.size() == 3);
  CHECK(sweeps[0].client == "first");
  CHECK(sweeps[0].function.find("squares") != std::string::npos);
  CHECK(sweeps[0].tasks == 3);
  CHECK(sweeps[0].finished == 3);
  CHECK(sweeps[1].client == "first");
  CHECK(sweeps[1].function.find("halves") != std::string::npos);
  CHECK(sweeps[2].client == "second");
  CHECK(sweeps[2].finished == 0);
  CHECK(sweeps[2].submitted > before);
  CHECK(sweeps[2].submitted < std::chrono::system_clock::now() + 1s);
  CHECK(client.gather(client.attach<long>(sweeps[1])) == std::vector<long>{4});
  CHECK(client.attach<long>(sweeps[2]).size() == 2);
  CHECK(client.sweeps("nothing of the kind").empty());
}

TEST_CASE("two programs that attach to one sweep both get its answers, large ones too") {
  Journaled j;
  const std::string text(500'000, 'x');
  {
    weft::Client owner(j.cluster.address());
    owner.with(detached("sweep")).submit<doubles>(text);
    owner.with(detached("sweep")).submit<doubles>("small");
  }
  CHECK(eventually([&] { return j.cluster.status("finished") == 2; }));
  weft::Client one(j.cluster.address());
  weft::Client two(j.cluster.address());
  auto of_one = one.attach<std::string>("sweep");
  auto of_two = two.attach<std::string>("sweep");
  REQUIRE(of_one.size() == 2);
  REQUIRE(of_two.size() == 2);
  CHECK(one.gather(of_one) == std::vector<std::string>{text + text, "smallsmall"});
  CHECK(eventually([&] { return one.sweeps("sweep").empty(); }));
  CHECK(two.gather(of_two) == std::vector<std::string>{text + text, "smallsmall"});
}

TEST_CASE("to ask an attached task that succeeded for its error is to have its answer") {
  Journaled j;
  {
    weft::Client owner(j.cluster.address());
    owner.with(detached("sweep")).submit<squares>(3L);
  }
  weft::Client client(j.cluster.address());
  auto futures = client.attach<long>("sweep");
  REQUIRE(futures.size() == 1);
  CHECK_FALSE(futures[0].error());
  CHECK(eventually([&] { return client.sweeps("sweep").empty(); }));
  CHECK(futures[0].result() == 9);
}

TEST_CASE("a task that failed is run again by retry, with its arguments, also large ones") {
  Cluster cluster;
  weft::Client client(cluster.address());
  const std::string path = cluster.directory() / "word";
  const std::string tail(200'000, 'x');
  auto small = client.with({.label = "reads"}).submit<reads>(path, "!");
  auto large = client.submit<reads>(path, tail);
  CHECK_THROWS_AS(small.result(), weft::TaskFailed);
  CHECK_THROWS_AS(large.result(), weft::TaskFailed);
  auto again = client.retry(small);
  CHECK_THROWS_AS(again.result(), weft::TaskFailed);
  CHECK(again.id() != small.id());
  CHECK(again.error()->label() == "reads");
  std::ofstream(path) << "here" << std::flush;
  CHECK(client.retry(again).result() == "here!");
  CHECK(client.retry(small).result() == "here!");
  CHECK(client.retry(large).result() == "here" + tail);
  CHECK(client.retry(large).result() == "here" + tail);
  CHECK_THROWS_AS(small.result(), weft::TaskFailed);

  auto succeeded = client.submit<squares>(2L);
  succeeded.wait();
  CHECK_THROWS_AS(client.retry(succeeded), weft::Error);
  auto open = client.with({.workers = {"nobody"}}).submit<squares>(2L);
  CHECK_THROWS_AS(client.retry(open), weft::Error);
  open.cancel();
  CHECK_THROWS_AS(client.retry(open), weft::Error);
  weft::Client other(cluster.address());
  CHECK_THROWS_AS(other.retry(small), weft::Error);
  CHECK_THROWS_AS(client.retry(weft::Future<long>()), weft::Error);
}

TEST_CASE("without a broker a program says after a second what it waits for, and ends with a sentence") {
  Process program({binary("weft_e2e_program"), "uncaught", "127.0.0.1:9"});
  CHECK(program.wait() == 1);
  const std::string text = program.err();
  CHECK_MESSAGE(
      text.find("weft: no broker answers at tcp://127.0.0.1:9 (nothing listens there, or it cannot be "
                "reached); waiting up to 2 s for one: is weft-broker running there?\n") == 0,
      text);
  CHECK_MESSAGE(text.find("\nweft_e2e_program: no broker answered at tcp://127.0.0.1:9 within 2 s: ") !=
                    std::string::npos,
                text);
  CHECK_MESSAGE(text.find("terminate called") == std::string::npos, text);
}

TEST_CASE("options and labels that no message can carry are refused where they are made") {
  Cluster cluster;
  weft::Client client(weft::ClientOptions{.address = cluster.address(), .give_up = 5s});
  const std::string large(20'000'000, 'x');
  CHECK_THROWS_WITH_AS(
      client.with({.label = large}),
      doctest::Contains("TaskOptions::label has 20000000 bytes: all options together take 20000"),
      std::invalid_argument);
  CHECK_THROWS_AS(client.with({.resources = {{large, 1.0}}}), std::invalid_argument);
  CHECK_THROWS_AS(client.with({.workers = std::vector<std::string>(20'000, std::string(1000, 'x'))}),
                  std::invalid_argument);
  CHECK_THROWS_AS(client.with({.prefer = {large}}), std::invalid_argument);
  CHECK_THROWS_AS(client.call<long>(large, 1L), std::invalid_argument);
  CHECK_THROWS_AS(client.attach<long>(large), std::invalid_argument);
  CHECK_THROWS_AS(weft::Client(weft::ClientOptions{.address = cluster.address(), .name = large}),
                  std::invalid_argument);
  CHECK_THROWS_AS(client.command({large}).result(), weft::TaskFailed);  // it is an argument
  // Options that fit do work, and so do the error messages with them.
  const std::string label(900'000, 'x');
  CHECK(client.with({.label = label}).submit<squares>(3L).result() == 9);
  auto nowhere = client.with({.queue_timeout = 100ms, .workers = {label}}).submit<squares>(3L);
  CHECK_THROWS_AS(nowhere.result(), weft::TaskUnschedulable);
  CHECK(client.submit<squares>(4L).result() == 16);
}

TEST_CASE("weft status shows how many labels wait when there are several") {
  Cluster cluster;
  weft::Client client(cluster.address());
  const auto nobody = [&](const std::string& label) {
    return client.with({.workers = {"nobody"}, .label = label}).submit<squares>(1L);
  };
  const auto status = [&] {
    Process process({binary("weft"), "status", cluster.address()});
    process.wait();
    return process.out();
  };
  nobody("a");
  CHECK(eventually([&] { return status().find(" (a): ") != std::string::npos; }));
  nobody("b");
  nobody("c");
  CHECK(eventually([&] { return status().find(" (3 labels): ") != std::string::npos; }));
}

TEST_CASE("a task that crashes and runs again is told at once") {
  Cluster cluster;
  Process program({binary("weft_e2e_program"), "crash", cluster.address()});
  CHECK(program.wait() == 0);
  CHECK(program.out() == "5\n");
  CHECK_MESSAGE(program.err().find(", label \"fragile\") crashed on worker worker-1: ") != std::string::npos,
                program.err());
  CHECK_MESSAGE(program.err().find("; it runs again (crash 1 of 3)") != std::string::npos, program.err());
}
