# SPDX-License-Identifier: MIT
# weft_flags: the warnings and sanitizers of this project's own code. Installed libraries link it as
# $<BUILD_INTERFACE:weft_flags>, so that no flag reaches the programs that use them.
add_library(weft_flags INTERFACE)
# GCC 12 reports uninitialised members in every std::variant that it inlines (GCC bug 80635 and similar ones),
# and overlaps in `"text" + std::string` (GCC bug 105329).
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  target_compile_options(weft_flags INTERFACE -Wno-maybe-uninitialized -Wno-restrict)
  # Without this flag, exported functions of position-independent code stay replaceable at load time, so GCC
  # does not inline them.
  target_compile_options(weft_flags INTERFACE -fno-semantic-interposition)
endif()
target_compile_options(weft_flags INTERFACE -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wno-missing-field-initializers)
target_include_directories(weft_flags INTERFACE "${PROJECT_SOURCE_DIR}")
target_compile_definitions(weft_flags INTERFACE WEFT_VERSION="${PROJECT_VERSION}")
# For tests and for code that runs once, such as reading a command line, where optimising takes longer than it
# saves. Not for the main file of a daemon: the linker prefers its copies of inline functions to those of the
# libraries.
set(WEFT_RUN_ONCE $<IF:$<CONFIG:Debug>,-O0,-O1>)
if(WEFT_SANITIZE)
  target_compile_options(weft_flags INTERFACE -fsanitize=${WEFT_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(weft_flags INTERFACE -fsanitize=${WEFT_SANITIZE})
endif()
