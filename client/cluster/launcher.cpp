// SPDX-License-Identifier: MIT
#include "client/cluster/launcher.hpp"

#include <fcntl.h>

#include <csignal>
#include <cstdlib>
#include <sstream>

#include "client/cluster/process.hpp"

namespace weft::cluster {

namespace {

struct Pipe {
  Fd reads;
  Fd writes;
};

Pipe make_pipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0) throw std::system_error(errno, std::system_category(), "pipe");
  return {Fd(ends[0]), Fd(ends[1])};
}

/// A pipe for a member's output, large enough that a burst does not block the member.
Pipe make_output() {
  Pipe pipe = make_pipe();
  fcntl(pipe.reads.get(), F_SETPIPE_SZ, 1 << 20);
  fcntl(pipe.reads.get(), F_SETFL, O_NONBLOCK);
  return pipe;
}

class LocalProcess : public LaunchedProcess {
 public:
  using LaunchedProcess::LaunchedProcess;
  void tell(int signal) override { kill(pid(), signal); }
};

/// ssh does not forward signals, so the words TERM and KILL are sent on its standard input instead.
class SshProcess : public LaunchedProcess {
 public:
  SshProcess(pid_t pid, Fd output, Fd words)
      : LaunchedProcess(pid, std::move(output)), words_(std::move(words)) {}
  void tell(int signal) override {
    const std::string_view word = signal == SIGKILL ? "KILL\n" : "TERM\n";
    if (write(words_.get(), word.data(), word.size()) < 0) kill(pid(), signal);
  }

 private:
  Fd words_;
};

/// The script on the remote machine: runs the program, and reads the words TERM and KILL. When the connection
/// is lost, the input ends and the program gets SIGTERM.
constexpr const char* kRemoteScript = R"(
PATH=$1:$PATH; shift
command -v "$1" >/dev/null || { echo "$1 is not on the PATH of this machine: $PATH" >&2; exit 127; }
exec 3<&0
"$@" </dev/null 3<&- &
member=$!
{ while read -r word; do kill -s "$word" "$member"; done; kill -s TERM "$member"; } <&3 2>/dev/null &
reader=$!
exec 3<&-
wait "$member"; code=$?
kill "$reader" 2>/dev/null
exit "$code"
)";

/// Quotes a word for a POSIX shell.
std::string quoted(const std::string& word) {
  std::string out = "'";
  for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

std::vector<std::string> ssh_words() {
  const char* chosen = std::getenv("WEFT_SSH");
  std::istringstream words(chosen != nullptr && *chosen != '\0'
                               ? chosen
                               : "ssh -o BatchMode=yes -o ConnectTimeout=10 -o ServerAliveInterval=5 -o "
                                 "ServerAliveCountMax=3");
  std::vector<std::string> out;
  for (std::string word; words >> word;) out.push_back(word);
  return out;
}

}  // namespace

std::unique_ptr<LaunchedProcess> LocalLauncher::start(const LaunchOrder& order) {
  Pipe output = make_output();
  SpawnOrder spawned{
      .argv = order.argv, .output = output.writes.get(), .dies_with_parent = order.dies_with_parent};
  spawned.argv[0] = order.bin_directory + "/" + order.argv[0];
  const pid_t pid = spawn(spawned);
  return std::make_unique<LocalProcess>(pid, std::move(output.reads));
}

std::unique_ptr<LaunchedProcess> SshLauncher::start(const LaunchOrder& order) {
  Pipe output = make_output();
  Pipe words = make_pipe();
  std::string command = "sh -c " + quoted(kRemoteScript) + " weft " + quoted(order.bin_directory);
  for (const std::string& word : order.argv) command += " " + quoted(word);
  SpawnOrder spawned{.argv = ssh_words(),
                     .input = words.reads.get(),
                     .output = output.writes.get(),
                     .dies_with_parent = order.dies_with_parent};
  spawned.argv.insert(spawned.argv.end(), {order.host, command});
  const pid_t pid = spawn(spawned);
  return std::make_unique<SshProcess>(pid, std::move(output.reads), std::move(words.writes));
}

}  // namespace weft::cluster
