"""ClientRecorder: a recorder_node of one's own beside a running session, begun and ended from Python."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from ..recording.bag_reader import BagError
from ..recording.files import BAG, REPORT
from ..recording.terminal import BEGINS
from ..report.write import write_report

#: From the request to end to the last file.
_END_S = 30.0


class RecorderError(RuntimeError):
    """The recording failed; the message says why."""


class ClientRecorder:
    """A recorder_node process.

    Args:
        namespace: the session's.
        folder: run folder, new or empty.
    """

    def __init__(self, namespace: str, folder: Path) -> None:
        self.folder = folder
        self._begun = threading.Event()
        # Under names of its own: the session may have a recorder, whose folder the viewer follows.
        command = [
            sys.executable, "-m", "synthex_bringup.nodes.recorder_node", "--ros-args", "-r", f"__ns:={namespace}",
            "-r", "__node:=client_recorder", "-r", "recorder/run_folder:=client_recorder/run_folder",
            "-p", f"run_dir:={folder}",
        ]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                         stderr=subprocess.PIPE, text=True, start_new_session=True)
        self._errors: list[str] = []
        self._readers = [threading.Thread(target=self._read, daemon=True),
                         threading.Thread(target=self._read_errors, daemon=True)]
        for reader in self._readers:
            reader.start()

    def wait_until_begun(self, timeout_s: float) -> None:
        """Until everything that is recorded has spoken.

        Raises:
            RecorderError: it ended before, or not in time.
        """
        end = time.monotonic() + timeout_s
        while not self._begun.wait(0.05):
            if self._process.poll() is not None:
                raise RecorderError(self._failure())
            if time.monotonic() > end:
                raise RecorderError(
                    f"the recording has not begun after {timeout_s:g} s: is every node of the session there?")

    def end(self) -> None:
        """Ends the recording and leaves a report.

        Raises:
            RecorderError: it had failed, does not end, or its bag is empty or damaged.
        """
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        try:
            code = self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise RecorderError(
                f"the recorder did not end within {_END_S:g} s; its bag is {self.folder / BAG}") from None
        finally:
            for reader in self._readers:
                reader.join(timeout=2.0)
        if code != 0:
            raise RecorderError(self._failure())
        if not self._begun.is_set() or not (self.folder / BAG).is_dir():
            raise RecorderError(f"nothing was recorded to {self.folder}")
        if not (self.folder / REPORT).exists():  # a long bag takes longer than the recorder has after Ctrl-C
            try:
                write_report(self.folder)
            except (BagError, OSError, ValueError) as error:
                raise RecorderError(f"the report could not be written: {error}") from error

    def _failure(self) -> str:
        for reader in self._readers:
            reader.join(timeout=2.0)
        return self._errors[-1] if self._errors else f"the recorder ended with exit code {self._process.returncode}"

    def _read(self) -> None:
        for line in self._process.stdout:
            if line.startswith(BEGINS):
                self._begun.set()

    def _read_errors(self) -> None:
        self._errors.extend(line.strip() for line in self._process.stderr if line.strip())
