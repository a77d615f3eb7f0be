"""Patients that are made of somebody's files, no CT among them: how they are named, and which options they take.

``dressed:PATH?seed=3`` is a label map with drawn tissue, ``shape_model:FOLDER?seed=3`` a sample of a shape model.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import parse_qsl

import numpy as np

from synthex_sim.patient.ct_patient import LoadedPatient
from synthex_sim.patient.dressed import dressed_patient
from synthex_sim.patient.kept_patients import kept_patient
from synthex_sim.patient.label_scheme import LabelScheme
from synthex_sim.patient.shape_model import shape_model_patient
from synthex_sim.patient.shape_model.atlas import FILES, load_atlas
from synthex_sim.patient.volume import Volume
from synthex_sim.patient.volume_file import read_volume

DRESSED, SHAPE_MODEL = "dressed:", "shape_model:"
PREFIXES = (DRESSED, SHAPE_MODEL)
_OPTIONS = {DRESSED: ("seed", "mask"), SHAPE_MODEL: ("seed",)}
_MASK_ENDINGS = (".mhd", ".mha", ".nii.gz", ".nii", ".nrrd", ".nhdr")
_SPACING_MM = 1.5


@dataclass(frozen=True)
class MadePatient:
    """A name taken apart.

    Attributes:
        kind: one of ``PREFIXES``.
        path: of the label map, or of the folder with the shape models.
        seed: which person is made of it.
        mask: path of the body mask, or empty.
    """

    kind: str
    path: str
    seed: int = 0
    mask: str = ""


def parse_made(source: str) -> MadePatient:
    """Takes the name of a made patient apart.

    Raises:
        FileNotFoundError: there is no such path.
        ValueError: an option that this kind does not take or that is given twice, or a seed that is no whole number.
    """
    kind = next(prefix for prefix in PREFIXES if source.startswith(prefix))
    path, _, query = source.removeprefix(kind).partition("?")
    options = parse_qsl(query, keep_blank_values=True)
    given = dict(options)
    for name in given:
        if name not in _OPTIONS[kind]:
            raise ValueError(f"patient '{source}': {name} is no option; {kind}PATH takes {', '.join(_OPTIONS[kind])}")
    if len(given) < len(options):
        raise ValueError(f"patient '{source}': an option is given twice")
    if query and not given:
        raise ValueError(f"patient '{source}': options are written as {kind}PATH?seed=3")
    seed = given.get("seed", "0")
    if not (seed.isascii() and seed.isdecimal()):
        raise ValueError(f"patient '{source}': the seed is a whole number, as in {kind}PATH?seed=3")
    if not path or not Path(path).exists():
        what = "label map" if kind == DRESSED else "folder of shape models"
        raise FileNotFoundError(f"patient '{source}': the {what} '{path}' does not exist")
    return MadePatient(kind, path, int(seed), given.get("mask", ""))


def load_made(source: str, scheme: LabelScheme | None, spacing_mm: float | None = None) -> LoadedPatient:
    """The patient that a name with one of ``PREFIXES`` stands for, made once from files of the same content.

    Args:
        source: ``dressed:PATH`` or ``shape_model:FOLDER`` with options.
        scheme: what the ids of a dressed label map mean; None for the project's own.
        spacing_mm: edge of the voxels; None for 1.5 mm.

    Raises:
        FileNotFoundError, ValueError: a file is missing or unfit, or the name is wrong; the message says which.
    """
    made = parse_made(source)
    spacing_mm = _SPACING_MM if spacing_mm is None else spacing_mm
    if made.kind == SHAPE_MODEL:
        return _sampled(Path(made.path), made.seed, spacing_mm)
    mask = Path(made.mask) if made.mask else mask_beside(Path(made.path))
    body = None if mask is None else read_volume(str(mask), "body mask")
    try:
        return _dressed(read_volume(made.path, "label map"), scheme, body, made.seed, spacing_mm)
    except ValueError as error:
        raise ValueError(f"{DRESSED} takes a label map ({error}); a CT goes without {DRESSED}") from error


def _dressed(labels: Volume, scheme: LabelScheme | None, mask: Volume | None, seed: int, spacing_mm: float
             ) -> LoadedPatient:  # fmt: skip
    """As ``dressed_patient``. What reading said of the user's files is not kept: it is read, and said, each time."""
    bare = replace(labels, notes=())
    made_of = ("dressed", _digest(labels), scheme, None if mask is None else _digest(mask), seed, float(spacing_mm))
    loaded = kept_patient(made_of, lambda: dressed_patient(bare, scheme, mask, seed, spacing_mm))
    return replace(loaded, notes=(*labels.notes, *loaded.notes))


def _sampled(folder: Path, seed: int, spacing_mm: float) -> LoadedPatient:
    """As ``shape_model_patient``."""
    paths = [folder / name for name in FILES.values()]
    if not all(path.is_file() for path in paths):
        return shape_model_patient(folder, seed, spacing_mm)  # which says what is missing
    made_of = ("shape model", *(hashlib.sha256(path.read_bytes()).hexdigest() for path in paths), seed,
               float(spacing_mm))

    def make() -> LoadedPatient:
        load_atlas.cache_clear()  # the files may be others than when this process last read them
        return shape_model_patient(folder, seed, spacing_mm)

    return kept_patient(made_of, make)


def _digest(volume: Volume) -> str:
    """Of its voxels and where they are, whichever format and however many files they were read from."""
    digest = hashlib.sha256(repr((volume.shape, volume.values.dtype.str, volume.affine.tolist())).encode())
    digest.update(np.ascontiguousarray(volume.values.T).data)  # as files hold them, which needs no copy
    return digest.hexdigest()


def mask_beside(labels: Path) -> Path | None:
    """The file called ``mask`` in the label map's folder, in any format of one file; None where there is none."""
    paths = [labels.parent / f"mask{ending}" for ending in _MASK_ENDINGS]
    return next((path for path in paths if path.is_file() and path != labels), None)
