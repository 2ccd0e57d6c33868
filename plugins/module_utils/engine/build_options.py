# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""How llama.cpp is compiled where its own CMake files would do something else.

CMake includes the text for the project llama.cpp (CMAKE_PROJECT_<PROJECT-NAME>_INCLUDE, cmake-variables(7)) and obeys
it once it has read all of the project. A target that is no longer there is skipped, and CMake before 3.19, which knows
no DEFER, compiles all of them as llama.cpp says.

``compile_quickly``      these targets parse texts and serve HTTP and compute nothing, and -O3 makes up a third to a
                         half of their compilation (docs/decisions/0057)
``compile_without_amx``  GCC drops the stores of a tile configuration that its own _tile_loadconfig reads, so that
                         llama.cpp's AMX kernels end in an illegal instruction (docs/decisions/0070)
"""

from __future__ import annotations

FILE = "our-options.cmake"
TEXT = """\
include(CheckCXXCompilerFlag)
function(compile_quickly)
  set(applies $<AND:$<CONFIG:Release>,$<COMPILE_LANG_AND_ID:CXX,GNU,Clang,AppleClang>>)
  foreach(target IN ITEMS llama-common server-context llama-server-impl llama-cli-impl llama-bench-impl cpp-httplib)
    if(TARGET ${target})
      target_compile_options(${target} PRIVATE $<${applies}:-O1>)
    endif()
  endforeach()
endfunction()
function(compile_without_amx)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND TARGET ggml-cpu)
    check_cxx_compiler_flag(-mno-amx-tile COMPILER_KNOWS_AMX)
    if(COMPILER_KNOWS_AMX)
      target_compile_options(ggml-cpu PRIVATE -mno-amx-tile -mno-amx-int8 -mno-amx-bf16)
    endif()
  endif()
endfunction()
if(NOT CMAKE_VERSION VERSION_LESS 3.19)
  cmake_language(DEFER DIRECTORY "${CMAKE_SOURCE_DIR}" CALL compile_quickly)
  cmake_language(DEFER DIRECTORY "${CMAKE_SOURCE_DIR}" CALL compile_without_amx)
endif()
"""
