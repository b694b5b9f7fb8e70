// SPDX-License-Identifier: MIT
// The shared object of worker/loader/, embedded in this program.
#pragma once

#include <string_view>

namespace weft::worker {

std::string_view loader_image();

}  // namespace weft::worker
