"""Patient: a CT volume, what its voxels are, and its named 3D landmarks, in one LPS millimetre frame."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from synthex_sim import anatomy

#: Which structures a ray meets is kept in the bits of a 32-bit word.
MAX_LABEL = 31
#: Labels from here on are structures beyond those of ``anatomy``, by name.
FIRST_STRUCTURE = anatomy.MANIPULATOR + 1
STRUCTURE_NAME = r"[a-z][a-z0-9_]*"


@dataclass(frozen=True, eq=False)
class Patient:
    """One patient.

    Attributes:
        name: what to call it in logs and reports; never a person's name or id.
        hu: (I, J, K) int16, Hounsfield units, indexed [i, j, k].
        affine: (4, 4) float64, voxel index (i, j, k) -> patient LPS millimetres; voxel centres at integers.
        labels: (I, J, K) uint8 of ``anatomy`` ids on the same grid, at most ``MAX_LABEL``, or None where nothing was
            segmented.
        landmarks: name -> (3,) LPS millimetres; names as in ``anatomy.HIP_LANDMARKS``; may be empty.
        structures: label from ``FIRST_STRUCTURE`` on -> name (ribs, urinary_bladder) of a structure beyond those of
            ``anatomy``; not all need be there. Networks' masks take them for background.

    Raises:
        ValueError: an empty volume, arrays of other shapes or types, an affine that has no inverse, label ids that are
            too great, or structures whose label or name is another's; the message says which.
    """

    name: str
    hu: np.ndarray
    affine: np.ndarray
    labels: np.ndarray | None = None
    landmarks: Mapping[str, np.ndarray] = field(default_factory=dict)
    structures: Mapping[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.hu.ndim != 3 or 0 in self.hu.shape:
            raise ValueError(f"a patient needs a non-empty 3D volume, got shape {self.hu.shape}")
        if self.hu.dtype != np.int16:
            raise ValueError(f"Hounsfield units are kept as int16, got {self.hu.dtype}")
        affine = np.array(self.affine, dtype=np.float64)
        if affine.shape != (4, 4) or not np.isfinite(affine).all() or abs(np.linalg.det(affine)) < 1e-12:
            raise ValueError("the affine must be a finite, invertible 4x4 matrix")
        if self.labels is not None and (self.labels.shape != self.hu.shape or self.labels.dtype != np.uint8):
            raise ValueError(
                f"labels must be uint8 on the volume's grid {self.hu.shape}, got {self.labels.dtype} "
                f"{self.labels.shape}"
            )
        if self.labels is not None and self.labels.max() > MAX_LABEL:
            raise ValueError(
                f"patient {self.name}: its label map uses ids up to {self.labels.max()}, rays tell ids up to "
                f"{MAX_LABEL} apart; rename them by a label scheme (config/labels)"
            )
        _check_structures(self.structures)
        object.__setattr__(self, "structures", MappingProxyType(dict(self.structures)))
        object.__setattr__(self, "affine", affine)
        object.__setattr__(
            self,
            "landmarks",
            MappingProxyType({k: np.asarray(v, dtype=np.float64).reshape(3) for k, v in self.landmarks.items()}),
        )

    @property
    def label_names(self) -> Mapping[int, str]:
        """Name of each label that the label map may hold."""
        return {label: anatomy.LABEL_NAMES[label] for label in anatomy.BONE_LABELS} | dict(self.structures)

    @property
    def spacing_mm(self) -> np.ndarray:
        """(3,) voxel size along i, j, k in millimetres."""
        return np.linalg.norm(self.affine[:3, :3], axis=0)

    @property
    def center(self) -> np.ndarray:
        """(3,) LPS millimetres of the volume's middle."""
        middle = (np.array(self.hu.shape) - 1) / 2
        return self.affine[:3, :3] @ middle + self.affine[:3, 3]

    def digest(self) -> str:
        """``sha256:`` and the digest of voxels, affine, labels, names and landmarks: which patient it is, not who."""
        landmarks = sorted((name, point.tolist()) for name, point in self.landmarks.items())
        named = (sorted(self.structures.items()),) if self.structures else ()
        digest = hashlib.sha256(repr((self.hu.shape, landmarks, *named)).encode())
        for array in (self.affine, self.hu, *(() if self.labels is None else (self.labels,))):
            digest.update(np.ascontiguousarray(array).data)
        return f"sha256:{digest.hexdigest()}"

    def reference_point(self) -> np.ndarray:
        """(3,) LPS millimetres: where a C-arm is aimed by default.

        The mean of GSN and SPS of both sides as in the paper's hip task where these landmarks exist; else the middle
        of the bounding box of both hemipelves; else the middle of the volume.
        """
        names = ("GSN-l", "GSN-r", "SPS-l", "SPS-r")
        if all(n in self.landmarks for n in names):
            return np.mean([self.landmarks[n] for n in names], axis=0)
        if self.labels is not None:
            hips = np.isin(self.labels, (anatomy.LEFT_HEMIPELVIS, anatomy.RIGHT_HEMIPELVIS))
            if hips.any():
                index = [np.flatnonzero(hips.any(axis=tuple(a for a in range(3) if a != axis))) for axis in range(3)]
                middle = np.array([(i[0] + i[-1]) / 2 for i in index])
                return self.affine[:3, :3] @ middle + self.affine[:3, 3]
        return self.center


def _check_structures(structures: Mapping[int, str]) -> None:
    names = list(structures.values())
    for label, name in structures.items():
        if not isinstance(label, int) or not FIRST_STRUCTURE <= label <= MAX_LABEL:
            raise ValueError(f"structure {name}: its label is {label}, {FIRST_STRUCTURE} to {MAX_LABEL} are possible")
        if not isinstance(name, str) or not re.fullmatch(STRUCTURE_NAME, name) or name in anatomy.LABEL_NAMES:
            raise ValueError(f"structure {label} cannot be called '{name}': lower-case letters, digits and _ are "
                             f"possible, and none of {', '.join(anatomy.LABEL_NAMES)}")
        if names.count(name) > 1:
            raise ValueError(f"two structures are called {name}")
