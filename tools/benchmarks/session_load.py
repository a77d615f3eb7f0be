#!/usr/bin/env python3
"""What a session costs: latency by stage and the CPU of each node, with and without the viewer, side by side.

    tools/run_in_workspace tools/benchmarks/session_load.py --frames 120 --rounds 2

Each round runs a session with the viewer and one without, so that what else the machine does falls on both. No browser
is open: drawing the page is the browser's work. Prints a table; ``--out`` also writes it as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

REPOSITORY = Path(__file__).resolve().parents[2]
STAGES = {
    "stamp_to_image": "scene sampled -> image received", "render": "of it rendering",
    "publish_to_detection": "image received -> detections", "end_to_end": "scene sampled -> detections",
}


def run_session(frames: int, viewer: bool, extra: list[str]) -> dict:
    """One session; latencies in ms by stage (p50, p95), CPU in percent of one core by node, skipped frames."""
    folder = Path(tempfile.mkdtemp(prefix="session_load_"))
    command = [sys.executable, str(REPOSITORY / "tools" / "launch"), "synthex_bringup", "session.launch.yaml",
               f"frames:={frames}", f"viewer:={str(viewer).lower()}", f"run_dir:={folder / 'run'}", *extra]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        for line in process.stdout:
            if "session begins" in line:
                break
        cpu = watch(process, 0.25 * frames)
        rest = process.stdout.read()
        if process.wait() != 0:
            raise SystemExit(f"the session ended with exit code {process.returncode}:\n{rest[-2000:]}")
        figures = json.loads((folder / "run" / "session.json").read_text())
    finally:
        process.kill()
        shutil.rmtree(folder, ignore_errors=True)
    latency = {stage: (figures["latency_ms"][stage]["p50"], figures["latency_ms"][stage]["p95"]) for stage in STAGES}
    due = figures["frames_due"]
    return {"latency_ms": latency, "cpu_percent": cpu, "skipped_percent": 100.0 * figures["frames_skipped"] / due}


def watch(launch: subprocess.Popen, seconds: float) -> dict[str, float]:
    """CPU of every process below the launch over a while, percent of one core, by node."""
    processes = psutil.Process(launch.pid).children(recursive=True)
    before, started = {p: used(p) for p in processes}, time.monotonic()
    time.sleep(seconds)
    elapsed = time.monotonic() - started
    shares: dict[str, float] = {}
    for process, spent in before.items():
        if process.is_running():
            name = node_of(process)
            shares[name] = shares.get(name, 0.0) + 100.0 * (used(process) - spent) / elapsed
    return shares


def used(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def node_of(process: psutil.Process) -> str:
    """The node's name; rerun's server belongs to the viewer."""
    words = process.cmdline()
    if "rerun" in os.path.basename(words[0]):
        return "viewer_node"
    named = [word.partition(":=")[2] for word in words if word.startswith("__node:=")]
    return named[0] if named else os.path.basename(words[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=120)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("launch", nargs="*", help="further launch arguments, name:=value")
    options = parser.parse_args()
    results: dict[str, list[dict]] = {"with viewer": [], "without": []}
    for _ in range(options.rounds):
        for name, runs in results.items():
            runs.append(run_session(options.frames, name == "with viewer", options.launch))
    print(f"{psutil.cpu_count()} cores, {options.rounds} rounds of {options.frames} frames; medians over the rounds\n")
    print("| stage, ms (p50 / p95) | " + " | ".join(results) + " |\n|---|---|---|")
    for stage, words in STAGES.items():
        cells = [" / ".join(f"{statistics.median(run['latency_ms'][stage][k] for run in runs):.0f}" for k in (0, 1))
                 for runs in results.values()]
        print(f"| {words} | " + " | ".join(cells) + " |")
    cells = [f"{statistics.median(run['skipped_percent'] for run in runs):.1f} %" for runs in results.values()]
    print("| frames skipped | " + " | ".join(cells) + " |")
    print("\n| CPU, percent of one core | " + " | ".join(results) + " |\n|---|---|---|")
    for node in dict.fromkeys(node for runs in results.values() for run in runs for node in run["cpu_percent"]):
        cells = [f"{statistics.median(run['cpu_percent'].get(node, 0.0) for run in runs):.1f}"
                 for runs in results.values()]
        print(f"| {node} | " + " | ".join(cells) + " |")
    if options.out is not None:
        options.out.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
