"""Shards: HDF5 files of samples, written whole (temporary name, then rename) and read one sample at a time."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from synthex_sim.whole_files import write_whole


@dataclass(frozen=True, eq=False)
class Sample:
    """One labelled exposure.

    Attributes:
        image: (R, C) uint16, raw detector counts (bone dark).
        mask: (R, C) uint8, ids of ``synthex_sim.anatomy``.
        landmarks: (L, 2) float32 (column, row); NaN where the patient has no such landmark or it is behind the source.
        depth_mm: (L,) float32 from the source along the optical axis.
        visible: (L,) bool, inside the image.
        intrinsics: (3, 3) and world_to_camera: (4, 4) float64 as in ``View``; the world is the patient's LPS frame.
        pixel_spacing_mm: pixel size on the detector.
        source_to_isocenter_mm: distance from the source to the patient's reference point.
        open_field: counts of an unattenuated pixel.
        patient: index in the manifest's patients.
        index: the sample's index in the data set.
    """

    image: np.ndarray
    mask: np.ndarray
    landmarks: np.ndarray
    depth_mm: np.ndarray
    visible: np.ndarray
    intrinsics: np.ndarray
    world_to_camera: np.ndarray
    pixel_spacing_mm: float
    source_to_isocenter_mm: float
    open_field: int
    patient: int
    index: int


#: name in the file -> (attribute of Sample, dtype, meaning and unit)
_FIELDS: dict[str, tuple[str, type, str]] = {
    "image": ("image", np.uint16, "raw detector counts, bone dark; transmission = counts / open_field"),
    "mask": ("mask", np.uint8, "label ids, names in label_names"),
    "landmarks": ("landmarks", np.float32, "column, row in pixels, centres at integers"),
    "landmark_depth_mm": ("depth_mm", np.float32, "millimetres from the source along the optical axis"),
    "landmark_visible": ("visible", np.uint8, "1 where the landmark lies inside the image"),
    "intrinsics": ("intrinsics", np.float64, "pixels; first focal length negative (seen from the detector)"),
    "world_to_camera": ("world_to_camera", np.float64, "rigid, millimetres, patient LPS to camera"),
    "pixel_spacing_mm": ("pixel_spacing_mm", np.float64, "millimetres at the detector"),
    "source_to_isocenter_mm": ("source_to_isocenter_mm", np.float64, "millimetres"),
    "open_field": ("open_field", np.uint32, "counts of an unattenuated pixel"),
    "patient": ("patient", np.uint32, "index in the manifest's patients"),
    "index": ("index", np.uint64, "index of the sample in the data set"),
}


def write_shard(path: Path, samples: Sequence[Sample], attributes: dict[str, object]) -> str:
    """Writes samples as one HDF5 shard and returns its SHA-256.

    Images and masks are chunked one sample at a time and compressed without loss. Times are left out of the file so
    that the same samples give the same bytes.
    """
    # built in memory: a disk that fills then fails in one plain write, not somewhere inside HDF5
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver="earliest") as file:
        for name, (attribute, dtype, meaning) in _FIELDS.items():
            array = np.stack([np.asarray(getattr(s, attribute), dtype=dtype) for s in samples])
            options = {}
            if name in ("image", "mask"):
                options = {"chunks": (1, *array.shape[1:]), "compression": "gzip", "compression_opts": 1,
                           "shuffle": True}
            dataset = file.create_dataset(name, data=array, track_times=False, **options)
            dataset.attrs["meaning"] = meaning
        for key, value in attributes.items():
            file.attrs[key] = value
    write_whole(path, buffer.getvalue())
    return sha256(path)


def read_sample(file: h5py.File, row: int) -> Sample:
    """Reads one sample of an open shard."""
    values = {attribute: file[name][row] for name, (attribute, _, _) in _FIELDS.items()}
    values["visible"] = values["visible"].astype(bool)
    for name in ("pixel_spacing_mm", "source_to_isocenter_mm"):
        values[name] = float(values[name])
    for name in ("open_field", "patient", "index"):
        values[name] = int(values[name])
    return Sample(**values)


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()
