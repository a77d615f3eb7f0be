"""The notched continuum manipulator: geometry, joint splines, kinematics, solid model and simulated actuators."""
