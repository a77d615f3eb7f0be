"""Session bags: what is recorded, how it is written, read and repaired. Nothing here knows a running ROS."""
