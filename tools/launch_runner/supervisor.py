"""Starts the processes of a launch, labels their output, and ends them all together."""

import os
import selectors
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from .console import Console
from .descendants import adopt_orphans, catches, descendants, end_with_parent
from .description import Description, Process
from .parameters import ParameterFile, write_parameters

_STREAMS_ON_SCREEN = {"screen": ("stdout", "stderr"), "both": ("stdout", "stderr"), "full": ("stdout", "stderr"),
                      "log": ("stderr",), "own_log": ()}
_OWN_LOG = ("own_log", "full")


@dataclass
class _Running:
    """A started process and the lines it has not finished yet."""

    process: Process
    label: str
    number: int
    popen: subprocess.Popen
    own_log: IO[str] | None
    pending: dict[str, bytes] = field(default_factory=lambda: {"stdout": b"", "stderr": b""})
    signalled: bool = False
    last_error: str = ""  # the last line on stderr: it mostly says what was wrong


class Supervisor:
    """Runs one launch to its end. `run` gives its exit status."""

    def __init__(self, description: Description, console: Console, folder: Path) -> None:
        self._description = description
        self._console = console
        self._folder = folder
        self._selector = selectors.DefaultSelector()
        self._running: list[_Running] = []
        self._failures: list[str] = []
        self._interrupt: int | None = None
        self._escalation: list[tuple[float, int]] = []  # (when, signal), empty until everything is to end
        self._parameter_files: list[Path] = []
        self._ending = False

    def run(self) -> int:
        """Starts everything and waits for the end.

        Returns:
            0 when all ended well; 1 when a process died with an error; 128 + signal when interrupted.
        """
        try:
            return self._run()
        finally:
            # They hold what was given to the nodes, a patient's path among it, and nobody needs them any more: a node
            # reads its file as it starts, which may be seconds after its process has been started.
            for path in self._parameter_files:
                path.unlink(missing_ok=True)

    def _run(self) -> int:
        adopt_orphans()
        wakeup_read, wakeup_write = os.pipe()
        os.set_blocking(wakeup_read, False)
        os.set_blocking(wakeup_write, False)
        signal.set_wakeup_fd(wakeup_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_interrupt)
        self._selector.register(wakeup_read, selectors.EVENT_READ, None)
        for message in self._description.messages:
            self._console.say(message)
        for number, process in enumerate(self._description.processes, 1):
            if not self._ending:
                self._start(process, number)
        while self._running:
            self._wait()
        self._kill_leftovers()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # one more Ctrl-C while Python itself ends changes nothing
        for failure in self._failures:
            self._console.say(failure, level="ERROR")
        if self._interrupt is not None:
            return 128 + self._interrupt
        return 1 if self._failures else 0

    def _on_interrupt(self, number: int, _frame: object) -> None:
        if self._interrupt is None and not self._ending:
            self._interrupt = number

    def _start(self, process: Process, number: int) -> None:
        label = f"{process.name}-{number}"
        command = list(process.command)
        for index, source in enumerate(process.parameters):
            if isinstance(source, ParameterFile):
                path = source.path
            else:
                path = self._folder / f"{label}-{index}.yaml"
                self._parameter_files.append(path)  # first, so that one half written goes too
                write_parameters(path, process.node, source)
            command += ["--params-file", str(path)]
        try:
            popen = subprocess.Popen(
                command, env=dict(process.environment), cwd=process.cwd, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                # A session of its own: the terminal's Ctrl-C reaches the launch alone, which passes it on once, and
                # one signal to the group reaches the children of the process too.
                start_new_session=True, preexec_fn=end_with_parent)
        except OSError as error:
            self._fail(f"{label} could not be started: {error.strerror} ({command[0]})")
            self._end_everything(f"{label} could not be started")
            return
        own_log = (self._folder / f"{label}.log").open("w", encoding="utf-8") if process.output in _OWN_LOG else None
        running = _Running(process, label, number, popen, own_log)
        self._running.append(running)
        for name, stream in (("stdout", popen.stdout), ("stderr", popen.stderr)):
            os.set_blocking(stream.fileno(), False)
            self._selector.register(stream, selectors.EVENT_READ, (running, name))
        self._console.say(f"process started with pid [{popen.pid}]", source=label)

    def _wait(self) -> None:
        timeout = max(0.0, self._escalation[0][0] - time.monotonic()) if self._escalation else None
        for key, _ in self._selector.select(timeout):
            if key.data is None:
                os.read(key.fd, 4096)
            else:
                self._read(*key.data)
        if self._interrupt is not None and not self._ending:
            self._end_everything(f"user interrupted with {signal.Signals(self._interrupt).name}", level="WARNING")
        while self._escalation and time.monotonic() >= self._escalation[0][0]:
            self._escalate(self._escalation.pop(0)[1])
        for running in list(self._running):
            if running.popen.poll() is not None:
                self._ended(running)

    def _read(self, running: _Running, name: str) -> None:
        stream = getattr(running.popen, name)
        try:
            data = os.read(stream.fileno(), 65536)
        except BlockingIOError:
            return
        if not data:
            self._selector.unregister(stream)
            stream.close()
            return
        *lines, running.pending[name] = (running.pending[name] + data).split(b"\n")
        for line in lines:
            self._print(running, name, line)

    def _print(self, running: _Running, name: str, line: bytes) -> None:
        text = line.decode(errors="replace").rstrip("\r")
        if running.own_log is not None:
            print(text, file=running.own_log, flush=True)
        if name == "stderr" and text.strip():
            running.last_error = text.strip()
        screen = name in _STREAMS_ON_SCREEN[running.process.output]
        self._console.line(running.label, running.number, text, screen=screen)

    def _ended(self, running: _Running) -> None:
        self._running.remove(running)
        for name in ("stdout", "stderr"):
            self._drain(running, name)
        if running.own_log is not None:
            running.own_log.close()
        code, pid = running.popen.returncode, running.popen.pid
        # Ended by the signal we sent, which is what was asked for, unless it had an error of its own to tell.
        asked = running.signalled and code in (-signal.SIGINT, -signal.SIGTERM, -signal.SIGKILL, 130, 143)
        if code == 0 or asked:
            how = "process has finished cleanly" if code == 0 else f"process has ended on {_signal_name(code)}"
            self._console.say(f"{how} [pid {pid}]", source=running.label)
        else:
            command = " ".join(running.process.command)
            self._console.say(f"process has died [pid {pid}, exit code {code}, cmd '{command}'].",
                              source=running.label, level="ERROR")
            reason = f": {running.last_error}" if running.last_error else ""
            self._fail(f"{running.label} died with exit code {code}{reason}")
        if running.process.ends_launch and not self._ending:
            self._end_everything(f"{running.label} has ended")

    def _drain(self, running: _Running, name: str) -> None:
        stream = getattr(running.popen, name)
        while not stream.closed:
            before = running.pending[name]
            try:
                data = os.read(stream.fileno(), 65536)
            except BlockingIOError:
                data = b""  # a child of the process still holds the pipe open
            if not data:
                self._selector.unregister(stream)
                stream.close()
                break
            *lines, running.pending[name] = (before + data).split(b"\n")
            for line in lines:
                self._print(running, name, line)
        if running.pending[name]:
            self._print(running, name, running.pending[name])
            running.pending[name] = b""

    def _fail(self, text: str) -> None:
        self._failures.append(text)

    def _end_everything(self, reason: str, level: str = "INFO") -> None:
        self._ending = True
        self._console.say(f"{reason}: ending {len(self._running)} processes" if self._running else reason, level=level)
        self._signal(signal.SIGINT)
        sigterm = time.monotonic() + self._description.sigterm_timeout_s
        self._escalation = [(sigterm, signal.SIGTERM),
                            (sigterm + self._description.sigkill_timeout_s, signal.SIGKILL)]

    def _escalate(self, number: int) -> None:
        for running in self._running:
            self._console.say(f"still running, sending {signal.Signals(number).name}", source=running.label,
                              level="WARNING")
        self._signal(number)

    def _signal(self, number: int) -> None:
        for running in self._running:
            running.signalled = True
            # rclpy.init makes a node catch SIGTERM. One that does not yet is still importing and has nothing to put
            # away; SIGINT would have it print at length where the import stood, and bury the reason for the end.
            early = running.process.is_node and not catches(running.popen.pid, signal.SIGTERM)
            try:
                os.killpg(running.popen.pid, signal.SIGTERM if early and number == signal.SIGINT else number)
            except ProcessLookupError:
                pass  # it ended in this moment; _wait will notice

    def _kill_leftovers(self) -> None:
        """Ends what the processes started and left behind, also where it left their process group."""
        leftovers = descendants(os.getpid())
        if leftovers:
            self._console.say(f"ending {len(leftovers)} processes left behind", level="WARNING")
        deadline = time.monotonic() + 0.5
        while leftovers and time.monotonic() < deadline:
            for pid in leftovers:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            time.sleep(0.02)
            leftovers = descendants(os.getpid())


def _signal_name(code: int) -> str:
    return signal.Signals(-code if code < 0 else code - 128).name


def launch(description: Description, folder: Path) -> int:
    """Runs `description`, with logs (and parameter files while it runs) in `folder`; gives the exit status."""
    folder.mkdir(parents=True, exist_ok=True)
    console = Console(folder / "launch.log", sys.stdout)
    try:
        return Supervisor(description, console, folder).run()
    finally:
        console.close()
