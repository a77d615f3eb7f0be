"""Hip bones and femora of both sides in one label: told apart by their place and parted at the symphysis."""

import numpy as np
import pytest
from fabricated_hips import AFFINE, hips

from synthex_sim import anatomy
from synthex_sim.patient.both_sides import part_sides
from synthex_sim.patient.label_map import label_map
from synthex_sim.patient.label_scheme import LabelScheme

GRID = (140, 70, 110)
BOX = np.array([[2.0, 0, 0, -140], [0, 2, 0, -70], [0, 0, 2, -110], [0, 0, 0, 1.0]])
SCHEME = LabelScheme({1: 128, 2: 129, 3: anatomy.UPPER_SACRUM}, {128: "hemipelves", 129: "femora"})


def places(affine=BOX, shape=GRID):
    index = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1)
    return index @ affine[:3, :3].T + affine[:3, 3]


def two_hips(points, gap_mm, bridge_mm=0.0):
    """(I, J, K) uint8: 1 left, 2 right; a wing, a ramus that gets thinner sideways, and a bridge in the symphysis.

    The rami end at x = +-gap / 2; the bridge, so thick, belongs to the side it lies on.
    """
    x, y, z = np.moveaxis(points, -1, 0)
    labels = np.zeros(x.shape, np.uint8)
    for side, label in ((1, 1), (-1, 2)):
        wing = ((side * x - 90) / 35) ** 2 + (y / 25) ** 2 + ((z - 30) / 60) ** 2 < 1
        thick = np.where(side * x < 14, 12.0, 7.0)
        ramus = (side * x > gap_mm / 2) & (side * x < 90) & (np.hypot(y + 20, z + 30) < thick)
        bridge = (side * x >= 0) & (side * x <= gap_mm / 2) & (np.hypot(y + 20, z + 30) < bridge_mm)
        labels[wing | ramus | bridge] = label
    return labels


@pytest.mark.parametrize("bridge", [0.0, 5.0, 12.0])
@pytest.mark.parametrize("turned_deg", [0.0, 25.0, -30.0])
def test_hip_bones_that_touch_are_parted_in_the_symphysis(bridge, turned_deg):
    """Even where the symphysis is as thick as the pubis and thicker than the rami."""
    turn = np.radians(turned_deg)
    turned = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    truth = two_hips(places() @ turned, 4.0, bridge)
    index = np.argwhere(truth > 0)
    left = part_sides(index, BOX)
    wrong = left != (truth[tuple(index.T)] == 1)
    off = np.abs((index @ BOX[:3, :3].T + BOX[:3, 3]) @ turned)[:, 0]
    assert not wrong[off > 6.0].any()
    assert wrong.sum() <= (0 if bridge == 0 else 400)


def test_an_uneven_symphysis_follows_the_gap_and_not_a_plane():
    """The right pubis reaches 8 mm over to the left; where there is a gap, every voxel stays with its bone."""
    points = places()
    truth = two_hips(points, 4.0)
    x, y, z = np.moveaxis(points, -1, 0)
    truth[(truth == 1) & (x < 14) & (z > -30)] = 0
    truth[(x >= -2) & (x < 8) & (z > -30) & (np.hypot(y + 20, z + 30) < 12)] = 2
    truth[(x >= 12) & (x < 14) & (z > -30) & (np.hypot(y + 20, z + 30) < 12)] = 1
    truth[(truth > 0) & (z > -31) & (z <= -29) & (abs(x) < 16)] = 0
    index = np.argwhere(truth > 0)
    assert (part_sides(index, BOX) == (truth[tuple(index.T)] == 1)).all()


def test_a_scheme_names_both_sides_however_the_map_is_stored():
    points = places()
    truth = two_hips(points, 4.0)
    found = label_map(np.where(truth > 0, 1, 0), BOX, SCHEME).labels
    assert (found == truth).all()
    flipped = BOX.copy()
    flipped[:3, 3] += flipped[:3, 0] * (GRID[0] - 1)
    flipped[:3, 0] *= -1
    assert (label_map(np.where(truth[::-1] > 0, 1, 0), flipped, SCHEME).labels == truth[::-1]).all()


def test_femora_in_one_label_are_named_by_their_place():
    truth = hips()[1]
    femora = np.isin(truth, (anatomy.LEFT_FEMUR, anatomy.RIGHT_FEMUR))
    found = label_map(femora * 2, AFFINE, SCHEME).labels
    assert (found[femora] == truth[femora]).all()


def test_a_single_bone_is_named_by_the_sacrum_or_refused():
    left = (two_hips(places(), 4.0) == 1).astype(np.uint8)
    with pytest.raises(ValueError, match="hemipelves cannot be told apart"):
        label_map(left, BOX, SCHEME)
    left[68:72, 50:60, 60:80] = 3
    found = label_map(left, BOX, SCHEME).labels
    assert set(np.unique(found)) == {0, anatomy.LEFT_HEMIPELVIS, anatomy.UPPER_SACRUM}


def test_one_upright_femur_is_not_taken_for_two():
    truth = hips()[1]
    with pytest.raises(ValueError, match="femora cannot be told apart"):
        label_map((truth == anatomy.RIGHT_FEMUR) * 2, AFFINE, SCHEME)
