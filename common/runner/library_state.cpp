// SPDX-License-Identifier: MIT
// The parts of ProcessState that the C and C++ libraries hold: floating-point environment, environment
// variables, locale, standard streams.
#include "common/runner/process_state.hpp"

#include <fcntl.h>
#include <stdio_ext.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ext/stdio_filebuf.h>
#include <ext/stdio_sync_filebuf.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <typeinfo>
#include <utility>

namespace weft::runner {

// ---- floating point ----

void FloatingPointState::reset_x87() const {
#if defined(__x86_64__)
  asm volatile("fninit\n\tfldcw %0" : : "m"(x87_.control));
#endif
}

// ---- environment ----

void EnvironmentState::keep() {
  auto texts = std::make_unique<std::string>();
  std::vector<std::size_t> offsets;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    offsets.push_back(texts->size());
    texts->append(*entry).push_back('\0');
  }
  texts_before_ = *texts;
  wanted_.clear();
  for (const std::size_t offset : offsets) wanted_.push_back(texts->data() + offset);
  wanted_.push_back(nullptr);
  texts_.push_back(std::move(texts));
  environ = nullptr;  // it may point to `array_`
  array_ = wanted_;
  environ = array_.data();
}

void EnvironmentState::put_back() {
  restore_texts();
  array_ = wanted_;  // same size, so it is not reallocated
  environ = array_.data();
  tzset();  // TZ may have changed
}

void EnvironmentState::restore_texts() {
  std::string& texts = *texts_.back();
  if (texts != texts_before_) std::copy(texts_before_.begin(), texts_before_.end(), texts.begin());
}

// ---- locale ----

LocaleState::LocaleState()
    : name_(setlocale(LC_ALL, nullptr)), current_(setlocale(LC_ALL, nullptr)), thread_(uselocale(nullptr)) {}

void LocaleState::put_back() {
  uselocale(thread_);
  std::locale::global(global_);  // also sets the C locale
  setlocale(LC_ALL, name_.c_str());
  current_ = setlocale(LC_ALL, nullptr);
}

// ---- standard streams ----

namespace {

bool writes_to_stdio(std::streambuf* buffer) {
  return buffer != nullptr && typeid(*buffer) == typeid(__gnu_cxx::stdio_sync_filebuf<char>);
}

/// Called with `true`, sync_with_stdio() changes nothing.
bool is_synced_with_stdio() { return std::ios_base::sync_with_stdio(true); }

}  // namespace

void StreamState::keep() {
  buffer_ = stream_.rdbuf();
  unbuffered_ = writes_to_stdio(buffer_);
  flags_ = stream_.flags();
  precision_ = stream_.precision();
  fill_ = stream_.fill();
  exceptions_ = stream_.exceptions();
  tie_ = stream_.tie();
  locale_ = stream_.getloc();
}

void StreamState::put_back() {
  stream_.exceptions(std::ios_base::goodbit);
  stream_.clear();
  stream_.flags(flags_);
  stream_.precision(precision_);
  stream_.width(0);
  stream_.fill(fill_);
  stream_.tie(tie_);
  stream_.exceptions(exceptions_);
}

void StreamState::put_back_buffer() {
  if (unbuffered_ && !is_synced_with_stdio()) {
    // The old buffer has been destroyed. The current one is the library's, unless the task has replaced it
    // again.
    buffer_ = stream_.rdbuf();
    unbuffered_ = false;
    return;
  }
  stream_.exceptions(std::ios_base::goodbit);
  stream_.rdbuf(buffer_);
  stream_.exceptions(exceptions_);
}

void StreamState::flush() const {
  try {
    stream_.flush();
  } catch (...) {
    // The task may have enabled exceptions, and closed the descriptor below.
  }
}

void ProcessState::set_variables(const std::map<std::string, std::string>& variables) {
  for (const auto& [name, value] : variables) setenv(name.c_str(), value.c_str(), 1);
  thread_libraries_.set(variables);
  if (variables.contains("TZ")) tzset();
}

bool ProcessState::flush_output() {
  bool any = false;
  for (StreamState& stream : streams_) {
    stream.restore_buffer();
    if (stream.is_unbuffered()) continue;
    stream.flush();
    any = true;
  }
  if (any && !is_synced_with_stdio()) {
    for (std::wostream* stream : {&std::wcout, &std::wcerr, &std::wclog}) {
      try {
        stream->flush();
      } catch (...) {
        // As above.
      }
    }
  }
  for (FILE* file : {stdout, stderr}) {
    if (__fpending(file) == 0) continue;
    std::fflush(file);
    any = true;
  }
  return any;
}

}  // namespace weft::runner
