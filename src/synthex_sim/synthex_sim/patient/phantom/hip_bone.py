"""The hip bone of one side as a sphere mesh, its acetabulum, and the six landmarks on it.

The control points are proportions measured on the mean hip bone of the I-STAR statistical shape model (Han et al.,
Phys. Med. Biol. 2019, doi 10.1088/1361-6560/ab1456, CC BY 4.0), scaled to a pelvis with an inter-ASIS width of
233 mm and rounded to millimetres; the mean bone's surface is met to 0.7 mm (median) and 2.4 mm (95 %).
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from synthex_sim.patient.phantom import shapes
from synthex_sim.patient.phantom.frame import Pelvis

# x left, y superior, z anterior, radius; mm in the pelvic frame, left bone; from the crest down to the ischium.
# fmt: off
_SPHERES = np.array([
    (106, 42, -105, 3.5), (110, 37, -93, 3.5), (120, 40, -90, 3), (128, 37, -75, 5.5), (78, 30, -120, 6),
    (82, 30, -113, 6), (108, 25, -85, 4), (121, 25, -70, 4.5), (134, 33, -63, 6.5), (135, 25, -50, 9),
    (72, 13, -109, 8.5), (74, 14, -109, 8.5), (91, 18, -97, 5.5), (100, 23, -92, 4), (112, 15, -75, 3),
    (120, 13, -55, 3.5), (122, 13, -34, 3), (123, 20, -64, 5), (131, 21, -26, 5.5), (81, 10, -100, 7.5),
    (83, 11, -95, 3), (103, 3, -73, 1.5), (105, 9, -78, 2), (113, 2, -59, 4), (118, 7, -6, 5), (120, 2, -5, 4),
    (123, 11, -51, 5.5), (60, -1, -133, 9.5), (76, -10, -95, 10.5), (90, 0, -89, 4), (94, 0, -84, 2),
    (106, -9, -59, 4.5), (115, 0, -51, 4.5), (116, -6, -29, 1.5), (58, -19, -139, 9), (69, -16, -110, 8),
    (88, -12, -83, 4), (91, -14, -74, 2.5), (101, -22, -51, 7.5), (109, -16, -17, 4.5), (110, -17, -48, 3),
    (62, -27, -106, 6.5), (69, -33, -93, 12.5), (87, -29, -56, 4.5), (103, -29, -3, 2.5), (58, -43, -126, 2),
    (60, -46, -113, 5.5), (82, -37, -64, 11), (93, -43, -45, 12.5), (97, -39, -34, 9), (77, -54, -38, 8.5),
    (88, -53, -52, 13.5), (91, -59, -14, 1.5), (100, -52, -15, 5.5), (106, -55, -38, 5.5), (62, -64, -27, 3.5),
    (72, -70, -52, 4), (74, -61, -18, 5.5), (49, -81, -4, 6.5), (67, -81, -9, 6), (78, -80, -66, 10),
    (105, -80, -56, 1.5), (13, -89, 16, 7.5), (21, -87, 19, 6), (63, -89, -16, 4.5), (69, -95, -76, 4),
    (28, -100, -2, 6.5), (64, -96, -30, 2.5), (65, -96, -45, 1.5), (77, -107, -53, 12), (15, -112, 1, 7.5),
    (29, -122, -11, 4), (49, -141, -30, 5.5), (75, -141, -56, 12), (40, -147, -12, 1.5), (61, -150, -43, 8),
], dtype=np.float64)
_FACES = np.array([
    (0, 1, 5), (0, 1, 12), (0, 2, 3), (0, 2, 13), (0, 4, 5), (0, 5, 12), (1, 3, 6), (1, 5, 12), (1, 6, 12),
    (2, 7, 14), (2, 13, 22), (2, 14, 22), (3, 6, 7), (3, 7, 18), (3, 8, 14), (4, 5, 11), (4, 5, 27),
    (4, 10, 27), (5, 11, 12), (7, 13, 14), (7, 14, 15), (8, 9, 17), (8, 18, 24), (9, 17, 26), (9, 18, 32),
    (10, 19, 28), (10, 27, 35), (10, 28, 35), (11, 12, 20), (11, 19, 35), (11, 27, 35), (13, 14, 22),
    (13, 20, 30), (13, 21, 30), (13, 22, 29), (13, 29, 41), (14, 15, 21), (14, 17, 23), (14, 21, 22),
    (14, 21, 23), (15, 16, 17), (15, 18, 25), (15, 21, 33), (15, 25, 33), (15, 25, 39), (15, 32, 39),
    (16, 17, 18), (16, 24, 33), (17, 23, 26), (19, 28, 36), (19, 28, 41), (19, 30, 36), (20, 27, 34),
    (20, 27, 41), (21, 23, 31), (21, 30, 37), (21, 31, 37), (21, 33, 37), (23, 26, 32), (25, 33, 39),
    (25, 39, 44), (27, 34, 41), (28, 35, 42), (28, 37, 47), (28, 42, 47), (29, 30, 46), (30, 36, 37),
    (31, 32, 38), (31, 37, 38), (31, 37, 43), (32, 33, 40), (32, 38, 49), (32, 39, 49), (33, 39, 40),
    (34, 35, 42), (34, 42, 46), (34, 45, 46), (36, 43, 47), (37, 40, 47), (38, 43, 49), (38, 48, 49),
    (39, 44, 49), (39, 44, 53), (39, 49, 53), (42, 46, 47), (43, 49, 50), (44, 49, 53), (47, 48, 51),
    (47, 50, 60), (47, 60, 61), (48, 54, 61), (49, 50, 53), (49, 53, 54), (50, 51, 54), (50, 52, 54),
    (50, 52, 57), (50, 57, 58), (51, 54, 61), (51, 60, 61), (52, 53, 54), (52, 57, 58), (52, 57, 59),
    (53, 61, 61), (55, 56, 68), (55, 57, 64), (55, 58, 59), (55, 64, 68), (56, 60, 65), (56, 60, 69),
    (56, 65, 69), (57, 59, 64), (58, 59, 63), (58, 63, 66), (60, 61, 65), (60, 61, 69), (61, 65, 69),
    (62, 63, 70), (62, 66, 70), (63, 66, 70), (64, 67, 68), (65, 67, 69), (65, 69, 73), (66, 70, 71),
    (67, 69, 73), (69, 73, 75), (71, 72, 74), (72, 73, 75),
])
# fmt: on

#: The acetabulum's opening: lateral, 45 degrees inferior and 20 degrees anterior.
_OPENING = np.array([0.66, -0.66, 0.36]) / np.linalg.norm([0.66, -0.66, 0.36])
_FORAMEN = np.array([50.0, -106.0, -22.0])
_FORAMEN_NORMAL = np.array([0.61, -0.5, 0.61])


def build(pelvis: Pelvis, side: int, grid: shapes.Grid) -> tuple[tuple, shapes.Grid, np.ndarray]:
    """Signed distance of one hip bone.

    Args:
        pelvis: the person's pelvic frame and warp.
        side: +1 left, -1 right.
        grid: the whole volume.

    Returns:
        the block of the volume (slices), its grid, and the float32 distance there in mm.
    """
    points, growth = pelvis.place(_SPHERES[:, :3], side)
    radii = _SPHERES[:, 3] * growth
    block, part = grid.block(*shapes.bounds(points, radii, 12.0))
    field = shapes.sphere_mesh(part, points, radii, _FACES, smooth_mm=1.1)
    return block, part, _acetabulum(field, pelvis, side, part)


def _acetabulum(field: np.ndarray, pelvis: Pelvis, side: int, part: shapes.Grid) -> np.ndarray:
    """Adds the cup's wall with its fossa about the true hip centre and clears head and joint space out of it."""
    person = pelvis.person
    center = pelvis.hip_center(side)
    opening = pelvis.direction(_OPENING, side)
    cup = person.head_radius_mm + person.hip_gap_mm
    x, y, z = part.coordinates(np.eye(3), center)
    distance = np.sqrt(x * x + y * y + z * z)
    along = (x * opening[0] + y * opening[1] + z * opening[2]).astype(np.float32)
    down = pelvis.direction(np.array([0.0, -1.0, 0.0]), side)
    below = (x * down[0] + y * down[1] + z * down[2]).astype(np.float32)
    wall = np.maximum(distance - (cup + 4.5), along - 2.0)
    wall = np.maximum(wall, 0.8 * (below - 0.55 * cup) + 0.5 * along)  # the acetabular notch opens downward
    blend = np.clip(0.5 + (wall - field) / 8.0, 0, 1)
    field = wall * (1 - blend) + field * blend - 4.0 * blend * (1 - blend)
    fossa = np.sqrt((x + 5 * opening[0] - 6 * down[0]) ** 2 + (y + 5 * opening[1] - 6 * down[1]) ** 2
                    + (z + 5 * opening[2] - 6 * down[2]) ** 2) - (cup - 6.0)
    return np.maximum(np.maximum(field, cup - distance), -fossa).astype(np.float32)


