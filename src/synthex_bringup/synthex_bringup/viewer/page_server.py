"""PageServer: hands rerun's page to the browser and forbids it to talk to anybody but this machine.

By itself the page fetches a font, looks for news and sends usage statistics. A Content-Security-Policy, which only the
server of a page can set, makes the browser refuse all of that: nothing of a session leaves the machine.
"""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

LOOPBACK = "127.0.0.1"
_TIMEOUT_S = 20.0


def content_policy(data_port: int) -> str:
    """What the page may do: run itself (WebAssembly), and fetch from itself and the data server."""
    data = " ".join(f"http://{host}:{data_port}" for host in (LOOPBACK, "localhost"))
    return (
        "default-src 'self' blob: data:; script-src 'self' 'unsafe-inline' 'wasm-unsafe-eval' blob:; "
        f"style-src 'self' 'unsafe-inline'; connect-src 'self' blob: data: {data}; form-action 'none'"
    )


class PageServer:
    """A thread that answers GET on ``port`` with what rerun's own server gives on ``source_port``, both on loopback.

    Args:
        recording: a file that is handed out under its name, too. (Told to show a file, rerun's server keeps a core
            busy.)

    Raises:
        OSError: the port is taken.
    """

    def __init__(self, port: int, source_port: int, data_port: int, recording: Path | None = None) -> None:
        handler = partial(_Handler, source=f"http://{LOOPBACK}:{source_port}", policy=content_policy(data_port),
                          recording=recording)
        self._server = ThreadingHTTPServer((LOOPBACK, port), handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, name="viewer page", daemon=True).start()

    def close(self) -> None:
        """Stops answering."""
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, *arguments: object, source: str, policy: str, recording: Path | None) -> None:
        self._source, self._policy, self._recording = source, policy, recording
        super().__init__(*arguments)

    def do_GET(self) -> None:  # noqa: N802 - the name that http.server asks for
        """Passes one file on."""
        try:
            body, kind = self._file()
        except urllib.error.HTTPError as error:
            self.send_error(error.code)
            return
        except OSError as error:
            self.send_error(502, f"cannot be read: {error.strerror or error}")
            return
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", self._policy)
        self.end_headers()
        self.wfile.write(body)

    def _file(self) -> tuple[bytes, str]:
        if self._recording is not None and self.path == f"/{self._recording.name}":
            return self._recording.read_bytes(), "application/octet-stream"
        with urllib.request.urlopen(self._source + self.path, timeout=_TIMEOUT_S) as answer:
            return answer.read(), answer.headers.get("Content-Type", "")

    def log_message(self, *_: object) -> None:
        """Says nothing of each request."""
