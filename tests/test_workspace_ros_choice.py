"""A shell with a ROS 2 sourced: one of the two is used and named, never a mixture."""

import pytest
from workspace_setup.ros_choice import choose_ros, scrub


def sourced(distro, prefix=None):
    prefix = prefix or f"/opt/ros/{distro}"
    return {
        "HOME": "/home/me", "PATH": f"{prefix}/bin:/usr/bin:/home/me/ws/install/foo/bin", "ROS_DISTRO": distro,
        "ROS_VERSION": "2", "AMENT_PREFIX_PATH": f"/home/me/ws/install/foo:{prefix}", "CMAKE_PREFIX_PATH": prefix,
        "COLCON_PREFIX_PATH": "/home/me/ws/install",
        "PYTHONPATH": f"{prefix}/lib/python3.12/site-packages:/home/me/mine",
        "LD_LIBRARY_PATH": f"{prefix}/lib:/usr/local/cuda/lib64", "RMW_IMPLEMENTATION": "rmw_cyclonedds_cpp",
        "_ROS_WHEELS_BOOTSTRAP_COMPLETE": "1",
    }


def choose(environ, asked="", with_rclpy=("/opt/ros/jazzy", "/opt/ros/kilted", "/opt/ros/humble")):
    return choose_ros(environ, asked, lambda prefix: prefix in with_rclpy)


def test_a_plain_shell_gets_the_wheels():
    choice = choose({"PATH": "/usr/bin"})
    assert (choice.kind, choice.distro, choice.foreign) == ("wheels", "jazzy", [])


@pytest.mark.parametrize("distro", ["jazzy", "kilted"])
def test_jazzy_or_newer_is_used_as_it_is_sourced(distro):
    choice = choose(sourced(distro))
    assert (choice.kind, choice.distro) == ("sourced", distro)
    assert distro in choice.reason and f"/opt/ros/{distro}" in choice.reason


def test_an_older_ros_is_left_out_and_named():
    choice = choose(sourced("humble"))
    assert choice.kind == "wheels" and "humble" in choice.reason and "older than Jazzy" in choice.reason


def test_a_ros_1_is_left_out():
    choice = choose({"ROS_DISTRO": "noetic", "CMAKE_PREFIX_PATH": "/opt/ros/noetic", "PYTHONPATH": "/opt/ros/noetic/l"})
    assert choice.kind == "wheels" and "holds no rclpy" in choice.reason


def test_the_user_may_insist():
    assert choose(sourced("jazzy"), "wheels").kind == "wheels"
    assert choose(sourced("jazzy"), "sourced").kind == "sourced"
    with pytest.raises(ValueError, match="no ROS 2 is sourced"):
        choose({}, "sourced")
    with pytest.raises(ValueError, match="older than Jazzy"):
        choose(sourced("humble"), "sourced")
    with pytest.raises(ValueError, match="not 'both'"):
        choose({}, "both")


def test_nothing_of_the_ros_that_is_left_out_remains():
    environ = sourced("humble")
    clean = scrub(environ, choose(environ).foreign)
    assert clean == {"HOME": "/home/me", "PATH": "/usr/bin", "PYTHONPATH": "/home/me/mine",
                     "LD_LIBRARY_PATH": "/usr/local/cuda/lib64"}


def test_a_prefix_is_not_taken_for_one_whose_name_it_begins_with():
    clean = scrub({"PATH": "/opt/ros/jazzy2/bin:/opt/ros/jazzy/bin"}, ["/opt/ros/jazzy"])
    assert clean["PATH"] == "/opt/ros/jazzy2/bin"
