"""Volumes from MetaImage files (.mha, or .mhd with a data file beside it)."""

from __future__ import annotations

from pathlib import Path

from synthex_sim.patient.itk_image import header_lines, read_itk_image
from synthex_sim.patient.volume import Volume, existing_file

SUFFIXES = (".mha", ".mhd")
#: Where a file may keep the directions of its axes, and the distance of its voxels.
_DIRECTIONS = {"TransformMatrix", "Orientation", "Rotation"}
_SPACINGS = {"ElementSpacing", "ElementSize"}


def read_metaimage(path: str | Path, what: str = "CT") -> Volume:
    """Reads a MetaImage file.

    Args:
        path: .mha or .mhd.
        what: it is, for messages ("label map").

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: not a readable 3D volume of numbers, NaN inside, or it does not say where it is.
    """
    path = existing_file(path, what)
    fields = {line.partition("=")[0].strip() for line in header_lines(path, last="ElementDataFile")}
    volume = read_itk_image(path, "MetaImageIO", what, "MetaImage")
    # ITK would take the axes for LPS, and the voxels for cubes of 1 mm.
    if not fields & _DIRECTIONS:
        raise ValueError(f"{what} {path} does not state its orientation (no TransformMatrix in its header); add one")
    if not fields & _SPACINGS:
        raise ValueError(f"{what} {path} does not state the size of its voxels (no ElementSpacing in its header)")
    return volume
