// SPDX-License-Identifier: MIT
// The default logger of a daemon: writes lines to stderr through a LogWriter.
#pragma once

#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <memory>
#include <mutex>
#include <string>

#include "common/system/log_writer.hpp"

namespace weft {

class LogSink : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit LogSink(const std::string& name) : writer_(STDERR_FILENO, name) {}

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    writer_.write({line.data(), line.size()});
  }
  void flush_() override {}

  LogWriter writer_;
};

/// Makes spdlog::info() etc. write to stderr in format `pattern`. spdlog::shutdown() waits briefly for the
/// last lines.
inline void use_log(const std::string& name, const std::string& pattern) {
  auto logger = std::make_shared<spdlog::logger>(name, std::make_shared<LogSink>(name));
  logger->set_pattern(pattern);
  spdlog::set_default_logger(std::move(logger));
}

}  // namespace weft
