// SPDX-License-Identifier: MIT
#include "client/cluster/control.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <nlohmann/json.hpp>
#include <stdexcept>

namespace weft::cluster {

namespace {

using Clock = std::chrono::steady_clock;
using nlohmann::json;

constexpr std::chrono::seconds kAnswer{5};
constexpr const char* kSocket = "control";

/// A path of the socket that fits into the 108 bytes of sockaddr_un, however long the path of its directory
/// is.
sockaddr_un short_address(const Fd& run) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const auto end = fmt::format_to_n(address.sun_path, sizeof address.sun_path - 1, "/proc/self/fd/{}/{}",
                                    run.get(), kSocket);
  *end.out = '\0';
  return address;
}

Fd make_socket(int flags) {
  return checked(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0), "socket");
}

/// An empty Fd: no supervisor is listening.
Fd connect_to(const StateDirectory& directory) {
  const Fd run(open(directory.run().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!run) return {};
  Fd socket = make_socket(0);
  const sockaddr_un address = short_address(run);
  if (connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0) return {};
  return socket;
}

/// Reads lines from a connection.
class Lines {
 public:
  explicit Lines(const Fd& socket) : socket_(socket) {}

  /// Nullopt at the end of the connection. Throws std::runtime_error when no line arrives by `deadline`.
  std::optional<std::string> next(Clock::time_point deadline) {
    for (;;) {
      if (const std::size_t end = buffer_.find('\n'); end != std::string::npos) {
        std::string line = buffer_.substr(0, end);
        buffer_.erase(0, end + 1);
        return line;
      }
      if (!read_more(deadline)) return std::nullopt;
    }
  }

 private:
  bool read_more(Clock::time_point deadline) {
    pollfd item{socket_.get(), POLLIN, 0};
    while (item.revents == 0) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
      if (left.count() <= 0) throw std::runtime_error("the supervisor of the cluster does not answer");
      poll_for({&item, 1}, left);
    }
    char bytes[1 << 16];
    const ssize_t got = recv(socket_.get(), bytes, sizeof bytes, 0);
    if (got > 0) buffer_.append(bytes, static_cast<std::size_t>(got));
    return got > 0;
  }

  const Fd& socket_;
  std::string buffer_;
};

void send_line(const Fd& socket, const json& request) {
  const std::string line = request.dump() + "\n";
  send(socket.get(), line.data(), line.size(), MSG_NOSIGNAL);
}

Reply reply_from(const std::optional<std::string>& line) {
  const json reply = line ? json::parse(*line, nullptr, false) : json();
  if (!reply.is_object()) return {false, "the supervisor of the cluster is gone"};
  return {reply.value("ok", false), reply.value("text", "")};
}

Event stop_event(const json& request) {
  return Stop{std::chrono::milliseconds(request.value("grace_ms", std::int64_t{10'000}))};
}

}  // namespace

Fd listen_for_requests(const StateDirectory& directory) {
  const Fd run =
      checked(open(directory.run().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC), directory.run().string());
  Fd socket = make_socket(SOCK_NONBLOCK);
  const sockaddr_un address = short_address(run);
  if (bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0 ||
      listen(socket.get(), 64) < 0)
    throw std::system_error(errno, std::system_category(), (directory.run() / kSocket).string());
  return socket;
}

std::optional<Event> event_of(const std::string& text) {
  const json request = json::parse(text, nullptr, false);
  if (!request.is_object()) throw std::runtime_error("a request is a JSON object");
  const std::string what = request.value("do", "");
  const std::string name = request.value("name", "");
  if (what == "state") return std::nullopt;
  if (what == "add") return AddWorker{};
  if (what == "scale") return Scale{request.value("workers", 0)};
  if (what == "revive") return Revive{};
  if (what == "drain") return DrainMember{name};
  if (what == "restart") return RestartMember{name};
  if (what == "kill") return KillMember{name};
  if (what == "stop") return stop_event(request);
  throw std::runtime_error(fmt::format("'{}' is not a request", what));
}

std::string to_line(const Answer& answer) {
  return json{{"ok", answer.ok}, {"text", answer.text}}.dump(-1, ' ', false, json::error_handler_t::replace) +
         "\n";
}

std::string to_line(const Say& say) {
  return json{{"say", say.text}}.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

std::optional<ClusterState> ask_state(const StateDirectory& directory) {
  const Fd socket = connect_to(directory);
  if (!socket) return std::nullopt;
  send_line(socket, {{"do", "state"}});
  const auto line = Lines(socket).next(Clock::now() + kAnswer);
  if (!line) return std::nullopt;  // the supervisor has accepted the connection, but is ending
  return state_from_json(*line);
}

Reply ask(const StateDirectory& directory, const std::string& what, const std::string& name, int workers) {
  const Fd socket = connect_to(directory);
  if (!socket) return {false, "the cluster has no supervisor; run down, then up"};
  send_line(socket, {{"do", what}, {"name", name}, {"workers", workers}});
  return reply_from(Lines(socket).next(Clock::now() + kAnswer));
}

std::optional<bool> ask_to_stop(const StateDirectory& directory, std::chrono::milliseconds grace,
                                std::chrono::milliseconds patience,
                                const std::function<void(const std::string&)>& say) {
  const Fd socket = connect_to(directory);
  if (!socket) return std::nullopt;
  send_line(socket, {{"do", "stop"}, {"grace_ms", grace.count()}});
  Lines lines(socket);
  const auto deadline = Clock::now() + patience;
  try {
    while (const auto line = lines.next(deadline)) {
      const json said = json::parse(*line, nullptr, false);
      if (said.is_object() && said.contains("say")) say(said.value("say", ""));
    }
  } catch (const std::runtime_error&) {
    return false;
  }
  return true;
}

}  // namespace weft::cluster
