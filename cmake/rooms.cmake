# Headers that most sources include, compiled once for a target of many sources: a third of a test's
# time, a fifth of the others'. ccache takes no part in it: whoever has that builds without.
set(PODSIM_COMMON_HEADERS <algorithm> <cmath> <functional> <map> <memory> <optional> <set> <stdexcept>
    <string> <utility> <variant> <vector> <fmt/format.h>)
function(podsim_precompile target)
  get_target_property(sources ${target} SOURCES)
  list(LENGTH sources count)
  if(PODSIM_PRECOMPILE AND count GREATER 8)
    target_precompile_headers(${target} PRIVATE ${PODSIM_COMMON_HEADERS} ${ARGN})
    # g++ 12 takes precompiled system headers for our own and warns of std::string's copies in them;
    # builds with ccache have those warnings on.
    target_compile_options(${target} PRIVATE -Wno-array-bounds -Wno-stringop-overflow
                           -Wno-stringop-overread -Wno-restrict)
  endif()
endfunction()

# podsim_room(NAME [FOLDER folder] [ONLY word...] [EXCLUDE word...] [LINK targets...]): the
# OBJECT library podsim_NAME of the sources in FOLDER/ (NAME/ when not given), of which only or
# not those whose file name begins with one of the words. A room without sources is an INTERFACE.
function(podsim_room name)
  cmake_parse_arguments(ROOM "" "FOLDER" "ONLY;EXCLUDE;LINK" ${ARGN})
  if(NOT ROOM_FOLDER)
    set(ROOM_FOLDER ${name})
  endif()
  set(folder ${CMAKE_SOURCE_DIR}/${ROOM_FOLDER})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${folder}/*.cpp)
  foreach(word ${ROOM_ONLY})
    list(FILTER sources INCLUDE REGEX "^${folder}/${word}[^/]*\\.cpp$")
  endforeach()
  foreach(word ${ROOM_EXCLUDE})
    list(FILTER sources EXCLUDE REGEX "^${folder}/${word}[^/]*\\.cpp$")
  endforeach()
  if(sources)
    add_library(podsim_${name} OBJECT ${sources})
    target_link_libraries(podsim_${name} PUBLIC podsim_options ${ROOM_LINK})
    podsim_precompile(podsim_${name})
  else()
    add_library(podsim_${name} INTERFACE)
    target_link_libraries(podsim_${name} INTERFACE podsim_options ${ROOM_LINK})
  endif()
endfunction()

# Linking an OBJECT library brings its own objects, but not the objects of the OBJECT libraries
# that it depends on: list every room at the program.
function(podsim_link_rooms target)
  foreach(room ${ARGN})
    target_link_libraries(${target} PRIVATE podsim_${room})
  endforeach()
endfunction()
