"""The sacrum and coccyx as one sphere mesh with foramina and canal.

The upper three segments are proportions measured on the mean sacrum of the I-STAR statistical shape model (Han et al.,
Phys. Med. Biol. 2019, doi 10.1088/1361-6560/ab1456, CC BY 4.0), made symmetric and rounded to millimetres. S4, S5 and
the coccyx follow sections of a manual label map (yuta-hi/pelvic-annonation, MIT). S1 to S3 are the "upper sacrum".
"""

from __future__ import annotations

import numpy as np

from synthex_sim.patient.phantom import shapes
from synthex_sim.patient.phantom.frame import Pelvis

# x left, y superior, z anterior, radius; mm in the pelvic frame.
# fmt: off
_UPPER = np.array([
    (-47, 12, -112, 5.5), (47, 11, -112, 5.5), (-57, 1, -102, 5.5), (-35, 3, -106, 8), (-27, 8, -111, 9.5),
    (-22, 1, -113, 3), (-5, 1, -125, 2), (-1, 2, -96, 12), (1, 2, -76, 4), (20, 4, -113, 2.5), (28, 8, -111, 9),
    (34, 3, -108, 7.5), (-25, -5, -114, 4), (-14, -4, -93, 10.5), (0, -5, -130, 5), (11, -1, -93, 11),
    (15, -4, -125, 2.5), (24, -4, -113, 4.5), (57, 0, -102, 6), (-20, -16, -123, 2.5), (-17, -11, -126, 3.5),
    (0, -15, -108, 10), (8, -17, -130, 2.5), (19, -17, -123, 2), (-50, -20, -89, 8), (-16, -20, -121, 4),
    (-3, -20, -131, 1.5), (0, -28, -136, 4.5), (17, -21, -125, 5.5), (50, -20, -88, 8), (-40, -31, -109, 11),
    (-29, -34, -126, 7.5), (-18, -31, -114, 7), (-16, -33, -131, 3), (-9, -32, -131, 1.5), (-6, -31, -137, 1.5),
    (-2, -36, -117, 7.5), (0, -30, -144, 3.5), (11, -37, -133, 2.5), (13, -34, -132, 2.5), (18, -31, -115, 7),
    (27, -34, -127, 6), (40, -31, -110, 11.5), (-45, -40, -99, 3.5), (-33, -49, -130, 7), (5, -48, -122, 10),
    (34, -49, -130, 6.5), (45, -41, -99, 3), (-40, -52, -121, 7.5), (-17, -51, -133, 4.5), (-17, -54, -126, 4),
    (-7, -53, -140, 1.5), (2, -53, -139, 1.5), (3, -52, -144, 2), (16, -51, -135, 3.5), (40, -51, -122, 7.5),
], dtype=np.float64)
_UPPER_FACES = np.array([
    (0, 2, 3), (0, 2, 4), (0, 2, 8), (0, 5, 19), (1, 8, 18), (1, 9, 23), (1, 10, 15), (2, 3, 43), (2, 8, 24),
    (2, 24, 43), (3, 4, 13), (3, 30, 31), (3, 30, 48), (3, 31, 48), (4, 13, 24), (5, 6, 14), (5, 12, 19),
    (5, 14, 19), (6, 14, 20), (6, 16, 20), (7, 8, 21), (7, 13, 21), (7, 15, 21), (8, 18, 29), (8, 32, 36),
    (8, 36, 40), (9, 14, 23), (9, 16, 23), (9, 17, 23), (10, 15, 29), (11, 18, 47), (11, 29, 47), (11, 41, 55),
    (11, 42, 47), (11, 42, 55), (11, 47, 55), (14, 16, 22), (14, 19, 51), (14, 22, 41), (14, 23, 41),
    (14, 53, 53), (16, 20, 22), (16, 22, 28), (19, 26, 31), (19, 27, 51), (20, 22, 26), (20, 25, 33),
    (21, 32, 40), (22, 26, 39), (22, 27, 39), (22, 28, 39), (25, 30, 32), (25, 31, 33), (27, 37, 52),
    (27, 37, 53), (27, 38, 53), (28, 39, 41), (28, 41, 42), (30, 31, 32), (30, 43, 48), (31, 33, 34),
    (31, 44, 48), (35, 37, 51), (35, 49, 51), (36, 36, 43), (36, 36, 47), (36, 45, 50), (37, 51, 52),
    (38, 53, 54), (40, 41, 42), (41, 42, 55), (41, 46, 55), (44, 48, 51), (44, 49, 50), (46, 50, 50),
    (46, 52, 54), (46, 52, 55),
])
_LOWER = np.array([
    (0, -62, -129, 9), (37, -64, -128, 7), (-37, -64, -128, 7), (0, -78, -131, 8), (29, -80, -131, 5.5),
    (-29, -80, -131, 5.5), (0, -93, -129, 6), (19, -93, -129, 4.5), (-19, -93, -129, 4.5), (0, -104, -123, 5.5),
    (8, -102, -124, 4), (-8, -102, -124, 4), (0, -112, -117, 4.5), (0, -120, -112, 3.5), (0, -127, -108, 3),
], dtype=np.float64)
_LOWER_FACES = np.array([
    (0, 1, 3), (0, 2, 3), (1, 3, 4), (2, 3, 5), (3, 4, 6), (3, 5, 6), (4, 6, 7), (5, 6, 8), (6, 7, 9), (6, 8, 9),
    (7, 9, 10), (8, 9, 11), (9, 12, 12), (12, 13, 13), (13, 14, 14),
])
#: Foramina of the left side, anterior mouth to posterior mouth: x, y, z, radius.
_FORAMINA = np.array([
    [(22, -28, -92, 6.5), (24, -22, -118, 4.0), (25, -20, -140, 4.0)],
    [(20, -51, -110, 6.0), (22, -46, -130, 3.8), (23, -43, -150, 3.8)],
    [(18, -71, -120, 4.5), (19, -68, -132, 3.2), (20, -66, -146, 3.2)],
    [(15, -86, -121, 3.5), (16, -85, -130, 2.8), (17, -84, -142, 2.8)],
], dtype=np.float64)
_CANAL = np.array([(0, 24, -113, 8.5), (0, -5, -120, 8), (0, -35, -132, 6), (0, -62, -138, 4)], dtype=np.float64)
# fmt: on

