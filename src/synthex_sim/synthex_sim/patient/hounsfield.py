"""The scale of CT numbers, and whether a volume keeps to it.

On the Hounsfield scale air is -1000 and water 0, so a CT's histogram has a peak of air and one of soft tissue (muscle
and water about 0..60, fat about -100). Where these peaks lie tells uncalibrated numbers and other modalities.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synthex_sim.patient.volume import Volume

#: Air: the least number of a 12-bit CT. What lies below (-2000 or so outside the field of view) becomes this.
LOWEST_HU = -1024
#: Where the peaks of a calibrated CT lie: air up to lungs and partial volume, tissue from fat to contrast medium.
_AIR_HU = (-1060, -700)
_TISSUE_HU = (-140, 130)
_BIN = 10
#: A peak must hold so much of all voxels.
_SMALLEST_PEAK = 0.01
_MOST_VOXELS = 2_000_000
#: Whole numbers up to this are rather a label map's ids than an MR image.
_GREATEST_ID = 255
#: Scanners store CT numbers with this offset (some with 1000), so that none is negative.
_OFFSET = 1024


@dataclass(frozen=True)
class HuCheck:
    """What the histogram of a volume says.

    Attributes:
        air, tissue: where its peaks lie, the darkest and the greatest of the rest; None where there is none.
        warnings: sentences on what is odd; none for a calibrated CT.
        unfit: why these are no Hounsfield units at all, or empty.
    """

    air: float | None
    tissue: float | None
    warnings: tuple[str, ...]
    unfit: str = ""


def check_hounsfield(volume: Volume) -> HuCheck:
    """Looks for the peaks of air and of soft tissue.

    A warning is for somebody to judge: a chest cut out around the heart is a fine CT without air around it. ``unfit``
    is certain: no voxel is as dark as fat, or none brighter than water.
    """
    values = _sample(volume.values)
    peaks = _peaks(values[values >= LOWEST_HU - 100])  # what is darker lies outside the field of view
    lowest, highest = float(volume.values.min()), float(volume.values.max())
    dark = [at for at in peaks if at < -500]
    air = min(dark) if dark else None
    bright = {at: share for at, share in peaks.items() if at >= -500}
    tissue = max(bright, key=bright.__getitem__) if bright else None
    hint = _offset_hint(peaks)
    if lowest >= 0 and highest <= _GREATEST_ID and volume.values.dtype == np.int16:
        hint = "; a label map? It goes with its CT"
    if highest <= 0 or lowest >= -200:
        why = f"spans {lowest:g}..{highest:g}: these are not Hounsfield units (air -1000, water 0){hint}"
        return HuCheck(air, tissue, (), why)
    return HuCheck(air, tissue, tuple(_warnings(air, tissue, hint)))


def _sample(values: np.ndarray) -> np.ndarray:
    """(n,) some millions of the voxels, from everywhere."""
    step = max(1, round((values.size / _MOST_VOXELS) ** (1 / 3)))
    return values[::step, ::step, ::step].ravel()


def _peaks(values: np.ndarray) -> dict[float, float]:
    """Where the smoothed histogram has its maxima, at least 150 apart, and the share of voxels within 35 of each."""
    if values.size == 0:
        return {}
    low, high = float(values.min()), float(np.percentile(values, 99.9))
    bins = int((high - low) // _BIN) + 1
    counts, edges = np.histogram(values, bins=bins, range=(low, low + bins * _BIN))
    smooth = np.convolve(np.pad(counts, 3), np.ones(7), mode="valid") / values.size
    found: dict[float, float] = {}
    for n in np.argsort(-smooth):
        middle = (edges[n] + edges[n + 1]) / 2
        if smooth[n] < _SMALLEST_PEAK:
            break
        if all(abs(middle - other) > 150 for other in found) and smooth[n] == smooth[max(0, n - 6):n + 7].max():
            found[float(middle)] = float(smooth[n])
    return found


def _warnings(air: float | None, tissue: float | None, hint: str) -> list[str]:
    found = []
    if air is None:
        found.append(f"no air was found (expected at -1000 HU): a body cut on all sides, or uncalibrated numbers{hint}")
    elif not _AIR_HU[0] <= air <= _AIR_HU[1]:
        found.append(f"the darkest material lies at {air:.0f} HU, air is expected at -1000: are these Hounsfield units?"
                     f"{hint}")
    if tissue is None:
        found.append(f"no soft tissue was found (expected between -100 and 60 HU){hint}")
    elif not _TISSUE_HU[0] <= tissue <= _TISSUE_HU[1]:
        found.append(f"most tissue lies at {tissue:.0f} HU, soft tissue is expected between -100 and 60: are these "
                     f"Hounsfield units?{hint}")
    return found


def _offset_hint(peaks: dict[float, float]) -> str:
    """Words for numbers that are a CT's but for an offset, or that lack a CT's air."""
    if any(at < -300 for at in peaks):
        return ""
    shifted = [at - _OFFSET for at in peaks]
    if any(_AIR_HU[0] <= at <= -900 for at in shifted) and any(_TISSUE_HU[0] <= at <= 80 for at in shifted):
        return "; it looks as if an offset of 1000 or 1024 had not been subtracted (the rescale intercept)"
    return "; an MR image, or a CT without its rescale intercept?"
