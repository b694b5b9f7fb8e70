// SPDX-License-Identifier: MIT
// LogWriter and report_line() with pipes that are full, closed, slow or nonblocking, and with files that
// cannot grow.
#include "common/system/log_writer.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <fstream>

#include "common/system/fd.hpp"
#include "common/system/standard_files.hpp"
#include "tests/support/temp_directory.hpp"

namespace weft {

namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

struct Pipe {
  explicit Pipe(int flags = 0) {
    int ends[2];
    REQUIRE(pipe2(ends, O_CLOEXEC | flags) == 0);
    out = Fd(ends[0]);
    in = Fd(ends[1]);
    fcntl(out.get(), F_SETFL, O_NONBLOCK);
  }
  /// Reads until `text` has come, or until the end of the pipe.
  std::string read_until(const std::string& text) const {
    std::string all;
    const auto end = Clock::now() + 20s;
    while (Clock::now() < end && (text.empty() || all.find(text) == std::string::npos)) {
      pollfd polled{out.get(), POLLIN, 0};
      poll(&polled, 1, 100);
      char buffer[64 << 10];
      const ssize_t got = read(out.get(), buffer, sizeof buffer);
      if (got == 0) break;
      if (got > 0) all.append(buffer, static_cast<std::size_t>(got));
    }
    return all;
  }
  Fd out;
  Fd in;
};

const std::string kLine = std::string(999, 'x') + "\n";

/// A line with its number in front.
std::string numbered(int number) { return std::to_string(number) + " " + kLine; }

}  // namespace

TEST_SUITE_BEGIN("log writer");

TEST_CASE("lines arrive in order, and the end of the writer waits for them") {
  const Pipe pipe;
  std::string expected;
  {
    LogWriter log(pipe.in.get(), "test");
    for (int i = 0; i < 20; ++i) {
      log.write(numbered(i));
      expected += numbered(i);
    }
  }
  char buffer[64 << 10];
  const ssize_t got = read(pipe.out.get(), buffer, sizeof buffer);
  CHECK(std::string(buffer, static_cast<std::size_t>(std::max<ssize_t>(got, 0))) == expected);
}

TEST_CASE(
    "nothing reads: writing does not wait, what has no room is counted, and one line says so in the end") {
  for (const int flags : {0, O_NONBLOCK}) {
    const Pipe pipe;
    fcntl(pipe.in.get(), F_SETFL, flags);
    LogWriter log(pipe.in.get(), "test");
    // The thread may hold as many bytes as the queue.
    const int lines = static_cast<int>(2 * LogWriter::kQueuedBytesMax / kLine.size()) + 3000;
    for (int i = 0; i < lines; ++i) log.write(numbered(i));  // the pipe is read only after that

    const std::string text = pipe.read_until("were dropped: nothing read them\n");
    const std::size_t notice = text.find("test: ");
    REQUIRE(notice != std::string::npos);
    const int dropped = std::stoi(text.substr(notice + 6));
    CHECK(dropped > 1000);
    const auto whole = std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(notice), '\n');
    CHECK(whole + dropped == lines);
    log.write("again\n");
    CHECK(pipe.read_until("again\n") == "again\n");
  }
}

TEST_CASE("nothing reads: the end of the writer waits for a moment only") {
  const Pipe pipe;
  {
    LogWriter log(pipe.in.get(), "test");
    for (int i = 0; i < 500; ++i) log.write(kLine);
  }                                       // before the pipe is read~
  CHECK(pipe.read_until("").size() > 0);  // and the writer's detached thread ends
}

