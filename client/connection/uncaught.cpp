// SPDX-License-Identifier: MIT
#include "client/connection/uncaught.hpp"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <exception>

#include "weft/error.hpp"

namespace weft::client {

namespace {

[[noreturn]] void on_terminate() {
  if (const std::exception_ptr thrown = std::current_exception()) {
    try {
      std::rethrow_exception(thrown);
    } catch (const Error& error) {
      std::fflush(stdout);
      std::fprintf(stderr, "%s: %s\n", program_invocation_short_name, error.what());
      std::_Exit(1);
    } catch (...) {
    }
  }
  __gnu_cxx::__verbose_terminate_handler();
  std::abort();
}

}  // namespace

void report_uncaught_errors() {
  if (std::get_terminate() == &__gnu_cxx::__verbose_terminate_handler) std::set_terminate(&on_terminate);
}

}  // namespace weft::client
