"""The peers, one file each: how each one's own interface is given our volume and our camera.

Each class has ``load(volume)``, ``aim(shot)`` and ``render()``, and ``cost()`` where rendering cannot be timed from
outside.
"""
