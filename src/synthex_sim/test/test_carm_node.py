"""carm_node over real DDS, in its own process: it publishes what a C-arm would, and answers."""

import os
import random
import signal
import subprocess
import sys
import time

import nibabel
import numpy as np
import pytest
from sim_worlds import CONFIG

rclpy = pytest.importorskip("rclpy", reason="needs ROS 2")
pytest.importorskip("synthex_msgs", reason="needs the built workspace")

from geometry_msgs.msg import Point, PoseStamped  # noqa: E402
from lifecycle_msgs.msg import Transition  # noqa: E402
from lifecycle_msgs.srv import ChangeState  # noqa: E402
from rcl_interfaces.srv import SetParameters  # noqa: E402
from rclpy.action import ActionClient  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile  # noqa: E402
from sensor_msgs.msg import CameraInfo, Image, JointState  # noqa: E402
from visualization_msgs.msg import Marker, MarkerArray  # noqa: E402

from cm_kinematics.geometry import load_geometry  # noqa: E402
from cm_kinematics.kinematics import segment_poses, tip_point  # noqa: E402
from cm_kinematics.nodes.conversions import point_message, pose_messages, stamp_ns  # noqa: E402
from synthex_msgs.action import Sweep  # noqa: E402
from synthex_msgs.msg import CmDetection, CmShape, Exposure, LabelInfo, Landmark2DArray  # noqa: E402
from synthex_msgs.srv import Acquire, SetView  # noqa: E402
from synthex_sim.nodes.carm_node import CArmNode  # noqa: E402
from synthex_sim.nodes.carm_parameters import TABLE, answer_timeout_s  # noqa: E402
from synthex_sim.nodes.image_messages import from_image_msg  # noqa: E402
from synthex_sim.xray.line_integral_renderer import LineIntegralRenderer  # noqa: E402
from synthex_sim.xray.renderer import RENDERERS  # noqa: E402
from synthex_sim.xray.simulator import XraySimulator  # noqa: E402

NAMESPACE = f"/carm_{os.getpid()}"
#: Each is taken once: in one domain, nodes of the same name would answer for each other.
DOMAINS = iter(random.sample(range(10, 91), 81))
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
TOPICS = (
    ("carm/image_raw", Image, 10), ("carm/camera_info", CameraInfo, 10), ("carm/exposure", Exposure, 10),
    ("carm/joint_states", JointState, 10), ("carm/measured_cp", PoseStamped, 10),
    ("carm/ground_truth/mask", Image, 10), ("carm/ground_truth/landmarks", Landmark2DArray, 10),
    ("carm/ground_truth/cm", CmDetection, 10), ("carm/ground_truth/label_info", LabelInfo, LATCHED),
)


def command(*parameters: str) -> list[str]:
    given = [f"device_file:={CONFIG / 'carm' / 'cios_fusion.yaml'}",
             f"cm_device_file:={CONFIG / 'cm' / 'notched_27.yaml'}", "autostart:=true", "image_size:=64",
             "rate_hz:=10.0", "manipulator_wait_s:=0.0", *parameters]
    flags = [part for parameter in given for part in ("-p", parameter)]
    return [sys.executable, "-m", "synthex_sim.nodes.carm_node", "--ros-args", "-r", f"__ns:={NAMESPACE}", *flags]


