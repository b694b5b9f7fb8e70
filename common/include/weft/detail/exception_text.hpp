// SPDX-License-Identifier: MIT
// The current exception as two strings, since an exception object cannot leave its process.
#pragma once

#include <cxxabi.h>

#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <typeinfo>

#include "weft/detail/type_name.hpp"

namespace weft::detail {

struct ExceptionText {
  std::string type;     // "std::out_of_range"; "": unknown
  std::string message;  // what(), with nested causes; for a thrown string or number, its value
};

inline std::string demangled(const char* name) {
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> text(abi::__cxa_demangle(name, nullptr, nullptr, &status),
                                                         &std::free);
  return tidy_name(text ? text.get() : name);
}

/// The thrown type, without the wrapper of std::throw_with_nested.
inline std::string thrown_type(const std::type_info& type) {
  std::string name = demangled(type.name());
  constexpr std::string_view kWrapper = "std::_Nested_exception<";
  if (name.starts_with(kWrapper) && name.ends_with('>'))
    name = name.substr(kWrapper.size(), name.size() - kWrapper.size() - 1);
  if (name.ends_with(' ')) name.pop_back();  // as in "> >"
  return name;
}

/// Appends what() of each std::exception base of `object`, whose type is `type`. With more than one such
/// base, the conversion to std::exception is ambiguous, so no handler catches it. Equal messages are listed
/// once.
inline void collect_messages(const std::type_info& type, const char* object, std::string& out) {
  if (type == typeid(std::exception)) {
    const char* what = reinterpret_cast<const std::exception*>(object)->what();
    if (what == nullptr || *what == '\0' || out.find(what) != std::string::npos) return;
    out += (out.empty() ? "" : "; ") + std::string(what);
  } else if (const auto* single = dynamic_cast<const abi::__si_class_type_info*>(&type)) {
    collect_messages(*single->__base_type, object, out);
  } else if (const auto* several = dynamic_cast<const abi::__vmi_class_type_info*>(&type)) {
    for (unsigned i = 0; i < several->__base_count; ++i) {
      const auto& base = several->__base_info[i];
      if (!base.__is_public_p()) continue;
      std::ptrdiff_t offset = base.__offset();
      if (base.__is_virtual_p()) {  // then `offset` is the position in the vtable of the actual offset
        const char* table;
        std::memcpy(&table, object, sizeof table);
        std::memcpy(&offset, table + offset, sizeof offset);
      }
      collect_messages(*base.__base_type, object + offset, out);
    }
  }
}

/// collect_messages() for the current exception, whose type is `type`.
inline std::string messages_of_current(const std::type_info& type) {
  const std::exception_ptr current = std::current_exception();
  const char* object = nullptr;
  static_assert(sizeof current == sizeof object, "an exception_ptr is a pointer to what was thrown");
  std::memcpy(&object, &current, sizeof object);
  std::string out;
  if (object != nullptr) collect_messages(type, object, out);
  return out;
}

// The text of thrown values that are not std::exceptions.
inline std::string text_of_value(const std::string& value) { return value; }
inline std::string text_of_value(std::string_view value) { return std::string(value); }
inline std::string text_of_value(const char* value) { return value != nullptr ? value : ""; }
inline std::string text_of_value(char value) { return {value}; }
inline std::string text_of_value(bool value) { return value ? "true" : "false"; }
inline std::string text_of_value(const std::error_code& value) { return value.message(); }
inline std::string text_of_value(const std::error_condition& value) { return value.message(); }
inline std::string text_of_value(const std::exception* value) {
  return value != nullptr && value->what() != nullptr ? value->what() : "";
}
template <class T>
requires std::is_arithmetic_v<T> std::string text_of_value(T value) { return std::to_string(value); }

/// Whether the current exception is one of T; then `out` becomes its text.
template <class... T>
bool is_value(std::string& out) {
  const auto is = [&]<class U>(std::type_identity<U>) {
    try {
      throw;
    } catch (const U& value) {
      out = text_of_value(value);
      return true;
    } catch (...) {
      return false;
    }
  };
  return (is(std::type_identity<T>()) || ...);
}

inline bool is_known_value(std::string& out) {
  return is_value<std::string, const char*, char*, int, unsigned, long, unsigned long, long long,
                  unsigned long long, short, unsigned short, signed char, unsigned char, char, bool, float,
                  double, long double, std::string_view, std::error_code, std::error_condition,
                  const std::exception*, std::exception*>(out);
}

inline ExceptionText current_exception_text(int depth = 0);

/// "; caused by std::logic_error: inner" if the current exception has a nested one; "" otherwise.
inline std::string cause_of_current(int depth) {
  constexpr int kDepthMax = 10;
  if (depth == kDepthMax) return "";
  std::exception_ptr cause;
  try {
    throw;
  } catch (const std::nested_exception& outer) {
    cause = outer.nested_ptr();
  } catch (...) {
    return "";
  }
  if (!cause) return "";
  try {
    std::rethrow_exception(cause);
  } catch (...) {
    const ExceptionText text = current_exception_text(depth + 1);
    return "; caused by " + text.type + (text.type.empty() || text.message.empty() ? "" : ": ") +
           text.message;
  }
}

/// REQUIRES: called in a catch block.
inline ExceptionText current_exception_text(int depth) {
  ExceptionText out;
  const std::type_info* type = abi::__cxa_current_exception_type();
  if (type != nullptr) out.type = thrown_type(*type);
  try {
    throw;
  } catch (const std::exception& error) {
    const char* what = error.what();
    out.message = what != nullptr ? what : "";
  } catch (...) {
    if (!is_known_value(out.message)) {
      if (type != nullptr) out.message = messages_of_current(*type);
      if (out.message.empty()) out.message = "it is not a std::exception, so it has no message";
    }
  }
  out.message += cause_of_current(depth);
  return out;
}

}  // namespace weft::detail
