# cmake -DROOT=... -DROOMS=a,b -DCOMPILER=... -DOUT=... -P model_code.cmake: writes the C++ file OUT
# with model_code_hash() of chips/model_code.hpp, over the compiler and every source of the rooms.
string(REPLACE "," ";" rooms "${ROOMS}")
set(all "${COMPILER}\n")
foreach(room ${rooms})
  file(GLOB_RECURSE sources RELATIVE ${ROOT} ${ROOT}/${room}/*.cpp ${ROOT}/${room}/*.hpp)
  list(SORT sources)
  foreach(source ${sources})
    file(SHA256 ${ROOT}/${source} hash)
    string(APPEND all "${source} ${hash}\n")
  endforeach()
endforeach()
string(SHA256 hash "${all}")
file(WRITE ${OUT} "#include \"chips/model_code.hpp\"\n\n\
const char* podsim::model_code_hash() {\n    return \"${hash}\";\n}\n")
