"""Shot: source and detector of one picture as bare points and vectors, which every renderer's own camera is made from.

Patient LPS millimetres throughout. It needs numpy alone, because renderers are asked in the environment of the peers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: The Siemens Cios Fusion: config/carm/cios_fusion.yaml.
SOURCE_TO_DETECTOR_MM = 1020.0
SOURCE_TO_ISOCENTER_MM = 530.0
DETECTOR_SIDE_MM = 297.984

#: What the comparison looks at: name -> (orbital, angular) in degrees, as in ``synthex_sim.carm``.
VIEWS = {"ap": (0.0, 0.0), "oblique": (25.0, 20.0), "lateral": (90.0, 0.0)}


@dataclass(frozen=True, eq=False)
class Shot:
    """One picture's geometry.

    Attributes:
        source: (3,) float64.
        detector_center: (3,) float64, the middle of the detector; the principal ray meets it at a right angle.
        column_step: (3,) float64, from a pixel to the next column.
        row_step: (3,) float64, from a pixel to the next row.
        shape: (rows, columns).
    """

    source: np.ndarray
    detector_center: np.ndarray
    column_step: np.ndarray
    row_step: np.ndarray
    shape: tuple[int, int]

    @property
    def normal(self) -> np.ndarray:
        """(3,) unit vector from the source towards the detector."""
        beam = self.detector_center - self.source
        return beam / np.linalg.norm(beam)

    @property
    def source_to_detector_mm(self) -> float:
        """SDD."""
        return float(np.linalg.norm(self.detector_center - self.source))

    @property
    def pixel_mm(self) -> float:
        """Size of one square pixel."""
        return float(np.linalg.norm(self.column_step))

    @property
    def first_pixel(self) -> np.ndarray:
        """(3,) centre of the pixel in row 0, column 0."""
        rows, columns = self.shape
        return self.detector_center - (columns - 1) / 2 * self.column_step - (rows - 1) / 2 * self.row_step

    def pixel_centers(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """(..., 3) centres of the pixels given by (...,) rows and columns."""
        return self.first_pixel + rows[..., None] * self.row_step + columns[..., None] * self.column_step

    def to_json(self) -> dict:
        """Lists and numbers; ``from_json`` gives the same shot."""
        vectors = ("source", "detector_center", "column_step", "row_step")
        return {name: getattr(self, name).tolist() for name in vectors} | {"shape": list(self.shape)}

    @classmethod
    def from_json(cls, document: dict) -> Shot:
        """The shot that ``to_json`` wrote."""
        vectors = ("source", "detector_center", "column_step", "row_step")
        return cls(*(np.array(document[name], dtype=np.float64) for name in vectors), tuple(document["shape"]))


def cios_shot(pixels: int, isocenter: np.ndarray, orbital_deg: float, angular_deg: float) -> Shot:
    """A picture of the Cios Fusion with its detector read out as ``pixels`` x ``pixels``.

    At zero angles the beam enters at the patient's back; rows run to the feet and columns to the patient's left. The
    orbital angle turns the detector towards the patient's left, the angular one then towards the head.

    Args:
        pixels: on a side of the detector.
        isocenter: (3,) LPS millimetres.
    """
    turn = _about_x(-np.deg2rad(angular_deg)) @ _about_z(np.deg2rad(orbital_deg))
    beam, left, feet = turn @ [0.0, -1.0, 0.0], turn @ [1.0, 0.0, 0.0], turn @ [0.0, 0.0, -1.0]
    source = np.asarray(isocenter, dtype=np.float64) - SOURCE_TO_ISOCENTER_MM * beam
    pitch = DETECTOR_SIDE_MM / pixels
    return Shot(source, source + SOURCE_TO_DETECTOR_MM * beam, pitch * left, pitch * feet, (pixels, pixels))


def rays_in_voxels(shot: Shot, affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rays in voxel indices: (3,) start at the source and (R, C, 3) way from there to the pixel's centre."""
    index_from_lps = np.linalg.inv(affine)
    rows, columns = np.meshgrid(np.arange(shot.shape[0]), np.arange(shot.shape[1]), indexing="ij")
    start = index_from_lps[:3, :3] @ shot.source + index_from_lps[:3, 3]
    return start, (shot.pixel_centers(rows, columns) - shot.source) @ index_from_lps[:3, :3].T


def crossing(start: np.ndarray, way: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shares (...,) of the way (..., 3) at which rays enter and leave the box from ``low`` to ``high``, each (3,).

    A ray that misses the box leaves it no later than it enters.
    """
    way = np.where(np.abs(way) < 1e-12, 1e-12, way)
    one, other = (low - start) / way, (high - start) / way
    enter, leave = np.minimum(one, other).max(axis=-1), np.maximum(one, other).min(axis=-1)
    return np.clip(enter, 0.0, 1.0), np.clip(leave, 0.0, 1.0)


def _about_x(angle: float) -> np.ndarray:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[1.0, 0.0, 0.0], [0.0, cos, -sin], [0.0, sin, cos]])


def _about_z(angle: float) -> np.ndarray:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
