"""The ROS shell: the only place of this package that imports rclpy and messages."""
