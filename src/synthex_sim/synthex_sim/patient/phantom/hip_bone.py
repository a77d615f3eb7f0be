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
    (103, 37, -102, 5), (108, 42, -104, 3.5), (111, 41, -94, 1.5), (118, 39, -88, 4), (129, 37, -73, 5.5),
    (74, 27, -124, 5), (76, 27, -116, 7.5), (80, 31, -119, 6.5), (94, 34, -106, 5), (113, 28, -83, 4),
    (127, 36, -73, 5.5), (133, 33, -64, 7.5), (134, 25, -50, 9.5), (74, 15, -111, 8.5), (84, 17, -101, 6.5),
    (86, 16, -94, 1.5), (91, 21, -98, 5.5), (94, 14, -93, 4.5), (99, 21, -91, 3.5), (104, 24, -88, 3.5),
    (108, 16, -80, 3), (118, 16, -67, 4.5), (120, 24, -74, 3), (121, 19, -66, 4), (123, 16, -30, 4),
    (124, 21, -62, 6), (124, 13, -43, 5.5), (131, 21, -34, 8), (131, 20, -24, 5), (65, 7, -125, 9.5),
    (77, 7, -102, 9), (77, 3, -98, 2), (98, 1, -79, 1.5), (100, 5, -80, 1.5), (104, 4, -74, 1.5),
    (107, 11, -77, 2), (110, 6, -68, 3), (117, 8, -5, 3.5), (117, 8, -60, 4), (122, 11, -14, 7),
    (122, 12, -53, 6), (122, 8, -43, 3.5), (59, -8, -136, 10), (70, -8, -105, 9.5), (71, -5, -99, 8),
    (74, -11, -102, 8.5), (88, -9, -82, 3.5), (92, -2, -86, 3.5), (103, -8, -62, 4), (109, -1, -63, 3.5),
    (110, -6, -53, 5), (111, -10, -37, 2), (111, -8, -17, 2.5), (112, -6, -49, 5.5), (115, 0, -12, 1.5),
    (115, -2, -35, 1.5), (116, 0, -50, 5.5), (118, -2, -6, 5), (57, -22, -136, 10), (61, -20, -117, 4.5),
    (68, -19, -118, 6), (77, -14, -91, 10), (89, -14, -77, 2.5), (93, -12, -74, 2.5), (101, -14, -61, 4.5),
    (104, -15, -54, 5.5), (106, -22, -31, 3.5), (108, -15, -41, 6.5), (109, -17, -19, 4.5),
    (110, -19, -23, 3.5), (70, -34, -91, 12.5), (92, -32, -54, 9), (95, -34, -45, 9.5), (104, -33, -9, 6),
    (104, -24, -33, 6), (59, -39, -129, 2.5), (60, -47, -113, 6), (81, -38, -65, 11.5), (84, -40, -54, 10.5),
    (97, -39, -35, 6.5), (98, -36, -34, 7.5), (99, -45, -45, 6), (101, -40, -36, 6), (102, -46, -17, 5.5),
    (73, -57, -29, 8), (83, -50, -37, 9), (84, -55, -53, 13), (87, -59, -15, 2.5), (99, -55, -20, 7.5),
    (100, -50, -35, 9), (62, -70, -21, 6.5), (65, -67, -35, 3), (81, -70, -64, 10), (110, -69, -47, 1.5),
    (33, -82, 4, 3.5), (47, -81, -5, 4.5), (57, -72, -9, 4.5), (62, -78, -17, 6), (62, -81, -36, 2),
    (65, -82, -10, 7.5), (66, -83, -45, 1.5), (79, -83, -64, 10), (12, -88, 18, 6), (25, -87, 22, 2.5),
    (39, -87, 3, 6.5), (65, -92, -42, 1.5), (75, -89, -67, 8), (101, -84, -58, 2), (12, -97, 8, 6),
    (26, -102, -2, 6), (63, -100, -30, 1.5), (63, -104, -82, 1.5), (64, -99, -32, 3), (15, -112, 1, 7),
    (76, -112, -52, 10.5), (80, -109, -47, 8), (29, -121, -12, 3.5), (35, -135, -9, 1.5), (40, -132, -19, 4.5),
    (59, -140, -39, 4.5), (76, -138, -57, 12.5), (45, -146, -25, 3.5), (67, -148, -49, 10.5),
], dtype=np.float64)
_FACES = np.array([
    (0, 1, 2), (0, 3, 9), (0, 8, 16), (0, 9, 19), (0, 16, 19), (1, 2, 4), (1, 5, 7), (1, 7, 8), (1, 16, 17),
    (2, 17, 20), (3, 9, 10), (3, 10, 22), (3, 18, 20), (3, 22, 35), (4, 11, 28), (4, 21, 25), (5, 7, 14),
    (5, 13, 29), (5, 14, 43), (5, 31, 42), (6, 7, 14), (6, 13, 30), (6, 14, 30), (7, 8, 14), (7, 14, 16),
    (9, 10, 25), (9, 20, 21), (10, 25, 28), (11, 12, 23), (11, 12, 27), (12, 23, 38), (12, 26, 40),
    (13, 30, 44), (13, 61, 70), (15, 18, 47), (15, 32, 47), (15, 44, 47), (16, 17, 31), (17, 19, 20),
    (17, 31, 34), (17, 34, 35), (18, 20, 35), (18, 33, 47), (18, 47, 59), (21, 22, 35), (21, 23, 26),
    (21, 35, 36), (21, 36, 38), (21, 36, 41), (23, 26, 27), (24, 28, 39), (24, 28, 41), (24, 37, 54),
    (24, 55, 57), (26, 27, 28), (26, 40, 56), (26, 54, 56), (27, 28, 37), (28, 41, 54), (29, 42, 43),
    (30, 46, 47), (30, 62, 62), (32, 33, 34), (32, 33, 47), (32, 36, 48), (32, 46, 47), (32, 46, 63),
    (32, 48, 63), (33, 35, 36), (34, 48, 56), (36, 38, 49), (36, 41, 56), (37, 39, 57), (37, 52, 68),
    (38, 40, 50), (38, 49, 50), (42, 43, 58), (44, 61, 77), (44, 62, 63), (45, 46, 47), (45, 60, 70),
    (46, 47, 76), (46, 70, 77), (48, 55, 56), (49, 50, 64), (50, 64, 65), (51, 55, 63), (51, 62, 63),
    (51, 62, 69), (52, 54, 56), (52, 56, 74), (52, 57, 69), (52, 68, 83), (53, 65, 67), (54, 83, 88),
    (55, 57, 69), (58, 59, 70), (58, 70, 75), (59, 70, 76), (61, 70, 77), (62, 63, 64), (62, 64, 71),
    (62, 66, 85), (62, 71, 74), (62, 71, 77), (64, 65, 71), (65, 67, 81), (65, 71, 81), (66, 68, 69),
    (66, 68, 83), (66, 80, 88), (67, 74, 82), (68, 73, 80), (70, 75, 76), (71, 77, 85), (71, 78, 93),
    (71, 81, 93), (72, 78, 85), (73, 83, 88), (74, 82, 88), (77, 78, 92), (77, 92, 93), (78, 85, 91),
    (78, 85, 92), (78, 91, 92), (79, 88, 89), (80, 83, 85), (81, 82, 93), (83, 85, 87), (83, 93, 93),
    (84, 85, 87), (84, 87, 90), (84, 87, 96), (84, 90, 91), (84, 90, 95), (85, 86, 89), (85, 87, 89),
    (85, 91, 92), (86, 89, 93), (86, 92, 93), (87, 88, 89), (87, 95, 99), (90, 91, 98), (90, 95, 97),
    (90, 95, 99), (90, 97, 98), (91, 92, 101), (91, 98, 105), (91, 100, 101), (91, 100, 105), (92, 93, 101),
    (92, 93, 107), (92, 101, 111), (93, 101, 107), (94, 95, 109), (94, 99, 103), (94, 109, 116), (95, 96, 103),
    (95, 102, 103), (97, 98, 110), (97, 99, 110), (98, 105, 112), (100, 101, 115), (100, 105, 106),
    (101, 106, 115), (101, 107, 115), (102, 103, 113), (102, 104, 108), (102, 104, 109), (103, 104, 109),
    (103, 109, 113), (106, 107, 111), (106, 111, 114), (106, 112, 114), (106, 112, 115), (106, 114, 120),
    (107, 111, 114), (108, 109, 113), (109, 113, 116), (110, 112, 120), (112, 114, 120), (113, 116, 117),
    (114, 119, 120), (114, 120, 122), (116, 117, 118), (116, 117, 121), (118, 119, 121), (120, 121, 122),
])
# fmt: on

