// SPDX-License-Identifier: MIT
#include "worker/runners/loader_image.hpp"

asm(R"(
  .pushsection .rodata
  .balign 16
weft_loader_begin:
  .incbin ")" WEFT_LOADER_FILE R"("
weft_loader_end:
  .popsection
)");

extern const char weft_loader_begin[];
extern const char weft_loader_end[];

namespace weft::worker {

std::string_view loader_image() {
  return {weft_loader_begin, static_cast<std::size_t>(weft_loader_end - weft_loader_begin)};
}

}  // namespace weft::worker
