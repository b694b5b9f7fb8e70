// SPDX-License-Identifier: MIT
// ChildRunner: a runner of the test program in a child process, and the agent's end of its channel.
#pragma once

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "common/runner/program_functions.hpp"
#include "common/runner/runner_channel.hpp"
#include "common/runner/runner_libraries.hpp"
#include "common/runner/runner_loop.hpp"
#include "common/runner/socket_bell.hpp"
#include "common/wire/codec.hpp"
#include "tests/unit/agent_end.hpp"
#include "weft/function.hpp"

namespace weft::runner {

/// The definition of function F, by which a spec names it.
template <auto F>
std::string definition_of_function() {
  const auto function = detail::registered_functions().at(detail::function_index<F>());
  const auto where = locate_code(address_of(function));
  return definition_of(function, object_of(where.value()), where->offset);
}

/// The index of function F in the table that its runner announces.
template <auto F>
std::uint32_t table_index() {
  const std::string definition = definition_of_function<F>();
  const auto functions = program_source().functions;
  const auto found = std::find_if(functions.begin(), functions.end(),
                                  [&](const FunctionEntry& entry) { return entry.signature == definition; });
  return static_cast<std::uint32_t>(found - functions.begin());
}

class ChildRunner {
 public:
  explicit ChildRunner(int output = -1) {
    std::fflush(nullptr);
    pid_ = fork();
    if (pid_ == 0) {
      parts_.ends[0].reset();
      if (output >= 0) dup2(output, 1);
      for (const int number : {SIGSEGV, SIGABRT, SIGTERM})
        std::signal(number, SIG_DFL);  // doctest has handlers
      _exit(serve({kChannelVersion, parts_.ends[1].get(), parts_.memory_fd.get()}, program_source()));
    }
    parts_.ends[1].reset();
    send(RunnerWelcome{"w1"});
  }
  ~ChildRunner() {
    hang_up();
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
  }
  ChildRunner(const ChildRunner&) = delete;
  ChildRunner& operator=(const ChildRunner&) = delete;

  template <auto F, class... A>
  void run(A&&... arguments) {
    run_payload<F>(detail::Call<F>::encode(std::forward<A>(arguments)...));
  }
  template <auto F>
  void run_payload(std::string_view payload, const std::string& directory = "",
                   std::vector<wire::StartCall> start = {}) {
    RunTask task{.ordinal = ++ordinal_, .function_index = table_index<F>(), .execution = 2};
    if (!directory.empty() || !start.empty())
      task.setup = encode_setup({.directory = directory, .environment = {}, .start = std::move(start)});
    task.id.seq = ordinal_;
    int memory = -1;
    if (payload.size() > wire::kInlineBytesMax) {
      memory = memfd_create("arguments", MFD_CLOEXEC);
      task.large_bytes = payload.size();
      for (std::string_view rest = payload; !rest.empty();)
        rest.remove_prefix(static_cast<std::size_t>(write(memory, rest.data(), rest.size())));
    } else {
      task.payload = wire::Payload(payload);
    }
    send(task, memory);
    if (memory >= 0) close(memory);
  }
  void send(const Message& message, int fd = -1) {
    REQUIRE(channel_.send(message, fd) == 0);
    if (!together_) channel_.wake();
  }
  /// Both ends sleep; the runner then wakes up and finds everything that `sends` sends.
  void send_together(const std::function<void()>& sends) {
    while (page().runs.reader_sleeps.load() == 0) std::this_thread::yield();
    REQUIRE(channel_.sleep());
    together_ = true;
    sends();
    together_ = false;
    channel_.wake();
  }
  /// Whether the runner wakes the agent, within ten seconds.
  bool rings() {
    pollfd polled{parts_.ends[0].get(), POLLIN, 0};
    return poll(&polled, 1, 10'000) == 1;
  }

  RunnerHello hello() {
    RunnerHello whole;
    do {
      Received received = next();
      REQUIRE(received.kind == Received::Kind::message);
      auto part = std::get<RunnerHello>(*received.message);
      whole.pid = part.pid;
      whole.total = part.total;
      whole.functions.insert(whole.functions.end(), part.functions.begin(), part.functions.end());
    } while (whole.functions.size() < whole.total);
    return whole;
  }
  /// The next message other than those about output, which are stored for printed().
  Received next() {
    for (;;) {
      Received received = next_of(channel_, parts_.ends[0].get());
      if (received.kind != Received::Kind::message) return received;
      const auto* printed = std::get_if<TaskPrinted>(&*received.message);
      if (printed == nullptr) return received;
      printed_ = *printed;
    }
  }
  const TaskPrinted& printed() const { return printed_; }
  /// Whether the runner has ended and all its messages were read.
  bool ended() { return next().kind == Received::Kind::again; }
  std::pair<wire::Outcome, std::string> done() {
    Received received = next();
    REQUIRE(received.kind == Received::Kind::message);
    const auto& out = std::get<TaskDone>(*received.message);
    if (out.large_bytes == 0) return {out.outcome, std::string(out.payload.inline_bytes())};
    REQUIRE(received.fd >= 0);
    CHECK((fcntl(received.fd, F_GET_SEALS) & F_SEAL_SHRINK) != 0);
    std::string payload(out.large_bytes, '\0');
    REQUIRE(pread(received.fd, payload.data(), payload.size(), 0) == static_cast<ssize_t>(payload.size()));
    close(received.fd);
    return {out.outcome, std::move(payload)};
  }
  template <class R>
  R result() {
    const auto [outcome, payload] = done();
    REQUIRE(outcome == wire::Outcome::ok);
    return detail::decode_result<R>(payload);
  }
  wire::ErrorInfo failure() {
    const auto [outcome, payload] = done();
    REQUIRE(outcome == wire::Outcome::failed);
    auto info = wire::decode_error(payload);
    REQUIRE(info);
    return *info;
  }
  /// Exit code, or the negative number of the signal.
  int status() {
    int out = 0;
    waitpid(pid_, &out, 0);
    pid_ = -1;
    return WIFSIGNALED(out) ? -WTERMSIG(out) : WEXITSTATUS(out);
  }
  void hang_up() { shutdown(parts_.ends[0].get(), SHUT_RDWR); }
  Page& page() { return parts_.page(); }

 private:
  Parts parts_;
  SocketBell bell_{parts_.ends[0].get()};
  Channel channel_{bell_, parts_.memory, Channel::Role::agent};
  pid_t pid_ = -1;
  std::uint64_t ordinal_ = 0;
  bool together_ = false;
  TaskPrinted printed_;
};

}  // namespace weft::runner
