# SPDX-License-Identifier: MIT
# What Weft is built with; README.md says why each is there, scripts/install_deps.sh installs them.
find_package(Threads REQUIRED)
find_package(cppzmq REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(CLI11 REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(SQLite3 REQUIRED)
if(WEFT_BUILD_TESTS)
  find_package(doctest REQUIRED)
endif()

find_package(PkgConfig REQUIRED)
pkg_check_modules(sodium REQUIRED IMPORTED_TARGET libsodium)

# Debian's "msgpack" CMake package is the C library, and its C++ one asks for Boost: so look for the
# upstream name first and for the header else.
find_package(msgpack-cxx QUIET CONFIG)
if(NOT TARGET msgpack-cxx)
  find_path(MSGPACK_CXX_INCLUDE_DIR msgpack.hpp REQUIRED)
  add_library(msgpack-cxx INTERFACE IMPORTED)
  target_include_directories(msgpack-cxx INTERFACE "${MSGPACK_CXX_INCLUDE_DIR}")
endif()
