"""A CT of two hips made of balls and rods, of which every bone's place is known, on any grid."""

from __future__ import annotations

import numpy as np

from synthex_sim import anatomy

SHAPE = (136, 93, 115)
AFFINE = np.array([[3.0, 0, 0, -203], [0, 3, 0, -127], [0, 0, 3, -141], [0, 0, 0, 1.0]])
#: What the hip bones, the sacrum and the spine are in ``truth``: one part.
TRUNK = 9
_HEAD_MM = 24.0


def hips(shape=SHAPE, affine=AFFINE, person=None, socket=0.15):
    """Hounsfield units and what is what.

    Args:
        shape, affine: the grid.
        person: (3, 3) how the person is turned against what the affine says; None for not at all.
        socket: cosine of the angle that the sockets reach to; small is deep.

    Returns:
        (I, J, K) int16 and (I, J, K) uint8: ``anatomy`` femora, TRUNK, and 0 for all else.
    """
    index = np.stack(np.meshgrid(*(np.arange(n, dtype=np.float32) for n in shape), indexing="ij"), axis=-1)
    points = index @ affine[:3, :3].T.astype(np.float32) + affine[:3, 3].astype(np.float32)
    if person is not None:
        points = points @ np.asarray(person, np.float32)
    x, y, _ = np.moveaxis(points, -1, 0)
    hu = np.where((x / 190) ** 2 + (y / 118) ** 2 < 1, 40, -1000).astype(np.int16)
    hu[(y > 126) & (y < 132) & (abs(x) < 180)] = 400  # the table, thin and outside
    truth = np.zeros(shape, np.uint8)
    for side, label in ((1.0, anatomy.LEFT_FEMUR), (-1.0, anatomy.RIGHT_FEMUR)):
        head, knee = np.array([side * 88, 0, 0]), np.array([side * 118, 0, -145])
        up = np.array([-side * 0.65, 0.3, 0.69])
        trochanter, ilium = np.array([side * 125, 0, -35]), head + 33 * up
        off = points - head.astype(np.float32)
        distance = np.linalg.norm(off, axis=-1)
        shell = (distance > _HEAD_MM + 5) & (distance < _HEAD_MM + 12)
        shell &= off @ up.astype(np.float32) > socket * distance
        rods = _rod(points, ilium, (0, 60, 70), 13) | _rod(points, ilium - 15 * up, (0, -60, -30), 7)
        truth[shell | (rods & (distance > _HEAD_MM + 5))] = TRUNK
        femur = (distance < _HEAD_MM) | _rod(points, head, trochanter, 11) | _rod(points, trochanter, knee, 14)
        truth[femur] = label
        hu[femur & _rod(points, trochanter, knee, 7)] = -50
    truth[_rod(points, (0, 60, 70), (0, 40, 230), 20)] = TRUNK
    bone = (truth > 0) & (hu != -50)
    hu[bone] = 500
    hu[np.linalg.norm(points - np.float32((0, 45, 150)), axis=-1) < 6] = 3000  # metal in the spine
    return hu, truth


def _rod(points, start, end, radius):
    start, way = np.float32(start), np.float32(end) - np.float32(start)
    along = np.clip((points - start) @ (way / (way @ way)), 0, 1)
    return np.linalg.norm(points - start - along[..., None] * way, axis=-1) < radius
