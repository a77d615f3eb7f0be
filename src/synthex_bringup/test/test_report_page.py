"""report.html is one file that needs nothing else, and shows where things are."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest
from bringup_fabricate import FabricatedFrame, write_session

from synthex_bringup.recording.details import RecordingDetails
from synthex_bringup.report.__main__ import main as report
from synthex_bringup.report.accuracy import Point
from synthex_bringup.report.charts import Level, Series, line_chart
from synthex_bringup.report.frames import OutOfTimeError
from synthex_bringup.report.pictures import LABEL_COLOURS, overlay
from synthex_bringup.report.summary import summary_rows
from synthex_bringup.report.write import write_report
from synthex_sim.anatomy import LABEL_NAMES, LEFT_FEMUR, MANIPULATOR

VOID = {"meta", "img", "line", "circle", "path", "br"}


class _Page(HTMLParser):
    """Checks nesting, collects tags, texts and what is referred to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.stack, self.tags, self.links, self.text = [], [], [], []
        self.feed(text)
        assert self.stack == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href", "data", "action", "srcset")]
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def _frames(count: int) -> list[FabricatedFrame]:
    mask = np.zeros((64, 64), np.uint8)
    mask[10:30, 10:30] = LEFT_FEMUR
    mask[40:50, 40:60] = MANIPULATOR
    points = {"FH-l": (20.0, 20.0), "CM-base": (42.0, 45.0), "CM-tip": (58.0, 45.0)}
    rng = np.random.default_rng(0)
    return [
        FabricatedFrame(
            at_ms=300.0 * i,
            image=rng.integers(100, 50_000, (64, 64), dtype=np.uint16),
            counter=i + 1,
            true_mask=mask,
            mask=mask,
            true_points=points,
            points=points,
            true_cm=True,
            cm=True,
            answer_after_ms=None if i == 2 else 60.0,
        )
        for i in range(count)
    ]


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> str:
    run = tmp_path_factory.mktemp("run")
    write_session(run, _frames(20))
    RecordingDetails(created_utc="2026-01-02T03:04:05Z", patient="<phantom> & 7", lost={"/tf": 3}).write(run)
    write_report(run)
    return (run / "report.html").read_text(encoding="utf-8")


def test_the_page_refers_to_nothing_outside_its_folder(page):
    without_pictures = re.sub(r"data:image/jpeg;base64,[A-Za-z0-9+/=]+", "", page)
    assert not re.search(r"https?:|//[a-z]|@import|url\(|<script|<link|<iframe", without_pictures)
    links = _Page(page).links
    assert {link for link in links if not link.startswith("data:image/jpeg;base64,")} == {"bag/", "session.json"}


def test_eight_frames_are_shown_twice_each_as_readable_pictures(page):
    pictures = [link for link in _Page(page).links if link.startswith("data:")]
    assert len(pictures) == 16
    for uri in pictures:
        decoded = cv2.imdecode(np.frombuffer(base64.b64decode(uri.partition(",")[2]), np.uint8), cv2.IMREAD_COLOR)
        assert decoded.shape == (640, 640, 3)


def test_the_page_says_what_it_is_and_escapes_what_it_was_told(page):
    text = " ".join(_Page(page).text)
    assert "not a medical device" in text and "<phantom> & 7" in text and "<phantom>" not in page
    assert "20" in text and "19 of 20, matched by stamp" in text
    assert "Messages received but not in the bag: /tf 3" in text
    for heading in ("Frames", "Over time", "Accuracy", "Exposure and geometry", "Recording"):
        assert heading in text
    assert _Page(page).tags.count("svg") == 3


