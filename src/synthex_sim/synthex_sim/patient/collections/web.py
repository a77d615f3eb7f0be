"""Requests to archives: https all the way, and errors that say what to do."""

from __future__ import annotations

from http.client import HTTPResponse
from typing import Any
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from synthex_sim.patient.collections.collection import checked_url
from synthex_sim.version import RELEASE

_TIMEOUT_S = 60.0


class _SafeRedirects(HTTPRedirectHandler):
    """Follows an archive to where it keeps its files, but never out of https."""

    def redirect_request(self, req: Request, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Request | None:
        checked_url(newurl, f"{req.full_url} leads elsewhere")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


_OPENER = build_opener(_SafeRedirects)


def open_url(url: str, headers: dict[str, str] | None = None) -> HTTPResponse:
    """Asks for an address; the answer is to be closed.

    Raises:
        ValueError: the address, or one that it leads to, is not of https.
        HTTPError: the server refuses (an OSError with ``code``).
        OSError: it cannot be reached.
    """
    request = Request(checked_url(url, "download"), headers={
        "User-Agent": f"synthex-ros/{RELEASE}", "Accept-Encoding": "identity", **(headers or {}),
    })
    return _OPENER.open(request, timeout=_TIMEOUT_S)


def refusal(error: HTTPError, url: str) -> str:
    """What a server's refusal means, for people."""
    hint = {401: "it wants an account", 403: "it wants an account, or refuses this network", 404: "it has moved",
            410: "it was taken away", 429: "too many downloads; try later"}.get(error.code, "try later")
    return f"{url} answers {error.code} {error.reason}: {hint}"
