// SPDX-License-Identifier: MIT
#include "weft/progress.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <set>

#include "client/connection/inbox.hpp"
#include "client/connection/progress_line.hpp"
#include "client/connection/query.hpp"
#include "client/core/failure.hpp"

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

/// The label in front of the bar: shortened, and without control characters.
std::string label_text(std::string label) {
  constexpr std::size_t kLabelMax = 24;
  if (label.empty()) return "";
  std::replace_if(
      label.begin(), label.end(), [](unsigned char c) { return c < ' ' || c == 127; }, '?');
  if (label.size() > kLabelMax) label = label.substr(0, kLabelMax - 3) + "...";
  return label + " ";
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
  if (counts.no_worker) notes += notes.empty() ? " | no worker has joined" : ", no worker has joined";
  text += notes + " | " + clock_text(counts.seconds);
  if (left > 0)
    text += " ETA " + (rate > 0 ? clock_text(static_cast<double>(left) / rate) : std::string("--:--"));
  constexpr std::size_t kBarMin = 8;
  constexpr std::size_t kBarMax = 40;
  const std::string label = label_text(counts.label);
  const std::size_t used = label.size() + text.size() + 3;
  const std::size_t room = width > used ? width - used : 0;
  if (room >= kBarMin) text = bar_text(counts.done, counts.total, std::min(room, kBarMax)) + text;
  return (label + text).substr(0, width);
}

}  // namespace client

namespace detail {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kInterval(100);  // between two drawings
// how long no task has run or finished when the broker is asked whether a worker has joined
constexpr std::chrono::seconds kQuiet(1);
constexpr std::chrono::seconds kAskAgain(2);               // between two such queries
constexpr std::chrono::milliseconds kAnswerPatience(500);  // how long a query may take

/// The label that all tasks share, or the number of labels, or "".
std::string label_of(const std::vector<FutureState*>& states) {
  std::set<std::string> labels;
  const TaskInfo* last = nullptr;
  for (const FutureState* state : states) {
    if (const TaskInfo* info = state->info(); info != std::exchange(last, info)) labels.insert(info->label);
  }
  if (labels.empty()) return "";
  return labels.size() == 1 ? *labels.begin() : fmt::format("{} labels", labels.size());
}

}  // namespace

/// On a terminal, redraws one line; elsewhere, prints a line for each tenth of the tasks.
class Drawing {
 public:
  explicit Drawing(const std::vector<FutureState*>& states)
      : terminal_(::isatty(STDERR_FILENO) == 1), start_(Clock::now()) {
    pending_.reserve(states.size());
    for (FutureState* state : states) pending_.emplace_back(state);
    counts_.total = states.size();
    counts_.label = label_of(states);
    if (!states.empty()) inbox_ = states.front()->info()->inbox;
    refresh();
  }
  ~Drawing() {
    if (!finished_) end_line();
  }
  Drawing(const Drawing&) = delete;
  Drawing& operator=(const Drawing&) = delete;

  /// When the next drawing is due.
  Clock::time_point due() const { return due_; }

  void refresh() {
    count();
    look_for_workers();
    draw();
    // Counting a million futures takes a while: count for at most 1/20 of the time.
    due_ = Clock::now() + std::max<Clock::duration>(kInterval, counting_ * 20);
  }

  void run() {
    while (!pending_.empty()) {
      for (const IntrusivePtr<FutureState>& state : pending_) {
        if (!state->wait_until(due_)) break;
      }
      refresh();
    }
    for (const IntrusivePtr<FutureState>& state : called_) state->wait_for_callbacks(std::nullopt);
    end_line();
  }

  /// REQUIRES: all futures are done.
  void finish() {
    if (!pending_.empty()) refresh();
    end_line();
  }

 private:
  void count() {
    const auto begin = Clock::now();
    counts_.running = 0;
    std::erase_if(pending_, [this](const IntrusivePtr<FutureState>& state) {
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
      if (state->has_callbacks()) called_.push_back(state);
      return true;
    });
    counts_.seconds = std::chrono::duration<double>(Clock::now() - start_).count();
    counting_ = Clock::now() - begin;
  }

  /// When no task has run or finished for kQuiet, asks the broker whether a worker has joined.
  void look_for_workers() {
    const auto now = Clock::now();
    if (pending_.empty() || counts_.running > 0 || counts_.done != quiet_done_) {
      quiet_done_ = counts_.done;
      ask_ = now + kQuiet;
      counts_.no_worker = false;
    } else if (now >= ask_) {
      ask_ = now + kAskAgain;
      try {
        counts_.no_worker = client::query_status(inbox_->address, false, kAnswerPatience).workers == 0;
      } catch (const ConnectionError&) {  // ClientCore reports that the broker is lost
      }
    }
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
    const bool news = counts_.no_worker && !std::exchange(no_worker_reported_, counts_.no_worker);
    if (!news && tenth <= tenth_ && (counts_.done < counts_.total || complete_)) return;
    tenth_ = tenth;
    complete_ = counts_.done == counts_.total;
    std::fprintf(stderr, "%s\n", client::progress_line(counts_, 100).c_str());
  }

  void end_line() {
    finished_ = true;
    if (terminal_) std::fputc('\n', stderr);
    std::fflush(stderr);
  }

  std::vector<IntrusivePtr<FutureState>> pending_;
  std::vector<IntrusivePtr<FutureState>> called_;  // done, but with callbacks that had not returned
  std::shared_ptr<Inbox> inbox_;                   // of the first future
  const bool terminal_;
  const Clock::time_point start_;
  Clock::time_point due_{};
  Clock::time_point ask_{};
  client::ProgressCounts counts_;
  Clock::duration counting_{};
  std::size_t quiet_done_ = ~std::size_t{0};
  std::size_t tenth_ = 0;
  bool no_worker_reported_ = false;
  bool complete_ = false;
  bool finished_ = false;
};

void draw_progress(const std::vector<FutureState*>& states) { Drawing(states).run(); }

std::shared_ptr<Drawing> start_drawing(const std::vector<FutureState*>& states) {
  return std::make_shared<Drawing>(states);
}

std::size_t draw_until(Drawing& drawing, Arrivals& arrivals, std::size_t n) {
  for (;;) {
    const auto arrived = arrivals.wait_for(n, drawing.due());
    if (Clock::now() >= drawing.due()) drawing.refresh();
    if (arrived) return *arrived;
  }
}

void finish_drawing(Drawing& drawing) { drawing.finish(); }

}  // namespace detail
}  // namespace weft
