# Finds LLVM 19 or newer through its llvm-config and sets CVM_LLVM_INCLUDE, CVM_LLVM_ARCHIVES, to link
# with statically, and CVM_LLVM_SHARED, to link with the shared library; each of the two stands for the
# other where only one is installed.
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
llvm_config(FLAGS --ldflags)
llvm_config(ARCHIVES --link-static --libs ${CVM_LLVM_COMPONENTS})
llvm_config(SYSTEM --link-static --system-libs ${CVM_LLVM_COMPONENTS})
llvm_config(SHARED --link-shared --libs)
if(NOT ARCHIVES)
  set(ARCHIVES ${SHARED})
elseif(NOT SHARED)
  set(SHARED ${ARCHIVES} ${SYSTEM})
endif()
set(CVM_LLVM_ARCHIVES ${FLAGS} ${ARCHIVES} ${SYSTEM})
set(CVM_LLVM_SHARED ${FLAGS} ${SHARED})
message(STATUS "LLVM ${LLVM_VERSION}")
