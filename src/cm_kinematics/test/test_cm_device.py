"""The simulated actuators obey their limits, hold when they should and follow CRTK's states."""

import numpy as np
import pytest

from cm_kinematics.device import CmDevice, CommandRejected, Mode, OperatingState
from cm_kinematics.motion import ScriptedMotion
from cm_kinematics.mounting import base_pose, entry_pose

START = np.array([20.0, 0.0, 0.0])


@pytest.fixture
def device(actuation) -> CmDevice:
    device = CmDevice(actuation, START)
    device.state_command("enable")
    return device


def stream(device: CmDevice, target, seconds: float, dt: float = 0.05) -> np.ndarray:
    """Servo the same target at 1/dt Hz; returns the (steps, 3) measured values."""
    track = []
    for _ in range(round(seconds / dt)):
        device.servo(target)
        device.step(dt)
        track.append(device.measured)
    return np.array(track)


def test_it_starts_disabled_and_takes_no_command(actuation):
    device = CmDevice(actuation, START)
    assert device.state is OperatingState.DISABLED
    with pytest.raises(CommandRejected, match="enable it first"):
        device.servo(START)
    with pytest.raises(CommandRejected, match="enable it first"):
        device.move(START)


def test_servo_arrives_and_never_exceeds_the_rate_limits(device, actuation):
    target = np.array([35.0, 0.6, 2.0])
    track = np.vstack([START, stream(device, target, 4.0)])
    np.testing.assert_allclose(track[-1], target, atol=1e-3)
    assert (np.abs(np.diff(track, axis=0)) <= actuation.max_speed * 0.05 + 1e-12).all()


def test_the_lag_is_first_order_with_the_given_time_constant(device, actuation):
    # Running at the rate limit v, a first-order lag trails its setpoint by v * lag.
    stream(device, [60.0, 0.0, 0.0], 2.0)
    trail = device.setpoint[0] - device.measured[0]
    assert trail == pytest.approx(actuation.insertion_speed_mm_per_s * actuation.lag_s, rel=0.05)


def test_the_result_does_not_depend_on_the_step(actuation):
    ends = []
    for dt in (0.01, 0.05, 0.1):
        device = CmDevice(actuation, START)
        device.state_command("enable")
        ends.append(stream(device, [24.0, 0.2, 1.0], 0.3, dt)[-1])
    np.testing.assert_allclose(ends[1:], [ends[0]] * 2, atol=1e-6)


def test_a_silent_controller_stops_the_device_within_the_watchdog_time(device, actuation):
    stream(device, [60.0, 0.0, 0.0], 1.0)
    last_command = device.measured
    device.step(actuation.watchdog_s)
    device.step(0.01)
    stopped = device.measured
    assert device.mode is Mode.HOLD
    assert stopped[0] - last_command[0] <= actuation.insertion_speed_mm_per_s * actuation.watchdog_s + 0.1
    device.step(5.0)
    np.testing.assert_array_equal(device.measured, stopped)


def test_move_needs_no_stream_is_slower_and_ends_busy(device, actuation):
    goal = np.array([30.0, 0.5, -1.0])
    device.move(goal)
    assert device.is_busy
    steps, fastest = 0, np.zeros(3)
    while device.is_busy and steps < 400:
        device.step(0.05)
        fastest = np.maximum(fastest, np.abs(device.velocity))
        steps += 1
    assert not device.is_busy
    np.testing.assert_allclose(device.measured, goal, atol=0.03)
    assert (fastest <= actuation.max_speed * actuation.move_speed_fraction + 1e-9).all()
    # All actuators share the time of the slowest: 10 mm at 5 mm/s, and a few lags to settle.
    assert 2.0 <= steps * 0.05 < 2.0 + 8 * actuation.lag_s


@pytest.mark.parametrize("bad", [[np.nan, 0, 0], [20, np.inf, 0], [61, 0, 0], [20, 0, -4], [20, 0]])
def test_a_bad_target_is_rejected_and_the_device_holds_its_place(device, bad):
    stream(device, [40.0, 0.0, 0.0], 0.5)
    place = device.measured
    with pytest.raises(CommandRejected):
        device.servo(bad)
    device.step(1.0)
    np.testing.assert_array_equal(device.measured, place)
    assert device.mode is Mode.HOLD


def test_pause_holds_and_resume_does_not_go_on_with_an_old_move(device):
    device.move([40.0, 0.0, 0.0])
    device.step(0.5)
    device.state_command("pause")
    place = device.measured
    with pytest.raises(CommandRejected, match="PAUSED"):
        device.servo(START)
    device.state_command("resume")
    device.step(1.0)
    np.testing.assert_array_equal(device.measured, place)
    assert device.state is OperatingState.ENABLED and not device.is_busy


