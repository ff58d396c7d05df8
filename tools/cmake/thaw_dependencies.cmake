# Finds the libraries that Thaw is built on; everything hangs on the interface target thaw_external.
set(MPI_SKIP_GUESSING FALSE)
find_package(MPI REQUIRED COMPONENTS C)
find_package(Threads REQUIRED)
option(THAW_OPENMP "Several threads per rank, when the compiler has OpenMP" ON)
if(THAW_OPENMP)
  find_package(OpenMP COMPONENTS C)
endif()
if(NOT OpenMP_C_FOUND)
  message(STATUS "OpenMP: not used; a rank runs one thread")
  set(OpenMP_C_FLAGS "")
endif()
find_package(PkgConfig REQUIRED)
find_package(ZLIB REQUIRED)
# The serial HDF5 even where a parallel one is installed too: each file has one writer (docs/adr).
set(HDF5_PREFER_PARALLEL OFF)
find_package(HDF5 REQUIRED COMPONENTS C)
pkg_check_modules(YAML REQUIRED IMPORTED_TARGET yaml-0.1)
pkg_check_modules(CJSON REQUIRED IMPORTED_TARGET libcjson)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)
find_path(RANDOM123_INCLUDE_DIR Random123/philox.h REQUIRED)
find_path(CBLAS_INCLUDE_DIR cblas.h PATH_SUFFIXES openblas openblas-pthread x86_64-linux-gnu/openblas-pthread REQUIRED
          HINTS /usr/include/${CMAKE_LIBRARY_ARCHITECTURE}/openblas-pthread /usr/include/${CMAKE_LIBRARY_ARCHITECTURE})

add_library(thaw_external INTERFACE)
target_include_directories(thaw_external SYSTEM INTERFACE ${HDF5_C_INCLUDE_DIRS} ${RANDOM123_INCLUDE_DIR} ${CBLAS_INCLUDE_DIR})
target_link_libraries(thaw_external INTERFACE MPI::MPI_C Threads::Threads ZLIB::ZLIB ${HDF5_C_LIBRARIES}
                      PkgConfig::YAML PkgConfig::CJSON PkgConfig::XXHASH m ${CMAKE_DL_LIBS})
if(OpenMP_C_FOUND)
  target_link_libraries(thaw_external INTERFACE OpenMP::OpenMP_C)
endif()
target_compile_definitions(thaw_external INTERFACE _POSIX_C_SOURCE=200809L _DEFAULT_SOURCE)
include(thaw_onednn)

execute_process(COMMAND git rev-parse --short HEAD WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR}
                OUTPUT_VARIABLE THAW_COMMIT OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT THAW_COMMIT)
  set(THAW_COMMIT unknown)
endif()
