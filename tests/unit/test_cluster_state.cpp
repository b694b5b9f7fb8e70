// SPDX-License-Identifier: MIT
// The messages between supervisor, state file and commands, and the hosts file.
#include <doctest/doctest.h>

#include <fstream>

#include "client/cluster/commands.hpp"
#include "client/cluster/control.hpp"
#include "tests/support/temp_directory.hpp"

namespace weft::cluster {

namespace {

std::vector<Host> hosts_in(const std::string& text, const std::string& broker = "127.0.0.1") {
  const support::TempDirectory temp;
  const std::string path = temp / "hosts";
  std::ofstream(path) << text;
  return read_hosts(path, broker);
}

}  // namespace

TEST_SUITE("cluster state") {
  TEST_CASE("a state travels as JSON, whatever a member has printed") {
    ClusterState state;
    state.settings.worker_args = {"--resources", "gpu=1"};
    state.settings.hosts = {{"far", 3}};
    state.address = "127.0.0.1:1";
    state.members.push_back(
        {.name = "worker-1", .stage = "out", .reason = "it said \xff\xfe", .last_lines = {"\xe9"}});
    const ClusterState read = state_from_json(to_json(state));
    CHECK(read.settings.worker_args == state.settings.worker_args);
    CHECK(read.settings.hosts.at(0).nprocs == 3);
    REQUIRE(read.find("worker-1") != nullptr);
    CHECK(read.find("worker-1")->stage == "out");
    CHECK(read.find("worker-1")->reason.starts_with("it said "));
    CHECK(read.find("worker-2") == nullptr);
    CHECK_THROWS_AS(state_from_json("{"), std::runtime_error);
  }

  TEST_CASE("a state of another version: what is missing has its default, what is unknown is ignored") {
    const ClusterState read =
        state_from_json(R"({"address": "a:1", "members": [{"name": "broker", "new": 1}]})");
    CHECK(read.address == "a:1");
    CHECK(read.settings.port == 8786);
    CHECK(read.members.at(0).restarts == 0);
  }

  TEST_CASE("requests") {
    CHECK(!event_of(R"({"do": "state"})"));
    CHECK(std::get<Scale>(*event_of(R"({"do": "scale", "workers": 3})")).workers == 3);
    CHECK(std::get<DrainMember>(*event_of(R"({"do": "drain", "name": "worker-1"})")).name == "worker-1");
    CHECK(std::get<Stop>(*event_of(R"({"do": "stop", "grace_ms": 500})")).grace ==
          std::chrono::milliseconds(500));
    CHECK_THROWS(event_of("nonsense"));
    CHECK_THROWS(event_of(R"({"do": "nonsense"})"));
    CHECK_THROWS(event_of(R"({"do": 7})"));
    CHECK_THROWS(event_of(R"({"do": "scale", "workers": "many"})"));
  }

  TEST_CASE("a file of hosts") {
    const auto hosts = hosts_in("# machines\nlocalhost 2  # two\n\n me@127.0.0.1\r\n");
    REQUIRE(hosts.size() == 2);
    CHECK(hosts[0].name == "localhost");
    CHECK(hosts[0].nprocs == 2);
    CHECK(hosts[1].name == "me@127.0.0.1");
    CHECK(hosts[1].nprocs == 0);
    CHECK(hosts_in("far.example 4", "192.168.14.13").size() == 1);
    for (const char* text : {"", "# none", "far.example 4", "-oProxyCommand=x", "localhost 0", "localhost x",
                             "localhost 2 3", "local;host"})
      CHECK_THROWS_AS(hosts_in(text), WrongUsage);
  }
}

}  // namespace weft::cluster
