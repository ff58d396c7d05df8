# Finds oneDNN (version 2 or 3, for the backend "onednn") by header and library, because its own CMake package also wants what
# its other engines need. Adds to thaw_external; without it the backend is left out, and the reason is said.
option(THAW_ONEDNN "Build the backend on oneDNN when the library is found" ON)
set(THAW_ONEDNN_SAYS "switched off (THAW_ONEDNN)")

function(thaw_read_number file name out)
  file(STRINGS ${file} line REGEX "^#define[ \t]+${name}[ \t]+[0-9]+")
  string(REGEX REPLACE "^#define[ \t]+${name}[ \t]+([0-9]+).*" "\\1" number "${line}")
  set(${out} "${number}" PARENT_SCOPE)
endfunction()

# A library built on OpenMP is told its number of threads through OpenMP, so we must link to the same runtime.
function(thaw_find_omp out)
  include(CheckCSourceCompiles)
  set(CMAKE_REQUIRED_INCLUDES ${DNNL_INCLUDE_DIR})
  # The compiler knows where its own copy is.
  execute_process(COMMAND ${CMAKE_C_COMPILER} -print-file-name=libgomp.so OUTPUT_VARIABLE gomp
                  OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  foreach(candidate IN ITEMS none "${gomp}" gomp omp iomp5)
    string(MAKE_C_IDENTIFIER "THAW_OMP_${candidate}" result)
    set(CMAKE_REQUIRED_LIBRARIES ${DNNL_LIBRARY})
    if(NOT candidate STREQUAL "none")
      list(APPEND CMAKE_REQUIRED_LIBRARIES ${candidate})
    endif()
    set(CMAKE_REQUIRED_QUIET ON)
    check_c_source_compiles("
#include <dnnl.h>
#if DNNL_CPU_RUNTIME == DNNL_RUNTIME_OMP
extern void omp_set_num_threads(int);
#else
#define omp_set_num_threads(n) (void)(n)
#endif
int main(void) { omp_set_num_threads(1); return dnnl_version()->major; }" ${result})
    if(${result})
      list(REMOVE_AT CMAKE_REQUIRED_LIBRARIES 0)
      set(${out} "${DNNL_LIBRARY};${CMAKE_REQUIRED_LIBRARIES}" PARENT_SCOPE)
      return()
    endif()
  endforeach()
  set(${out} "" PARENT_SCOPE)
endfunction()

set(THAW_WITH_ONEDNN OFF)
if(THAW_ONEDNN)
  find_path(DNNL_INCLUDE_DIR oneapi/dnnl/dnnl_version.h)
  find_library(DNNL_LIBRARY dnnl)
  if(NOT DNNL_INCLUDE_DIR OR NOT DNNL_LIBRARY)
    set(THAW_ONEDNN_SAYS "not found (Debian: libdnnl-dev)")
  else()
    set(version_header ${DNNL_INCLUDE_DIR}/oneapi/dnnl/dnnl_version.h)
    thaw_read_number(${version_header} DNNL_VERSION_MAJOR DNNL_MAJOR)
    thaw_read_number(${version_header} DNNL_VERSION_MINOR DNNL_MINOR)
    if(NOT DNNL_MAJOR OR DNNL_MAJOR LESS 2)
      set(THAW_ONEDNN_SAYS "version ${DNNL_MAJOR}.${DNNL_MINOR} is too old; 2 or newer is needed")
    else()
      thaw_find_omp(DNNL_LINK)
      if(DNNL_LINK)
        set(THAW_WITH_ONEDNN ON)
        set(THAW_ONEDNN_SAYS "version ${DNNL_MAJOR}.${DNNL_MINOR}, ${DNNL_LIBRARY}")
      else()
        set(THAW_ONEDNN_SAYS "${DNNL_LIBRARY} cannot be linked, or its OpenMP runtime is not found")
      endif()
    endif()
  endif()
endif()
message(STATUS "oneDNN: ${THAW_ONEDNN_SAYS}")
if(THAW_WITH_ONEDNN)
  target_include_directories(thaw_external SYSTEM INTERFACE ${DNNL_INCLUDE_DIR})
  target_link_libraries(thaw_external INTERFACE ${DNNL_LINK})
  target_compile_definitions(thaw_external INTERFACE THAW_WITH_ONEDNN=1)
else()
  set(DNNL_LINK "")
  message(STATUS "oneDNN: building without the backend \"onednn\"")
endif()
