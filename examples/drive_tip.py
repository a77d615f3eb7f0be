"""Moves the manipulator's tip along its axis until it is abreast of the planned target, by what navigation sees.

It stops when navigation is lost.

Research and simulation only, not a medical device.
"""

import time
from collections.abc import Callable

import numpy as np

from synthex_bringup.nodes.session_client import Session


def drive(session: Session, target_mm: Callable[[], np.ndarray], tolerance_mm: float = 0.5) -> str:
    """Moves the tip along its own axis until it is abreast of a point in the C-arm's frame; says why it stopped."""
    while True:
        state, reason = session.navigation()
        if state == "lost":
            session.hold()
            return f"stopped: {reason}"
        tip, axis = session.tip()
        error = float(axis @ (target_mm() - tip))
        if abs(error) < tolerance_mm:
            session.hold()
            return "there"
        insertion, roll, tendon = session.manipulator()
        session.servo(insertion + np.clip(error, -0.2, 0.2), roll, tendon)
        time.sleep(0.02)


if __name__ == "__main__":
    with Session() as session:
        session.set_view("ap")  # ends the C-arm's tour
        session.hold()  # ends the scripted motion
        print(drive(session, session.target))
