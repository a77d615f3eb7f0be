"""A sheet of images with what was found beside what is there: a measured claim that an eye can check."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from synthex_perception.evaluation.metrics import Truth
from synthex_perception.inference.detections import Detections
from synthex_perception.inference.overlay import draw_overlay
from synthex_sim.whole_files import write_whole


def contact_sheet(
    rows: list[tuple[np.ndarray, Detections, Truth]], path: Path, scale: int = 1, pairs_per_row: int = 3
) -> None:
    """Write a PNG of pairs: truth at the left, detections at the right of each.

    Args:
        rows: (image (R, C) uint16, detections, truth), all of the same image size.
        path: where the PNG goes.
        scale: enlargement of each image.
        pairs_per_row: pairs side by side.
    """
    tiles = []
    for image, found, truth in rows:
        there = draw_overlay(image, truth.mask, truth.landmarks, found.landmark_names, truth.visible, scale)
        said = draw_overlay(image, found.mask, found.landmarks, found.landmark_names, found.visible, scale)
        for tile, title in ((there, "truth"), (said, "network")):
            cv2.putText(tile, title, (4, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 255), 1, cv2.LINE_AA)
        tiles.append(np.hstack([there, said, np.full((there.shape[0], 6, 3), 255, np.uint8)]))
    while len(tiles) % pairs_per_row:
        tiles.append(np.full_like(tiles[0], 255))
    lines = [np.hstack(tiles[i : i + pairs_per_row]) for i in range(0, len(tiles), pairs_per_row)]
    ok, encoded = cv2.imencode(".png", cv2.cvtColor(np.vstack(lines), cv2.COLOR_RGB2BGR))
    if not ok:
        raise RuntimeError("OpenCV could not encode the contact sheet as PNG")
    write_whole(path, encoded.tobytes())