class Client:
    def __init__(self, domain_id: int) -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=domain_id)
        self.node = rclpy.create_node("client", namespace=NAMESPACE, context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.got: dict[str, list] = {topic: [] for topic, _, _ in TOPICS}
        for topic, kind, qos in TOPICS:
            self.node.create_subscription(kind, topic, self.got[topic].append, qos)
        self.shape = self.node.create_publisher(CmShape, "cm/shape", 1)
        self.acquire = self.node.create_client(Acquire, "carm/acquire")
        self.set_view = self.node.create_client(SetView, "carm/set_view")
        self.sweep = ActionClient(self.node, Sweep, "carm/sweep")
        self.parameters = self.node.create_client(SetParameters, "carm_node/set_parameters")

    def spin_until(self, condition, seconds: float = 60.0) -> None:
        end = time.monotonic() + seconds
        while not condition():
            counts = {topic: len(messages) for topic, messages in self.got.items()}
            assert time.monotonic() < end, f"waited {seconds} s in vain; got {counts}"
            self.executor.spin_once(timeout_sec=0.05)

    def call(self, client, request):
        future = client.call_async(request)
        self.spin_until(future.done)
        return future.result()

    def set(self, **values) -> str:
        """Sets parameters of the node; the reason of the first refusal, or an empty text."""
        assert self.parameters.wait_for_service(timeout_sec=10)
        parameters = [Parameter(name, value=value).to_parameter_msg() for name, value in values.items()]
        request = SetParameters.Request(parameters=parameters)
        return next((r.reason for r in self.call(self.parameters, request).results if not r.successful), "")

    def close(self) -> None:
        self.executor.shutdown()
        rclpy.try_shutdown(context=self.context)


@pytest.fixture(scope="module")
def small_ct(tmp_path_factory):
    volume = np.full((40, 40, 40), -1000, np.int16)
    volume[5:-5, 5:-5, 5:-5] = 30
    volume[8:14, 8:14, 8:14] = 900  # a bone, on the patient's left
    path = tmp_path_factory.mktemp("ct") / "box.nii.gz"
    nibabel.save(nibabel.Nifti1Image(volume, np.diag([6.0, 6.0, 6.0, 1.0])), path)
    return path


@pytest.fixture(scope="module")
def session(small_ct):
    domain_id = next(DOMAINS)
    environment = os.environ | {"ROS_DOMAIN_ID": str(domain_id), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    process = subprocess.Popen(command(f"patient:={small_ct}"), env=environment, stderr=subprocess.PIPE, text=True)
    client = Client(domain_id)
    client.spin_until(lambda: client.got["carm/image_raw"] or process.poll() is not None)
    yield client
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=5) == 0, process.stderr.read()
    client.close()


def test_an_image_and_all_that_derives_from_it_carry_one_stamp_and_frame(session):
    session.spin_until(lambda: len(session.got["carm/ground_truth/cm"]) >= 5)
    stamps = {topic: [stamp_ns(m.header.stamp) for m in session.got[topic]] for topic, _, _ in TOPICS}
    wanted = stamps["carm/image_raw"][2]
    for topic in ("carm/camera_info", "carm/exposure", "carm/ground_truth/mask", "carm/ground_truth/landmarks",
                  "carm/ground_truth/cm", "carm/joint_states", "carm/measured_cp"):
        assert wanted in stamps[topic], topic
    assert session.got["carm/image_raw"][2].header.frame_id == "carm_source_optical"
    assert session.got["carm/measured_cp"][0].header.frame_id == "world"
    assert session.got["carm/ground_truth/label_info"][0].class_map[7].class_name == "continuum_manipulator"


def test_image_and_camera_info_say_what_they_are(session):
    session.spin_until(lambda: session.got["carm/exposure"])
    image, info = session.got["carm/image_raw"][0], session.got["carm/camera_info"][0]
    exposure = session.got["carm/exposure"][0]
    assert (image.encoding, image.height, image.width) == ("mono16", 64, 64)
    counts = from_image_msg(image)
    assert counts.min() < 0.3 * exposure.open_field < counts.max()
    assert info.k[0] == pytest.approx(-1020 / (0.194 * 24)) and info.k[4] == pytest.approx(1020 / (0.194 * 24))
    assert info.k[2] == pytest.approx(31.5) and info.distortion_model == "plumb_bob"
    assert exposure.source_to_detector == pytest.approx(1.02) and exposure.pixel_spacing == pytest.approx(0.194e-3 * 24)
    assert exposure.renderer == "realistic" and exposure.kvp == 90.0 and exposure.mas == 0.5


def test_the_manipulator_on_cm_shape_appears_where_its_pose_says(session):
    geometry = load_geometry(CONFIG / "cm" / "notched_27.yaml")
    angles = np.full(27, 0.01)
    poses = segment_poses(geometry, angles)
    poses[:, :3, 3] += [-35.0, 0.0, 120.0]
    message = CmShape(device=geometry.name, segments=pose_messages(poses), joint_angles=angles.tolist(),
                      tip=point_message(tip_point(geometry, angles)), base=Point())
    message.header.frame_id = "table"
    session.got["carm/ground_truth/cm"].clear()
    session.spin_until(lambda: session.shape.publish(message) or any(
        m.detected for m in session.got["carm/ground_truth/cm"]))
    seen = next(m for m in session.got["carm/ground_truth/cm"] if m.detected)
    assert seen.mask_pixels > 10 and seen.tip.visible and seen.base.visible
    assert (seen.tip.name, seen.base.name) == ("CM-tip", "CM-base")
    mask = next(from_image_msg(m) for m in session.got["carm/ground_truth/mask"] if m.header.stamp == seen.header.stamp)
    rows, columns = np.nonzero(mask == 7)
    assert len(rows) == seen.mask_pixels
    assert min(np.hypot(columns - seen.tip.x, rows - seen.tip.y)) < 1.5


def test_the_bones_are_there_for_those_who_come_late(session):
    got = []
    session.node.create_subscription(MarkerArray, "carm/ground_truth/bones", got.append, LATCHED)
    session.spin_until(lambda: got)
    (marker,) = got[0].markers
    assert (marker.ns, marker.id, marker.type, marker.header.frame_id) == ("bone", 0, Marker.TRIANGLE_LIST, "ct_lps")
    assert marker.frame_locked
    assert stamp_ns(marker.header.stamp) <= stamp_ns(session.got["carm/image_raw"][0].header.stamp)
    corners = np.array([[p.x, p.y, p.z] for p in marker.points])
    # Voxels 8..13 of 6 mm; RAS in the file, LPS and metres here.
    np.testing.assert_allclose(corners.min(axis=0), [-0.081, -0.081, 0.045], atol=0.003)
    np.testing.assert_allclose(corners.max(axis=0), [-0.045, -0.045, 0.081], atol=0.003)


def test_acquire_brings_the_image_with_the_exposure_asked_for(session):
    answer = session.call(session.acquire, Acquire.Request(kvp=70.0, mas=2.0))
    assert answer.success, answer.message
    assert (answer.exposure.kvp, answer.exposure.mas) == (70.0, 2.0)
    assert answer.image.header == answer.exposure.header == answer.camera_info.header
    assert "70 kV" in answer.exposure.spectrum


@pytest.fixture
def shot(session):
    """Sets parameters, takes a single shot with them, and puts everything back afterwards."""
    before = {"scatter": "kernel", "grid": True, "noise": True, "blur": True, "heel_effect": False, "lag": False,
              "gain": "auto", "collimation_mm": [0.0] * 4, "monte_carlo_photons": 20_000_000}

    def take(**values):
        assert session.set(**values) == ""
        answer = session.call(session.acquire, Acquire.Request())
        assert answer.success, answer.message
        return from_image_msg(answer.image).astype(float), answer.exposure

    yield take
    assert session.set(**before) == ""


def test_switches_set_on_the_way_change_the_image_and_the_exposure_says_so(shot):
    usual, said = shot(noise=False)
    assert (said.scatter, said.grid, said.noise, said.gain) == ("kernel", True, False, "auto")
    no_scatter, said = shot(scatter="none")
    assert said.scatter == "none" and (no_scatter < usual).mean() > 0.5
    no_grid, said = shot(scatter="kernel", grid=False)
    assert not said.grid and no_grid[20:44, 20:44].mean() > 1.05 * usual[20:44, 20:44].mean()
    heel, said = shot(grid=True, heel_effect=True)
    assert said.heel_effect and heel[-1].mean() / usual[-1].mean() < 0.9
    fixed, said = shot(heel_effect=False, gain="fixed")
    assert said.gain == "fixed" and said.saturation == 65535 and said.kev_per_count > 0
    energy = fixed * said.kev_per_count
    usual, said = shot(gain="auto")
    assert energy == pytest.approx(usual * said.kev_per_count, abs=2 * said.kev_per_count + 0.01 * energy.max())


def test_blades_set_on_the_way_darken_the_image_and_stand_in_the_exposure_in_metres(session, shot):
    whole, said = shot(noise=False, scatter="none")
    assert list(said.collimation) == [0.0] * 4
    narrow, said = shot(collimation_mm=[-100.0, 50.0, -80.0, 120.0])
    assert list(said.collimation) == pytest.approx([-0.1, 0.05, -0.08, 0.12])
    # pixels of 4.656 mm: the blades stand at columns 10.0 and 42.2, rows 14.3 and 57.3
    assert narrow[16:56, 12:41] == pytest.approx(whole[16:56, 12:41], abs=2)
    assert narrow[:13].max() == narrow[59:].max() == narrow[:, :9].max() == narrow[:, 44:].max() == 0
    assert "nothing of the detector open" in session.set(collimation_mm=[200.0, 300.0, -10.0, 10.0])


def test_photon_transport_answers_with_as_many_photons_as_it_is_told(shot):
    _, said = shot(scatter="monte_carlo", monte_carlo_photons=2000)
    assert said.scatter == "monte_carlo"


def test_live_frames_have_lag_where_it_is_on_and_single_shots_have_none(session, shot):
    _, said = shot(lag=True)
    assert not said.lag
    session.got["carm/exposure"].clear()
    session.spin_until(lambda: sum(e.lag for e in session.got["carm/exposure"]) >= 3, 20.0)


def test_another_renderer_says_what_it_has_no_model_for(small_ct):
    """And a device that does not say where its anode is has no heel effect, live either."""
    domain_id = next(DOMAINS)
    environment = os.environ | {"ROS_DOMAIN_ID": str(domain_id), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    device = f"device_file:={CONFIG / 'carm' / 'loop_x.yaml'}"
    process = subprocess.Popen(command(f"patient:={small_ct}", "renderer:=naive", "lag:=true", device), env=environment)
    client = Client(domain_id)
    try:
        client.spin_until(lambda: client.got["carm/exposure"] or process.poll() is not None)
        said = client.got["carm/exposure"][0]
        assert (said.renderer, said.scatter, said.gain, said.kev_per_count) == ("naive", "none", "auto", 0.0)
        assert not (said.grid or said.noise or said.blur or said.heel_effect or said.lag)
        assert "on which side the anode is" in client.set(heel_effect=True)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=5) == 0
    finally:
        process.kill()
        client.close()


def test_acquire_refuses_an_exposure_that_no_generator_makes_at_once_and_with_the_reason(session):
    skipped = session.got["carm/exposure"][-1].frames_skipped
    for kvp, mas, reason in ((500.0, 0.0, "30..150 kV"), (float("nan"), 0.0, "kV"), (0.0, -1.0, "mA s")):
        begun = time.monotonic()
        answer = session.call(session.acquire, Acquire.Request(kvp=kvp, mas=mas))
        assert not answer.success and reason in answer.message
        assert time.monotonic() - begun < 2.0
    answer = session.call(session.acquire, Acquire.Request())
    assert answer.success and answer.exposure.frames_skipped <= skipped + 5  # refusals are no skipped frames


def test_set_view_moves_there_and_refuses_what_it_cannot(session):
    answer = session.call(session.set_view, SetView.Request(view="inlet"))
    assert answer.success, answer.message
    angles = dict(zip(answer.joints.name, answer.joints.position, strict=True))
    assert angles["angular"] == pytest.approx(np.deg2rad(40.0))
    for request, reason in (
        (SetView.Request(view="skyline"), "unknown view"),
        (SetView.Request(view="ap", joints=JointState(name=["orbital"], position=[0.3])), "a view or joints, not both"),
        (SetView.Request(joints=JointState(name=["orbital"], position=[3.0])), "outside its limits"),
        (SetView.Request(joints=JointState(name=["elbow"], position=[0.0])), "unknown joint"),
        (SetView.Request(joints=JointState(name=["orbital"], position=[float("nan")])), "finite"),
    ):
        answer = session.call(session.set_view, request)
        assert not answer.success and reason in answer.message
    angles = dict(zip(answer.joints.name, answer.joints.position, strict=True))
    assert angles["angular"] == pytest.approx(np.deg2rad(40.0))


def test_a_sweep_publishes_images_and_ends_where_it_should(session):
    assert session.sweep.wait_for_server(timeout_sec=10)
    feedback = []
    goal = Sweep.Goal(end=JointState(name=["orbital"], position=[0.2]), duration=4.0)
    sending = session.sweep.send_goal_async(goal, feedback_callback=lambda m: feedback.append(m.feedback))
    session.spin_until(sending.done)
    accepted = sending.result()
    assert accepted.accepted
    result = accepted.get_result_async()
    session.spin_until(result.done)
    outcome = result.result().result
    assert outcome.success and outcome.frames_published >= 3
    assert feedback and 0 <= feedback[0].progress <= feedback[-1].progress <= 1


def test_a_second_motion_is_refused_and_a_cancelled_sweep_stays_where_it_is(session):
    under_way = []
    sending = session.sweep.send_goal_async(
        Sweep.Goal(end=JointState(name=["orbital"], position=[-0.3]), duration=30.0),
        feedback_callback=under_way.append)
    session.spin_until(lambda: sending.done() and under_way)  # accepted is not yet moving
    refused = session.call(session.set_view, SetView.Request(view="ap"))
    assert not refused.success and "another motion" in refused.message
    cancelling = sending.result().cancel_goal_async()
    session.spin_until(cancelling.done)
    ending = sending.result().get_result_async()
    session.spin_until(ending.done, 5.0)
    outcome = ending.result().result
    assert not outcome.success and outcome.message == "cancelled"
    where = session.call(session.set_view, SetView.Request(joints=JointState()))
    assert where.success and -0.25 < dict(zip(where.joints.name, where.joints.position, strict=True))["orbital"]


def test_a_sweep_that_cannot_be_is_refused_before_anything_moves(session):
    before = session.call(session.set_view, SetView.Request(joints=JointState())).joints
    for duration, end, reason in ((0.0, 0.1, "duration"), (float("inf"), 0.1, "duration"), (1.0, 3.0, "limits"),
                                  (0.5, 0.1, "at least 0.8 s")):
        goal = Sweep.Goal(start=JointState(name=["orbital"], position=[0.3]),
                          end=JointState(name=["orbital"], position=[end]), duration=duration)
        sending = session.sweep.send_goal_async(goal)
        session.spin_until(sending.done)
        ending = sending.result().get_result_async()
        session.spin_until(ending.done, 5.0)
        assert not ending.result().result.success and reason in ending.result().result.message
    after = session.call(session.set_view, SetView.Request(joints=JointState())).joints
    assert after.position == pytest.approx(before.position)


def test_deactivated_it_is_silent_and_activated_again_the_arm_is_where_it_was(session):
    change = session.node.create_client(ChangeState, "carm_node/change_state")
    assert change.wait_for_service(timeout_sec=10)

    def transition(which):
        assert session.call(change, ChangeState.Request(transition=Transition(id=which))).success

    assert session.call(session.set_view, SetView.Request(view="outlet")).success
    transition(Transition.TRANSITION_DEACTIVATE)
    refused = session.call(session.acquire, Acquire.Request())
    assert not refused.success and "not active" in refused.message
    end = time.monotonic() + 0.5  # a frame that was in the making is finished
    session.spin_until(lambda: time.monotonic() > end)
    session.got["carm/image_raw"].clear()
    end = time.monotonic() + 0.5
    session.spin_until(lambda: time.monotonic() > end)
    assert not session.got["carm/image_raw"]
    transition(Transition.TRANSITION_ACTIVATE)
    answer = session.call(session.set_view, SetView.Request(joints=JointState()))
    angles = dict(zip(answer.joints.name, answer.joints.position, strict=True))
    assert angles["angular"] == pytest.approx(np.deg2rad(-40.0))
    for which in (Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_CLEANUP, Transition.TRANSITION_CONFIGURE,
                  Transition.TRANSITION_ACTIVATE):
        transition(which)
    assert session.call(session.acquire, Acquire.Request()).success
    diagnostics = session.node.get_publishers_info_by_topic("/diagnostics")
    assert len(diagnostics) == 1


def test_without_ground_truth_nothing_is_published_under_that_name(small_ct):
    domain_id = next(DOMAINS)
    environment = os.environ | {"ROS_DOMAIN_ID": str(domain_id), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    process = subprocess.Popen(command(f"patient:={small_ct}", "ground_truth:=false"), env=environment)
    client = Client(domain_id)
    client.spin_until(lambda: client.got["carm/image_raw"] or process.poll() is not None)
    published = [topic for topic, _ in client.node.get_publisher_names_and_types_by_node("carm_node", NAMESPACE)]
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=5) == 0
    client.close()
    assert f"{NAMESPACE}/carm/image_raw" in published
    assert not [topic for topic in published if "ground_truth" in topic]


@pytest.mark.parametrize(("parameter", "reason"), [
    ("patient:=/no/such/ct.nii.gz", "does not exist"),
    ("patient:=phantom:x", "phantom:7"),
    ("rate:=3.0", "unknown parameter rate"),
    ("kvp:=10.0", "30..150 kV"),
    ("device_file:=/dev/null", "must hold keys and values"),
    ("renderer:=magic", "must be one of"),
    ("renderer:=deepdrr", "takes a patient alone: set manipulator to false"),
    ("collimation_mm:=[200.0, 300.0, -10.0, 10.0]", "leaves nothing of the detector open"),
    ("script_orbital_deg:=[80.0, 170.0]", "outside its limits"),
])
def test_a_wrong_configuration_is_one_clear_line_and_a_non_zero_exit(parameter, reason):
    extra = ["script_angular_deg:=[0.0, 0.0]"] if "script" in parameter else []
    patient = [] if parameter.startswith("patient") else ["patient:=none"]
    run = subprocess.run(command(*patient, parameter, *extra), capture_output=True, text=True, timeout=60,
                         env=os.environ | {"ROS_DOMAIN_ID": str(next(DOMAINS))})
    assert run.returncode == 1
    errors = [line for line in run.stderr.splitlines() if "carm_node: error:" in line]
    assert len(errors) == 1 and reason in errors[0], run.stderr
    assert "Traceback" not in run.stderr


class PatientAlone:
    """A renderer that refuses tools, as DeepDRR does, where DeepDRR cannot run."""

    def __init__(self, carm, processor):
        self._naive = LineIntegralRenderer.naive(carm, processor)
        self.name, self.decomposition = "deepdrr", self._naive.decomposition

    def expose(self, projection, scene, *arguments):
        if scene.tools:
            raise ValueError("no tools, please")
        return self._naive.expose(projection, scene, *arguments)


@pytest.fixture
def ros():
    rclpy.init(domain_id=next(DOMAINS))
    yield
    rclpy.try_shutdown()


def node_of(small_ct, **more):
    values = {"device_file": str(CONFIG / "carm" / "cios_fusion.yaml"),
              "cm_device_file": str(CONFIG / "cm" / "notched_27.yaml"), "patient": str(small_ct), "image_size": 32,
              "autostart": True, "rate_hz": 0.1} | more
    return CArmNode([Parameter(name, value=value) for name, value in values.items()])


def test_a_renderer_that_takes_no_tools_starts_where_the_manipulator_is_switched_off(ros, small_ct, monkeypatch):
    monkeypatch.setitem(RENDERERS, "deepdrr", PatientAlone)
    node = node_of(small_ct, renderer="deepdrr", manipulator=False)
    (result,) = node.set_parameters([Parameter("manipulator", value=True)])
    assert not result.successful and "takes a patient alone" in result.reason
    node.close()
    node.destroy_node()


def test_who_asks_for_an_image_by_photon_transport_is_given_the_time_it_takes():
    """The default, 20 million photons, takes 74 s on two idle cores; and another frame may be under way."""
    usual = {row.name: row.default for row in TABLE}
    assert answer_timeout_s(usual) == 10.0
    assert answer_timeout_s({**usual, "scatter": "monte_carlo"}) > 2 * 74


def test_a_frame_that_failed_does_not_count_as_the_last_one_with_lag(ros, small_ct, monkeypatch):
    """The ghost's age is the time since the last frame that was made; and settings are those of the frame's stamp."""
    node = node_of(small_ct, renderer="naive", lag=True)
    intervals, acquire = [], XraySimulator.acquire

    def watched(*arguments, interval_s=None, **more):
        intervals.append(interval_s)
        if len(intervals) == 2:
            raise RuntimeError("no luck")
        return acquire(*arguments, interval_s=interval_s, **more)

    monkeypatch.setattr(XraySimulator, "acquire", watched)
    frames = []
    for _ in range(3):
        frames.append(node._exposures.sample(live=True))
        time.sleep(0.2)
    assert node.set_parameters([Parameter("lag", value=False)])[0].successful  # after the frames were sampled
    for frame in frames:
        try:
            frame()
        except RuntimeError:
            pass
    assert intervals[0] == 3600.0 and intervals[1] == pytest.approx(0.2, abs=0.1)
    assert intervals[2] == pytest.approx(0.4, abs=0.15)
    node.close()
    node.destroy_node()