def landmarks(pelvis: Pelvis, side: int, part: shapes.Grid, field: np.ndarray) -> dict[str, np.ndarray]:
    """The landmarks of one hip bone on the surface that was built.

    Returns:
        FH, GSN, IOF, MOF, SPS, IPS, ASIS -> (3,) LPS mm. FH is the head's centre; ASIS the most anterior point of its
        spine; GSN the top of the notch's edge; IOF and MOF the lowest and the most medial point of the foramen's rim;
        SPS and IPS the ends of the symphysis face.
    """
    surface = lambda p: shapes.to_surface(field, part, p)  # noqa: E731
    face = [pelvis.place(np.array([p]), side)[0][0] for p in ((7.0, -85.0, 17.0), (8.0, -114.0, 0.0))]
    iof, mof = _foramen_rim(pelvis, side, part, field)
    return {
        "FH": pelvis.hip_center(side),
        "GSN": surface(_notch(pelvis, side, part, field)),
        "IOF": surface(iof),
        "MOF": surface(mof),
        "SPS": surface(face[0]),
        "IPS": surface(face[1]),
        "ASIS": surface(_most_anterior(pelvis, side, part, field)),
    }


def _sample(part: shapes.Grid, field: np.ndarray, points: np.ndarray) -> np.ndarray:
    index = np.moveaxis((points - part.origin_mm) / part.spacing_mm, -1, 0)
    return ndimage.map_coordinates(field, index, order=1, mode="nearest")


