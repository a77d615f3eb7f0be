"""recorder_node: records a session into a bag and ends it with a report.

It takes every topic of the session as bytes, so it knows no message. Its exit code is the session's: 0 when the frames
or the time asked for were recorded (or somebody pressed Ctrl-C), 1 with one line on stderr when not.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.serialization import deserialize_message
from rclpy.signals import SignalHandlerOptions
from std_msgs.msg import String

from cm_kinematics.nodes.parameters import Parameter, declare
from cm_kinematics.nodes.spin import CONFIGURATION_ERRORS, leave, shut_down
from synthex_msgs.msg import Exposure
from synthex_sim.version import code_version

from .. import DISCLAIMER
from ..recording.bag_reader import BagError
from ..recording.bag_writer import BagSummary, BagWriter
from ..recording.details import RecordingDetails, utc_now, without_identity
from ..recording.files import RECORDING, REPORT, RunFolder, RunFolderError, default_run_folder, link_latest
from ..recording.gate import Received, SessionGate
from ..recording.message_types import types_for
from ..recording.monitor import SessionMonitor, who_publishes
from ..recording.terminal import BEGINS, Terminal, progress_line
from ..recording.topics import ANSWERS, CM, EXPOSURE, IMAGE, RUN_FOLDER
from .ros_details import ros_details
from .topic_intake import ALL, TopicIntake

NAME = "recorder_node"
TICK_S = 0.2
#: Publishers that come later than the session are looked for so often; it costs a millisecond for each topic.
RENEWAL_S = 1.0
#: After the last answer is there, what belongs to it (the overlay) is still on its way.
LINGER_S = 0.4
#: From Ctrl-C to the last file: a launcher kills what is still there after five seconds.
HURRY_S = 2.5

PARAMETERS = (
    Parameter("run_dir", str, "", "folder of the run, new or empty; empty: runs/<UTC time>-session", read_only=True),
    Parameter("frames", int, 0, "stop after so many frames; 0: never", range=(0, 10**9), read_only=True),
    Parameter("duration_s", float, 0.0, "stop so long after the first recorded frame; 0: never", unit="s",
              range=(0, 1e6), read_only=True),
    Parameter("startup_timeout_s", float, 300.0, "give up if a node has not spoken by then; 0: wait for ever", unit="s",
              range=(0, 1e6), read_only=True),
    Parameter("silence_timeout_s", float, 60.0, "give up if no image comes for so long; 0: wait for ever", unit="s",
              range=(0, 1e6), read_only=True),
    Parameter("answer_timeout_s", float, 3.0, "how long perception's last answers are awaited", unit="s",
              range=(0, 600), read_only=True),
    Parameter("topics", list[str], [ALL], "what to record, relative to the namespace; all: the session's topics",
              read_only=True),
    Parameter("wait_for", list[str], [IMAGE, "cm/measured_js", CM],
              "the recording begins when all of these have spoken; those not recorded are left out", read_only=True),
    Parameter("report", bool, True, "write session.json and report.html at the end", read_only=True),
    Parameter("stay", bool, False, "go on after the report until Ctrl-C, so that the session stays to be looked at",
              read_only=True),
    Parameter("patient", str, "", "what is imaged, for session.json", read_only=True),
    Parameter("seed", int, -1, "seed of the session, for session.json; -1: the one in the exposures", read_only=True),
    Parameter("queue_mb", float, 64.0, "messages that may wait for the disk; more are lost and counted", unit="MB",
              range=(1, 4096), read_only=True),
    Parameter("reserve_mb", float, 8.0, "disk space set aside for closing the bag when the disk is full", unit="MB",
              range=(0, 4096), read_only=True),
)


@dataclass(frozen=True)
class Ending:
    """Why a recording ends: ``reason`` for session.json, ``error`` for people where it is one."""

    reason: str
    error: str = ""


class RecorderNode(Node):
    """Subscribes, hands on to the bag's thread, watches the session, knows when it is over."""

    def __init__(self, **node_options: Any) -> None:
        """Check parameters and run folder, open the bag, subscribe.

        Raises:
            RunFolderError: the run folder cannot be used.
            ParameterError, OSError, LookupError: a parameter, the disk or a message type is not as it must be.
        """
        super().__init__(NAME, **node_options)
        self._started_s = time.monotonic()
        self.terminal = Terminal(NAME)
        self._values: Mapping[str, Any] = declare(self, PARAMETERS)
        self._intake = TopicIntake(self, self._values["topics"], self._receive)
        self.run = RunFolder(Path(self._values["run_dir"]) if self._values["run_dir"] else default_run_folder())
        self.details = RecordingDetails(
            created_utc=utc_now(),
            patient=without_identity(self._values["patient"]),
            seed=self._values["seed"] if self._values["seed"] >= 0 else None,
            code_version=code_version(),
            ros=ros_details(),
        )
        self._writer = self._open_bag()
        self._gate = SessionGate(name for name in self._values["wait_for"] if name in self._intake)
        self._monitor = SessionMonitor(name for name in ANSWERS if name in self._intake)
        self._announced: set[str] = set()
        self._began_s: float | None = None
        self._last_stop_s: float | None = None
        self._complete_s: float | None = None
        self._ending: Ending | None = None
        self._next_renewal_s = 0.0
        self._intake.renew()
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._run_folder = self.create_publisher(String, RUN_FOLDER, latched)
        self.terminal.say(f"recording to {self.run.path}; {DISCLAIMER[0].lower()}{DISCLAIMER[1:]}")
        self.create_timer(TICK_S, self._tick)
        # The report's libraries load while the session starts, so that its end is quick.
        threading.Thread(target=import_module, args=("synthex_bringup.report.write",), daemon=True).start()

    def _open_bag(self) -> BagWriter:
        """The bag and ``recording.json`` beside it; nothing of either is left where that fails."""
        try:
            types = types_for(self._intake.types)
            self.details.write(self.run.path)
            return BagWriter(
                self.run.bag,
                types=types,
                queue_bytes=round(self._values["queue_mb"] * 2**20),
                reserve_bytes=round(self._values["reserve_mb"] * 2**20),
            )
        except OSError as error:
            self._clear()
            raise RunFolderError(f"cannot record to {self.run.path}: {error.strerror or error}") from error
        except BaseException:
            self._clear()
            raise

    def _clear(self) -> None:
        """Leave no folder without a session in it."""
        for path in (*self.run.bag.glob("*"), self.run.path / RECORDING):
            path.unlink(missing_ok=True)
        if self.run.bag.exists():
            self.run.bag.rmdir()
        self.run.discard()

    def _receive(self, message: Received) -> None:
        for one in self._gate.offer(message):
            self._record(one)

    def _record(self, message: Received) -> None:
        self._writer.put(message.recorded_topic, message.type, message.received_ns, message.data, message.qos)
        self._monitor.received(message.topic, message.received_ns, message.stamp_ns)
        if message.topic == EXPOSURE:
            exposure = deserialize_message(message.data, Exposure)
            self._monitor.exposure(exposure.frame_counter, exposure.frames_skipped)
        if message.topic == IMAGE and self._values["frames"] and self._monitor.frames >= self._values["frames"]:
            self._stop(Ending("frames"))

    # -- the course of the session --------------------------------------------------------------------------------
    @property
    def finished(self) -> bool:
        """Nothing more is to come: the end has a reason and the last answers are there or too late."""
        if self._ending is None:
            return False
        if self._ending.error:
            return True
        now_s = time.monotonic()
        if self._monitor.outstanding:
            self._complete_s = None
        elif self._complete_s is None:
            self._complete_s = now_s
        assert self._last_stop_s is not None
        too_late = now_s - self._last_stop_s > self._values["answer_timeout_s"]
        return too_late or (self._complete_s is not None and now_s - self._complete_s > LINGER_S)

    def _stop(self, ending: Ending) -> None:
        if self._ending is None:
            self._ending, self._last_stop_s = ending, time.monotonic()
            self._gate.close()

    def _tick(self) -> None:
        """A few times a second: publishers, progress, reasons to end."""
        now_s = time.monotonic()
        if not self._gate.open or now_s >= self._next_renewal_s:
            self._next_renewal_s = now_s + RENEWAL_S
            self._intake.renew()
        if self._writer.failure:
            self._stop(Ending(self._writer.failure, f"writing the bag failed: {self._writer.failure}"))
        elif not self._gate.open:
            self._wait(now_s)
        else:
            self._watch(now_s)

    def _wait(self, now_s: float) -> None:
        """While nodes are starting."""
        self._announce(now_s)
        silent = self._gate.silent
        limit_s = self._values["startup_timeout_s"]
        if limit_s and now_s - self._started_s > limit_s:
            told = "; ".join(self._what_is_missing(name) for name in silent)
            self._stop(Ending("startup timeout", f"the session did not start within {limit_s:g} s: {told}"))
            return
        self.terminal.show(f"waiting for {', '.join(who_publishes(name) for name in silent)}")

    def _announce(self, now_s: float) -> None:
        """Say which of the nodes waited for have begun to speak."""
        for name in self._values["wait_for"]:
            if name in self._intake and name not in self._gate.silent and name not in self._announced:
                self._announced.add(name)
                self.terminal.say(f"{who_publishes(name)} is there after {now_s - self._started_s:.0f} s")

    def _what_is_missing(self, name: str) -> str:
        running = self._intake.is_published(name)
        return f"{who_publishes(name)} " + ("runs but published nothing" if running else "never appeared")

    def _watch(self, now_s: float) -> None:
        """While the session runs."""
        if self._began_s is None:
            self._began_s = now_s
            self._announce(now_s)
            self._run_folder.publish(String(data=str(self.run.path.absolute())))
            self.terminal.say(f"{BEGINS} after {now_s - self._started_s:.0f} s of starting")
        frames, duration_s = self._values["frames"], self._values["duration_s"]
        now_ns = time.time_ns()
        progress = self._monitor.progress(now_ns)
        self.terminal.show(progress_line(progress, frames, self._writer.lost))
        if duration_s and now_s - self._began_s >= duration_s:
            self._stop(Ending("duration"))
        limit_s = self._values["silence_timeout_s"]
        last_s = max(self._began_s, now_s - (now_ns - (self._monitor.last_image_ns or 0)) * 1e-9)
        if limit_s and IMAGE in self._intake and now_s - last_s > limit_s:
            self._stop(
                Ending(
                    "no more images", f"{who_publishes(IMAGE)} sent no image for {limit_s:g} s; is it still running?"
                )
            )

    # -- the end --------------------------------------------------------------------------------------------------
    def stay(self) -> None:
        """Keep the session alive until somebody ends it, if that was asked for."""
        if not self._values["stay"]:
            return
        self._intake.close()
        self.terminal.say("the session goes on, no longer recorded; Ctrl-C ends it")
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with suppress(KeyboardInterrupt):
            signal.pause()

    def finish(self, *, interrupted: bool) -> int:
        """Close the bag, write the report, say how it went.

        Args:
            interrupted: by Ctrl-C or the launcher; then it has ``HURRY_S`` seconds.

        Returns:
            The exit code of the process.
        """
        deadline_s = time.monotonic() + HURRY_S if interrupted else None
        ending = self._ending or Ending("interrupted")
        self.terminal.end()
        self._run_folder.publish(String(data=""))
        summary = self._writer.close()
        if summary.failure and not ending.error:
            ending = Ending(summary.failure, f"writing the bag failed: {summary.failure}")
        if not self._monitor.frames:
            return self._nothing_recorded(ending)
        error = ending.error
        if summary.failure:
            kept, lost = sum(summary.messages.values()), sum(summary.lost.values())
            if summary.readable:
                error += f"; {kept} messages are in {self.run.bag}, {lost} are lost"
            else:
                error += f"; {self.run.bag} cannot be read"
        if error:
            self.terminal.error(error)
        reported = self._report(ending, summary, deadline_s) if summary.readable else False
        return 0 if reported and not error else 1

    def _nothing_recorded(self, ending: Ending) -> int:
        """Take the empty run away; the exit code."""
        self._clear()
        if ending.error:
            self.terminal.error(f"{ending.error}; nothing was recorded")
            return 1
        if ending.reason == "interrupted":
            self.terminal.say("interrupted before the first frame: nothing was recorded")
            return 0
        self.terminal.error("no image arrived: nothing was recorded")
        return 1

    def _report(self, ending: Ending, summary: BagSummary, deadline_s: float | None) -> bool:
        """Write what the run folder holds besides the bag; False if that failed."""
        from ..report.frames import OutOfTimeError
        from ..report.summary import summary_table
        from ..report.write import write_report

        try:
            replace(
                self.details,
                ended=ending.reason,
                wall_s=round(time.monotonic() - self._started_s, 3),
                lost=summary.lost,
            ).write(self.run.path)
            if self._values["report"]:
                session = write_report(self.run.path, deadline_s=deadline_s)
                self.terminal.console.print(summary_table(session))
            link_latest(self.run.path)
        except OutOfTimeError:
            self.terminal.say(f"stopped in a hurry: session_report {self.run.path} makes the report")
            link_latest(self.run.path)
            return True
        except (BagError, OSError, ValueError) as error:
            self.terminal.error(f"the report could not be written: {error}; the bag is {self.run.bag}")
            return False
        self.terminal.say(f"bag:    {self.run.bag}")
        if self._values["report"]:
            self.terminal.say(f"report: {self.run.path / REPORT}")
        return True


class Interruption:
    """Whether Ctrl-C or the launcher has asked for the end.

    rclpy's own handlers take the context away at once, also between asking for it and publishing: what is being
    recorded would end with an error. A launched session gets SIGINT twice (terminal and launcher), then SIGTERM: the
    report is to be finished, so asking again changes nothing.
    """

    def __init__(self) -> None:
        self.asked = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._ask)

    def _ask(self, *_: object) -> None:
        self.asked = True


def main(args: Sequence[str] | None = None) -> int:
    """Record until the session is over. Returns the exit code where nothing could begin; else the process ends here."""
    interruption = Interruption()
    try:
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
        node = RecorderNode()
    except (*CONFIGURATION_ERRORS, RunFolderError, LookupError) as error:
        Terminal(NAME).error(str(error))
        shut_down()
        return 1
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    while not (node.finished or interruption.asked):
        executor.spin_once(timeout_sec=TICK_S)
    code = node.finish(interrupted=interruption.asked)
    if code == 0 and not interruption.asked:
        node.stay()
    node.destroy_node()
    shut_down()
    del node, executor
    leave(code)


if __name__ == "__main__":
    sys.exit(main())
