#!/usr/bin/env python3
"""How fast ours renders, beside the peers that can be installed here, in one run: ``make bench``.

    tools/run_in_workspace python tools/benchmarks/render.py            all of it, within 20 minutes on two cores
    tools/run_in_workspace python tools/benchmarks/render.py --quick    small sizes: does everything work?

Writes render.md, render.json and the plots (docs/benchmarks/, or with --quick build/benchmarks/). The peers get a
throw-away environment in the cache folder.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import exposures
import peers_environment
from bare import BareRun
from contestants import OURS, PEERS, Absent
from machine import describe
from plan import FULL, QUICK, Plan
from plots import draw
from table import page

REPOSITORY = Path(__file__).resolve().parents[2]


def main() -> int:
    """Exit status: 1 where ours does not run."""
    options = _options()
    plan = QUICK if options.quick else FULL
    out = options.out or REPOSITORY / ("build" if options.quick else "docs") / "benchmarks"
    peers_environment.folder().parent.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix="render_", dir=peers_environment.folder().parent) as work:
            found = measure_all(plan, options.cores, Path(work))
    except Absent as error:
        print(f"bench: error: {error}", file=sys.stderr)
        return 1
    out.mkdir(parents=True, exist_ok=True)
    (out / "render.json").write_text(json.dumps(found, indent=1) + "\n")
    draw(found, out)
    (out / "render.md").write_text(page(found))
    print(f"[bench] {found['minutes']:.1f} minutes; {out / 'render.md'}")
    return 0


def measure_all(plan: Plan, cores: int, work: Path) -> dict[str, Any]:
    """Everything that goes into render.json."""
    began = time.monotonic()
    found: dict[str, Any] = {
        "date": datetime.date.today().isoformat(),
        "machine": describe(cores),
        "ratio_cell": {"side": plan.all_take_part[0].side, "pixels": plan.all_take_part[0].pixels},
    }
    bare = BareRun(plan, cores, work)
    bare.run()
    whole, missing = exposures.run(plan, cores, work)
    found |= headline(bare.costs, whole)
    found |= {"versions": bare.versions, "absent": bare.absent | missing, "scene": bare.scene}
    found["peak_memory_mib"] = bare.peak_memory_mib
    found |= {"agreement": bare.agreement, "line_integrals": bare.costs, "exposures": whole}
    found["minutes"] = round((time.monotonic() - began) / 60, 1)
    return found


def headline(costs: list[dict[str, Any]], whole: list[dict[str, Any]]) -> dict[str, Any]:
    """The figures that are asked for by name: how many times faster than each, and frames a second."""
    result: dict[str, Any] = {}
    for side, cut, suffix in ((400, False, "400"), (400, True, "400_cut_to_body"), (256, False, "256")):
        here = {
            row["contestant"]: row for row in costs
            if (row["side"], row["pixels"], row["cut_to_body"]) == (side, 360, cut)
        }
        ours = here.get(OURS.key)
        if ours is None:
            continue
        for name, key in ((f"ratios_360_{suffix}", "cpu_ms"), (f"ratios_360_{suffix}_wall", "wall_ms")):
            result[name] = {
                peer.key: round(here[peer.key][key] / ours[key], 2) for peer in PEERS if peer.key in here
            }
    for row in whole:
        if (row["physics"], row["tool"], row["pixels"]) == ("realistic", True, 360):
            result[f"realistic_360_fps_{row['projector']}"] = round(1e3 / row["wall_ms"], 2)
    return result


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes, only to see that everything works")
    parser.add_argument("--cores", type=int, default=2, help="processor cores that each contestant may use (2)")
    parser.add_argument("--out", type=Path, help="folder to write to")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