def _box(pelvis: Pelvis, side: int, center: np.ndarray, low: tuple, high: tuple) -> np.ndarray:
    """(X, Y, Z, 3) LPS points of a 1 mm lattice along the pelvic axes about a placed mean point."""
    middle = pelvis.place(np.array([center]), side)[0][0]
    axes = [np.arange(a, b + 1.0) for a, b in zip(low, high)]
    lattice = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    return middle + (lattice * np.array([side, 1, 1])) @ pelvis.rotation.T


def _most_anterior(pelvis, side, part, field) -> np.ndarray:
    points = _box(pelvis, side, np.array([117.0, 1.0, 0.0]), (-12, -14, -15), (12, 12, 12))
    inside = _sample(part, field, points) < 0
    depth = np.where(inside, np.arange(inside.shape[2]), -1)
    x, y = np.unravel_index(np.argmax(depth.max(axis=2)), inside.shape[:2])
    front = depth.max()
    same = np.argwhere(depth == front)
    x, y, z = same[np.argmin(np.abs(same - same.mean(axis=0)).sum(axis=1))]
    return points[x, y, z]


def _notch(pelvis, side, part, field) -> np.ndarray:
    points = _box(pelvis, side, np.array([67.0, -44.0, -86.0]), (-18, -25, -14), (14, 16, 14))
    inside = _sample(part, field, points) < 0
    outline = inside.any(axis=0)  # seen from the side: (y, z)
    solid = np.flip(np.logical_and.accumulate(np.flip(outline, axis=0), axis=0), axis=0)
    edge = np.where(solid.any(axis=0), solid.argmax(axis=0), -1)
    top = np.flatnonzero(edge == edge.max())
    z = int(top[len(top) // 2])
    y = int(edge[z])
    x = int(round(np.flatnonzero(inside[:, y, z]).mean())) if inside[:, y, z].any() else inside.shape[0] // 2
    return points[x, y, z]


def _foramen_rim(pelvis, side, part, field) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and the most medial point of the rim, met by rays from the foramen's middle within its plane."""
    center = pelvis.place(np.array([_FORAMEN]), side)[0][0]
    normal = _FORAMEN_NORMAL / np.linalg.norm(_FORAMEN_NORMAL)
    down = np.array([0.0, -1.0, 0.0]) - normal * (-normal[1])
    down /= np.linalg.norm(down)
    across = np.cross(normal, down)
    angle = np.radians(np.arange(0, 360, 3.0))[:, None]
    rays = np.cos(angle) * down + np.sin(angle) * across
    rays = (rays * np.array([side, 1, 1])) @ pelvis.rotation.T
    steps = np.arange(2.0, 40.0, 0.5)
    points = center + rays[:, None, :] * steps[None, :, None]
    values = _sample(part, field, points)
    hit = values < 0
    first = np.where(hit.any(axis=1), hit.argmax(axis=1), values.argmin(axis=1))
    rim = points[np.arange(len(rays)), first]
    local = (rim - center) @ pelvis.rotation * np.array([side, 1, 1])
    return rim[np.argmin(local[:, 1])], rim[np.argmin(local[:, 0])]
