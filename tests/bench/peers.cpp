// SPDX-License-Identifier: MIT
#include "tests/bench/peers.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <stdexcept>

#include "tests/bench/cluster.hpp"

namespace weft::bench {

using namespace std::chrono_literals;

namespace {

sockaddr_in loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

int free_port() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof address;
  const bool bound = bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                     getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0;
  close(fd);
  if (!bound) throw std::runtime_error("there is no free port");
  return ntohs(address.sin_port);
}

bool answers(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = loopback(port);
  const bool connected = connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  close(fd);
  return connected;
}

class Gearmand {
 public:
  explicit Gearmand(int workers)
      : port_(free_port()),
        // No worker threads: the fastest setting, as measured.
        server_({"/usr/sbin/gearmand", "--listen=127.0.0.1", "--port=" + std::to_string(port_), "--threads=0",
                 "--log-file=none"}) {
    const std::string program = support::binary("weft_bench_gearman");
    if (!std::filesystem::exists(program))
      throw std::runtime_error("weft_bench_gearman was not built: is libgearman-dev installed?");
    if (!support::eventually([&] { return answers(port_); }))
      throw std::runtime_error("gearmand does not answer: " + server_.err());
    for (int i = 0; i < workers; ++i) {
      workers_.push_back(std::make_unique<support::Process>(
          std::vector<std::string>{program, "worker", std::to_string(port_)}));
    }
  }
  Values run(const std::string& mode, int count) {
    support::Process client(
        {support::binary("weft_bench_gearman"), mode, std::to_string(port_), std::to_string(count)});
    if (client.wait(100s) != 0) throw std::runtime_error("weft_bench_gearman failed: " + client.err());
    return values_in(client.out());
  }

 private:
  int port_;
  support::Process server_;
  std::vector<std::unique_ptr<support::Process>> workers_;
};

}  // namespace

double gearman_throughput() { return Gearmand(2).run("throughput", 50'000).at("rate"); }

RoundTrip gearman_round_trip() {
  const Values values = Gearmand(2).run("trips", 5000);
  return {values.at("p50"), values.at("p99")};
}

double dask_throughput() {
  // Debian's python3, which finds Debian's packages.
  support::Process dask({"/usr/bin/python3", WEFT_SOURCE_DIR "/tests/bench/dask_noop.py", "5000"});
  if (dask.wait(100s) != 0) throw std::runtime_error("Dask failed: " + dask.err());
  return values_in(dask.out()).at("rate");
}

}  // namespace weft::bench
