"""An archive on this machine: files by HTTP, with ranges; it cuts connections and misbehaves as a test wants it to."""

from __future__ import annotations

import hashlib
import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Archive:
    """What the server holds and saw.

    Attributes:
        files: path -> content.
        cut_after: bytes of a body after which every connection is closed; None for never.
        cuts: connections that are still to be cut; None for all of them.
        kinds: path -> content type, where it is not plain bytes.
        moved: path -> other address.
        ranges: whether it knows parts of files.
        asked: (path, Range header) of every request so far.
        sent: bytes of bodies so far.
    """

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    cut_after: int | None = None
    cuts: int | None = None
    kinds: dict[str, str] = field(default_factory=dict)
    moved: dict[str, str] = field(default_factory=dict)
    ranges: bool = True
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    sent: int = 0


@contextmanager
def serve():
    """Runs an empty archive until the block ends; its files may be changed at any time."""
    archive = Archive()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):  # noqa: N802
            _answer(self, archive)

        def log_message(self, *_args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    archive.url = f"http://127.0.0.1:{server.server_port}/"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield archive
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _answer(request: BaseHTTPRequestHandler, archive: Archive) -> None:
    path = request.path.lstrip("/")
    asked = request.headers.get("Range")
    archive.asked.append((path, asked))
    if path in archive.moved:
        request.send_response(302)
        request.send_header("Location", archive.moved[path])
        request.end_headers()
        return
    if path not in archive.files:
        request.send_error(404)
        return
    content = archive.files[path]
    tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    start = _start(asked) if archive.ranges and request.headers.get("If-Range", tag) == tag else 0
    if start >= len(content):
        request.send_response(416)
        request.send_header("Content-Range", f"bytes */{len(content)}")
        request.end_headers()
        return
    request.send_response(206 if start else 200)
    if start:
        request.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
    request.send_header("Content-Type", archive.kinds.get(path, "application/octet-stream"))
    request.send_header("Content-Length", str(len(content) - start))
    request.send_header("ETag", tag)
    request.end_headers()
    body = content[start:]
    if archive.cut_after is not None and archive.cuts != 0:
        body = body[: archive.cut_after]
        archive.cuts = None if archive.cuts is None else archive.cuts - 1
    archive.sent += len(body)  # before the client can know that it has all
    request.wfile.write(body)


def _start(asked: str | None) -> int:
    found = re.fullmatch(r"bytes=(\d+)-", asked or "")
    return int(found[1]) if found else 0
