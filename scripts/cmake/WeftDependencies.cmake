# SPDX-License-Identifier: MIT
# The libraries that Weft is built with; README.md has the reason for each, scripts/install_deps.sh installs
# them.
find_package(Threads REQUIRED)
find_package(cppzmq REQUIRED)
find_package(fmt REQUIRED)
# weft_fmt: the headers of fmt without its library, which common/base/format_library.cpp compiles into weft_base. That
# file is written for these versions; with any other, fmt is header-only.
add_library(weft_fmt INTERFACE)
if(fmt_VERSION VERSION_GREATER_EQUAL 9 AND fmt_VERSION VERSION_LESS 11)
  target_include_directories(weft_fmt SYSTEM INTERFACE $<TARGET_PROPERTY:fmt::fmt,INTERFACE_INCLUDE_DIRECTORIES>)
else()
  target_link_libraries(weft_fmt INTERFACE fmt::fmt-header-only)
endif()
find_package(spdlog REQUIRED)
find_package(CLI11 REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(SQLite3 REQUIRED)
if(WEFT_BUILD_TESTS)
  find_package(doctest REQUIRED)
endif()

find_package(PkgConfig REQUIRED)
pkg_check_modules(sodium REQUIRED IMPORTED_TARGET libsodium)

# Debian's CMake package "msgpack" is the C library, and the one for C++ requires Boost: so look for the
# package by its upstream name, and otherwise for the header.
find_package(msgpack-cxx QUIET CONFIG)
if(NOT TARGET msgpack-cxx)
  find_path(MSGPACK_CXX_INCLUDE_DIR msgpack.hpp REQUIRED)
  add_library(msgpack-cxx INTERFACE IMPORTED)
  target_include_directories(msgpack-cxx INTERFACE "${MSGPACK_CXX_INCLUDE_DIR}")
endif()
