# What `cmake --install` puts where: command, library, headers, CMake package, pkg-config file, manual, docs and examples.
include(CMakePackageConfigHelpers)

# thaw_external belongs to our own build: its include paths and definitions concern nobody else. An installed static library
# names thaw::external instead, which thawConfig.cmake makes on the machine where the library is used. A shared one has its
# dependencies inside.
get_target_property(thaw_type thaw TYPE)
set(thaw_private "")
set(THAW_IS_STATIC OFF)
if(thaw_type STREQUAL "STATIC_LIBRARY")
  set(THAW_IS_STATIC ON)
  set(thaw_private "$<INSTALL_INTERFACE:$<LINK_ONLY:thaw::external>>")
endif()
set_property(TARGET thaw PROPERTY INTERFACE_LINK_LIBRARIES MPI::MPI_C "$<BUILD_INTERFACE:$<LINK_ONLY:thaw_external>>"
             ${thaw_private})

install(TARGETS thaw EXPORT thaw_targets
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
        RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(DIRECTORY include/thaw DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
if(TARGET thaw_command AND NOT THAW_IS_STATIC AND NOT IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
  set_target_properties(thaw_command PROPERTIES INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}")
endif()

# ---- CMake package: find_package(thaw) gives thaw::thaw ------------------------------------------------------------
set(thaw_package ${CMAKE_INSTALL_LIBDIR}/cmake/thaw)
configure_package_config_file(tools/cmake/thawConfig.cmake.in ${CMAKE_CURRENT_BINARY_DIR}/thawConfig.cmake
                              INSTALL_DESTINATION ${thaw_package})
# Until 1.0.0 a minor version may change a public header.
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/thawConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(EXPORT thaw_targets FILE thawTargets.cmake NAMESPACE thaw:: DESTINATION ${thaw_package})
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/thawConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/thawConfigVersion.cmake
        DESTINATION ${thaw_package})

# ---- pkg-config -------------------------------------------------------------------------------------------------------
# The prefix is found from where thaw.pc lies, so that `cmake --install --prefix` may differ from what was configured.
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
  set(THAW_PC_PREFIX ${CMAKE_INSTALL_PREFIX})
  set(THAW_PC_LIBDIR ${CMAKE_INSTALL_LIBDIR})
else()
  file(RELATIVE_PATH up /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
  string(REGEX REPLACE "/$" "" up "${up}")
  set(THAW_PC_PREFIX "\${pcfiledir}/${up}")
  set(THAW_PC_LIBDIR "\${prefix}/${CMAKE_INSTALL_LIBDIR}")
endif()
# What was found, not Requires.private: with --static that would ask for what static forms of these need too (of libzip bzip2 and OpenSSL),
# which nothing here links and a machine need not have.
set(found "")
foreach(name YAML CJSON XXHASH JPEG PNG ZIP UTF8PROC)
  list(APPEND found ${${name}_LINK_LIBRARIES})
endforeach()
list(APPEND found ${ZLIB_LIBRARIES})
list(JOIN found " " THAW_PC_FOUND)
list(JOIN HDF5_C_LIBRARIES " " THAW_PC_HDF5)
list(JOIN DNNL_LINK " " THAW_PC_DNNL)
list(JOIN MPI_C_LIBRARIES " " THAW_PC_MPI)
configure_file(tools/cmake/thaw.pc.in ${CMAKE_CURRENT_BINARY_DIR}/thaw.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/thaw.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

# ---- Manual, docs, examples -------------------------------------------------------------------------------------------
install(FILES docs/thaw.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES README.md ARCHITECTURE.md CONTRIBUTING.md CHANGELOG.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/docs PATTERN "thaw.1" EXCLUDE)
install(DIRECTORY configs slurm DESTINATION ${CMAKE_INSTALL_DOCDIR})

# docs/config.md says what the field tables say; tests/docs/test_docs.sh fails when it does not.
if(TARGET thaw_command)
  add_custom_target(docs COMMAND thaw_command help config > ${CMAKE_CURRENT_SOURCE_DIR}/docs/config.md
                    COMMENT "Writing docs/config.md" VERBATIM)
endif()
