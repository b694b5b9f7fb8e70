// SPDX-License-Identifier: MIT
// The modules of the repository are separate: broker, worker and client do not include one another, the parts
// of common include only those before them, and the pure cores need neither socket, thread, clock, file nor
// randomness. The test reads the last rule from the undefined symbols of their archives.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace fs = std::filesystem;

namespace {

const fs::path kRoot = WEFT_SOURCE_DIR;

struct Include {
  fs::path file;
  std::string line;
};

std::vector<Include> includes_of(const fs::path& directory) {
  std::vector<Include> found;
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    const auto extension = entry.path().extension();
    if (extension != ".cpp" && extension != ".hpp") continue;
    std::ifstream file(entry.path());
    for (std::string line; std::getline(file, line);) {
      if (line.starts_with("#include")) found.push_back({fs::relative(entry.path(), kRoot), line});
    }
  }
  return found;
}

void check_includes(const std::string& directory, const std::vector<std::string>& closed_to_it) {
  const auto includes = includes_of(kRoot / directory);
  REQUIRE(includes.size() > 10);
  for (const Include& include : includes) {
    for (const std::string& other : closed_to_it) {
      CHECK_MESSAGE(include.line.find("\"" + other + "/") == std::string::npos, include.file.string()
                                                                                    << ": " << include.line);
    }
  }
}

struct Symbols {
  std::set<std::string> undefined;
  std::set<std::string> defined;
};

/// The symbols of an archive, without the version of a library ("read@GLIBC_2.2.5").
Symbols symbols_of(const std::string& archive) {
  const std::string command = "nm --demangle --portability '" + archive + "' 2>&1";
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> pipe(popen(command.c_str(), "r"), pclose);
  REQUIRE(pipe);
  Symbols symbols;
  std::array<char, 64 << 10> line{};
  while (std::fgets(line.data(), line.size(), pipe.get()) != nullptr) {
    // NAME TYPE [VALUE [SIZE]], where a NAME may have spaces
    const std::string_view text(line.data());
    for (const std::string_view type : {" U ", " w ", " T ", " W ", " V ", " B ", " D ", " R ", " u "}) {
      const auto at = text.rfind(type);
      if (at == std::string_view::npos ||
          text.substr(at + 3).find_first_not_of("0123456789abcdef \n") != std::string_view::npos)
        continue;
      const bool undefined =
          type == " U " ||
          (type == " w " && text.substr(at + 3).find_first_of("0123456789") == std::string_view::npos);
      std::string name(text.substr(0, at));
      if (undefined) name = name.substr(0, name.find('@'));
      (undefined ? symbols.undefined : symbols.defined).insert(std::move(name));
      break;
    }
  }
  REQUIRE(symbols.defined.size() > 10);
  return symbols;
}

/// Whether the symbol reaches the operating system.
bool is_impure(const std::string& symbol) {
  static const std::set<std::string> functions = {"accept",
                                                  "access",
                                                  "bind",
                                                  "clock_gettime",
                                                  "clock_nanosleep",
                                                  "close",
                                                  "connect",
                                                  "epoll_create1",
                                                  "epoll_ctl",
                                                  "epoll_wait",
                                                  "eventfd",
                                                  "execve",
                                                  "fopen",
                                                  "fopen64",
                                                  "fork",
                                                  "fread",
                                                  "fstat",
                                                  "fsync",
                                                  "getenv",
                                                  "getpid",
                                                  "getrandom",
                                                  "gettimeofday",
                                                  "ioctl",
                                                  "kill",
                                                  "listen",
                                                  "localtime_r",
                                                  "lseek",
                                                  "memfd_create",
                                                  "mkdir",
                                                  "mmap",
                                                  "nanosleep",
                                                  "open",
                                                  "open64",
                                                  "openat",
                                                  "pipe2",
                                                  "poll",
                                                  "ppoll",
                                                  "pthread_create",
                                                  "pthread_mutex_lock",
                                                  "rand",
                                                  "random",
                                                  "read",
                                                  "recv",
                                                  "recvmsg",
                                                  "rename",
                                                  "select",
                                                  "send",
                                                  "sendmsg",
                                                  "setenv",
                                                  "signal",
                                                  "sigaction",
                                                  "sleep",
                                                  "socket",
                                                  "srand",
                                                  "stat",
                                                  "syscall",
                                                  "system",
                                                  "time",
                                                  "unlink",
                                                  "usleep",
                                                  "write"};
  if (functions.contains(symbol)) return true;
  for (const std::string_view part :
       {"zmq_", "_clock::now", "std::thread", "std::random_device", "std::basic_filebuf",
        "std::basic_ifstream", "std::basic_ofstream", "std::filesystem", "std::condition_variable",
        "randombytes", "crypto_", "spdlog", "std::cout", "std::cerr", "sqlite3_"}) {
    if (symbol.find(part) != std::string::npos) return true;
  }
  return false;
}

}  // namespace

