"""Volumes from files that ITK's readers understand (NRRD, MetaImage).

Both formats keep positions in patient coordinates; ITK turns them into LPS.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813

from synthex_sim.patient.volume import Volume, kept_numbers

_LONGEST_HEADER = 1 << 20


def read_itk_image(path: Path, image_io: str, what: str, source: str) -> Volume:
    """Reads a file with one of ITK's readers.

    Args:
        path: of an existing file.
        image_io: name of the reader, "NrrdImageIO".
        what: it is, for messages ("label map").
        source: as of ``Volume``.

    Raises:
        ValueError: it cannot be read to its end, or is no 3D volume of finite real numbers.
    """
    try:
        image = sitk.ReadImage(str(path), imageIO=image_io)
    except RuntimeError as error:
        raise ValueError(
            f"{what} {path} cannot be read as {source} (damaged, cut off, or its data file is missing); copy or "
            "export it again"
        ) from error
    if image.GetNumberOfComponentsPerPixel() != 1 or "complex" in image.GetPixelIDTypeAsString():
        raise ValueError(f"{what} {path} is no 3D volume of numbers (its voxels are colours or vectors)")
    if image.GetDimension() != 3:
        raise ValueError(f"{what} {path} is no 3D volume of numbers (size {' x '.join(map(str, image.GetSize()))})")
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    try:
        return Volume(kept_numbers(sitk.GetArrayFromImage(image)).T, affine, source)
    except ValueError as error:
        raise ValueError(f"{what} {path} {error}") from error


def header_lines(path: Path, last: str) -> list[str]:
    """The lines of a text header in front of binary data.

    Args:
        path: of the file.
        last: how the header's last line begins; "" for an empty line. A header without it ends with the file.
    """
    lines = []
    with path.open("rb") as file:
        while file.tell() < _LONGEST_HEADER and (line := file.readline(4096)):
            lines.append(line.decode("latin-1").strip())
            if lines[-1] == last or (last and lines[-1].startswith(last)):
                break
    return lines
