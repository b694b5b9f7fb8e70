// SPDX-License-Identifier: MIT
// Attacks on the port, one after the other, while a real client goes on getting results; libzmq's own limits
// and oddities are included. Afterwards the broker's memory and descriptors are back to what they were
// before.
#include <doctest/doctest.h>

#include <deque>
#include <fstream>
#include <random>
#include <weft/weft.hpp>

#include "tests/e2e/harness.hpp"
#include "tests/e2e/raw_connection.hpp"

using namespace weft::e2e;
namespace fs = std::filesystem;

namespace {

long inc(long x) { return x + 1; }
void nap(int ms) { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); }

long open_files(pid_t pid) {
  return std::distance(fs::directory_iterator("/proc/" + std::to_string(pid) + "/fd"),
                       fs::directory_iterator());
}

/// Resident memory in MiB.
long memory_of(pid_t pid) {
  std::ifstream statm("/proc/" + std::to_string(pid) + "/statm");
  long all = 0;
  long resident = 0;
  statm >> all >> resident;
  return resident * sysconf(_SC_PAGESIZE) >> 20;
}

/// Processor time that the process has used.
std::chrono::milliseconds cpu_of(pid_t pid) {
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  std::getline(stat, text);
  std::istringstream fields(text.substr(text.rfind(')') + 2));
  std::string skipped;
  for (int i = 0; i < 11; ++i) fields >> skipped;
  long user = 0;
  long system = 0;
  fields >> user >> system;
  return std::chrono::milliseconds((user + system) * 1000 / sysconf(_SC_CLK_TCK));
}

/// A cluster with a client that connected before the attack and must not notice it.
class Attacked {
 public:
  Attacked() : Attacked(Cluster::Options{}) {}
  explicit Attacked(Cluster::Options options) : cluster_(std::move(options)), client_(cluster_.address()) {
    check_service();
    files_before_ = open_files(pid());
    memory_before_ = memory_of(pid());
  }
  ~Attacked() {
    CHECK_MESSAGE(eventually([&] { return open_files(pid()) <= files_before_; }, 20s),
                  open_files(pid()) << " descriptors, " << files_before_ << " before");
    CHECK(cluster_.broker().running());
    check_service();
  }

  void check_service() {
    const long x = next_++;
    const auto result = client_.submit<inc>(x).result_for(10s);
    REQUIRE_MESSAGE(result.has_value(), "no result within 10 s\n" << cluster_.broker().err());
    CHECK(*result == x + 1);
  }
  /// The client waits for a task of one second.
  void wait_for_long_task() { client_.submit<nap>(1000).result(); }
  /// Growth of the broker's memory since the start of the test, in MiB.
  long memory_more() { return memory_of(pid()) - memory_before_; }

  Cluster& cluster() { return cluster_; }
  const std::string& address() const { return cluster_.address(); }
  pid_t pid() { return cluster_.broker().pid(); }
  long files_before() const { return files_before_; }

 private:
  Cluster cluster_;
  weft::Client client_;
  long next_ = 0;
  long files_before_ = 0;
  long memory_before_ = 0;
};

}  // namespace

