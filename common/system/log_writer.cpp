// SPDX-License-Identifier: MIT
#include "common/system/log_writer.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <utility>

#include "common/system/blocked_signals.hpp"

namespace weft {

namespace {

constexpr std::size_t kBufferKept = 256 << 10;
constexpr std::chrono::seconds kTryAgain{1};  // after an error, for example a full disk

std::uint64_t lines_in(std::string_view text) {
  return static_cast<std::uint64_t>(std::count(text.begin(), text.end(), '\n'));
}

}  // namespace

struct LogWriter::State {
  State(int descriptor, std::string its_name) : fd(descriptor), name(std::move(its_name)) {}

  void run();
  void take_up(std::string& batch, std::uint64_t& rejected);
  bool put(std::string_view text);
  bool put_notice();

  const int fd;
  const std::string name;

  std::mutex mutex;
  std::condition_variable changed;
  std::string queue;
  std::uint64_t rejected = 0;  // lines rejected since the queue became full
  bool idle = false;           // the thread is waiting for lines
  bool stopping = false;
  bool ended = false;

  // Used by the thread only:
  std::uint64_t lost = 0;  // lines that are missing and have not been reported
  std::string why;
  bool mid_line = false;  // the last write ended within a line
};

/// Waits for lines, or, when lines are missing, at most for the retry interval.
void LogWriter::State::take_up(std::string& batch, std::uint64_t& rejected_now) {
  std::unique_lock lock(mutex);
  idle = true;
  const auto ready = [this] { return stopping || !queue.empty(); };
  if (lost > 0) {
    changed.wait_for(lock, kTryAgain, ready);
  } else {
    changed.wait(lock, ready);
  }
  idle = false;
  batch.clear();
  if (batch.capacity() > kBufferKept) batch = {};
  batch.swap(queue);
  rejected_now = std::exchange(rejected, 0);
}

void LogWriter::State::run() {
  std::string batch;
  for (;;) {
    std::uint64_t rejected_now = 0;
    take_up(batch, rejected_now);
    bool works = lost == 0 || put_notice();
    if (works) {
      works = put(batch);
    } else {
      lost += lines_in(batch);
    }
    lost += rejected_now;
    if (works && rejected_now > 0) {
      why = "nothing read them";
      put_notice();
    }
    const std::lock_guard lock(mutex);
    if (!stopping || (!queue.empty() && works)) continue;
    ended = true;
    changed.notify_all();
    return;
  }
}

bool LogWriter::State::put_notice() {
  const std::uint64_t told = std::exchange(lost, 0);
  const std::string line =
      name + ": " + std::to_string(told) +
      (told == 1 ? " line of this log was dropped: " : " lines of this log were dropped: ") + why + "\n";
  if (put(line)) return true;
  lost = told;
  return false;
}

/// False: writing failed, and the rest is counted as lost.
bool LogWriter::State::put(std::string_view text) {
  std::string joined;
  if (mid_line && !text.empty()) {
    joined.append("\n").append(text);
    text = joined;
  }
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written > 0) {
      mid_line = text[static_cast<std::size_t>(written) - 1] != '\n';
      text.remove_prefix(static_cast<std::size_t>(written));
      continue;
    }
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && errno == EAGAIN) {  // opened as non-blocking
      pollfd polled{fd, POLLOUT, 0};
      ::poll(&polled, 1, -1);
      continue;
    }
    why = std::string("it cannot be written: ") + std::strerror(written < 0 ? errno : ENOSPC);
    lost += lines_in(text);
    return false;
  }
  return true;
}

LogWriter::LogWriter(int fd, std::string name) : state_(std::make_shared<State>(fd, std::move(name))) {
  const BlockedSignals blocked;  // including SIGTTOU, so that `stty tostop` does not stop the daemon
  thread_ = std::thread([state = state_] { state->run(); });
}

LogWriter::~LogWriter() {
  std::unique_lock lock(state_->mutex);
  state_->stopping = true;
  state_->changed.notify_all();
  const bool ended = state_->changed.wait_for(lock, kLastWords, [this] { return state_->ended; });
  lock.unlock();
  if (ended) {
    thread_.join();
  } else {
    thread_.detach();
  }
}

void LogWriter::write(std::string_view lines) {
  State& state = *state_;
  const std::lock_guard lock(state.mutex);
  // After one line has been dropped, all are dropped until the queue is taken, so that the gap is where the
  // log reports it.
  if (state.rejected > 0 || state.queue.size() + lines.size() > kQueuedBytesMax) {
    state.rejected += lines_in(lines);
    return;
  }
  state.queue.append(lines);
  if (std::exchange(state.idle, false)) state.changed.notify_all();
}

}  // namespace weft
