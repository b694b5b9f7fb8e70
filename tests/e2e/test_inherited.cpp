// SPDX-License-Identifier: MIT
// Broker, worker, runners and clients work no matter which signals, descriptors and limits they inherit, and
// whether any process reads their output.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <ranges>
#include <sstream>
#include <weft/weft.hpp>

#include "common/system/fd.hpp"
#include "tests/e2e/harness.hpp"

using namespace weft::e2e;

namespace {

using Arguments = std::vector<std::string>;

long inc(long x) { return x + 1; }

/// Prints `lines` lines of 1,000 bytes.
int prints(int lines) {
  for (int i = 0; i < lines; ++i) std::printf("%0999d\n", i);
  return lines;
}

int exit_code_of(const std::string& command) { return std::system(command.c_str()); }

/// The first line that `command` prints, and its status.
std::string output_of(const std::string& command) {
  FILE* pipe = popen(command.c_str(), "r");
  char text[100] = "";
  const bool any = std::fgets(text, sizeof text, pipe) != nullptr;
  return (any ? text : "") + std::to_string(pclose(pipe));
}

/// `command` as started by the bash script `script`.
Arguments in_shell(const std::string& script, Arguments command) {
  Arguments argv{"bash", "-c", script + " exec \"$@\"", "in_shell"};
  argv.insert(argv.end(), command.begin(), command.end());
  return argv;
}

/// A named pipe that is full and that no process reads.
class FullPipe {
 public:
  explicit FullPipe(const std::filesystem::path& path) : path_(path) {
    REQUIRE(mkfifo(path.c_str(), 0600) == 0);
    fd_ = weft::Fd(open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
    const std::string kilobyte(1000, '.');
    while (write(fd_.get(), kilobyte.data(), kilobyte.size()) > 0 || write(fd_.get(), ".", 1) > 0) continue;
  }
  const std::string& path() const { return path_; }
  /// Reads the pipe until `text` has come; returns whether it has.
  bool brings(const std::string& text) {
    return eventually(
        [&] {
          char buffer[64 << 10];
          const ssize_t got = read(fd_.get(), buffer, sizeof buffer);
          if (got > 0) read_.append(buffer, static_cast<std::size_t>(got));
          const bool found = read_.find(text) != std::string::npos;
          if (read_.size() > text.size()) read_.erase(0, read_.size() - text.size());
          return found;
        },
        60s);
  }

 private:
  std::string path_;
  weft::Fd fd_;
  std::string read_;
};

/// A port that is free now.
std::string free_port() {
  Process broker({binary("weft-broker"), "--port", "0"});
  REQUIRE(broker.prints("serving on tcp://127.0.0.1:"));
  REQUIRE(eventually([&] { return broker.out().find('\n') != std::string::npos; }));
  const std::string text = broker.out();
  const std::size_t begin = text.rfind(':') + 1;
  broker.signal(SIGTERM);
  broker.wait();
  return text.substr(begin, text.find('\n') - begin);
}

/// Broker and worker that are started by `script`, with one slot.
struct Inheriting {
  explicit Inheriting(const std::string& script, Arguments worker_options = {"--nprocs", "1"})
      : port(free_port()),
        address("127.0.0.1:" + port),
        broker(in_shell(script, {binary("weft-broker"), "--port", port})),
        worker(in_shell(script, worker_command(address, temp, std::move(worker_options)))) {}
  static Arguments worker_command(const std::string& address, const TempDirectory& temp, Arguments options) {
    Arguments command{binary("weft-worker"), address, "--local-directory", temp.path() / "cache"};
    command.insert(command.end(), options.begin(), options.end());
    return command;
  }
  void check_that_it_leaves() {
    worker.signal(SIGTERM);
    CHECK(worker.wait() == 0);
    broker.signal(SIGTERM);
    CHECK(broker.wait() == 0);
  }
  TempDirectory temp;
  std::string port;
  std::string address;
  Process broker;
  Process worker;
};

std::size_t descriptors_of(pid_t pid) {
  std::error_code ignored;
  const auto files = std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fd", ignored);
  return static_cast<std::size_t>(std::distance(files, {}));
}

}  // namespace

TEST_SUITE("inherited") {
  TEST_CASE("stderr that nothing reads holds up neither broker nor worker, and what is missing is counted") {
    TempDirectory pipes;
    FullPipe of_broker(pipes.path() / "broker");
    FullPipe of_worker(pipes.path() / "worker");
    Cluster cluster(
        {.workers = 0, .broker_prefix = {"bash", "-c", "exec \"$@\" 2>\"$0\"", of_broker.path()}});
    TempDirectory temp;
    Process worker(in_shell("exec 2>'" + of_worker.path() + "';",
                            Inheriting::worker_command(cluster.address(), temp, {"--nprocs", "2"})));
    cluster.wait_for_slots(2);
    {
      weft::Client client(cluster.address());
      CHECK(client.gather(client.map<prints>(std::vector<int>(30, 1000))).size() == 30);
    }
    for (int i = 0; i < 30; ++i) {  // each client causes a line or two in the broker's log
      weft::Client client(cluster.address());
      CHECK(client.submit<inc>(1L).result() == 2);
    }
    CHECK(of_worker.brings("lines of this log were dropped: nothing read them"));
    CHECK(of_broker.brings(" joined from "));
    worker.signal(SIGTERM);
    CHECK(worker.wait(5s) == 0);
  }

  TEST_CASE(
      "ignored and blocked signals: exit codes are right, crashes are told, and both leave on SIGTERM") {
    Inheriting cluster(
        "exec env --ignore-signal=TERM,INT,CHLD,PIPE,XFSZ --block-signal=TERM,INT,CHLD,USR1 \"$@\";");
    weft::Client client(cluster.address);
    CHECK(client.submit<exit_code_of>(std::string("exit 3")).result() == 3 << 8);
    CHECK(client.submit<exit_code_of>(std::string("kill -TERM $$")).result() == SIGTERM);
    CHECK(client.submit<output_of>(std::string("echo x; exit 7")).result() == "x\n" + std::to_string(7 << 8));
    CHECK(client.command({"sh", "-c", "exit 5"}).result().exit_code == 5);
    CHECK(client.command({"sh", "-c", "yes | head -n 1"}).result().out == "y\n");
    CHECK_THROWS_AS(client.with({.crash_limit = 1}).submit([] { std::raise(SIGTERM); }).result(),
                    weft::TaskCrashed);
    cluster.check_that_it_leaves();
  }

  TEST_CASE("closed standard files: broker, worker and client work") {
    for (const char* closed : {"exec 0<&-;", "exec 1>&-;", "exec 2>&-;", "exec 0<&- 1>&- 2>&-;"}) {
      CAPTURE(closed);
      Inheriting cluster(closed);
      REQUIRE(eventually([&] { return status_number(cluster.address, "slots") == 1; }, 20s));
      Process client(in_shell(closed, {binary("weft_e2e_program"), "static", cluster.address}));
      CHECK(client.wait() == 0);
      Process status(in_shell(closed, {binary("weft"), "status", cluster.address}));
      CHECK(status.wait() == 0);
      cluster.check_that_it_leaves();
    }
  }

  TEST_CASE("no environment, and a working directory that is gone") {
    Inheriting cluster("D=$(mktemp -d); cd $D; rmdir $D; exec env -i \"$@\";");
    weft::Client client(cluster.address);
    CHECK(client.submit<inc>(1L).result() == 2);
    Process program(in_shell("D=$(mktemp -d); cd $D; rmdir $D; exec env -i \"$@\";",
                             {binary("weft_e2e_program"), "static", cluster.address}));
    CHECK_MESSAGE(program.wait() == 0, program.err());
    cluster.check_that_it_leaves();
  }

  TEST_CASE("a log beyond `ulimit -f` ends nobody") {
    TempDirectory temp;
    const std::string log = temp.path() / "log";
    std::ofstream(log) << "";
    std::filesystem::resize_file(log, 100'000 * 1024);  // a sparse file, which occupies nothing on the disk
    Inheriting cluster("ulimit -f 100000; exec 2>>'" + log + "';");
    weft::Client client(cluster.address);
    CHECK(client.submit<prints>(100).result() == 100);
    CHECK(client.submit<inc>(1L).result() == 2);
    cluster.check_that_it_leaves();
  }

  TEST_CASE("few descriptors: fewer slots that work, or a sentence") {
    Cluster cluster({.workers = 0});
    TempDirectory temp;
    Process worker(
        in_shell("ulimit -n 80;", Inheriting::worker_command(cluster.address(), temp, {"--nprocs", "12"})));
    REQUIRE(worker.prints("of 12 slots: at most 80 files may be open"));
    REQUIRE(eventually([&] { return cluster.status("slots") >= 1; }));
    CHECK(cluster.status("slots") < 12);
    weft::Client client(cluster.address());
    CHECK(client.gather(client.map<inc>(std::views::iota(0L, 1000L))).back() == 1000);
    const auto reversed = [](std::string text) { return std::string(text.rbegin(), text.rend()); };
    std::vector<std::string> large;
    for (char c = 'a'; c <= 'z'; ++c) large.push_back(std::string(200'000, c) + c);
    CHECK(client.gather(client.map(reversed, large)) == large);
    CHECK(descriptors_of(worker.pid()) <= 80);

    Process none(
        in_shell("ulimit -n 40;", Inheriting::worker_command(cluster.address(), temp, {"--nprocs", "12"})));
    CHECK(none.wait() == 1);
    CHECK_MESSAGE(none.err().find("at most 40 files may be open") != std::string::npos, none.err());
  }

  TEST_CASE("the slots of a worker are the cores that it may use") {
    Cluster cluster({.workers = 0});
    cpu_set_t cores;
    REQUIRE(sched_getaffinity(0, sizeof cores, &cores) == 0);
    int core = 0;
    while (!CPU_ISSET(core, &cores)) ++core;
    TempDirectory temp;
    Arguments command{"taskset", "-c", std::to_string(core)};
    for (const std::string& word : Inheriting::worker_command(cluster.address(), temp, {}))
      command.push_back(word);
    Process worker(command);
    cluster.wait_for_slots(1);
  }

  TEST_CASE(
      "a worker whose broker is gone leaves: at the latest when its grace is over, or at a second signal") {
    for (const int signal : {SIGTERM, SIGINT}) {
      for (const bool twice : {false, true}) {
        CAPTURE(signal);
        CAPTURE(twice);
        Cluster cluster({.nprocs = 1});
        weft::Client client(cluster.address());
        auto future = client.submit([] { sleep(600); });
        REQUIRE(eventually([&] { return future.state() == weft::TaskState::running; }));
        const auto runners = descendants_of(cluster.worker().pid());
        cluster.broker().kill();
        REQUIRE(cluster.worker().prints("lost the broker"));
        cluster.worker().signal(signal);
        if (twice) {
          REQUIRE(cluster.worker().prints("draining"));
          cluster.worker().signal(signal);
        }
        CHECK(cluster.worker().wait(twice ? 5s : 20s) == 0);
        for (const pid_t runner : runners) CHECK(eventually([&] { return !process_exists(runner); }, 2s));
      }
    }
  }

  TEST_CASE("the broker gives memory back after a burst") {
    Cluster cluster({.workers = 0});
    const auto resident = [&] {
      std::ifstream file("/proc/" + std::to_string(cluster.broker().pid()) + "/statm");
      long size = 0, pages = 0;
      file >> size >> pages;
      return pages * sysconf(_SC_PAGESIZE) / 1'000'000;
    };
    const long before = resident();
    {
      weft::Client client(cluster.address());
      auto futures = client.map<prints>(std::vector<int>(10, 0));  // ships the program
      std::vector<weft::Future<std::size_t>> more;
      const auto length = [](const std::string& text) { return text.size(); };
      for (int i = 0; i < 60'000; ++i) more.push_back(client.submit(length, std::string(1000, 'x')));
      REQUIRE(eventually([&] { return cluster.status("queued") == 60'010; }, 60s));
      CHECK(resident() > before + 50);
    }
    CHECK_MESSAGE(eventually([&] { return resident() < before + 25; }, 30s),
                  before << " MB before, now " << resident());
  }
}