TEST_SUITE("port attacks") {
  TEST_CASE("a routing id that another peer has is of no use to who claims it") {
    Attacked attacked;
    std::deque<RawConnection> connections;
    for (int i = 0; i < 20; ++i) {
      connections.emplace_back(attacked.address()).shake_hands("the same for all");
      connections.back().send(std::string("\0\7garbage", 9));
      attacked.check_service();
    }
  }

  TEST_CASE("reserved routing ids, which begin with a zero byte, do not stop the broker") {
    Attacked attacked;
    std::mt19937 random(7);
    std::deque<RawConnection> connections;
    for (int i = 0; i < 300; ++i) {
      std::string identity(1 + random() % 5, '\0');
      for (std::size_t k = 1; k < identity.size(); ++k) identity[k] = static_cast<char>(random());
      connections.emplace_back(attacked.address()).shake_hands(identity);
      if (i % 50 == 0) attacked.check_service();
    }
    attacked.check_service();
  }

  TEST_CASE("an endless multipart message costs memory while it lasts, and none afterwards") {
    Attacked attacked;
    std::string parts;
    for (int i = 0; i < 100'000; ++i) parts += std::string("\1\1x", 3);
    long after_first = 0;
    for (int round = 0; round < 3; ++round) {
      {
        RawConnection connection(attacked.address());
        connection.shake_hands();
        for (int i = 0; i < 10; ++i) {
          REQUIRE(connection.send(parts));
          attacked.check_service();
        }
      }
      CHECK(eventually([&] { return open_files(attacked.pid()) <= attacked.files_before(); }));
      if (round == 0) after_first = attacked.memory_more();
    }
    CHECK_MESSAGE(attacked.memory_more() <= after_first + 32, attacked.memory_more() << " MiB");
  }

  TEST_CASE("a PING without its time to live, and other short commands") {
    Attacked attacked;
    for (const std::string command : {"\4PING", "\4PONG", "\4PIN", "\1", "", "\7SUBSCRI", "\xffx"}) {
      RawConnection connection(attacked.address());
      connection.shake_hands();
      connection.send(std::string("\4", 1) + static_cast<char>(command.size()) + command);
      connection.send(std::string("\0\1x", 3));
      attacked.check_service();
    }
  }

  TEST_CASE("oversized commands before the handshake cost nothing that lasts") {
    Attacked attacked;
    std::deque<RawConnection> connections;
    for (int i = 0; i < 100; ++i) {
      const RawConnection& connection = connections.emplace_back(attacked.address());
      connection.send(RawConnection::greeting());
      // A long command: 1 TB, or just below the limit of a message and never sent.
      connection.send(i % 2 == 0 ? std::string("\6\0\0\1\0\0\0\0\0", 9)
                                 : std::string("\6\0\0\0\0\0\xf0\0\0", 9));
    }
    attacked.check_service();
    for (const RawConnection& connection : connections) CHECK(connection.is_closed());
    CHECK_MESSAGE(attacked.memory_more() <= 64, attacked.memory_more() << " MiB");
  }

  TEST_CASE("silence, half a greeting and half a READY end after the handshake time") {
    Attacked attacked;
    std::deque<RawConnection> connections;
    for (int i = 0; i < 100; ++i) {
      const RawConnection& connection = connections.emplace_back(attacked.address());
      const std::string begun = RawConnection::greeting() + std::string("\4\x1c\5READY", 8);
      connection.send(begun.substr(0, static_cast<std::size_t>(i) * begun.size() / 99));
    }
    attacked.check_service();
    for (const RawConnection& connection : connections) CHECK(connection.is_closed());
  }

  TEST_CASE("garbage after the handshake, from hundreds of connections, is dropped") {
    Attacked attacked;
    std::mt19937 random(7);
    for (int i = 0; i < 300; ++i) {
      RawConnection connection(attacked.address());
      connection.shake_hands();
      std::string bytes(500, '\0');
      for (char& byte : bytes) byte = static_cast<char>(random());
      connection.send(bytes);
      if (i % 50 == 0) attacked.check_service();
    }
    CHECK_MESSAGE(attacked.memory_more() <= 64, attacked.memory_more() << " MiB");
  }

  TEST_CASE("connections that come and go by the hundred leave nothing behind") {
    Attacked attacked;
    for (int round = 0; round < 10; ++round) {
      std::deque<RawConnection> connections;
      for (int i = 0; i < 200; ++i) {
        const RawConnection& connection = connections.emplace_back(attacked.address());
        if (i % 2 == 0) connection.shake_hands();
      }
      attacked.check_service();
    }
    CHECK_MESSAGE(attacked.memory_more() <= 64, attacked.memory_more() << " MiB");
  }

  TEST_CASE("a broker that is out of descriptors refuses newcomers, serves the rest, and recovers") {
    Cluster::Options options;
    options.broker_prefix = {"prlimit", "--nofile=64:64"};
    Attacked attacked(options);
    {
      std::deque<RawConnection> connections;
      for (int i = 0; i < 100; ++i)
        connections.emplace_back(attacked.address()).send(RawConnection::greeting());
      CHECK(attacked.cluster().broker().prints("out of descriptors"));
      // Connected clients stay connected, and refused ones have been told so.
      CHECK(connections.back().is_closed());
      for (int i = 0; i < 20; ++i) attacked.check_service();
      // A broker that polls its listener in a loop would use a whole core while it waits.
      const auto begin = std::chrono::steady_clock::now();
      const auto cpu = cpu_of(attacked.pid());
      attacked.wait_for_long_task();
      const auto used = cpu_of(attacked.pid()) - cpu;
      CHECK_MESSAGE(2 * used < std::chrono::steady_clock::now() - begin, used.count() << " ms");
      CHECK(open_files(attacked.pid()) < 64);
    }
    weft::Client newcomer(attacked.address());
    CHECK(newcomer.submit<inc>(1L).result() == 2);
  }
}
