"""Runs declarative YAML launch files where the real `ros2 launch` is not installed.

It reads the subset of the YAML front end of `launch` and `launch_ros` (Jazzy) that this repository uses, with the same
meaning, so that one launch file serves both; an attribute outside the subset is an error, never ignored. What differs
on purpose: an unknown launch argument is an error (the real one ignores it), and the exit status is not 0 when a node
died (the real one returns 0).

    arguments      name:=value, --show-args
    actions        arg, let, set_env, unset_env, include, group, push_ros_namespace, node, executable, log
    substitutions  var, env, find-pkg-share, find-pkg-prefix, find-exec, exec-in-pkg, dirname, filename,
                   if, not, and, or, equals, not-equals, eval
"""
