"""Moves the C-arm to an inlet view and prints where the manipulator's tip is seen. Needs a session that runs.

Research and simulation only, not a medical device.
"""

from synthex_bringup.nodes.session_client import Session

with Session() as session:
    session.set_view("inlet")
    shot = session.acquire()
    print(f"navigation is {shot.state} {shot.reason}".rstrip())
    if shot.tip_mm is not None:
        print("tip in the C-arm's frame, mm:", shot.tip_mm.round(1).tolist(), "at pixel", shot.tip_px.round(1).tolist())
