"""Pictures side by side under their names, as one PNG for a page of the docs."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

_STRIP = 22
_GAP = 3


def sheet(pictures: list[tuple[str, np.ndarray]], columns: int) -> np.ndarray:
    """One picture of many.

    Args:
        pictures: name and (R, C) or (R, C, 3) uint8, all of one size; three channels are RGB.
        columns: how many stand in a row.

    Returns:
        (rows, columns) or (rows, columns, 3) uint8; the latter where any picture has colours.
    """
    coloured = any(picture.ndim == 3 for _, picture in pictures)
    tiles = [_tile(name, picture, coloured) for name, picture in pictures]
    tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % columns)
    rows = [np.hstack(tiles[start : start + columns]) for start in range(0, len(tiles), columns)]
    return np.vstack(rows)


def save(path: Path, picture: np.ndarray, most_kb: int = 300) -> None:
    """Writes a PNG with as many grey levels or shades as fit into ``most_kb``; the repository carries these for good.

    Raises:
        ValueError: it does not fit even with 16 shades; make it smaller.
        OSError: it cannot be written.
    """
    image = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR) if picture.ndim == 3 else picture
    for shades in (256, 128, 64, 32, 16):
        step = 256 // shades
        coarse = np.minimum(image // step * step * (255 / (256 - step)), 255).round().astype(np.uint8)
        _, data = cv2.imencode(".png", coarse, [cv2.IMWRITE_PNG_COMPRESSION, 9])
        if len(data) <= most_kb * 1024:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data.tobytes())
            return
    raise ValueError(f"{path}: {len(data) // 1024} kB with 16 shades, more than {most_kb}; make the picture smaller")


def _tile(name: str, picture: np.ndarray, coloured: bool) -> np.ndarray:
    if coloured and picture.ndim == 2:
        picture = np.repeat(picture[..., None], 3, axis=2)
    strip = np.full((_STRIP, *picture.shape[1:]), 255, np.uint8)
    cv2.putText(strip, name, (3, _STRIP - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
    margins = ((0, _GAP), (0, _GAP)) + ((0, 0),) * (picture.ndim - 2)
    return np.pad(np.vstack([strip, picture]), margins, constant_values=255)