TEST_SUITE("architecture") {
  TEST_CASE("the modules do not include one another, and nothing includes tests") {
    check_includes("common", {"broker", "worker", "client", "tests"});
    check_includes("broker", {"worker", "client", "tests"});
    check_includes("worker", {"broker", "client", "tests"});
    check_includes("client", {"broker", "worker", "tests"});
  }

  TEST_CASE("each part of common includes only those before it") {
    check_includes("common/base", {"common/wire", "common/system", "common/net", "common/runner"});
    check_includes("common/wire", {"common/system", "common/net", "common/runner"});
    check_includes("common/system", {"common/wire", "common/net", "common/runner"});
    check_includes("common/runner", {"common/net"});
  }

  TEST_CASE("the step machines need no socket, thread, clock, file or randomness") {
    const std::vector<std::string> machines = {WEFT_BROKER_CORE, WEFT_WORKER_CORE, WEFT_CLIENT_CORE,
                                               WEFT_CLUSTER_CORE, WEFT_CHANNEL};
    const Symbols wire = symbols_of(WEFT_WIRE);
    const Symbols base = symbols_of(WEFT_BASE);
    for (const std::string& machine : machines) {
      const Symbols own = symbols_of(machine);
      REQUIRE(own.undefined.size() > 10);
      for (const std::string& symbol : own.undefined) {
        CHECK_MESSAGE(!is_impure(symbol), fs::path(machine).filename().string() << " uses " << symbol);
        // The core may use only symbols of Weft that are pure: its own, and those of wire and base.
        if (symbol.starts_with("weft::")) {
          const bool known =
              own.defined.contains(symbol) || wire.defined.contains(symbol) || base.defined.contains(symbol);
          CHECK_MESSAGE(known, fs::path(machine).filename().string()
                                   << " uses " << symbol << ", which is neither in wire nor in base");
        }
      }
    }
    for (const std::string& symbol : wire.undefined)
      CHECK_MESSAGE(!is_impure(symbol), "wire uses " << symbol);
  }

  TEST_CASE("what is impure is found: the libraries that may use it do") {
    for (const char* archive : {WEFT_SYSTEM, WEFT_NET, WEFT_RUNNER}) {
      const Symbols symbols = symbols_of(archive);
      CHECK_MESSAGE(std::any_of(symbols.undefined.begin(), symbols.undefined.end(), is_impure), archive);
    }
  }

  TEST_CASE("in the broker only the shell reads a clock") {
    const std::set<std::string> shells = {"broker/broker.cpp", "broker/main.cpp"};
    for (const auto& entry : fs::recursive_directory_iterator(kRoot / "broker")) {
      const std::string name = fs::relative(entry.path(), kRoot);
      if (!entry.is_regular_file() || shells.contains(name)) continue;
      std::ifstream file(entry.path());
      const std::string text((std::istreambuf_iterator<char>(file)), {});
      CHECK_MESSAGE(text.find("_clock::") == std::string::npos, name);
    }
  }
}
