"""Makes ``session.json``, ``report.html`` and a picture of a run folder from its bag."""

from __future__ import annotations

import os
import time
from pathlib import Path

import cv2

from synthex_sim.whole_files import write_whole

from ..recording.bag_reader import SessionBag
from ..recording.details import RecordingDetails
from ..recording.files import BAG, REPORT, SESSION, VIEW
from .analysis import summarise
from .frames import READ_TOPICS, OutOfTimeError, read_frames
from .page import page
from .pictures import choose_frames, draw_frames, sheet
from .session import Session


def write_report(run: Path, *, bag: Path | None = None, deadline_s: float | None = None) -> Session:
    """Write ``session.json``, then ``report.html``, into a run folder; older ones are replaced.

    Args:
        run: folder of the run.
        bag: its bag; default ``run/bag``.
        deadline_s: ``time.monotonic`` at which to give up; files written until then are whole and stay.

    Returns:
        The figures.

    Raises:
        BagError: the bag cannot be read.
        OutOfTimeError: the deadline passed.
        ValueError: ``recording.json`` is damaged.
        OSError: a file could not be written; nothing half-written is left.
    """
    details = RecordingDetails.read(run)
    path = bag or run / BAG
    with SessionBag(path, READ_TOPICS) as opened:
        read = read_frames(opened, deadline_s)
        session = summarise(read, details, os.path.relpath(opened.path, run))
        write_whole(run / SESSION, session.to_json())
        pictures = draw_frames(opened, read, choose_frames(read))
    if deadline_s is not None and time.monotonic() > deadline_s:
        raise OutOfTimeError("drawing the report takes longer")
    write_whole(run / REPORT, page(session, read, pictures, VIEW if (run / VIEW).is_file() else None))
    return session


def write_picture(run: Path, file: Path, frames: int = 4) -> None:
    """Write a PNG of some frames of a run: radiographs, ground truth, and what perception says.

    Args:
        run: folder of the run.
        file: to write; an older one is replaced.
        frames: how many, evenly spread.

    Raises:
        BagError: the bag cannot be read.
        ValueError: frames of it have no ground truth or no answer.
        OSError: the file could not be written.
    """
    with SessionBag(run / BAG, READ_TOPICS) as opened:
        read = read_frames(opened)
        # the first and the last of an even spread are the motion's ends
        pictures = draw_frames(opened, read, choose_frames(read, frames + 2)[1:-1])
    ok, encoded = cv2.imencode(".png", sheet(pictures)[:, :, ::-1])
    if not ok:
        raise RuntimeError("OpenCV could not encode a picture as PNG")
    write_whole(file, encoded.tobytes())
