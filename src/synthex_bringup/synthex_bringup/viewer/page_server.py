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

    Raises:
        OSError: the port is taken.
    """

    def __init__(self, port: int, source_port: int, data_port: int) -> None:
        handler = partial(_Handler, source=f"http://{LOOPBACK}:{source_port}", policy=content_policy(data_port))
        self._server = ThreadingHTTPServer((LOOPBACK, port), handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, name="viewer page", daemon=True).start()

    def close(self) -> None:
        """Stops answering."""
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, *arguments: object, source: str, policy: str) -> None:
        self._source, self._policy = source, policy
        super().__init__(*arguments)

    def do_GET(self) -> None:  # noqa: N802 - the name that http.server asks for
        """Passes one file on."""
        try:
            with urllib.request.urlopen(self._source + self.path, timeout=_TIMEOUT_S) as answer:
                body, kind, status = answer.read(), answer.headers.get("Content-Type", ""), answer.status
        except urllib.error.HTTPError as error:
            self.send_error(error.code)
            return
        except OSError:
            self.send_error(502, "rerun's server does not answer")
            return
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", self._policy)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing of each request."""
