"""The one error of this package."""


class LaunchError(Exception):
    """A launch file or a launch argument is wrong; the message says what and where."""
