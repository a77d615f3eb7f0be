"""Volumes from NRRD files (.nrrd, or .nhdr with a data file), as 3D Slicer writes them."""

from __future__ import annotations

from pathlib import Path

from synthex_sim.patient.itk_image import header_lines, read_itk_image
from synthex_sim.patient.volume import Volume, existing_file

SUFFIXES = (".nrrd", ".nhdr")
#: Spaces that say where left, posterior and superior are; ITK takes any other space for LPS without a word.
_ANATOMICAL = {
    "left-posterior-superior", "lps", "right-anterior-superior", "ras", "left-anterior-superior", "las",
}


def read_nrrd(path: str | Path, what: str = "CT") -> Volume:
    """Reads an NRRD file.

    Args:
        path: .nrrd or .nhdr.
        what: it is, for messages ("label map").

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: not a readable 3D volume of numbers, NaN inside, or it does not say where it is.
    """
    path = existing_file(path, what)
    fields = {}
    for line in header_lines(path, last=""):
        name, _, value = line.partition(":")
        fields[name.strip().lower()] = value.strip().lower()
    volume = read_itk_image(path, "NrrdImageIO", what, "NRRD")
    if fields.get("space") not in _ANATOMICAL or "space directions" not in fields:
        raise ValueError(
            f"{what} {path} does not state its orientation (no anatomical 'space' with 'space directions'); "
            "save it again from a program that knows where left and right are"
        )
    units = fields.get("space units", "mm").replace('"', " ").split()
    if any(unit not in ("mm", "millimeter", "millimetre") for unit in units):
        raise ValueError(f"{what} {path} has its space in {' '.join(units)}; millimetres are expected")
    return volume
