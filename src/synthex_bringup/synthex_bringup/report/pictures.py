"""Pictures of a session's frames: what is there beside what the network found, drawn from the bag's own messages."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from synthex_sim.anatomy import LABEL_NAMES, MANIPULATOR, MANIPULATOR_LANDMARKS
from synthex_sim.display import LABEL_COLORS_RGB, log_display

from ..recording.bag_reader import BagError, SessionBag, image_array
from ..recording.topics import IMAGE, LABELS, MASK, TRUE_LABELS, TRUE_MASK
from .accuracy import Point
from .frames import Frame, SessionFrames

PICTURE_TOPICS = (IMAGE, TRUE_MASK, MASK, LABELS, TRUE_LABELS)

LABEL_COLOURS: dict[str, tuple[int, int, int]] = dict(zip(LABEL_NAMES, LABEL_COLORS_RGB, strict=True))
LANDMARK_COLOUR = (255, 255, 255)
UNKNOWN_COLOUR = (200, 200, 200)

_SIDE_PX = 640
_JPEG_QUALITY = 86
#: Readable when two pictures share half the page.
_TEXT_SCALE = 0.7


@dataclass(frozen=True)
class FramePicture:
    """One frame drawn: pictures of one size, (rows, columns, 3) uint8, red first.

    Attributes:
        index: position of the frame among the session's frames, from 0.
        frame: the frame.
        radiograph: the image alone, bone bright.
        truth: with the ground truth; None where the bag holds none.
        network: with what perception says; None where the frame was not answered.
    """

    index: int
    frame: Frame
    radiograph: np.ndarray
    truth: np.ndarray | None
    network: np.ndarray | None


def choose_frames(read: SessionFrames, count: int = 8) -> list[int]:
    """Indices of up to ``count`` frames spread evenly over the session, answered ones where there are any."""
    candidates = [i for i, frame in enumerate(read.frames) if read.answered(frame)] or list(range(len(read.frames)))
    if len(candidates) <= count:
        return candidates
    return [candidates[round(k)] for k in np.linspace(0, len(candidates) - 1, count)]


def draw_frames(bag: SessionBag, read: SessionFrames, indices: Sequence[int]) -> list[FramePicture]:
    """Draw the chosen frames.

    Raises:
        BagError: an image or mask of them is damaged.
    """
    wanted = {read.frames[i].stamp_ns: i for i in indices}
    pixels: dict[int, dict[str, np.ndarray]] = {stamp: {} for stamp in wanted}
    for recorded in bag.messages((IMAGE, TRUE_MASK, MASK)):
        if recorded.stamp_ns in wanted:
            try:
                pixels[recorded.stamp_ns][recorded.topic] = image_array(bag.decode(recorded))
            except ValueError as error:
                raise BagError(f"{bag.path}: {recorded.topic}: {error}") from error
    return [_draw(index, read, pixels[stamp]) for stamp, index in sorted(wanted.items(), key=lambda item: item[1])]


def overlay(
    grey: np.ndarray,
    mask: np.ndarray | None,
    names: dict[int, str],
    landmarks: dict[str, Point],
    *,
    tint: float,
    side_px: int = _SIDE_PX,
) -> np.ndarray:
    """Mask contours in the labels' colours and landmarks over a grey image.

    Args:
        grey: (rows, columns) uint8.
        mask: (rows, columns) labels; None draws none.
        names: what the labels mean.
        landmarks: in pixels of ``grey``; only visible ones are drawn, the manipulator's with a ring.
        tint: opacity of the coloured areas, 0 for contours only.
        side_px: the longer side of the picture.

    Returns:
        (rows', columns', 3) uint8, red first.
    """
    scale = side_px / max(grey.shape)
    size = (round(grey.shape[1] * scale), round(grey.shape[0] * scale))
    picture = cv2.cvtColor(cv2.resize(grey, size, interpolation=cv2.INTER_CUBIC), cv2.COLOR_GRAY2RGB)
    if mask is not None:
        _draw_mask(picture, cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST), names, tint)
    for name, point in landmarks.items():
        if point.visible and np.isfinite([point.x, point.y]).all():
            # Pixel centres lie at integers: pixel x covers x - 0.5 ... x + 0.5 before and after the enlargement.
            centre = (round((point.x + 0.5) * scale - 0.5), round((point.y + 0.5) * scale - 0.5))
            _draw_landmark(picture, name, centre)
    return picture


def data_uri(picture: np.ndarray) -> str:
    """A (rows, columns, 3) uint8 picture, red first, as the data URI of a JPEG."""
    ok, encoded = cv2.imencode(".jpg", picture[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    if not ok:
        raise RuntimeError("OpenCV could not encode a picture as JPEG")
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode("ascii")


def sheet(pictures: Sequence[FramePicture], side_px: int = 320) -> np.ndarray:
    """One picture of several frames: a column for each; radiograph, ground truth and network from top to bottom.

    Args:
        pictures: frames of one size, each with ground truth and answered.
        side_px: columns of pixels for each.

    Returns:
        (rows', columns', 3) uint8, red first.

    Raises:
        ValueError: there is no frame, or one lacks ground truth or an answer.
    """
    columns = [(one.radiograph, one.truth, one.network) for one in pictures]
    if not columns or any(picture is None for column in columns for picture in column):
        raise ValueError("a sheet needs frames that have ground truth and were answered by perception")
    height = round(side_px * columns[0][0].shape[0] / columns[0][0].shape[1])
    small = [[cv2.resize(p, (side_px, height), interpolation=cv2.INTER_AREA) for p in column] for column in columns]
    return np.hstack([np.vstack(column) for column in small])


def _draw(index: int, read: SessionFrames, pixels: dict[str, np.ndarray]) -> FramePicture:
    frame = read.frames[index]
    grey = log_display(pixels[IMAGE])
    truth = network = None
    if TRUE_MASK in pixels or frame.true_landmarks is not None:
        points = _with_manipulator(frame.true_landmarks, frame.true_cm)
        truth = overlay(grey, pixels.get(TRUE_MASK), read.true_names, points, tint=0.0)
    if read.answered(frame):
        points = _with_manipulator(frame.landmarks, frame.cm)
        network = overlay(grey, pixels.get(MASK), read.names, points, tint=0.22)
    return FramePicture(index, frame, overlay(grey, None, {}, {}, tint=0.0), truth, network)


def _with_manipulator(landmarks: dict[str, Point] | None, manipulator) -> dict[str, Point]:
    """The landmarks with the manipulator's ends from its own message, which knows whether it is there at all."""
    points = {name: point for name, point in (landmarks or {}).items() if name not in MANIPULATOR_LANDMARKS}
    if manipulator is not None and manipulator.detected:
        points |= dict(zip(MANIPULATOR_LANDMARKS, (manipulator.base, manipulator.tip), strict=True))
    return points


