"""A volume from any file, folder or archive that a user names."""

from __future__ import annotations

import re
from pathlib import Path

from synthex_sim.patient import metaimage, nifti, nrrd
from synthex_sim.patient.dicom import is_dicom_path, read_dicom
from synthex_sim.patient.metaimage import read_metaimage
from synthex_sim.patient.nifti import read_nifti
from synthex_sim.patient.nrrd import read_nrrd
from synthex_sim.patient.volume import Volume

_READERS = {
    **dict.fromkeys(nifti.SUFFIXES, read_nifti),
    **dict.fromkeys(nrrd.SUFFIXES, read_nrrd),
    **dict.fromkeys(metaimage.SUFFIXES, read_metaimage),
}
FORMATS = (
    "NIfTI (.nii, .nii.gz), NRRD (.nrrd, .nhdr), MetaImage (.mha, .mhd), or a DICOM series (a folder, or a .zip, .tar, "
    ".tar.gz, .tar.bz2, .tar.xz of one; path#2 is its second series)"
)


def split_series(source: str) -> tuple[Path, int | None]:
    """``path#2`` as path and series; a path that exists as it is has no series."""
    match = re.fullmatch(r"(.+)#(\d+)", source)
    if match is None or Path(source).exists():
        return Path(source), None
    return Path(match[1]), int(match[2])


def read_volume(source: str, what: str = "CT", series: int | None = None) -> Volume:
    """Reads a volume.

    Args:
        source: path of a file, folder or archive (``FORMATS``), or ``path#2``.
        what: it is, for messages ("label map").
        series: number of the DICOM series, where ``source`` does not say it.

    Raises:
        FileNotFoundError: there is no such path.
        ValueError: it is of another format, or cannot be read; the message says why.
    """
    path, named = split_series(source)
    if None not in (named, series) and named != series:
        raise ValueError(f"{what} {source} names series {named}, and series {series} is asked for; give one of them")
    series = series if named is None else named
    if not path.exists():
        raise FileNotFoundError(f"{what} {path} does not exist")
    suffix = next((s for s in _READERS if path.name.lower().endswith(s)), None)
    if suffix is None or path.is_dir():
        if not is_dicom_path(path):
            raise ValueError(f"{what} {path} is of no known format; read are {FORMATS}")
        return read_dicom(path, what, series)
    if series is not None:
        raise ValueError(f"{what} {path} holds one volume; series numbers (#{series}) go with DICOM")
    return _READERS[suffix](path, what)
