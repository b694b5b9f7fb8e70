# SPDX-License-Identifier: MIT
# cmake --install: programs, libclient.a, headers, find_package(weft), pkg-config weft, scripts. The installed
# tree is relocatable.
include(CMakePackageConfigHelpers)

set(WEFT_CMAKE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/weft)

foreach(program weft weft-broker weft-worker weft-runner)
  if(TARGET ${program})
    install(TARGETS ${program} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  endif()
endforeach()
install(TARGETS weft_client weft_task_library EXPORT weftTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/client/include/weft ${PROJECT_SOURCE_DIR}/common/include/weft
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.hpp" PATTERN "*.h")

install(EXPORT weftTargets NAMESPACE weft:: DESTINATION ${WEFT_CMAKE_DIR})
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/weft-config.cmake.in
  ${PROJECT_BINARY_DIR}/weft-config.cmake INSTALL_DESTINATION ${WEFT_CMAKE_DIR})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/weft-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/weft-config.cmake ${PROJECT_BINARY_DIR}/weft-config-version.cmake
  DESTINATION ${WEFT_CMAKE_DIR})

# The way from the library directory to the prefix: ".." for lib, "../.." for lib/x86_64-linux-gnu.
string(REGEX REPLACE "[^/]+" ".." WEFT_PC_UP "${CMAKE_INSTALL_LIBDIR}")
configure_file(${CMAKE_CURRENT_LIST_DIR}/weft.pc.in ${PROJECT_BINARY_DIR}/weft.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/weft.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

# In the directory of the programs, where cluster.sh looks for them first.
install(PROGRAMS ${PROJECT_SOURCE_DIR}/scripts/cluster.sh ${PROJECT_SOURCE_DIR}/scripts/check_port.sh
  DESTINATION ${CMAKE_INSTALL_BINDIR})
