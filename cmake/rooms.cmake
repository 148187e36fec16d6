# podsim_room(NAME [EXCLUDE regex...] LINK targets...): the OBJECT library podsim_NAME of
# every source in NAME/ whose file name does not begin with one of the excluded words.
function(podsim_room name)
  cmake_parse_arguments(ROOM "" "" "EXCLUDE;LINK" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${name}/*.cpp)
  foreach(word ${ROOM_EXCLUDE})
    list(FILTER sources EXCLUDE REGEX "/${name}/${word}[^/]*\\.cpp$")
  endforeach()
  add_library(podsim_${name} OBJECT ${sources})
  target_link_libraries(podsim_${name} PUBLIC podsim_options ${ROOM_LINK})
endfunction()

# An OBJECT library does not pull in the objects of those it depends on: list them all.
function(podsim_link_rooms target)
  foreach(room ${ARGN})
    target_link_libraries(${target} PRIVATE podsim_${room})
    target_sources(${target} PRIVATE $<TARGET_OBJECTS:podsim_${room}>)
  endforeach()
endfunction()
