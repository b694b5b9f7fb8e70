# SPDX-License-Identifier: MIT
# Compiles one snippet, which must fail with the sentence in its first line ("// expect: ..."), or must
# compile when that line is "// expect: success".
#   cmake -D COMPILER=c++ -D FLAGS="-I...;-D..." -D SOURCE=x.cpp -P run.cmake
file(STRINGS "${SOURCE}" first_line LIMIT_COUNT 1)
if(NOT first_line MATCHES "^// expect: (.+)$")
  message(FATAL_ERROR "${SOURCE} does not begin with // expect: ...")
endif()
set(expected "${CMAKE_MATCH_1}")

if(expected STREQUAL "success")
  list(APPEND FLAGS -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror)
endif()
execute_process(
  COMMAND "${COMPILER}" -std=c++20 -fsyntax-only ${FLAGS} "${SOURCE}"
  RESULT_VARIABLE code
  OUTPUT_VARIABLE output
  ERROR_VARIABLE output)

if(expected STREQUAL "success")
  if(NOT code EQUAL 0)
    message(FATAL_ERROR "it should compile, and does not:\n${output}")
  endif()
elseif(code EQUAL 0)
  message(FATAL_ERROR "it compiles, and should say: ${expected}")
else()
  string(FIND "${output}" "${expected}" at)
  if(at EQUAL -1)
    message(FATAL_ERROR "the message should contain: ${expected}\nbut is:\n${output}")
  endif()
endif()
