"""Which messages belong to a recording, and what the recorder says about it meanwhile."""

from __future__ import annotations

from synthex_bringup.recording.gate import Received, SessionGate
from synthex_bringup.recording.monitor import SessionMonitor, who_publishes
from synthex_bringup.recording.terminal import progress_line
from synthex_bringup.recording.topics import ANSWERS, CM, EXPOSURE, IMAGE, LABELS, TRUE_MASK, is_session_topic


def _message(topic: str, stamp_ns: int | None = None, latched: bool = False) -> Received:
    return Received(topic, f"/{topic}", "", 0, b"", stamp_ns, latched)


def _stamps(messages: list[Received]) -> list[tuple[str, int | None]]:
    return [(m.topic, m.stamp_ns) for m in messages]


def test_nothing_but_what_is_latched_is_recorded_before_every_node_has_spoken():
    gate = SessionGate([IMAGE, CM])
    assert gate.offer(_message(IMAGE, 1)) == []
    assert gate.offer(_message("cm/measured_js")) == []
    assert _stamps(gate.offer(_message(LABELS, latched=True))) == [(LABELS, None)]
    assert gate.silent == (CM,) and not gate.open


def test_the_recording_begins_with_the_frame_after_the_one_that_was_answered_first():
    gate = SessionGate([IMAGE, CM])
    gate.offer(_message(IMAGE, 1))
    gate.offer(_message(IMAGE, 2))
    assert gate.offer(_message(CM, 1)) == []  # proves that perception runs; its image is not recorded
    assert gate.open
    assert gate.offer(_message(CM, 2)) == []  # nor is image 2, which came before
    assert gate.offer(_message(TRUE_MASK, 2)) == []
    assert _stamps(gate.offer(_message(IMAGE, 3))) == [(IMAGE, 3)]
    assert _stamps(gate.offer(_message("cm/measured_js"))) == [("cm/measured_js", None)]


def test_parts_of_the_first_frame_that_came_before_its_image_are_not_lost():
    gate = SessionGate([CM, IMAGE])
    gate.offer(_message(CM, 0))
    gate.offer(_message(EXPOSURE, 5))
    assert _stamps(gate.offer(_message(IMAGE, 5))) == [(EXPOSURE, 5), (IMAGE, 5)]


def test_without_anything_to_wait_for_everything_is_recorded():
    gate = SessionGate([])
    assert gate.open and len(gate.offer(_message("cm/measured_js"))) == 1 and len(gate.offer(_message(CM, 7))) == 1


def test_after_the_end_only_answers_to_recorded_images_come_in():
    gate = SessionGate([])
    gate.offer(_message(IMAGE, 1))
    gate.close()
    assert gate.offer(_message(IMAGE, 2)) == [] == gate.offer(_message(CM, 2))
    assert _stamps(gate.offer(_message(CM, 1))) == [(CM, 1)]
    assert gate.offer(_message("cm/measured_js")) == []


def test_the_monitor_counts_answers_that_are_whole_and_skips_over_restarts():
    monitor = SessionMonitor()
    for stamp in (1, 2, 3):
        monitor.received(IMAGE, stamp * 10**9, stamp)
        for topic in ANSWERS[: 2 if stamp == 3 else 3]:
            monitor.received(topic, stamp * 10**9, stamp)
    monitor.received(CM, 0, 99)  # no image has this stamp
    for counter, skipped in ((1, 0), (2, 2), (1, 0), (2, 1)):
        monitor.exposure(counter, skipped)
    progress = monitor.progress(4 * 10**9)
    assert (progress.frames, progress.detections, progress.skipped) == (3, 2, 3)
    assert progress.rate_hz == 1.0 and progress.seconds == 3.0
    assert monitor.outstanding == 1
    assert progress_line(progress, 100, lost=4) == "frames 3/100   1.0 Hz   skipped 3   detections 2   LOST 4 messages"


def test_frames_skipped_before_the_first_recorded_one_are_not_counted():
    monitor = SessionMonitor()
    for counter, skipped in ((21, 9), (22, 9), (23, 11)):
        monitor.exposure(counter, skipped)
    assert monitor.progress(0).skipped == 2


def test_where_no_answers_are_recorded_none_are_awaited():
    monitor = SessionMonitor(answers=())
    monitor.received(IMAGE, 1, 1)
    assert monitor.outstanding == 0 and monitor.progress(1).detections == 0


def test_topics_are_recognised_in_any_namespace_and_named_with_their_node():
    assert is_session_topic("/carm/image_raw", IMAGE) and is_session_topic("/or_1/carm/image_raw", IMAGE)
    assert not is_session_topic("/scarm/image_raw", IMAGE) and not is_session_topic("/or_1/tf", "/tf")
    assert who_publishes(CM) == "perception_node (perception/cm)"
    assert who_publishes("/somebody/else") == "/somebody/else"
