"""The manipulator's surface encloses what the ray caster's pieces enclose."""

import numpy as np
import pytest

from cm_kinematics.solid import solid_pieces
from cm_kinematics.surface import tube_surface


def signed_volumes(points, triangles):
    a, b, c = (points[triangles[:, i]] for i in range(3))
    return np.einsum("ti,ti->t", a, np.cross(b, c)) / 6


def test_each_piece_encloses_the_volume_of_its_polygon(geometry):
    facets = 24
    surface = tube_surface(geometry, facets)
    pieces = solid_pieces(geometry, np.zeros(geometry.joint_count))
    polygon = np.sin(2 * np.pi / facets) / (2 * np.pi / facets)  # area of the inscribed polygon over the circle's
    volumes = signed_volumes(surface.points_mm, surface.triangles)
    of_piece = np.bincount(surface.piece[surface.triangles[:, 0]], weights=volumes)
    assert of_piece == pytest.approx(pieces.volumes_mm3 * polygon, rel=1e-9)


def test_faces_look_where_their_normals_point(geometry):
    surface = tube_surface(geometry, 12)
    a, b, c = (surface.points_mm[surface.triangles[:, i]] for i in range(3))
    faces = np.cross(b - a, c - a)
    agreement = np.einsum("ti,ti->t", faces, surface.normals[surface.triangles].mean(axis=1))
    assert (agreement > 0.9 * np.linalg.norm(faces, axis=1)).all()
    assert np.linalg.norm(surface.normals, axis=1) == pytest.approx(1.0)


def test_a_bent_tube_s_vertices_lie_on_its_pieces(geometry):
    surface = tube_surface(geometry)
    pieces = solid_pieces(geometry, np.full(geometry.joint_count, np.deg2rad(3.0)))
    points, normals = surface.posed(pieces)
    centre = points[surface.triangles].mean(axis=1)
    outward = normals[surface.triangles[:, 0]]
    own = surface.piece[surface.triangles[:, 0]]
    inside = pieces.membership(centre - 0.02 * outward)
    assert inside[np.arange(len(own)), own].all()


def test_an_odd_number_of_facets_is_refused(geometry):
    with pytest.raises(ValueError, match="even number of at least 6, got 7"):
        tube_surface(geometry, 7)
