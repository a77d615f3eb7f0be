"""Perception and navigation once more on a recorded bag: without ROS, clock or chance."""
