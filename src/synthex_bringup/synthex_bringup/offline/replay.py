"""Perception and navigation on every image of a bag, and the two files that come of it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from synthex_sim.version import code_version
from synthex_sim.whole_files import write_whole

from ..recording.bag_reader import BagError, SessionBag
from ..recording.topics import IMAGE
from ..report.frames import SessionFrames, read_frames
from .answer import Answerer
from .columns import table_text
from .plan import plan_for, recorded_patient
from .recorded_images import OFFLINE_TOPICS, RecordedImage, recorded_images
from .result import FrameResult, frame_result
from .settings import Settings
from .summary import Circumstances, Summary, summarise

TABLE = "frames.csv"
SUMMARY = "summary.json"


@dataclass(frozen=True)
class Source:
    """What a replay is made from.

    Attributes:
        bag: run folder, bag folder or file.
        weights: of the session's network.
        plan: ``phantom:SEED``, ``none``, or empty for that of whom the recording shows.
        device_file: of the manipulator.
        parameters: file of the nodes' parameters.
    """

    bag: Path
    weights: Path
    plan: str
    device_file: Path
    parameters: Path


def replay(source: Source, progress: Callable[[int, int], None] = lambda done, count: None) -> tuple[Summary, str]:
    """Answer every recorded image again, in the order of their stamps.

    Args:
        source: what to replay.
        progress: called with the images answered so far, first with 0, and the number of all.

    Returns:
        The figures, and the text of the table.

    Raises:
        BagError, OSError, ValueError: what is given cannot be used; the message says why.
    """
    with SessionBag(source.bag, OFFLINE_TOPICS) as bag:
        if not sum(connection.msgcount for connection in bag.find(IMAGE)):
            raise BagError(f"{bag.path} holds no {IMAGE}: there is nothing to look at")
        plan = plan_for(source.plan, recorded_patient(source.bag))
        answerer = Answerer(source.weights, plan, source.device_file, Settings.from_file(source.parameters))
        read = read_frames(bag)
        results: list[FrameResult] = []
        progress(0, len(read.frames))
        for recorded in recorded_images(bag, read):
            results.append(_result(recorded, answerer, read))
            progress(len(results), len(read.frames))
        circumstances = _circumstances(source, bag.path, plan, answerer, read)
    return summarise(results, circumstances), table_text(results)


def write_results(folder: Path, summary: Summary, table: str) -> None:
    """Write both files into an empty folder.

    Raises:
        OSError: one of them could not be written; neither is left.
    """
    files = {folder / TABLE: table, folder / SUMMARY: summary.to_json()}
    try:
        for path, text in files.items():
            write_whole(path, text)
    except BaseException:  # Ctrl-C leaves no half of them either
        for path in files:
            with suppress(OSError):
                path.unlink()
        raise


def _result(recorded: RecordedImage, answerer: Answerer, read: SessionFrames) -> FrameResult:
    if recorded.intrinsics is None:
        return FrameResult(recorded.frame, unusable=recorded.unusable)
    answer = answerer.answer(recorded.image, recorded.intrinsics)
    return frame_result(recorded, answer, answerer.plan_mm, read)


def _circumstances(
    source: Source, bag: Path, plan: str, answerer: Answerer, read: SessionFrames
) -> Circumstances:
    digest = hashlib.sha256(source.weights.read_bytes()).hexdigest()
    return Circumstances(
        bag=os.sep.join(bag.resolve().parts[-2:]),
        weights=f"{source.weights.name} sha256:{digest[:16]}",  # as perception_node names its weights
        live_weights=read.weights,
        plan=plan,
        manipulator=answerer.manipulator,
        settings=answerer.settings,
        code_version=code_version(),
    )