#: The acetabulum's opening: lateral, 45 degrees inferior and 20 degrees anterior.
_OPENING = np.array([0.66, -0.66, 0.36]) / np.linalg.norm([0.66, -0.66, 0.36])
_FORAMEN = np.array([50.0, -106.0, -22.0])
_MEAN_IOF, _MEAN_MOF = np.array([51.0, -138.0, -42.0]), np.array([28.0, -108.0, -5.0])
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
    wall = np.maximum(distance - (cup + 3.0), along + 1.0)
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
    axes = [np.arange(a, b + 1.0) for a, b in zip(low, high, strict=True)]
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
    """The lowest and the most medial point of the rim as it is seen along the foramen's normal.

    Where the rim runs nearly straight its extreme point would jump between its ends from person to person, so a
    millimetre per four of distance from the mean landmark is charged.
    """
    center, *means = pelvis.place(np.array([_FORAMEN, _MEAN_IOF, _MEAN_MOF]), side)[0]
    normal = _FORAMEN_NORMAL / np.linalg.norm(_FORAMEN_NORMAL)
    down = np.array([0.0, -1.0, 0.0]) + normal * normal[1]
    down /= np.linalg.norm(down)
    across = np.cross(normal, down)
    angle = np.radians(np.arange(0, 360, 3.0))[:, None]
    to_lps = (np.array([side, 1, 1]) * pelvis.rotation).T
    rays = (np.cos(angle) * down + np.sin(angle) * across) @ to_lps
    depths = np.arange(-14.0, 15.0)[:, None] * (normal @ to_lps)
    steps = np.arange(2.0, 42.0, 0.5)[:, None]
    points = center + rays[:, None, None, :] * steps[None, :, None] + depths[None, None]  # (ray, step, depth, 3)
    values = _sample(part, field, points)
    nearest = values.min(axis=2)
    rows = np.arange(len(rays))
    first = np.where((nearest < 0).any(axis=1), (nearest < 0).argmax(axis=1), nearest.argmin(axis=1))
    rim = points[rows, first, values[rows, first].argmin(axis=1)]
    local = (rim - center) @ pelvis.rotation * np.array([side, 1, 1])
    extremes = [
        rim[np.argmin(local[:, axis] + 0.25 * np.linalg.norm(rim - mean, axis=1))]
        for axis, mean in zip((1, 0), means, strict=True)
    ]
    return extremes[0], extremes[1]
