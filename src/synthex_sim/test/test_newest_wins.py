"""The worker with one place to wait: newest in, the rest told."""

import threading
import time

from synthex_sim.nodes.newest_wins import NewestWins


def test_what_waits_gives_way_to_what_is_newer_and_is_told():
    errors, done, dropped = [], [], []
    started, go_on, finished = threading.Event(), threading.Event(), threading.Event()
    worker = NewestWins("test", errors.append)

    def first():
        started.set()
        go_on.wait(5)
        done.append("first")

    worker.offer(first, lambda: dropped.append("first"))
    assert started.wait(5) and not worker.is_idle
    worker.offer(lambda: done.append("second"), lambda: dropped.append("second"))
    worker.offer(lambda: (done.append("third"), finished.set()), lambda: dropped.append("third"))
    assert dropped == ["second"]
    go_on.set()
    assert finished.wait(5)
    worker.close()
    assert (done, dropped, errors) == (["first", "third"], ["second"], [])


def test_closing_drops_what_waits_and_whatever_comes_later():
    dropped = []
    started, go_on = threading.Event(), threading.Event()
    worker = NewestWins("test", lambda error: None)
    worker.offer(lambda: (started.set(), go_on.wait(5)))
    assert started.wait(5)
    worker.offer(lambda: None, lambda: dropped.append("waiting"))
    threading.Timer(0.1, go_on.set).start()
    worker.close()
    worker.offer(lambda: None, lambda: dropped.append("late"))
    assert dropped == ["waiting", "late"]


def test_a_job_that_fails_does_not_end_the_worker():
    errors, finished = [], threading.Event()
    worker = NewestWins("test", errors.append)

    def broken():
        raise RuntimeError("broken")

    worker.offer(broken)
    while not worker.is_idle:
        pass
    worker.offer(finished.set)
    assert finished.wait(5)
    worker.close()
    assert [str(error) for error in errors] == ["broken"]


def test_what_is_offered_if_idle_never_takes_the_place_of_what_runs_or_waits():
    worker = NewestWins("test", lambda error: None)
    done, release = [], threading.Event()
    assert worker.offer_if_idle(lambda: release.wait(5))
    worker.offer(lambda: done.append("asked for"), dropped=lambda: done.append("dropped"))
    assert not worker.offer_if_idle(lambda: done.append("due"))
    release.set()
    deadline = time.monotonic() + 5
    while not worker.is_idle:
        assert time.monotonic() < deadline
    worker.close()
    assert done == ["asked for"] and not worker.offer_if_idle(lambda: None)
