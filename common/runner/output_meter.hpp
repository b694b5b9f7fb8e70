// SPDX-License-Identifier: MIT
// OutputMeter: how many bytes a runner and its child processes have printed since the runner's start, by any
// call: the bytes that the agent has read plus those still in the pipe.
#pragma once

#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>

#include <array>
#include <cstddef>
#include <optional>

#include "common/runner/runner_channel.hpp"

namespace weft::runner {

class OutputMeter {
 public:
  /// `descriptors` of stdout and stderr must stay open; one that is not a pipe counts as silent.
  OutputMeter(Page& page, std::array<int, 2> descriptors) : page_(page), fds_(descriptors) {
    for (int& fd : fds_) {
      struct stat status {};
      if (fd >= 0 && (fstat(fd, &status) != 0 || !S_ISFIFO(status.st_mode))) fd = -1;
    }
  }

  /// The totals, or nullopt if nothing has been printed since the last call. Also nullopt when the agent has
  /// been reading for too long; the next call then reports the totals.
  std::optional<TaskPrinted> more() {
    const auto out = total(0);
    const auto err = total(1);
    if (!out || !err || (*out == last_.out && *err == last_.err)) return std::nullopt;
    return last_ = {*out, *err};
  }

 private:
  std::optional<std::uint64_t> total(std::size_t which) {
    if (fds_[which] < 0) return 0;
    Page::Output& output = page_.output[which];
    for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
      const std::uint64_t before = output.read.load();
      int waiting = 0;
      if (output.reading.load() == 0 && ioctl(fds_[which], FIONREAD, &waiting) == 0 &&
          output.reading.load() == 0 && output.read.load() == before)
        return before + static_cast<std::uint64_t>(waiting);
      constexpr timespec kPause{0, 20'000};
      nanosleep(&kPause, nullptr);
    }
    output.reading.store(0);  // a task may have overwritten it
    return std::nullopt;
  }

  static constexpr int kAttemptsMax = 100;  // after that, the agent is assumed to be stopped or starved

  Page& page_;
  std::array<int, 2> fds_;
  TaskPrinted last_;
};

}  // namespace weft::runner
