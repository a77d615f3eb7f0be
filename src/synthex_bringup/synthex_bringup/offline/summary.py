"""The figures of an offline replay: ``summary.json``."""

from __future__ import annotations

import dataclasses
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from synthex_perception.navigation.navigator import NavigationState

from .. import DISCLAIMER
from ..report.accuracy import error_statistics
from ..report.analysis import cm_accuracy, hip_accuracy
from ..report.session import CmAccuracy, ErrorStatistics, HipAccuracy
from .result import FrameResult
from .settings import Settings

FORMAT = "synthex-offline"
VERSION = 1


@dataclass(frozen=True)
class Circumstances:
    """What was replayed, and with what.

    Attributes:
        bag: the last two parts of its path.
        weights: name and digest of the weights.
        live_weights: those of the session, as its label info says; None where it was not recorded.
        plan: whose landmarks navigation knew: ``phantom:SEED``, or ``none``.
        manipulator: name of its geometry.
        settings: thresholds and limits.
        code_version: release and ``git describe`` of this code.
    """

    bag: str
    weights: str
    live_weights: str | None
    plan: str
    manipulator: str
    settings: Settings
    code_version: str


@dataclass(frozen=True)
class SpaceAccuracy:
    """Where navigation puts something in ``carm_source_optical``, against ground truth, millimetres in the room.

    Attributes:
        across_mm: across the beam.
        along_mm: along it.
    """

    across_mm: ErrorStatistics
    along_mm: ErrorStatistics


@dataclass(frozen=True)
class LiveComparison:
    """Against what the session had answered.

    Attributes:
        compared: images that were answered then and now.
        agree: of these, those with the same answer (see ``result.Difference.agrees``).
        states_differ: of these, those with another state.
        rest_mask_px, rest_points_px, rest_tip_mm, rest_pelvis_mm, rest_pelvis_deg: by how much those differ that do
            not agree (see ``result.Difference``).
        hip, cm: accuracy of the live answers to the same images.
    """

    compared: int
    agree: int
    states_differ: int
    rest_mask_px: ErrorStatistics
    rest_points_px: ErrorStatistics
    rest_tip_mm: ErrorStatistics
    rest_pelvis_mm: ErrorStatistics
    rest_pelvis_deg: ErrorStatistics
    hip: HipAccuracy | None
    cm: CmAccuracy | None


@dataclass(frozen=True)
class Summary:
    """One offline replay.

    Attributes:
        circumstances: what and with what.
        images: in the bag.
        answered: of these, those with a camera_info to answer them by.
        states: answered images by navigation's state.
        reasons: by navigation's words for why not tracking, with "#" for every number in them; most frequent first.
        hip, cm: as in ``session.json``: pixels, millimetres at the detector, millimetres at the isocentre.
        tip, pelvis: in space; of the pelvis the mean over the planned landmarks.
        live: None where the bag holds no answers.
        format, version, disclaimer: of this schema.
    """

    circumstances: Circumstances
    images: int
    answered: int
    states: dict[str, int]
    reasons: dict[str, int]
    hip: HipAccuracy | None
    cm: CmAccuracy | None
    tip: SpaceAccuracy
    pelvis: SpaceAccuracy
    live: LiveComparison | None
    format: str = FORMAT
    version: int = VERSION
    disclaimer: str = DISCLAIMER

    def to_json(self) -> str:
        """The text of ``summary.json``: format and version first, numbers to six significant digits."""
        values = dataclasses.asdict(self)
        first = {key: values.pop(key) for key in ("format", "version", "disclaimer")}
        rounded: dict[str, Any] = json.loads(
            json.dumps({**first, **values}, allow_nan=False), parse_float=lambda digits: float(f"{float(digits):.6g}")
        )
        return json.dumps(rounded, indent=2) + "\n"


def summarise(results: Sequence[FrameResult], circumstances: Circumstances) -> Summary:
    """The figures of all images.

    Args:
        results: one for each recorded image.
        circumstances: what they come from.
    """
    answered = [result for result in results if result.frame is not None]
    counted = Counter(result.state for result in answered)
    reasons = Counter(re.sub(r"\d+(\.\d+)?", "#", r.told.reason) for r in answered if r.told and r.told.reason)
    frames = [result.frame for result in answered if result.frame is not None]
    return Summary(
        circumstances=circumstances,
        images=len(results),
        answered=len(answered),
        states={state.value: counted[state.value] for state in NavigationState},
        reasons=dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0]))),
        hip=hip_accuracy(frames),
        cm=cm_accuracy(frames),
        tip=_in_space([result.tip_error for result in answered]),
        pelvis=_in_space([result.pelvis_error for result in answered]),
        live=_live(answered),
    )


def _in_space(errors: Sequence) -> SpaceAccuracy:
    known = [error for error in errors if error is not None]
    return SpaceAccuracy(
        error_statistics([error.across_mm for error in known]), error_statistics([error.along_mm for error in known])
    )


def _live(answered: Sequence[FrameResult]) -> LiveComparison | None:
    both = [result for result in answered if result.difference is not None]
    if not both:
        return None
    differences = [result.difference for result in both]
    rest = [one for one in differences if not one.agrees]

    def by(name: str) -> ErrorStatistics:
        # to the table's three decimals: what lies below is the processor's rounding
        return error_statistics([round(value, 3) for one in rest if (value := getattr(one, name)) is not None])

    live = [result.live for result in both]
    return LiveComparison(
        compared=len(both),
        agree=len(both) - len(rest),
        states_differ=sum(1 for one in differences if one.states is not None and one.states[0] != one.states[1]),
        rest_mask_px=by("mask_px"),
        rest_points_px=by("points_px"),
        rest_tip_mm=by("tip_mm"),
        rest_pelvis_mm=by("pelvis_mm"),
        rest_pelvis_deg=by("pelvis_deg"),
        hip=hip_accuracy(live),
        cm=cm_accuracy(live),
    )
