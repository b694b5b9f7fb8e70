// SPDX-License-Identifier: MIT
// What names a function of a program, in the client and in its runners: where its code is. Both execute the
// same bytes, so that this does not depend on the order in which static initialisers and dlopen() register
// functions, and two functions of one name and type are still two.
#pragma once

#include <string>
#include <string_view>

#include "common/mapped_objects.hpp"
#include "weft/function.hpp"

namespace weft {

inline std::uintptr_t address_of(const detail::RegisteredFunction& function) {
  return reinterpret_cast<std::uintptr_t>(function.invoke);
}

/// "3+1f2a0 long(long,double)": the object (a number in the list of shipped libraries, "" for the executable,
/// the name of a library of the system), the offset in it, the type.
std::string definition_of(const detail::RegisteredFunction& function, std::string_view object,
                          std::uintptr_t offset);

}  // namespace weft
