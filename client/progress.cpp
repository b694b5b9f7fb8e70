// SPDX-License-Identifier: MIT
#include "weft/progress.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "client/progress_line.hpp"

namespace weft {

namespace client {

namespace {

std::string clock_text(double seconds) {
  const auto whole = static_cast<long>(std::max(0.0, seconds));
  if (whole >= 3600) return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
  return fmt::format("{:02}:{:02}", whole / 60, whole % 60);
}

std::string bar_text(std::size_t done, std::size_t total, std::size_t cells) {
  const std::size_t full = total == 0 ? cells : done * cells / total;
  std::string bar(full, '#');
  if (full < cells) bar += '>';
  bar.resize(cells, '.');
  return "[" + bar + "] ";
}

}  // namespace

std::string progress_line(const ProgressCounts& counts, std::size_t width) {
  const double rate = counts.seconds > 0 ? static_cast<double>(counts.done) / counts.seconds : 0;
  const std::size_t left = counts.total - counts.done;
  std::string text = fmt::format("{}/{} {}%", counts.done, counts.total,
                                 counts.total == 0 ? 100 : counts.done * 100 / counts.total);
  text +=
      rate >= 10 || rate == 0 ? fmt::format(" | {:.0f} task/s", rate) : fmt::format(" | {:.1f} task/s", rate);
  std::string notes;
  const auto note = [&](const char* word, std::size_t number) {
    if (number > 0) notes += fmt::format("{}{} {}", notes.empty() ? " | " : ", ", word, number);
  };
  note("running", counts.running);
  note("failed", counts.failed);
  note("cancelled", counts.cancelled);
  text += notes + " | " + clock_text(counts.seconds);
  if (left > 0)
    text += " ETA " + (rate > 0 ? clock_text(static_cast<double>(left) / rate) : std::string("--:--"));
  constexpr std::size_t kBarMin = 8;
  constexpr std::size_t kBarMax = 40;
  const std::size_t room = width > text.size() + 3 ? width - text.size() - 3 : 0;
  if (room >= kBarMin) text = bar_text(counts.done, counts.total, std::min(room, kBarMax)) + text;
  return text.substr(0, width);
}

}  // namespace client

namespace detail {

namespace {

using Clock = std::chrono::steady_clock;

/// Draws while it waits. On a terminal one line is drawn over and over; elsewhere a line is printed
/// for each tenth.
class Drawing {
 public:
  explicit Drawing(const std::vector<FutureState*>& states)
      : pending_(states), terminal_(::isatty(STDERR_FILENO) == 1), start_(Clock::now()) {
    counts_.total = states.size();
  }

  void run() {
    count();
    draw();
    while (!pending_.empty()) {
      // Counting a million futures takes a while: at most a twentieth of the time goes there.
      wait_until(Clock::now() + std::max<Clock::duration>(std::chrono::milliseconds(100), counting_ * 20));
      count();
      draw();
    }
    if (terminal_) std::fputc('\n', stderr);
    std::fflush(stderr);
  }

 private:
  /// Until `due`, or until everything is done.
  void wait_until(Clock::time_point due) {
    for (FutureState* state : pending_) {
      if (!state->wait_until(due)) return;
    }
  }

  void count() {
    const auto begin = Clock::now();
    counts_.running = 0;
    std::erase_if(pending_, [this](FutureState* state) {
      switch (state->state()) {
        case TaskState::queued:
          return false;
        case TaskState::running:
          ++counts_.running;
          return false;
        case TaskState::failed:
          ++counts_.failed;
          break;
        case TaskState::cancelled:
          ++counts_.cancelled;
          break;
        case TaskState::done:
          break;
      }
      ++counts_.done;
      return true;
    });
    counts_.seconds = std::chrono::duration<double>(Clock::now() - start_).count();
    counting_ = Clock::now() - begin;
  }

  void draw() {
    if (terminal_) {
      winsize size{};
      const bool known = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
      const std::string line = client::progress_line(counts_, known ? size.ws_col - 1U : 79U);
      std::fprintf(stderr, "\r%s\x1b[K", line.c_str());
      std::fflush(stderr);
      return;
    }
    const std::size_t tenth = counts_.total == 0 ? 10 : counts_.done * 10 / counts_.total;
    if (tenth <= tenth_ && counts_.done < counts_.total) return;
    tenth_ = tenth;
    std::fprintf(stderr, "%s\n", client::progress_line(counts_, 100).c_str());
  }

  std::vector<FutureState*> pending_;
  const bool terminal_;
  const Clock::time_point start_;
  client::ProgressCounts counts_;
  Clock::duration counting_{};
  std::size_t tenth_ = 0;
};

}  // namespace

void draw_progress(const std::vector<FutureState*>& states) { Drawing(states).run(); }

}  // namespace detail
}  // namespace weft
