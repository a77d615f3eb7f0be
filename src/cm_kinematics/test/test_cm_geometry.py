"""The shipped device has the published measures, and a wrong device file is told apart with a clear error."""

import dataclasses
import math

import pytest
import yaml

from cm_kinematics.actuation import Actuation, load_actuation
from cm_kinematics.geometry import MAX_HINGES, CmGeometry, load_geometry


def test_hinges_lie_where_the_published_table_puts_them(geometry):
    assert geometry.joint_count == 27
    assert geometry.hinges_mm[0] == pytest.approx(36.03)
    assert geometry.hinges_mm[-1] == pytest.approx(67.47, abs=1e-6)
    assert geometry.length_mm - geometry.hinges_mm[-1] == pytest.approx(2.53, abs=1e-6)


def test_slits_close_at_88_degrees_of_bend(geometry):
    assert math.degrees(geometry.bend_limit_rad) == pytest.approx(88, abs=0.5)


def test_the_tendon_range_stays_inside_the_bend_at_which_slits_close(geometry, actuation):
    assert max(abs(q) for q in actuation.tendon_limits_mm) / geometry.tendon_offset_mm < geometry.bend_limit_rad


@pytest.mark.parametrize(("field", "value", "words"), [
    ("outer_diameter_mm", -1.0, "outer_diameter_mm must be greater than zero"),
    ("outer_diameter_mm", float("nan"), "finite"),
    ("outer_diameter_mm", "6", "finite number"),
    ("inner_diameter_mm", 7.0, "must be smaller than the outer diameter"),
    ("hinge_pitches_mm", [1.3], "at least two"),
    ("hinge_pitches_mm", [1.3, 0.0, 1.2], r"hinge_pitches_mm\[1\]"),
    ("hinge_pitches_mm", [1.2] * MAX_HINGES, f"for {MAX_HINGES + 1} hinges; a device has at most {MAX_HINGES} hinges"),
    ("slit_width_mm", 2.9, "no plate between them|behind the first slit"),
    ("length_mm", 60.0, "last slit ends at"),
    ("flexible_start_mm", 36.0, "first slit"),
    ("shaft_extension_mm", -1.0, "must not be negative"),
    ("tendon_offset_mm", 3.5, "outer radius"),
    ("mass_fractions", {"Ni": 0.5}, "sum to 1"),
    ("name", "", "must be a word"),
])
def test_a_body_that_cannot_be_built_is_refused(geometry, field, value, words):
    values = dataclasses.asdict(geometry) | {field: value}
    with pytest.raises(ValueError, match=words):
        CmGeometry(**values)


@pytest.mark.parametrize(("field", "value", "words"), [
    ("tendon_limits_mm", [1.0, -1.0], "low < high"),
    ("roll_limits_deg", 3.0, "two numbers"),
    ("lag_s", 0.0, "greater than zero"),
    ("move_speed_fraction", 1.5, "at most 1"),
])
def test_actuators_that_cannot_work_are_refused(actuation, field, value, words):
    with pytest.raises(ValueError, match=words):
        Actuation(**(dataclasses.asdict(actuation) | {field: value}))


@pytest.mark.parametrize(("change", "words"), [
    (lambda c: c["geometry"].pop("slit_width_mm"), "missing keys slit_width_mm"),
    (lambda c: c["geometry"].update(slit_widht_mm=0.3), "unknown keys slit_widht_mm"),
    (lambda c: c.pop("geometry"), "needs a section 'geometry'"),
    (lambda c: c.update(geometri={}), "unknown sections geometri"),
    (lambda c: c["geometry"].update(length_mm=None), "length_mm must be a finite number"),
])
def test_a_wrong_device_file_is_named_with_its_mistake(device_file, tmp_path, change, words):
    content = yaml.safe_load(device_file.read_text())
    change(content)
    path = tmp_path / "device.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(ValueError, match=words) as caught:
        load_geometry(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("text", ["a: [", "- 1\n", ""])
def test_a_file_that_is_no_device_file_is_refused(tmp_path, text):
    path = tmp_path / "device.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match="device.yaml"):
        load_actuation(path)


def test_a_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(OSError, match="nowhere.yaml"):
        load_geometry(tmp_path / "nowhere.yaml")
