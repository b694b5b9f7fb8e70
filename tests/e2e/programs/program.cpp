// SPDX-License-Identifier: MIT
// Client programs of the end-to-end tests: weft_e2e_program WHAT ADDRESS [ARGUMENT].
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <optional>
#include <ranges>
#include <string>
#include <thread>
#include <vector>
#include <weft/weft.hpp>

namespace {

int answer(int x) { return x + 2; }
int sleeps(int seconds) {
  sleep(static_cast<unsigned>(seconds));
  return seconds;
}

long appends(const std::string& name, long x) {
  usleep(20'000);
  std::ofstream(name, std::ios::app) << x << "\n" << std::flush;
  return x * x;
}

std::optional<weft::Client> static_client;

/// Submits long tasks, prints when one runs, and waits to be killed.
int sleepers(const std::string& address) {
  weft::Client client(address);
  auto futures = client.map<sleeps>(std::vector<int>(20, 60));
  while (futures[0].state() != weft::TaskState::running) std::this_thread::yield();
  std::puts("running");
  std::fflush(stdout);
  futures[19].wait();
  return 0;
}

/// Detaches 40 tasks, prints when they are in the journal, and waits to be killed.
int detaches(const std::string& address, const std::string& name) {
  weft::Client client(address);
  auto futures = client.with({.label = "sweep", .detach = true})
                     .map<appends>(weft::same(name), std::views::iota(0L, 40L));
  client.flush();
  std::puts("flushed");
  std::fflush(stdout);
  pause();
  return 0;
}

/// Detaches a thousand tasks on a cluster with few slots, cancels them, and ends.
int changes_its_mind(const std::string& address) {
  weft::Client client(weft::ClientOptions{.address = address, .name = "fickle"});
  auto futures = client.with({.label = "sweep", .detach = true}).map<sleeps>(std::vector<int>(1000, 60));
  client.flush();
  for (auto& future : futures) future.cancel();
  return 0;
}

/// Detaches tasks and ends, without a flush.
int detaches_quickly(const std::string& address) {
  weft::Client client(address);
  client.with({.label = "sweep", .detach = true}).map<sleeps>(std::vector<int>(3, 0));
  return 0;
}

int dies_once(int x) {
  if (weft::this_task::attempt() == 1) raise(SIGSEGV);
  return x;
}

int crashes(const std::string& address) {
  weft::Client client(address);
  std::printf("%d\n", client.with({.label = "fragile"}).submit<dies_once>(5).result());
  return 0;
}

std::size_t length(const std::string& text) { return text.size(); }

/// Submits without end, for a worker that never comes.
int floods(const std::string& address) {
  weft::Client client(address);
  auto nobody = client.with({.workers = {"nobody"}});
  std::vector<weft::Future<std::size_t>> futures;
  for (;;) futures.push_back(nobody.submit<length>(std::string(1000, 'x')));
}

/// After fork(), the child must not use the parent's client.
int forks(const std::string& address) {
  weft::Client client(address);
  auto before = client.submit<answer>(1);
  const pid_t child = fork();
  if (child == 0) {
    try {
      client.submit<answer>(1).result();
      _exit(1);
    } catch (const weft::Error&) {
      _exit(0);
    }
  }
  int status = 0;
  waitpid(child, &status, 0);
  std::printf("%d\n", before.result() + client.submit<answer>(37).result());
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/// Appends a line to file `name`, and returns a result that helps to fill the connection to the client.
std::string fills(const std::string& name, long number) {
  appends(name, number);
  return std::string(60'000, 'x');
}

/// Prints when some results are there, and fetches all 200.
int piles_up(const std::string& address, const std::string& name) {
  weft::Client client(address);
  const auto futures = client.map<fills>(weft::same(name), std::views::iota(0L, 200L));
  futures[10].wait();
  std::puts("running");
  std::fflush(stdout);
  for (const auto& future : futures) {
    if (future.result().size() != 60'000) return 1;
  }
  return 0;
}

/// Appends a line to file `name`; one task in ten takes longer than a short outage of the network.
long rests(const std::string& name, long number) {
  std::ofstream(name, std::ios::app) << number << "\n" << std::flush;
  usleep(number % 10 == 3 ? 6'000'000 : 150'000);
  return number * 3;
}

/// Prints when some results are there, and checks all 120. A task that starts twice would fail.
int rides_out(const std::string& address, const std::string& name) {
  weft::Client client(
      weft::ClientOptions{.address = address, .name = std::filesystem::path(name).filename()});
  const auto futures =
      client.with({.crash_limit = 1}).map<rests>(weft::same(name), std::views::iota(0L, 120L));
  futures[10].wait();
  std::puts("running");
  std::fflush(stdout);
  for (long i = 0; i < 120; ++i) {
    if (futures[static_cast<std::size_t>(i)].result() != i * 3) return 1;
  }
  std::puts("all right");
  return 0;
}

/// Has two long tasks, and a child process that has inherited the connection.
int leaves_child(const std::string& address) {
  weft::Client client(address);
  auto futures = client.map<sleeps>(std::vector<int>(2, 60));
  for (const auto& future : futures) {
    while (future.state() != weft::TaskState::running) std::this_thread::yield();
  }
  if (fork() == 0) {
    for (;;) pause();
  }
  std::printf("running\n");
  std::fflush(stdout);
  for (;;) pause();
}

int keeps_static(const std::string& address) {
  static_client.emplace(address);
  std::printf("%d\n", static_client->submit<answer>(40).result());
  return 0;
}

/// Opens its output file before all else, as programs do. A runner that ran main() would empty the file.
int opens_file(const std::string& address, const std::string& name) {
  std::ofstream file(name);
  file << "written by main, once\n" << std::flush;
  weft::Client client(address);
  file << client.submit<answer>(40).result() << "\n";
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  const std::string what = argv[1];
  const std::string address = argv[2];
  if (what == "uncaught") {
    weft::Client client(weft::ClientOptions{.address = address, .connect_timeout = std::chrono::seconds(2)});
    return client.submit<answer>(1).result();
  }
  try {
    if (what == "sleepers") return sleepers(address);
    if (what == "fork") return forks(address);
    if (what == "piles_up" && argc > 3) return piles_up(address, argv[3]);
    if (what == "rides_out" && argc > 3) return rides_out(address, argv[3]);
    if (what == "leaves_child") return leaves_child(address);
    if (what == "static") return keeps_static(address);
    if (what == "flood") return floods(address);
    if (what == "crash") return crashes(address);
    if (what == "fickle") return changes_its_mind(address);
    if (what == "quick") return detaches_quickly(address);
    if (what == "detach" && argc > 3) return detaches(address, argv[3]);
    if (what == "file" && argc > 3) return opens_file(address, argv[3]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 2;
}
