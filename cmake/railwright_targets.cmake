# What every floor shares: warnings, sanitizers, include paths, installation, embedded files.

function(railwright_options target)
  target_compile_options(${target} PRIVATE
    $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic -Wshadow=local -Wconversion
    -Wno-sign-conversion -Wnon-virtual-dtor>)
  if(RAILWRIGHT_WERROR)
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-Werror>)
  endif()
  if(RAILWRIGHT_SANITIZE)
    target_compile_options(${target} PRIVATE
      $<$<COMPILE_LANGUAGE:CXX>:-fsanitize=${RAILWRIGHT_SANITIZE}
      -fno-sanitize-recover=all -fno-omit-frame-pointer>)
    # GCC's analysis loses its way in instrumented code (std::regex; GCC bug 105616).
    target_compile_options(${target} PRIVATE
      $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-maybe-uninitialized>)
    target_link_options(${target} PRIVATE -fsanitize=${RAILWRIGHT_SANITIZE})
  endif()
endfunction()

# railwright_floor(topology SOURCES a.cpp ... LINKS targets... PRIVATE_LINKS targets...)
# Makes the library railwright_topology with the alias railwright::topology, installed and exported.
function(railwright_floor name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINKS;PRIVATE_LINKS" ${ARGN})
  add_library(railwright_${name} STATIC ${arg_SOURCES})
  add_library(railwright::${name} ALIAS railwright_${name})
  set_target_properties(railwright_${name} PROPERTIES EXPORT_NAME ${name})
  target_include_directories(railwright_${name} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>
    $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/generated>
    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/railwright>)
  target_compile_features(railwright_${name} PUBLIC cxx_std_20)
  target_link_libraries(railwright_${name} PUBLIC ${arg_LINKS} PRIVATE ${arg_PRIVATE_LINKS})
  railwright_options(railwright_${name})
  install(TARGETS railwright_${name} EXPORT railwrightTargets
          ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR}/
          DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/railwright/${name} FILES_MATCHING PATTERN "*.hpp")
endfunction()

# railwright_embed(target function files...) compiles files into the target, to be asked for by
#   std::span<const railwright::EmbeddedFile> function();    // topology/embedded.hpp
# in namespace railwright, in the order given; a file's name is its path inside the project.
function(railwright_embed target function)
  set(assembly ".section .rodata\n")
  set(declarations "")
  set(entries "")
  set(index 0)
  foreach(file ${ARGN})
    get_filename_component(path ${file} ABSOLUTE)
    file(RELATIVE_PATH name ${PROJECT_SOURCE_DIR} ${path})
    set(symbol ${function}_${index})
    string(APPEND assembly ".global ${symbol}\n.global ${symbol}_end\n${symbol}:\n"
                           ".incbin \"${path}\"\n${symbol}_end:\n.byte 0\n")
    string(APPEND declarations "extern \"C\" const char ${symbol}[], ${symbol}_end[];\n")
    string(APPEND entries "      {\"${name}\", {${symbol}, ${symbol}_end}},\n")
    list(APPEND paths ${path})
    math(EXPR index "${index} + 1")
  endforeach()
  string(APPEND assembly ".section .note.GNU-stack,\"\",@progbits\n")
  set(base ${CMAKE_CURRENT_BINARY_DIR}/${function})
  file(CONFIGURE OUTPUT ${base}.S CONTENT "${assembly}" @ONLY)
  file(CONFIGURE OUTPUT ${base}.cpp @ONLY CONTENT "#include \"topology/embedded.hpp\"
${declarations}
namespace railwright {
std::span<const EmbeddedFile> ${function}() {
  static const EmbeddedFile files[] = {
${entries}  };
  return files;
}
}  // namespace railwright
")
  set_source_files_properties(${base}.S PROPERTIES OBJECT_DEPENDS "${paths}")
  target_sources(${target} PRIVATE ${base}.S ${base}.cpp)
endfunction()

# railwright_test(topology SOURCES a_test.cpp ... LINKS targets...): one Catch2 program per floor.
# What starts mpirun is tagged [mpi] and becomes a CTest entry of its own, with the label mpi: with
# MPI_TAGGED beside the others (NAME and NAME_mpi), with MPI_ONLY alone.
function(railwright_test name)
  cmake_parse_arguments(arg "MPI_TAGGED;MPI_ONLY" "" "SOURCES;LINKS" ${ARGN})
  add_executable(${name}_test ${arg_SOURCES})
  target_link_libraries(${name}_test PRIVATE railwright_test_main ${arg_LINKS})
  target_compile_definitions(${name}_test PRIVATE
    RAILWRIGHT_SOURCE_DIR="${PROJECT_SOURCE_DIR}" RAILWRIGHT_BINARY_DIR="${PROJECT_BINARY_DIR}")
  railwright_options(${name}_test)
  # What is tested is optimised; the tests themselves are compiled more often than they run.
  if(RAILWRIGHT_SANITIZE)
    target_compile_options(${name}_test PRIVATE -O0)
  else()
    target_compile_options(${name}_test PRIVATE -O1)
  endif()
  if(NOT arg_MPI_ONLY)
    set(cases "~[mpi]")
    if(RAILWRIGHT_SANITIZE)
      string(APPEND cases "~[.]")  # hidden cases measure memory, which a sanitizer multiplies
    endif()
    add_test(NAME ${name} COMMAND ${name}_test "${cases}")
    set_tests_properties(${name} PROPERTIES TIMEOUT 900)
  endif()
  if(arg_MPI_TAGGED)
    set(name ${name}_mpi)
  endif()
  if(arg_MPI_TAGGED OR arg_MPI_ONLY)
    add_test(NAME ${name} COMMAND $<TARGET_FILE:${ARGV0}_test> "[mpi]")
    set_tests_properties(${name} PROPERTIES LABELS mpi RUN_SERIAL ON TIMEOUT 600)
  endif()
endfunction()

# Makes `find_package(railwright)` work after `cmake --install`.
function(railwright_install_package)
  include(CMakePackageConfigHelpers)
  set(destination ${CMAKE_INSTALL_LIBDIR}/cmake/railwright)
  install(EXPORT railwrightTargets NAMESPACE railwright:: DESTINATION ${destination})
  install(FILES ${PROJECT_BINARY_DIR}/generated/topology/version.hpp
          DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/railwright/topology)
  set(RAILWRIGHT_HAS_WORKER OFF)
  if(TARGET railwright_worker)
    set(RAILWRIGHT_HAS_WORKER ON)
  endif()
  configure_package_config_file(cmake/railwrightConfig.cmake.in
    ${PROJECT_BINARY_DIR}/railwrightConfig.cmake INSTALL_DESTINATION ${destination})
  write_basic_package_version_file(${PROJECT_BINARY_DIR}/railwrightConfigVersion.cmake
    COMPATIBILITY SameMinorVersion)
  install(FILES ${PROJECT_BINARY_DIR}/railwrightConfig.cmake
                ${PROJECT_BINARY_DIR}/railwrightConfigVersion.cmake DESTINATION ${destination})
endfunction()
