# SPDX-License-Identifier: MIT
# Compiles one snippet with each compiler. Its first lines say what is expected:
#   // expect: SENTENCE         the first error contains the sentence
#   // expect: success          it compiles, with all warnings
#   // expect shown: SENTENCE   the first error is the compiler's own, and the sentence stands below it
#   // names: TYPE              what is printed for the first error names the type
# PRECOMPILED/COMPILER/ holds precompiled headers. Snippets that must compile do not use them: a precompiled header
# gives no warnings.
#   cmake -D "COMPILERS=c++;clang++" -D FLAGS="-I...;-D..." -D PRECOMPILED=directory -D SOURCE=x.cpp -P run.cmake
file(STRINGS "${SOURCE}" first_lines LIMIT_COUNT 2)
list(GET first_lines 0 first_line)
if(NOT first_line MATCHES "^// expect( shown)?: (.+)$")
  message(FATAL_ERROR "${SOURCE} does not begin with // expect: ...")
endif()
set(shown "${CMAKE_MATCH_1}")
set(expected "${CMAKE_MATCH_2}")
set(named "")
list(GET first_lines 1 second_line)
if(second_line MATCHES "^// names: (.+)$")
  set(named "${CMAKE_MATCH_1}")
endif()
if(expected STREQUAL "success")
  list(APPEND FLAGS -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror)
endif()

# Fails unless `text` contains `wanted`.
function(require_text wanted text what output)
  string(FIND "${text}" "${wanted}" at)
  if(at EQUAL -1)
    message(FATAL_ERROR "${what} should contain: ${wanted}\nbut all that is printed is:\n${output}")
  endif()
endfunction()

file(STRINGS "${SOURCE}" include REGEX "^#include <weft/(function|weft)\\.hpp>" LIMIT_COUNT 1)
string(REGEX REPLACE "^#include <weft/(.+)>$" "\\1" header "${include}")

foreach(compiler IN LISTS COMPILERS)
  get_filename_component(compiler_name "${compiler}" NAME)
  set(precompiled "")
  if(header AND NOT expected STREQUAL "success")
    set(precompiled -include "${PRECOMPILED}/${compiler_name}/${header}")
  endif()
  execute_process(
    COMMAND "${compiler}" -std=c++20 -fsyntax-only ${FLAGS} ${precompiled} "${SOURCE}"
    RESULT_VARIABLE code
    OUTPUT_VARIABLE output
    ERROR_VARIABLE output)
  if(expected STREQUAL "success")
    if(NOT code EQUAL 0)
      message(FATAL_ERROR "${compiler}: it should compile, and does not:\n${output}")
    endif()
    continue()
  endif()
  if(code EQUAL 0)
    message(FATAL_ERROR "${compiler}: it compiles, and should say: ${expected}")
  endif()
  if(shown)
    require_text("${expected}" "${output}" "${compiler}: what is printed" "${output}")
    continue()
  endif()
  # GCC names types in the lines before an error, Clang in the notes behind it.
  string(FIND "${output}" " error: " at)
  string(SUBSTRING "${output}" ${at} -1 from_first)
  string(REGEX MATCH "^ error: [^\n]*" first_error "${from_first}")
  require_text("${expected}" "${first_error}" "${compiler}: the first error" "${output}")
  string(LENGTH " error: " length)
  string(SUBSTRING "${from_first}" ${length} -1 behind)
  string(FIND "${behind}" " error: " second)
  math(EXPR end "${at} + ${length} + ${second}")
  if(second EQUAL -1)
    set(end -1)
  endif()
  string(SUBSTRING "${output}" 0 ${end} printed)
  require_text("${named}" "${printed}" "${compiler}: what is printed for the first error" "${output}")
endforeach()
