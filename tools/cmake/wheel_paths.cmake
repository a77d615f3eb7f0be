# The ROS wheels were built under /opt/python and say so in 15 imported targets (headers of Python and numpy), where
# CMake then stops at generate time. This replaces those paths by the running Python's, and does nothing where ROS 2
# comes from a distribution. Passed to synthex_msgs by colcon.meta as CMAKE_PROJECT_INCLUDE.
include_guard(GLOBAL)

function(_relocate_imported_python_paths)
  get_property(_targets DIRECTORY "${CMAKE_SOURCE_DIR}" PROPERTY IMPORTED_TARGETS)
  foreach(_target IN LISTS _targets)
    get_target_property(_dirs ${_target} INTERFACE_INCLUDE_DIRECTORIES)
    if(_dirs MATCHES "/opt/python/")
      list(FILTER _dirs EXCLUDE REGEX "^/opt/python/")
      list(APPEND _dirs ${Python3_INCLUDE_DIRS} ${Python3_NumPy_INCLUDE_DIRS})
      set_target_properties(${_target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${_dirs}")
    endif()
  endforeach()
endfunction()

cmake_language(DEFER DIRECTORY "${CMAKE_SOURCE_DIR}" CALL _relocate_imported_python_paths)
