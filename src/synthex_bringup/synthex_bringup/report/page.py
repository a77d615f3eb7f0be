"""``report.html``: one file with everything in it - styles, pictures, charts, tables - and nothing fetched."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from pathlib import Path

from synthex_sim.anatomy import LABEL_NAMES, MANIPULATOR, MANIPULATOR_LANDMARKS

from .analysis import answer_latency_ms, cm_dice, hip_dice, hip_errors_px, tip_error_px
from .charts import Level, Series, line_chart
from .frames import SessionFrames
from .pictures import LABEL_COLOURS, UNKNOWN_COLOUR, FramePicture, data_uri
from .session import ErrorStatistics, HipAccuracy, LandmarkAccuracy, PointError, Session
from .summary import NO_BONE, NO_TRUTH, NOTHING

_BLUE, _ORANGE, _PINK, _GREY = "#0b5cad", "#c77700", "#c2185b", "#5b6675"


def page(session: Session, read: SessionFrames, pictures: Sequence[FramePicture], view: str | None = None) -> str:
    """The whole page.

    Args:
        session: the figures.
        read: the frames they were taken from.
        pictures: the frames to show.
        view: name of the viewer's recording beside the page, None where there is none.
    """
    style = Path(__file__).with_name("style.css").read_text(encoding="utf-8")
    body = "".join(
        [
            _head(session),
            _key_figures(session),
            _pictures(session, read, pictures),
            _over_time(session, read),
            _accuracy(session),
            _exposure(session),
            _recording(session, view),
        ]
    )
    title = f"Session report – {session.patient or 'unnamed patient'}"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n{body}"
        f'<footer>{_text(session.disclaimer)} All figures of this page are in <a href="session.json">session.json</a>.'
        "</footer>\n</main>\n</body>\n</html>\n"
    )


# -- sections ---------------------------------------------------------------------------------------------------------
def _head(session: Session) -> str:
    facts = [f"Patient: {session.patient}" if session.patient else "", _date(session.created_utc)]
    if session.frames_recorded:
        facts.append(f"{session.frames_recorded} X-ray frames at {_number(session.frame_rate_hz, 2)} Hz")
    if session.seed is not None:
        facts.append(f"seed {session.seed}")
    warning = ""
    if session.ended not in ("", "frames", "duration", "interrupted"):
        warning = f'<p class="warning">The recording ended early: {_text(session.ended)}.</p>'
    if session.messages_lost:
        lost = ", ".join(f"{topic} {count}" for topic, count in session.messages_lost.items())
        warning += f'<p class="warning">Messages received but not in the bag: {_text(lost)}.</p>'
    return (
        "<h1>Simulated X-ray session</h1>"
        f'<p class="lead">{_text(" · ".join(fact for fact in facts if fact))}</p>'
        f'<p class="disclaimer">{_text(session.disclaimer)}</p>{warning}'
    )


def _key_figures(session: Session) -> str:
    skipped = session.frames_skipped
    share = f" ({100 * skipped / session.frames_due:.1f} % of those due)" if session.frames_due and skipped else ""
    stage = session.latency_ms["end_to_end"]
    inner = session.latency_ms["publish_to_detection"]
    cards = [
        _card(
            "Frames published",
            str(session.frames_published),
            f"{NOTHING if skipped is None else skipped} skipped{share}",
        ),
        _card(
            "Frames answered by the network",
            _percent(session.detections.fraction),
            f"{session.detections.count} of {session.frames_recorded}, matched by stamp",
        ),
        _card(
            "Scene sampled → detection",
            f"{_number(stage.p50, 3)} <small>ms median</small>",
            f"95 % within {_number(stage.p95, 3)} ms; of it perception {_number(inner.p50, 3)} ms",
        ),
        _card(
            "Recording",
            f"{_number(session.wall_s, 3)} <small>s</small>",
            f"{sum(session.messages.values())} messages, {len(session.messages)} topics",
        ),
    ]
    if session.hip is not None:
        cards += _hip_cards(session.hip)
    elif session.cm is not None:
        cards.append(_card("Hip anatomy", NOTHING, NO_TRUTH))
    if session.cm is not None:
        tip, found = session.cm.tip.error, session.cm.tip
        cards += [
            _card(
                "Manipulator, Dice",
                _number(session.cm.dice, 2, fixed=True),
                f"reported in {_percent(session.cm.detection_rate)} of the {session.cm.frames_with_manipulator} frames "
                f"that show it; {session.cm.false_detections} false",
            ),
            _card(
                "Manipulator tip, median error",
                _detector_mm(tip),
                f"{_other_units(tip)}found in {found.activated} of {found.in_image} frames that show it",
            ),
        ]
    note = ""
    if session.hip is None and session.cm is None:
        note = '<p class="note">The bag holds no ground truth for answered frames: there are no accuracy figures.</p>'
    return f'<div class="cards">{"".join(cards)}</div>{note}'


def _hip_cards(hip: HipAccuracy) -> list[str]:
    error = hip.landmarks.error
    bones = f"{len(hip.structures)} structures, {hip.frames} frames" if hip.structures else NO_BONE
    found = f"{_other_units(error)}{_percent(hip.landmarks.activation_rate)} of those in view found"
    return [
        _card("Hip anatomy, Dice", _number(hip.dice, 2, fixed=True), bones),
        _card("Hip landmarks, median error", _detector_mm(error), found if hip.landmarks_by_name else NO_TRUTH),
    ]


def _pictures(session: Session, read: SessionFrames, pictures: Sequence[FramePicture]) -> str:
    if not pictures:
        return "<h2>Frames</h2><p>No image was recorded.</p>"
    first = read.frames[0].stamp_ns
    figures = []
    for one in pictures:
        drawn = [("ground truth", one.truth), ("network", one.network)]
        shown = [(tag, picture) for tag, picture in drawn if picture is not None]
        shown = shown or [("image only: not answered", one.radiograph)]
        cells = "".join(
            f'<div><img src="{data_uri(picture)}" alt="frame {one.index + 1}, {tag}">'
            f'<span class="tag">{tag}</span></div>'
            for tag, picture in shown
        )
        kind = "pair" if len(shown) > 1 else "pair single"
        figures.append(
            f'<figure><div class="{kind}">{cells}</div><figcaption>{_caption(one, first)}</figcaption></figure>'
        )
    named = {**read.true_names, **read.names}
    order = sorted((value, name) for value, name in named.items() if name != "background")
    keys = "".join(f"<span>{_swatch(name)}{_text(_words(name))}</span>" for _, name in order)
    return (
        "<h2>Frames</h2>"
        f'<p class="lead">{len(pictures)} frames spread over the session, bone bright, seen from the detector. Left: '
        "ground truth contours. Right: what the network says. Crosses are landmarks, the ringed cross is the "
        f'manipulator\'s tip.</p><div class="keys">{keys}</div>'
        f'<div class="strip">{"".join(figures)}</div>'
    )


def _caption(picture: FramePicture, first_ns: int) -> str:
    frame = picture.frame
    parts = [f"<b>Frame {picture.index + 1}</b> at {(frame.stamp_ns - first_ns) * 1e-9:.1f} s"]
    if (value := hip_dice(frame)) is not None:
        parts.append(f"hip Dice {value:.2f}")
    if (value := cm_dice(frame)) is not None:
        parts.append(f"manipulator Dice {value:.2f}")
    if (error := tip_error_px(frame)) is not None:
        millimetres = f", {error * frame.scale.pixel_spacing_mm:.1f} detector mm" if frame.scale else ""
        parts.append(f"tip error {error:.1f} px{millimetres}")
    elif frame.true_cm is not None and frame.true_cm.detected and frame.cm is not None and not frame.cm.detected:
        parts.append("manipulator not found")
    return " · ".join(parts)


def _over_time(session: Session, read: SessionFrames) -> str:
    if len(read.frames) < 2:
        return ""
    start, span = read.frames[0].stamp_ns, (read.frames[-1].stamp_ns - read.frames[0].stamp_ns) * 1e-9

    def over(value) -> list[tuple[float, float | None]]:
        return [((frame.stamp_ns - start) * 1e-9, value(frame)) for frame in read.frames]

    def if_answered(value):
        return lambda frame: value(frame) if read.answered(frame) else None

    stage = session.latency_ms["end_to_end"]
    levels = [
        Level(f"{name} {value:.0f} ms", _BLUE, value)
        for name, value in (("p50", stage.p50), ("p95", stage.p95))
        if value is not None
    ]
    latency = line_chart(
        [
            Series("scene sampled → detection", _BLUE, over(if_answered(lambda f: answer_latency_ms(f)[1]))),
            Series("image → detection", _ORANGE, over(if_answered(lambda f: answer_latency_ms(f)[0]))),
            Series("rendering", _GREY, over(lambda f: f.exposure.render_ms if f.exposure else None)),
        ],
        unit="ms",
        title="latency of each frame over time",
        levels=levels,
        span_s=span,
    )
    overlap = line_chart(
        [Series("hip", _BLUE, over(if_answered(hip_dice))), Series("manipulator", _PINK, over(if_answered(cm_dice)))],
        unit="",
        title="Dice of each frame over time",
        top=1.0,
        span_s=span,
    )

    def in_mm(value):
        return lambda f: value(f) * f.scale.pixel_spacing_mm if f.scale and value(f) is not None else None

    def hip_median(frame) -> float | None:
        errors = sorted(hip_errors_px(frame))
        return errors[len(errors) // 2] if errors else None

    errors = line_chart(
        [
            Series("hip landmarks, frame's median", _BLUE, over(if_answered(in_mm(hip_median)))),
            Series("manipulator tip", _PINK, over(if_answered(in_mm(tip_error_px)))),
        ],
        unit="mm",
        title="errors of each frame over time",
        span_s=span,
    )
    charts = [("Latency", latency), ("Dice", overlap), ("Error, mm at the detector", errors)]
    drawn = "".join(f"<h3>{name}</h3>{chart}" for name, chart in charts if chart)
    note = f'<p class="note">{_text(session.latency_clock)}</p>'
    return f"<h2>Over time</h2>{drawn}{note}" if drawn else ""


def _accuracy(session: Session) -> str:
    tables = []
    bones = session.hip.structures if session.hip is not None else {}
    hip_points = session.hip.landmarks_by_name if session.hip is not None else {}
    if session.hip is not None or session.cm is not None:
        rows = [
            [_swatch(name) + _text(_words(name)), _number(one.dice, 3, fixed=True), str(one.frames)]
            for name, one in bones.items()
        ]
        if session.cm is not None:
            manipulator = LABEL_NAMES[MANIPULATOR]
            rows.append(
                [
                    _swatch(manipulator) + _text(_words(manipulator)),
                    _number(session.cm.dice, 3, fixed=True),
                    str(session.cm.frames_with_manipulator),
                ]
            )
        tables.append("<h3>Dice by structure</h3>" + _table(["structure", "Dice", "frames that show it"], rows, 1))
    points: dict[str, LandmarkAccuracy] = {}
    if session.cm is not None:
        points |= dict(zip(MANIPULATOR_LANDMARKS, (session.cm.base, session.cm.tip), strict=True))
    points |= hip_points
    seen = {name: one for name, one in points.items() if one.in_image or one.false_activations}
    if seen:
        rows = [
            [_text(name), *_error_cells(one.error), f"{one.activated} / {one.in_image}", str(one.false_activations)]
            for name, one in seen.items()
        ]
        heads = ["point", "px", "detector mm", "isocentre mm", "found / in view", "false"]
        unseen = [name for name in points if name not in seen]
        note = f'<p class="note">Never in view: {_text(", ".join(unseen))}.</p>' if unseen else ""
        tables.append("<h3>Points, median error</h3>" + _table(heads, rows, 1) + note)
    if not tables:
        return ""
    unknown = [what for what, truth in (("bones", bones), ("hip landmarks", hip_points)) if not truth]
    missing = f'<p class="note">The ground truth holds no {" and no ".join(unknown)}.</p>' if unknown else ""
    return (
        "<h2>Accuracy</h2>"
        '<p class="note">Against the simulation\'s own ground truth. Errors are image distances of points that the '
        "network marked visible: pixels × pixel spacing gives mm at the detector, × SAD/SDD mm at the isocentre. "
        "“False” counts points marked visible that lie outside the image or are not there.</p>"
        f'{missing}<div class="columns">{"".join(f"<div>{table}</div>" for table in tables)}</div>'
    )


def _exposure(session: Session) -> str:
    e = session.exposure
    if e is None:
        return ""
    physics = [
        ("tube voltage", f"{e.kvp:g} kV"),
        ("current-time product", f"{e.mas:g} mAs"),
        ("spectrum", e.spectrum),
        ("renderer / projector", f"{e.renderer} / {e.projector}"),
        ("seed of the noise", str(e.seed)),
        ("counts in the open field", str(e.open_field)),
    ]
    geometry = [
        ("image", f"{e.columns} × {e.rows} pixels of {e.pixel_spacing_mm:.4g} mm"),
        ("detector", f"{e.columns * e.pixel_spacing_mm:.4g} × {e.rows * e.pixel_spacing_mm:.4g} mm"),
        ("source to detector (SDD)", f"{e.source_to_detector_mm:.5g} mm"),
        ("source to isocentre (SAD)", f"{e.source_to_isocenter_mm:.5g} mm"),
        (
            "magnification at the isocentre",
            f"{e.source_to_detector_mm / e.source_to_isocenter_mm:.3g}" if e.source_to_isocenter_mm else NOTHING,
        ),
    ]
    return (
        "<h2>Exposure and geometry</h2>"
        f'<div class="columns"><div>{_facts(physics)}</div><div>{_facts(geometry)}</div></div>'
    )


def _recording(session: Session, view: str | None) -> str:
    ros = session.ros
    facts = [
        ("network weights", session.weights or NOTHING),
        ("ROS 2", f"{ros.distribution} from {ros.source}, {ros.rmw}, Python {ros.python}" if ros else NOTHING),
        ("packages", ", ".join(f"{name} {version}" for name, version in ros.packages.items()) if ros else NOTHING),
        ("code version", session.code_version or NOTHING),
        ("ended because of", session.ended or NOTHING),
        ("stamp → image received", _stage(session, "stamp_to_image")),
        ("rendering", _stage(session, "render")),
    ]
    rows = [
        [_text(topic), str(count), str(session.messages_lost.get(topic, 0))]
        for topic, count in session.messages.items()
    ]
    return (
        "<h2>Recording</h2>"
        f'<div class="columns"><div><h3>Messages by topic</h3>{_table(["topic", "in the bag", "lost"], rows, 1)}</div>'
        f"<div><h3>Ran on</h3>{_facts(facts)}"
        f'<h3>Open the bag</h3><p><a href="{_text(session.bag)}/">{_text(session.bag)}/</a>, beside this page, is a '
        "rosbag2 bag (MCAP, metadata version 9) that carries all message definitions.</p>"
        f"<pre>ros2 bag info {_text(session.bag)}</pre>"
        '<p class="note">In Python, without ROS: <code>rosbags.rosbag2.Reader</code>. To perception again, from the '
        "repository: <code>make replay BAG=</code> and this folder.</p>"
        f"{_view(view)}</div></div>"
    )


def _view(view: str | None) -> str:
    if view is None:
        return ""
    return (
        f'<h3>See it again</h3><p><a href="{_text(view)}">{_text(view)}</a> is what the viewer showed, to be played '
        "and searched: <code>make view RUN=</code> and this folder's name, or rerun's own viewer.</p>"
    )


# -- pieces -----------------------------------------------------------------------------------------------------------
def _card(name: str, value: str, more: str) -> str:
    cells = f'<div class="name">{name}</div><div class="value">{value}</div><div class="more">{more}</div>'
    return f'<div class="card">{cells}</div>'


def _detector_mm(error: PointError) -> str:
    value = error.detector_mm.p50
    return NOTHING if value is None else f"{_number(value, 2)} <small>mm at the detector</small>"


def _other_units(error: PointError) -> str:
    """The same median in the other units, as the beginning of a sentence; nothing where there is none."""
    if error.px.p50 is None:
        return ""
    isocenter = error.isocenter_mm.p50
    scaled = "" if isocenter is None else f"{_number(isocenter, 2)} mm at the isocentre, "
    return f"{scaled}{_number(error.px.p50, 2)} px; "


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], words: int) -> str:
    """A table whose first ``words`` columns hold text and the others numbers; cells are HTML."""

    def cell(tag: str, index: int, content: str) -> str:
        return f'<{tag} class="n">{content}</{tag}>' if index >= words else f'<{tag} class="path">{content}</{tag}>'

    head = "".join(cell("th", i, _text(name)) for i, name in enumerate(heads))
    body = "".join("<tr>" + "".join(cell("td", i, c) for i, c in enumerate(row)) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _facts(facts: Sequence[tuple[str, str]]) -> str:
    rows = "".join(f'<tr><th>{_text(name)}</th><td class="path">{_text(value)}</td></tr>' for name, value in facts)
    return f"<table>{rows}</table>"


def _error_cells(error: PointError) -> list[str]:
    def median(one: ErrorStatistics) -> str:
        return _number(one.p50, 2)

    return [median(error.px), median(error.detector_mm), median(error.isocenter_mm)]


def _stage(session: Session, name: str) -> str:
    stage = session.latency_ms[name]
    return f"{stage.p50:.0f} ms median, 95 % within {stage.p95:.0f} ms" if stage.p50 is not None else NOTHING


def _swatch(name: str) -> str:
    red, green, blue = LABEL_COLOURS.get(name, UNKNOWN_COLOUR)
    return f'<span class="key" style="background:rgb({red},{green},{blue})"></span>'


def _number(value: float | None, digits: int, fixed: bool = False) -> str:
    """At least so many significant digits, or digits behind the point; a dash for nothing. Never in powers of ten."""
    if value is None:
        return NOTHING
    if fixed:
        return f"{value:.{digits}f}"
    if abs(float(f"{value:.{digits}g}")) >= 10 ** (digits - 1):
        return f"{value:.0f}"
    return f"{value:#.{digits}g}".rstrip(".")


def _percent(value: float | None) -> str:
    return NOTHING if value is None else f"{100 * value:.3g} %"


def _date(iso: str) -> str:
    return iso.replace("T", " ").replace("Z", " UTC")


def _words(name: str) -> str:
    return name.replace("_", " ")


def _text(value: str) -> str:
    return html.escape(value)