TEST_CASE(
    "a file beyond its limit: lines are lost, the process lives, and the log goes on once there is room") {
  const support::TempDirectory temp;
  const std::string path = temp / "log";
  {
    const auto handler = std::signal(SIGXFSZ, SIG_IGN);
    rlimit before{};
    getrlimit(RLIMIT_FSIZE, &before);
    const rlimit small{2500, before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &small);
    const Fd file(open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    LogWriter log(file.get(), "test");
    for (int i = 0; i < 10; ++i) log.write(numbered(i));
    const auto grows_to = [&](off_t bytes) {
      for (const auto end = Clock::now() + 20s; Clock::now() < end; usleep(1000))
        if (lseek(file.get(), 0, SEEK_END) >= bytes) return;
    };
    grows_to(2500);
    setrlimit(RLIMIT_FSIZE, &before);
    grows_to(2501);  // the writer tries again without a further log line
    log.write("again\n");
    std::signal(SIGXFSZ, handler);
  }
  std::ifstream file(path);
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  // Eight lines, unless the limit was lifted between the write that reached the limit and the next one.
  int whole = 0;
  for (int i = 0; i < 10; ++i) whole += text.find(numbered(i)) != std::string::npos;
  const std::string told = "test: " + std::to_string(10 - whole) +
                           " lines of this log were dropped: it cannot be written: File too large\n";
  CHECK((whole == 10 || text.find("\n" + told) != std::string::npos));
  CHECK(text.ends_with("\nagain\n"));
}

TEST_CASE("write_without_waiting() takes what there is room for, from pipes and sockets alike") {
  int ends[2];
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
  const Fd near(ends[0]), far(ends[1]);
  const Pipe pipe;
  for (const int fd : {near.get(), pipe.in.get()}) {
    CHECK(write_without_waiting(fd, "hello\n"));
    int written = 0;
    while (written < 100'000 && write_without_waiting(fd, kLine)) ++written;
    CHECK(written < 100'000);
    CHECK((fcntl(fd, F_GETFL) & O_NONBLOCK) == 0);  // since other processes share the descriptor
  }
  CHECK(pipe.read_until("hello\n").starts_with("hello\n"));
  CHECK(!write_without_waiting(-1, "hello\n"));

  // A write to a file continues at the offset that the descriptor shares with other processes.
  const support::TempDirectory temp;
  const Fd file(open((temp / "log").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  CHECK(write_without_waiting(file.get(), "one\n"));
  CHECK(write(file.get(), "two\n", 4) == 4);
  CHECK(write_without_waiting(file.get(), "three\n"));
  char text[100];
  CHECK(std::string(text, static_cast<std::size_t>(pread(file.get(), text, sizeof text, 0))) ==
        "one\ntwo\nthree\n");
}

TEST_CASE("report_line() drops what stderr does not take, and says how many lines that were") {
  const Pipe pipe;
  while (write_without_waiting(pipe.in.get(), kLine) || write_without_waiting(pipe.in.get(), "x")) continue;
  const Fd before(fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3));
  dup2(pipe.in.get(), STDERR_FILENO);
  report_line("lost");
  report_line("lost too");
  std::string text;
  char buffer[64 << 10];
  while (read(pipe.out.get(), buffer, sizeof buffer) > 0) continue;
  report_line("seen");
  text = pipe.read_until("seen\n");
  report_line("the next");
  text += pipe.read_until("the next\n");
  dup2(before.get(), STDERR_FILENO);
  CHECK(text == "weft: 2 lines were dropped: nothing took them from stderr\nseen\nthe next\n");
}

TEST_CASE("closed standard files are opened before anything else gets their numbers") {
  const pid_t child = fork();
  if (child == 0) {
    close(0);
    close(1);
    close(2);
    open_standard_files();
    const bool taken = fcntl(0, F_GETFD) >= 0 && fcntl(1, F_GETFD) >= 0 && fcntl(2, F_GETFD) >= 0;
    const bool writable = write(1, "x", 1) == 1 && write(2, "x", 1) == 1;
    char c;
    _exit(taken && writable && read(0, &c, 1) == 0 ? 0 : 1);
  }
  int status = -1;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(status == 0);
}

TEST_SUITE_END();

}  // namespace weft
