"""One worker thread with one place to wait: a request that is still waiting gives way to a newer one."""

from __future__ import annotations

import threading
from collections.abc import Callable


class NewestWins:
    """Runs jobs one at a time in a thread of its own.

    Args:
        name: of the thread.
        on_error: called in that thread with an exception that a job raised; the worker goes on.
    """

    def __init__(self, name: str, on_error: Callable[[Exception], None]) -> None:
        self._on_error = on_error
        self._condition = threading.Condition()
        self._waiting: tuple[Callable[[], None], Callable[[], None]] | None = None
        self._busy = False
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def offer(self, job: Callable[[], None], dropped: Callable[[], None] = lambda: None) -> None:
        """Hands over a job; one that still waited is dropped.

        Args:
            job: what to do.
            dropped: called instead of it, in whatever thread, if it gives way or the worker is closed.
        """
        with self._condition:
            before, self._waiting = self._waiting, (job, dropped)
            closed = self._closed
            self._condition.notify()
        if before is not None:
            before[1]()
        if closed:
            dropped()

    def offer_if_idle(self, job: Callable[[], None]) -> bool:
        """Hands over a job unless one runs or waits, which then stays; whether it was taken."""
        with self._condition:
            if self._busy or self._waiting is not None or self._closed:
                return False
            self._waiting = (job, lambda: None)
            self._condition.notify()
            return True

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs or waits."""
        with self._condition:
            return not self._busy and self._waiting is None

    def close(self) -> None:
        """Lets the job under way finish, drops what waits, ends the thread."""
        with self._condition:
            self._closed = True
            before, self._waiting = self._waiting, None
            self._condition.notify()
        if before is not None:
            before[1]()
        self._thread.join(timeout=3.0)

    def _run(self) -> None:
        while True:
            with self._condition:
                while self._waiting is None and not self._closed:
                    self._condition.wait()
                if self._closed:
                    return
                (job, _), self._waiting = self._waiting, None
                self._busy = True
            try:
                job()
            except Exception as error:  # noqa: BLE001 - a bad frame must not end the session; it is reported
                self._on_error(error)
            finally:
                with self._condition:
                    self._busy = False
