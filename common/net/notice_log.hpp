// SPDX-License-Identifier: MIT
// The log line of a notice, in a daemon.
#pragma once

#include <spdlog/spdlog.h>

#include "common/wire/notice.hpp"

namespace weft {

inline void log_notice(const Notice& notice) {
  const NoticeLevel level = level_of(notice);
  const auto of_spdlog = level == NoticeLevel::error     ? spdlog::level::err
                         : level == NoticeLevel::warning ? spdlog::level::warn
                                                         : spdlog::level::info;
  spdlog::log(of_spdlog, "{}", text_of(notice));
}

}  // namespace weft