def test_a_session_without_ground_truth_or_with_one_frame_still_makes_a_page(tmp_path):
    frame = FabricatedFrame(at_ms=0, image=np.full((8, 8), 900, np.uint16), answer_after_ms=None)
    write_session(tmp_path, [frame])
    write_report(tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "no ground truth" in page and _Page(page).tags.count("img") == 1


@pytest.mark.parametrize(
    ("label", "points", "rows", "note"),
    [
        (LEFT_FEMUR, {}, {"hip landmarks": "no ground truth"}, "The ground truth holds no hip landmarks."),
        (MANIPULATOR, {}, {"hip": "no ground truth"}, "The ground truth holds no bones and no hip landmarks."),
        (
            MANIPULATOR,
            {"FH-l": (99.0, 20.0)},
            {"hip Dice": "no bone in the ground truth", "hip landmarks": "never in view"},
            "The ground truth holds no bones.",
        ),
    ],
    ids=["labels only", "neither", "landmarks only"],
)
def test_what_has_no_ground_truth_is_said_in_the_terminal_and_on_the_page(tmp_path, label, points, rows, note):
    (frame,) = _frames(1)
    frame.true_mask, frame.true_points = np.full((64, 64), label, np.uint8), points
    write_session(tmp_path, [frame])
    told = dict(summary_rows(write_report(tmp_path)))
    assert {name: told[name] for name in rows} == rows
    assert told["manipulator tip"] == "never in view"
    text = _Page((tmp_path / "report.html").read_text(encoding="utf-8")).text
    assert note in text and ("FH-l" in text) == ("FH-l" in points)


def test_a_sheet_has_a_column_for_each_frame_and_needs_ground_truth_and_answers(tmp_path):
    write_session(tmp_path, _frames(20))
    assert report(["--picture", str(tmp_path / "sheet.png"), str(tmp_path)]) == 0
    picture = cv2.imread(str(tmp_path / "sheet.png"))
    assert picture.shape == (3 * 320, 4 * 320, 3)
    rows = [picture[k * 320 : (k + 1) * 320].astype(int) for k in range(3)]
    coloured = [(np.ptp(row, axis=2) > 40).mean() for row in rows]
    assert coloured[0] == 0.0 < 0.01 < coloured[1] < coloured[2]

    bare = tmp_path / "bare"
    bare.mkdir()
    write_session(bare, [FabricatedFrame(at_ms=0, image=np.full((8, 8), 900, np.uint16), answer_after_ms=None)])
    assert report(["--picture", str(tmp_path / "none.png"), str(bare)]) == 1
    assert not (tmp_path / "none.png").exists() and (bare / "report.html").exists()


def test_contours_and_crosses_lie_where_mask_and_landmark_are():
    """10 x enlargement: pixel (3, 2) covers columns 30..39, rows 20..29 of the picture, its centre is (34.5, 24.5)."""
    mask = np.zeros((16, 16), np.uint8)
    mask[8:12, 4:10] = LEFT_FEMUR
    names = dict(enumerate(LABEL_NAMES))
    colour = np.array(LABEL_COLOURS["left_femur"], dtype=int)
    picture = overlay(np.zeros((16, 16), np.uint8), mask, names, {}, tint=0.0, side_px=160).astype(int)
    rows, columns = np.nonzero(np.abs(picture - colour).sum(axis=2) < 60)
    assert abs(rows.min() - 80) <= 1 and abs(rows.max() - 119) <= 1
    assert abs(columns.min() - 40) <= 1 and abs(columns.max() - 99) <= 1
    seen = overlay(np.zeros((16, 16), np.uint8), None, names, {"FH-l": Point(3, 2, True)}, tint=0, side_px=160)
    assert seen[24, 34].min() > 200
    unseen = overlay(np.zeros((16, 16), np.uint8), None, names, {"FH-l": Point(3, 2, False)}, tint=0, side_px=160)
    assert unseen.max() == 0


def test_charts_place_values_on_their_axes_and_break_at_gaps():
    chart = line_chart(
        [Series("a", "#000", [(0, 0.0), (5, 1.0), (6, None), (10, 0.5), (10, 0.5)])],
        unit="",
        title="t",
        top=1.0,
        levels=[Level("half", "#111", 0.5)],
    )
    assert chart.count("<path") == 2
    spots = re.findall(r'cx="([\d.]+)" cy="([\d.]+)" r="1.6"', chart)
    (x0, y0), (x1, y1), (x2, y2) = [(float(x), float(y)) for x, y in spots[:3]]
    assert x1 == pytest.approx((x0 + x2) / 2) and y2 == pytest.approx((y0 + y1) / 2)
    assert f'y1="{y2:.1f}" y2="{y2:.1f}" stroke="#111"' in chart
    assert line_chart([Series("a", "#000", [(0, None)])], unit="", title="t") == ""


def test_a_deadline_that_has_passed_leaves_no_half_report(tmp_path):
    write_session(tmp_path, _frames(3))
    with pytest.raises(OutOfTimeError):
        write_report(tmp_path, deadline_s=0.0)
    assert not (tmp_path / "report.html").exists() and not (tmp_path / "session.json").exists()


def _session_report(*arguments) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "synthex_bringup.report", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_session_report_makes_a_report_again_and_repairs_a_torn_bag(tmp_path):
    write_session(tmp_path, _frames(3))
    (tmp_path / "bag/metadata.yaml").unlink()
    torn = _session_report(tmp_path)
    assert torn.returncode == 1 and "--repair" in torn.stderr and torn.stderr.count("\n") == 1
    mended = _session_report(tmp_path, "--repair")
    assert mended.returncode == 0, mended.stderr
    assert "3 published" in mended.stdout and (tmp_path / "report.html").exists()
    missing = _session_report(tmp_path / "nowhere")
    assert missing.returncode == 1 and "is no run folder" in missing.stderr and missing.stderr.count("\n") == 1
