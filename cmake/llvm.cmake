# Finds LLVM 19 or newer through its llvm-config and sets CVM_LLVM_INCLUDE and CVM_LLVM_LIBRARIES.
# LLVM is linked statically where its archives are installed: the shared library needs about 50 ms
# to load and relocate, more than a whole run of a small network from a warm cache.
find_program(LLVM_CONFIG NAMES llvm-config-19 llvm-config-20 llvm-config-21 llvm-config REQUIRED)

function(llvm_config OUTPUT)
  execute_process(COMMAND ${LLVM_CONFIG} ${ARGN} OUTPUT_VARIABLE TEXT RESULT_VARIABLE FAILED
                  OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  if(FAILED)
    set(TEXT "")
  endif()
  separate_arguments(TEXT UNIX_COMMAND "${TEXT}")
  set(${OUTPUT} "${TEXT}" PARENT_SCOPE)
endfunction()

llvm_config(LLVM_VERSION --version)
if(LLVM_VERSION VERSION_LESS 19)
  message(FATAL_ERROR "cvm needs LLVM 19 or newer; ${LLVM_CONFIG} is ${LLVM_VERSION}")
endif()
llvm_config(CVM_LLVM_INCLUDE --includedir)
set(CVM_LLVM_COMPONENTS orcjit passes x86 aarch64)
llvm_config(ARCHIVES --link-static --libs ${CVM_LLVM_COMPONENTS})
llvm_config(FLAGS --ldflags)
if(ARCHIVES)
  llvm_config(SYSTEM --link-static --system-libs ${CVM_LLVM_COMPONENTS})
  set(CVM_LLVM_LIBRARIES ${FLAGS} ${ARCHIVES} ${SYSTEM})
else()
  llvm_config(SHARED --libs)
  set(CVM_LLVM_LIBRARIES ${FLAGS} ${SHARED})
endif()
message(STATUS "LLVM ${LLVM_VERSION}")
