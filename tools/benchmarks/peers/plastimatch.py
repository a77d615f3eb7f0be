"""plastimatch: its ``drr`` command with the exact path length through each voxel (Siddon), OpenMP.

It is a command and reads the volume anew for each picture. The wall time of a frame is what it prints itself, without
reading; the CPU time is that of its process less that of the same command with a detector of a single pixel. (On a
sequence of gantry angles, which it can make of one reading, both come to the same per frame.)
"""

from __future__ import annotations

import re
import resource
import subprocess
import tempfile
from pathlib import Path
from statistics import median

import numpy as np
from geometry import Shot
from volume_files import VolumeFiles

_HEADER = """ObjectType = Image
NDims = 3
BinaryData = True
BinaryDataByteOrderMSB = False
CompressedData = False
TransformMatrix = {direction}
Offset = {origin}
ElementSpacing = {spacing}
DimSize = {size}
ElementType = MET_FLOAT
ElementDataFile = LOCAL
"""


class Plastimatch:
    """``plastimatch drr -i exact -P none``: voxels of constant density, lengths in centimetres."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="plastimatch_")
        self._volume = Path(self._folder.name) / "volume.mha"
        self._picture = Path(self._folder.name) / "picture0000.pfm"
        self._readings: list[float] = []

    def load(self, volume: VolumeFiles) -> None:
        """Writes the volume as a MetaImage file, with positive axes: a volume that runs the other way is turned."""
        density, affine = volume.density, volume.affine.copy()
        for axis in range(3):
            if affine[axis, axis] < 0:
                density = np.flip(density, axis)
                affine[:3, 3] += affine[:3, axis] * (density.shape[axis] - 1)
                affine[:3, axis] *= -1
        if np.count_nonzero(affine[:3, :3]) != 3 or (np.diag(affine)[:3] <= 0).any():
            raise ValueError("plastimatch is only asked for volumes along the patient's axes")
        words = {
            "direction": _words(np.eye(3).ravel()), "origin": _words(affine[:3, 3]),
            "spacing": _words(np.diag(affine)[:3]), "size": " ".join(str(n) for n in density.shape),
        }
        self._readings.clear()
        with open(self._volume, "wb") as file:
            file.write(_HEADER.format(**words).encode())
            file.write(np.ascontiguousarray(density.transpose(2, 1, 0)).astype("<f4").tobytes())

    def aim(self, shot: Shot) -> None:
        """Any point on the principal ray may be its isocentre."""
        self._shot = shot

    def render(self) -> np.ndarray:
        """(R, C) float32, g/cm^3 mm."""
        self._run(*self._shot.shape)
        # it sees the detector from the source, we from the other side
        return 10.0 * _read_pfm(self._picture)[:, ::-1]

    def cost(self) -> tuple[float, float]:
        """Wall and CPU seconds of one frame, without reading the volume: the median of its readings so far."""
        self._readings.append(self._run(1, 1)[1])
        printed, used = self._run(*self._shot.shape)
        return printed, used - median(self._readings)

    def _run(self, rows: int, columns: int) -> tuple[float, float]:
        """One picture: the wall seconds it prints, the CPU seconds of its process."""
        shot = self._shot
        to_isocenter = 0.5 * shot.source_to_detector_mm
        command = [
            "plastimatch", "drr", "-i", "exact", "-P", "none", "-t", "pfm", "-r", f"{rows} {columns}",
            "-z", _words([rows * shot.pixel_mm, columns * shot.pixel_mm]),
            "-c", _words([(rows - 1) / 2, (columns - 1) / 2]),
            "-n", _words(-shot.normal), "--vup", _words(-shot.row_step / shot.pixel_mm),
            "--sad", _words([to_isocenter]), "--sid", _words([shot.source_to_detector_mm]),
            "-o", _words(shot.source + to_isocenter * shot.normal),
            "-O", str(self._picture).replace("0000.pfm", ""), "-I", str(self._volume),
        ]
        before = _children_cpu()
        done = subprocess.run(command, capture_output=True, text=True)
        used = _children_cpu() - before
        printed = re.search(r"Total time: ([\d.e+-]+)", done.stdout)
        if done.returncode != 0 or printed is None:
            raise ValueError(f"plastimatch failed: {(done.stderr or done.stdout)[-300:]}")
        return float(printed[1]), used


def _words(numbers) -> str:
    return " ".join(f"{number:.12g}" for number in numbers)


def _children_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _read_pfm(path: Path) -> np.ndarray:
    """(R, C) float32 from a grey portable float map, rows as plastimatch writes them."""
    with open(path, "rb") as file:
        if file.readline().strip() != b"Pf":
            raise ValueError(f"{path} is not a grey portable float map")
        columns, rows = (int(word) for word in file.readline().split())
        order = "<f4" if float(file.readline()) < 0 else ">f4"
        return np.frombuffer(file.read(), order).reshape(rows, columns).astype(np.float32)