def test_an_unhomed_device_takes_no_target_until_it_is_homed(device):
    device.state_command("unhome")
    with pytest.raises(CommandRejected, match="home"):
        device.servo(START)
    device.state_command("home")
    device.servo(START)


@pytest.mark.parametrize(("before", "command"), [
    ([], "resume"), ([], "calibrate"), (["pause"], "pause"), (["pause"], "enable"), (["disable"], "pause"),
    (["disable"], "home")])
def test_a_state_command_out_of_place_is_rejected(device, before, command):
    for earlier in before:
        device.state_command(earlier)
    state = device.state
    with pytest.raises(CommandRejected):
        device.state_command(command)
    assert device.state is state


def test_scripted_motion_ends_for_good_with_the_first_command(actuation):
    script = ScriptedMotion(0, [10, -0.5, -2.5], [30, 0.5, 2.5], START)
    device = CmDevice(actuation, START, script)
    device.step(5.0)
    np.testing.assert_array_equal(device.measured, START)
    device.state_command("enable")
    for _ in range(200):
        device.step(0.05)
    assert (np.abs(device.measured - script(10.0)) < [0.6, 0.05, 0.15]).all()
    assert np.linalg.norm(device.measured - START) > 1.0
    device.servo(device.measured)
    device.step(1.0)
    place = device.measured
    device.step(10.0)
    np.testing.assert_array_equal(device.measured, place)


def test_what_a_disabled_device_refuses_does_not_end_its_script(actuation):
    device = CmDevice(actuation, START, ScriptedMotion(0, [10, -0.5, -2.5], [30, 0.5, 2.5], START))
    with pytest.raises(CommandRejected):
        device.servo([np.nan, 0, 0])
    device.hold()
    assert device.mode is Mode.SCRIPT


def test_an_unhomed_device_does_not_follow_its_script(actuation):
    device = CmDevice(actuation, START, ScriptedMotion(0, [10, -0.5, -2.5], [30, 0.5, 2.5], START))
    device.state_command("unhome")
    device.state_command("enable")
    device.step(5.0)
    np.testing.assert_array_equal(device.measured, START)


@pytest.mark.parametrize("dt", [-0.1, np.nan, np.inf])
def test_time_only_advances(device, dt):
    with pytest.raises(ValueError, match="non-negative"):
        device.step(dt)


# -- the script ------------------------------------------------------------------------------------------------------
def test_scripted_motion_is_deterministic_stays_in_range_and_starts_at_rest(actuation):
    low, high = np.array([10, -0.5, -2.5]), np.array([30, 0.5, 2.5])
    t = np.arange(0, 600, 0.05)
    track = np.array([ScriptedMotion(7, low, high, START)(s) for s in t])
    np.testing.assert_array_equal(track, [ScriptedMotion(7, low, high, START)(s) for s in t])
    assert np.abs(track - [ScriptedMotion(8, low, high, START)(s) for s in t]).max() > 1.0
    assert (track >= low - 1e-12).all() and (track <= high + 1e-12).all()
    np.testing.assert_array_equal(track[0], START)
    speed = np.abs(np.diff(track, axis=0)) / 0.05
    assert (speed[0] < 0.1).all()
    assert (speed.max(axis=0) < actuation.max_speed).all()
    assert (track[-2000:].std(axis=0) > 0.1 * (high - low)).all()


# -- the mounting ----------------------------------------------------------------------------------------------------
def test_insertion_goes_along_the_direction_and_roll_turns_about_it():
    entry = entry_pose([1, 2, 3], [0, 0, 2], [5, 0, 1])
    np.testing.assert_allclose(entry[:3, 1], [0, 0, 1], atol=1e-12)
    np.testing.assert_allclose(entry[:3, 2], [1, 0, 0], atol=1e-12)
    assert np.linalg.det(entry[:3, :3]) == pytest.approx(1)
    base = base_pose(entry, 10.0, np.pi / 2)
    np.testing.assert_allclose(base[:3, 3], [1, 2, 13], atol=1e-12)
    # Right-handed quarter turn about y: z goes to x.
    np.testing.assert_allclose(base[:3, 2], entry[:3, 0], atol=1e-12)


@pytest.mark.parametrize(("direction", "hinge", "words"), [
    ([0, 0, 0], [0, 0, 1], "zero"), ([0, 1, 0], [0, -3, 0], "parallel"), ([0, np.nan, 0], [0, 0, 1], "finite")])
def test_an_impossible_entry_is_refused(direction, hinge, words):
    with pytest.raises(ValueError, match=words):
        entry_pose([0, 0, 0], direction, hinge)
