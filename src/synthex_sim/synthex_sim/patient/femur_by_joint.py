"""A femur told from all other bones by its joint: a ball deep in a socket, and a shaft that leads down and sideways.

The ball of a shoulder lies in a socket that covers little of it. Anything unusual is left unnamed: a head grown
together with its socket, an implant, a dislocated hip.
"""

from __future__ import annotations

import numpy as np

from synthex_sim import anatomy
from synthex_sim.patient.landmarks.bone_shape import bone_shape
from synthex_sim.patient.landmarks.femoral_head import Sphere, head_sphere

#: Of what is seen of a femur, without its marrow, and a large whole one with it.
_VOLUME_MM3 = (25_000.0, 700_000.0)
_RADIUS_MM = (17.0, 32.0)
_HEAD_COVERAGE = 0.4
#: Bone of the socket is looked for within this distance of the head, and covers so much of the sphere around it.
_SOCKET_MM = 9.0
_SOCKET_COVERAGE = 0.36
#: The socket lies above and towards the middle of the head; the rest of the femur outwards and farther below.
_UP, _ACROSS = 0.1, 0.2
_BELOW_MM, _OUTWARDS_MM, _STEEP = 15.0, 8.0, 1.2
#: Other bones near the head lie behind it: else somebody lay prone and the header says supine, and sides are swapped.
_AROUND_MM, _BEHIND_MM = 140.0, 8.0
_MARGIN_MM = 20.0
_DIRECTIONS = 400


def side_of_femur(
    parts: np.ndarray, part: int, bones: list[int], box: tuple[slice, ...], affine: np.ndarray
) -> int | None:
    """Whether a part is surely a femur, and of which side.

    Args:
        parts: (I, J, K) int32 numbers of connected parts of bone.
        part: the number of the one in question.
        bones: numbers of all parts that are bones.
        box: around it, of ``scipy.ndimage.find_objects``.
        affine: (4, 4) voxel index -> LPS mm.

    Returns:
        ``anatomy.LEFT_FEMUR``, ``anatomy.RIGHT_FEMUR`` or None: something else, or not sure.
    """
    step = np.linalg.norm(affine[:3, :3], axis=0)
    if not _VOLUME_MM3[0] <= np.count_nonzero(parts[box] == part) * step.prod() <= _VOLUME_MM3[1]:
        return None
    margin = np.ceil(_MARGIN_MM / step).astype(int)
    low = [max(0, side.start - m) for side, m in zip(box, margin, strict=True)]
    around = tuple(slice(first, side.stop + m) for first, side, m in zip(low, box, margin, strict=True))
    pair = np.where(parts[around] == part, np.uint8(1), np.isin(parts[around], bones).astype(np.uint8) * np.uint8(2))
    local = affine.copy()
    local[:3, 3] += affine[:3, :3] @ np.array(low)
    femur, rest = (bone_shape(pair, label, local, tuple(slice(0, n) for n in pair.shape)) for label in (1, 2))
    if femur is None or rest is None:
        return None
    head = head_sphere(femur, rest)
    if head is None or not _RADIUS_MM[0] <= head.radius_mm <= _RADIUS_MM[1] or head.coverage < _HEAD_COVERAGE:
        return None
    side = _side(head, _places(pair == 1, local), _places(pair == 2, local))
    if side is None or _behind(parts, part, bones, affine, head.center) < _BEHIND_MM:
        return None
    return side


def _behind(parts: np.ndarray, part: int, bones: list[int], affine: np.ndarray, center: np.ndarray) -> float:
    """How far the other bones around a head lie behind it on average, mm: sacrum and ischium do, not the belly."""
    others = np.zeros(parts.max() + 1, bool)
    others[[bone for bone in bones if bone != part]] = True
    off = _places(others[parts], affine) - center
    near = np.linalg.norm(off, axis=1) < _AROUND_MM
    return float(off[near, 1].mean()) if near.any() else 0.0


def _places(mask: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """(N, 3) LPS mm of voxels."""
    return np.argwhere(mask) @ affine[:3, :3].T + affine[:3, 3]


def _side(head: Sphere, femur: np.ndarray, rest: np.ndarray) -> int | None:
    """The side, from (N, 3) LPS mm of the femur's and of the other bones' voxels."""
    off = rest - head.center
    distance = np.linalg.norm(off, axis=1)
    near = (distance > 0.6 * head.radius_mm) & (distance < head.radius_mm + _SOCKET_MM)
    socket = _met(off[near] / distance[near, None])
    if len(socket) < _SOCKET_COVERAGE * _DIRECTIONS:
        return None
    towards = socket.mean(axis=0)
    towards /= np.linalg.norm(towards)
    rest_of_femur = femur.mean(axis=0) - head.center
    sign = -np.sign(towards[0])
    if abs(towards[0]) < _ACROSS or towards[2] < _UP:
        return None
    outwards = sign * rest_of_femur[0]
    if rest_of_femur[2] > -max(_BELOW_MM, _STEEP * abs(outwards)) or outwards < _OUTWARDS_MM:
        return None
    return anatomy.LEFT_FEMUR if sign > 0 else anatomy.RIGHT_FEMUR


def _met(directions: np.ndarray) -> np.ndarray:
    """Which of 400 even directions (M, 3) have one of (N, 3) unit vectors within 10 degrees."""
    n = np.arange(_DIRECTIONS) + 0.5
    polar, turn = np.arccos(1 - 2 * n / _DIRECTIONS), np.pi * (1 + 5**0.5) * n
    even = np.stack([np.cos(turn) * np.sin(polar), np.sin(turn) * np.sin(polar), np.cos(polar)], axis=1)
    if not len(directions):
        return even[:0]
    nearest = np.concatenate([(part @ directions.T).max(axis=1) for part in np.array_split(even, 20)])
    return even[nearest > np.cos(np.radians(10.0))]
