# SPDX-License-Identifier: MIT
# weft_discover_tests(target LABELS label... [TIMEOUT seconds])
#
# One ctest for each test case of a doctest program, like doctest_discover_tests(), but a test name may
# contain any character. (doctest's own script splits a name at ';'; the filter that it then passes matches no
# test case, and the ctest passes.)
if(NOT CMAKE_SCRIPT_MODE_FILE)
  set(WEFT_DISCOVER_TESTS_SCRIPT "${CMAKE_CURRENT_LIST_FILE}")

  function(weft_discover_tests target)
    cmake_parse_arguments(arg "" "TIMEOUT" "LABELS" ${ARGN})
    if(NOT arg_TIMEOUT)
      set(arg_TIMEOUT 120)
    endif()
    string(REPLACE ";" "_" name "${target}_${arg_LABELS}")
    set(list_file "${CMAKE_CURRENT_BINARY_DIR}/${name}.cmake")
    add_custom_command(TARGET ${target} POST_BUILD
      BYPRODUCTS "${list_file}"
      COMMAND "${CMAKE_COMMAND}" -D "PROGRAM=$<TARGET_FILE:${target}>" -D "LIST_FILE=${list_file}"
        -D "LABELS=${arg_LABELS}" -D "TIMEOUT=${arg_TIMEOUT}" -P "${WEFT_DISCOVER_TESTS_SCRIPT}"
      VERBATIM)
    file(WRITE "${CMAKE_CURRENT_BINARY_DIR}/${name}_include.cmake"
      "if(EXISTS \"${list_file}\")\n  include(\"${list_file}\")\n"
      "else()\n  add_test(${name}_is_not_built ${name}_is_not_built)\n"
      "  set_tests_properties(${name}_is_not_built PROPERTIES LABELS \"${arg_LABELS}\")\nendif()\n")
    set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES "${CMAKE_CURRENT_BINARY_DIR}/${name}_include.cmake")
  endfunction()
  return()
endif()

cmake_minimum_required(VERSION 3.22)

execute_process(
  COMMAND "${PROGRAM}" --list-test-cases
  OUTPUT_VARIABLE output RESULT_VARIABLE result)
if(NOT result EQUAL 0)
  message(FATAL_ERROR "${PROGRAM} cannot list its test cases: ${result}\n${output}")
endif()

# '?' matches any character in doctest's filters: it replaces the characters that doctest or CMake would
# interpret.
string(REGEX REPLACE "[][;,*\\]" "?" output "${output}")
string(REPLACE "\n" ";" lines "${output}")
set(script "")
set(names "")
foreach(line IN LISTS lines)
  if(line STREQUAL "" OR line MATCHES "^=+$" OR line MATCHES "^.doctest. ")
    continue()
  endif()
  if(line IN_LIST names)
    message(FATAL_ERROR "two test cases are called '${line}'")
  endif()
  list(APPEND names "${line}")
  string(APPEND script
    "add_test([==[${line}]==] [==[${PROGRAM}]==] [==[--test-case=${line}]==])\n"
    "set_tests_properties([==[${line}]==] PROPERTIES LABELS [==[${LABELS}]==] TIMEOUT ${TIMEOUT}\n"
    "  FAIL_REGULAR_EXPRESSION [==[test cases: +0 ]==])\n")
endforeach()
file(WRITE "${LIST_FILE}" "${script}")
