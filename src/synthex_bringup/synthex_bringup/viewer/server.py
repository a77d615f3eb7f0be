"""ViewerServer: rerun's web viewer and its data server in a process of their own, reachable from this machine only.

The SDK can serve by itself, but only on all interfaces (rerun issue 5882); its command line can be told an address. The
page reaches the browser through ``PageServer``.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from .page_server import LOOPBACK, PageServer

_START_S = 20.0
_STOP_S = 2.0
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


class ViewerError(Exception):
    """The viewer cannot be shown; the message says why and what to do."""


def free_port(wanted: int) -> int:
    """``wanted`` if nobody listens there on this machine, else a free one; 0 asks for any."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return probe.getsockname()[1]
    raise ViewerError("no port is free on this machine")


def settings_folder() -> Path:
    """For rerun's own settings: in this project's cache folder, which ``make`` names, else below the user's."""
    caches = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(os.environ.get("SYNTHEX_CACHE_DIR") or os.path.join(caches, "synthex-ros")) / "rerun"


@dataclass(frozen=True)
class Address:
    """Where a browser finds the viewer.

    Attributes:
        web_port: of the page.
        data_port: from which the page takes the data.
        recording: name of a recording that is shown instead.
    """

    web_port: int
    data_port: int
    recording: str = ""

    @property
    def data_url(self) -> str:
        """What the SDK sends to and the page takes from."""
        return f"rerun+http://{LOOPBACK}:{self.data_port}/proxy"

    @property
    def page_url(self) -> str:
        """What a person opens."""
        page = f"http://{LOOPBACK}:{self.web_port}/"
        return f"{page}?url={quote(page + self.recording if self.recording else self.data_url, safe='')}"

    def tunnel(self, user: str, host: str) -> str:
        """The line that brings both ports to another machine, where the same address is opened then."""
        ports = " ".join(f"-L {port}:{LOOPBACK}:{port}" for port in (self.web_port, self.data_port))
        return f"ssh -N {ports} {user}@{host}"


class ViewerServer:
    """The running server.

    Args:
        web_port, data_port: wanted ports; others are taken where somebody listens there already.
        memory_mb: what is kept for a browser that opens late; the oldest is dropped first.
        home: folder for rerun's own settings, which otherwise lie in the user's home.
        show: a recording to show; None for what is sent to the data port.

    Raises:
        ViewerError: rerun is not installed, or the server does not start.
    """

    def __init__(self, web_port: int, data_port: int, memory_mb: int, home: Path, show: Path | None = None) -> None:
        self.address = Address(free_port(web_port), free_port(data_port), "" if show is None else show.name)
        source_port = free_port(0)
        program, environment = _program(), _environment(home)
        # Off before anything is shown: rerun sends usage statistics unless told not to.
        _run([program, "analytics", "disable"], environment)
        command = [
            program, "--serve-web", "--bind", LOOPBACK, "--port", str(self.address.data_port),
            "--web-viewer-port", str(source_port), "--server-memory-limit", f"{memory_mb}MB",
        ]
        self._page: PageServer | None = None
        # In a session of its own, so that Ctrl-C reaches it only after what is in flight has been written.
        self._process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                         stderr=subprocess.STDOUT, start_new_session=True,
                                         preexec_fn=_end_with_parent)
        try:
            self._await_ports(source_port, self.address.data_port)
            self._page = PageServer(self.address.web_port, source_port, self.address.data_port, show)
        except OSError as error:
            self.close()
            raise ViewerError(f"the viewer's page cannot be served on port {self.address.web_port}: {error}") from error
        except BaseException:
            self.close()
            raise

    def _await_ports(self, *ports: int) -> None:
        end = time.monotonic() + _START_S
        for port in ports:
            while not _listens(port):
                if self._process.poll() is not None:
                    said = self._process.stdout.read().decode(errors="replace").strip().splitlines()
                    raise ViewerError(f"rerun's server ended with exit code {self._process.returncode}: "
                                      f"{said[-1] if said else 'it said nothing'}")
                if time.monotonic() > end:
                    raise ViewerError(f"rerun's server does not answer on port {port} after {_START_S:g} s")
                time.sleep(0.05)
        # Read no more: what it says later (browsers that come and go) would fill the pipe.
        self._process.stdout.close()

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process.poll() is None

    def close(self) -> None:
        """Ends page and process."""
        if self._page is not None:
            self._page.close()
            self._page = None
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


def _end_with_parent() -> None:
    """Called in the child: a node that is killed outright leaves no server behind (Linux)."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def _program() -> str:
    try:
        import rerun_cli
    except ImportError:
        raise ViewerError("rerun is not installed: pip install -r requirements/runtime.txt, or viewer:=false") from None
    return str(Path(rerun_cli.__file__).parent / "rerun")


def _environment(home: Path) -> dict[str, str]:
    home.mkdir(parents=True, exist_ok=True)
    return os.environ | {"XDG_CONFIG_HOME": str(home), "XDG_DATA_HOME": str(home), "NO_COLOR": "1"}


def _run(command: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=_START_S)
    if done.returncode != 0:
        raise ViewerError(f"'{' '.join(command[1:])}' of rerun failed: {done.stderr.decode(errors='replace').strip()}")


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((LOOPBACK, port)) == 0