#: Middle of the S1 end plate and its normal's lean from superior towards anterior, pelvic frame.
S1_PLATE = np.array([0.0, 9.0, -86.0])
S1_LEAN_DEG = 23.0
_S3_END = np.array([0.0, -66.0, -131.0])
_AXIS = np.array([0.0, -0.93, -0.37])


def build(pelvis: Pelvis, grid: shapes.Grid) -> tuple[tuple, shapes.Grid, np.ndarray, np.ndarray]:
    """Signed distance of sacrum and coccyx.

    Returns:
        block (slices), its grid, float32 distance in mm, and a bool mask of the side of the S3/S4 plane that
        belongs to the upper sacrum.
    """
    spheres = np.concatenate([_UPPER, _LOWER])
    faces = np.concatenate([_UPPER_FACES, _LOWER_FACES + len(_UPPER)])
    points, growth = pelvis.place(spheres[:, :3])
    radii = spheres[:, 3] * growth
    block, part = grid.block(*shapes.bounds(points, radii))
    field = shapes.sphere_mesh(part, points, radii, faces, smooth_mm=1.0)
    tunnels = [row * np.array([s, 1, 1, 1]) for row in _FORAMINA for s in (1, -1)] + [_CANAL]
    for tunnel in tunnels:
        path, growth = pelvis.place(tunnel[:, :3])
        hole, sub = part.block(*shapes.bounds(path, tunnel[:, 3], 2.0))
        field[hole] = np.maximum(field[hole], -shapes.tube(sub, path, tunnel[:, 3] * growth))
    end = pelvis.place(_S3_END[None])[0][0]
    axis = pelvis.direction(_AXIS, 1)
    x, y, z = part.coordinates(np.eye(3), end)
    return block, part, field, x * axis[0] + y * axis[1] + z * axis[2] < 0
