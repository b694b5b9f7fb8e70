// SPDX-License-Identifier: MIT
// The exception that is being handled, as two strings: all that can leave a process.
#pragma once

#include <cxxabi.h>

#include <cstdlib>
#include <exception>
#include <memory>
#include <string>
#include <typeinfo>

#include "weft/detail/type_name.hpp"

namespace weft::detail {

struct ExceptionText {
  std::string type;     // "std::out_of_range"; "" when it cannot be had
  std::string message;  // what(), with what it was caused by; for a thrown text or number that
};

inline std::string demangled(const char* name) {
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> text(abi::__cxa_demangle(name, nullptr, nullptr, &status),
                                                         &std::free);
  return tidy_name(text ? text.get() : name);
}

/// what() of `error`, and of those nested in it (std::throw_with_nested).
inline std::string message_of(const std::exception& error, int depth = 0) {
  const char* what = error.what();
  std::string out = what ? what : "";
  if (depth == 10) return out;
  try {
    std::rethrow_if_nested(error);
  } catch (const std::exception& cause) {
    out += "; caused by " + demangled(typeid(cause).name()) + ": " + message_of(cause, depth + 1);
  } catch (...) {
    out += "; caused by something that is not a std::exception";
  }
  return out;
}

/// REQUIRES: called in a catch block.
inline ExceptionText current_exception_text() {
  ExceptionText out;
  if (const std::type_info* type = abi::__cxa_current_exception_type()) out.type = demangled(type->name());
  try {
    throw;
  } catch (const std::exception& error) {
    out.message = message_of(error);
  } catch (const std::string& text) {
    out.message = text;
  } catch (const char* text) {
    out.message = text ? text : "";
  } catch (int number) {
    out.message = std::to_string(number);
  } catch (...) {
    out.message = "it is not a std::exception, so it has no message";
  }
  return out;
}

}  // namespace weft::detail