def _draw_mask(picture: np.ndarray, mask: np.ndarray, names: dict[int, str], tint: float) -> None:
    for value in np.unique(mask):
        name = names.get(int(value), "background")
        if name == "background":
            continue
        colour = LABEL_COLOURS.get(name, UNKNOWN_COLOUR)
        area = (mask == value).astype(np.uint8)
        if tint:
            inside = area.astype(bool)
            picture[inside] = ((1 - tint) * picture[inside] + tint * np.array(colour)).astype(np.uint8)
        contours, _ = cv2.findContours(area, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(picture, contours, -1, colour, 2, cv2.LINE_AA)


def _draw_landmark(picture: np.ndarray, name: str, centre: tuple[int, int]) -> None:
    in_manipulator = name in MANIPULATOR_LANDMARKS
    colour = LABEL_COLOURS[LABEL_NAMES[MANIPULATOR]] if in_manipulator else LANDMARK_COLOUR
    arm = 9 if name == MANIPULATOR_LANDMARKS[1] else 7
    for thickness, shade in ((4, (0, 0, 0)), (2, colour)):  # a dark rim keeps the mark readable on bright bone
        cv2.drawMarker(picture, centre, shade, cv2.MARKER_CROSS, 2 * arm, thickness, cv2.LINE_AA)
        if name == MANIPULATOR_LANDMARKS[1]:
            cv2.circle(picture, centre, arm + 5, shade, thickness, cv2.LINE_AA)
    text = "tip" if name == MANIPULATOR_LANDMARKS[1] else "base" if in_manipulator else name
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, _TEXT_SCALE, 2)
    corner = (min(centre[0] + arm + 8, picture.shape[1] - width - 2), max(centre[1] - 8, height + 2))
    for thickness, shade in ((5, (0, 0, 0)), (2, colour)):
        cv2.putText(picture, text, corner, cv2.FONT_HERSHEY_SIMPLEX, _TEXT_SCALE, shade, thickness, cv2.LINE_AA)
