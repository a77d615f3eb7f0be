"""What moves the C-arm: the service carm/set_view and the action carm/sweep."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.action.server import ServerGoalHandle
from rclpy.clock import Clock
from sensor_msgs.msg import JointState

from synthex_msgs.action import Sweep
from synthex_msgs.srv import SetView
from synthex_sim.carm.carm import CArmJoints
from synthex_sim.nodes import carm_messages
from synthex_sim.nodes.arm_motion import ArmMotion
from synthex_sim.nodes.frame_counts import FrameCounts


class MotionCommands:
    """Carries out commands, each in the thread of its callback until the arm has arrived.

    Args:
        arm: what moves.
        standard_view: joints of a view by its name; raises ValueError for a name that it does not know.
        is_active: whether the node is; the arm holds where it is once it is not.
        clock: stamps the joints that are told.
        counts: tell how many frames a sweep has brought.
    """

    def __init__(self, arm: ArmMotion, standard_view: Callable[[str], CArmJoints], is_active: Callable[[], bool],
                 clock: Clock, counts: FrameCounts) -> None:
        self._arm = arm
        self._standard_view = standard_view
        self._is_active = is_active
        self._clock = clock
        self._counts = counts

    def set_view(self, request: SetView.Request, response: SetView.Response) -> SetView.Response:
        """Moves to a view or to joints; answers when the arm is there, or with the reason why not."""
        try:
            if not self._is_active():
                raise ValueError("carm_node is not active")
            with self._arm.command():
                target = self._target(request.view, request.joints, self._arm.joints())
                response.success = self._arm.go(target, go_on=self._is_active)
            if not response.success:
                response.message = "carm_node was deactivated on the way"
        except ValueError as error:
            response.message = str(error)
        if self._is_active():
            response.joints = self._joints_message(self._arm.joints())
        return response

    def sweep(self, goal: ServerGoalHandle) -> Sweep.Result:
        """Moves to the start, then to the end in the time asked for, telling the progress."""
        result, before = Sweep.Result(), self._counts.published

        def go_on() -> bool:
            return self._is_active() and not goal.is_cancel_requested

        def feedback(joints: CArmJoints, progress: float) -> None:
            goal.publish_feedback(Sweep.Feedback(progress=progress, joints=self._joints_message(joints)))

        try:
            with self._arm.command():
                start = carm_messages.joints_from_message(goal.request.start, self._arm.joints())
                end = carm_messages.joints_from_message(goal.request.end, start)
                self._arm.check(start, end, goal.request.duration)
                result.success = self._arm.go(start, go_on=go_on) and self._arm.go(
                    end, goal.request.duration, go_on=go_on, on_the_way=feedback)
        except ValueError as error:
            result.message = str(error)
        if result.success:
            goal.succeed()
        elif goal.is_cancel_requested:
            result.message = "cancelled"
            goal.canceled()
        else:
            result.message = result.message or "carm_node was deactivated on the way"
            goal.abort()
        result.frames_published = self._counts.published - before
        return result

    def _target(self, name: str, joints: JointState, present: CArmJoints) -> CArmJoints:
        if not name:
            return carm_messages.joints_from_message(joints, present)
        if joints.name:
            raise ValueError(f"give a view or joints, not both; got '{name}' and {', '.join(joints.name)}")
        return self._standard_view(name)

    def _joints_message(self, joints: CArmJoints) -> JointState:
        return carm_messages.joints_message(joints, self._clock.now().to_msg())
