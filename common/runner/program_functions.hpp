// SPDX-License-Identifier: MIT
// How client and runners identify a function of a program: by the location of its code. Both execute the same
// bytes, so this does not depend on the order in which static initialisers and dlopen() register functions,
// and two functions of the same name and type stay distinct.
#pragma once

#include <string>
#include <string_view>

#include "common/runner/mapped_objects.hpp"
#include "weft/function.hpp"

namespace weft {

inline std::uintptr_t address_of(const detail::RegisteredFunction& function) {
  return reinterpret_cast<std::uintptr_t>(function.invoke);
}

/// "3+1f2a0 long(long,double)": the object (its index in the list of shipped libraries, "" for the
/// executable, or the name of a system library), the offset in it, and the type.
std::string definition_of(const detail::RegisteredFunction& function, std::string_view object,
                          std::uintptr_t offset);

}  // namespace weft
