// SPDX-License-Identifier: MIT
// Command lines as users type them, right and wrong.
#include <doctest/doctest.h>

#include <fstream>
#include <weft/weft.hpp>

#include "tests/e2e/harness.hpp"

using namespace weft::e2e;

namespace {

long inc(long x) { return x + 1; }

}  // namespace

TEST_SUITE("command line") {
  TEST_CASE("a malformed address is wrong usage everywhere, and is named") {
    for (const char* address :
         {"nonsense", "127.0.0.1:", ":8786", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:http",
          "http://127.0.0.1:80/x", "a b:8786", "1.2.3.4:5:6", "999.1.1.1:8786", "[::1:8786"}) {
      const std::vector<std::vector<std::string>> commands = {{"weft", "ping", address},
                                                              {"weft", "status", address},
                                                              {"weft", "why", "3f2a91c0-17", address},
                                                              {"weft", "bench", address},
                                                              {"weft", "drain", "w", address},
                                                              {"weft-worker", address}};
      for (std::vector<std::string> command : commands) {
        CAPTURE(address);
        CAPTURE(command[0] + " " + command[1]);
        command[0] = binary(command[0]);
        Process wrong(command);
        CHECK(wrong.wait() == 2);
        CHECK_MESSAGE(contains(wrong.err(), address), wrong.err());
      }
      Process by_environment({binary("weft"), "ping"}, {.environment = {{"WEFT_BROKER", address}}});
      CHECK(by_environment.wait() == 2);
    }
    for (const char* host : {"127.0.0.1:8786", "tcp://127.0.0.1", "", "a b", "1.2.3.400"}) {
      CAPTURE(host);
      Process wrong({binary("weft-broker"), "--port", "0", "--host", host});
      CHECK(wrong.wait() == 2);
    }
    Process wrong({binary("weft-broker"), "--port", "65536"});
    CHECK(wrong.wait() == 2);
  }

  TEST_CASE("an option or command that there is not is named, and the commands are listed") {
    Process option({binary("weft"), "--no-such-option"});
    CHECK(option.wait() == 2);
    CHECK_MESSAGE(contains(option.err(), "--no-such-option"), option.err());
    Process of_command({binary("weft"), "status", "--no-such-option"});
    CHECK(of_command.wait() == 2);
    CHECK_MESSAGE(contains(of_command.err(), "--no-such-option"), of_command.err());
    for (const std::vector<std::string>& words :
         {std::vector<std::string>{"nosuch"}, std::vector<std::string>{}}) {
      std::vector<std::string> argv{binary("weft")};
      argv.insert(argv.end(), words.begin(), words.end());
      Process command(argv);
      CHECK(command.wait() == 2);
      for (const std::string& word : words) CHECK_MESSAGE(contains(command.err(), word), command.err());
      for (const char* each : {"ping", "status", "drain", "why", "bench", "cache", "run", "cluster"})
        CHECK_MESSAGE(contains(command.err(), each), command.err());
    }
  }

  TEST_CASE("weft cache lists what a worker keeps, and clears what no worker uses") {
    Cluster cluster({.nprocs = 1});
    const std::string directory = cluster.directory() / "cache-1";
    weft::Client client(cluster.address());
    CHECK(client.submit<inc>(1L).result() == 2);
    std::ofstream(directory + "/blobs/0123456789abcdef0123") << "old";
    std::ofstream(directory + "/names/0123456789abcdef0123") << "model\n";

    Process list({binary("weft"), "cache", "list", "--local-directory", directory});
    CHECK(list.wait() == 0);
    CHECK_MESSAGE(contains(list.out(), "weft_process_tests"), list.out());
    CHECK_MESSAGE(contains(list.out(), "in use"), list.out());
    CHECK_MESSAGE(contains(list.out(), "model"), list.out());

    Process clear({binary("weft"), "cache", "clear", "--local-directory", directory});
    CHECK(clear.wait() == 0);
    CHECK_MESSAGE(contains(clear.out(), "removed 1 file"), clear.out());
    CHECK_MESSAGE(contains(clear.out(), "workers use 1 file"), clear.out());
    CHECK(!std::filesystem::exists(directory + "/blobs/0123456789abcdef0123"));
    CHECK(client.submit<inc>(1L).result() == 2);

    Process neither({binary("weft"), "cache", "empty"});
    CHECK(neither.wait() == 2);
    CHECK_MESSAGE(contains(neither.err(), "list"), neither.err());
  }
}
