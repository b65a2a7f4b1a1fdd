# What `cmake --install` puts where: the command with its standard library and manual page, and libcvm
# with its header, a CMake package and a pkg-config file.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

install(TARGETS cvmc RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(DIRECTORY stdlib DESTINATION ${CMAKE_INSTALL_DATADIR}/cvm)
install(DIRECTORY models examples DESTINATION ${CMAKE_INSTALL_DATADIR}/cvm)
install(FILES docs/cvmc.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES libcvm/cvm.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(TARGETS cvm cvm_compiler cvm_runtime ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})

# what a program links besides: as flags, which both pkg-config and CMake take
set(CVM_NEEDS ${CVM_LLVM_SHARED} ${CJSON_LDFLAGS} ${PROTOBUF_C_LDFLAGS} -lpng -ljpeg -lz -lpthread -lm)
list(JOIN CVM_NEEDS " " CVM_NEEDS_FLAGS)
configure_file(cmake/cvm.pc.in ${CMAKE_BINARY_DIR}/cvm.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/cvm.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
configure_package_config_file(cmake/cvm-config.cmake.in ${CMAKE_BINARY_DIR}/cvm-config.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/cvm
  PATH_VARS CMAKE_INSTALL_BINDIR CMAKE_INSTALL_INCLUDEDIR CMAKE_INSTALL_LIBDIR)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/cvm-config-version.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/cvm-config.cmake ${CMAKE_BINARY_DIR}/cvm-config-version.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/cvm)
