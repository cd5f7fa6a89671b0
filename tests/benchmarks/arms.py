#!/usr/bin/env python3
"""What an arm costs beside its steps: the median of clone + fork + teardown over all arms of several runs.

    cargo build --release
    tests/benchmarks/arms.py [-n RUNS] [-- ARGUMENT OF dj-regress run ...]

e.g. `-- --jobs 1` for arms that have the machine to themselves. One run comes before, to warm the caches up.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PROGRAM = REPOSITORY / "target/release/dj-regress"
PARTS = ("clone", "fork", "steps", "probes", "teardown")
FIXED = ("clone", "fork", "teardown")
AIM_MS = 60


def timings(arguments: list[str]) -> tuple[list[dict[str, float]], str]:
    """Runs the cases once; per arm, seconds by part; and what the run stood on."""
    with tempfile.TemporaryDirectory(prefix="arms-") as folder:
        output = Path(folder) / "regress.out"
        command = [str(PROGRAM), "run", *arguments, "--output-dir", str(output)]
        ended = subprocess.run(command, cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        if ended.returncode:
            sys.exit(f"{ended.stdout.decode()}{PROGRAM.name} exited with {ended.returncode}")
        results = json.loads((output / "results.json").read_text())
    setting = results["setting"]
    arms = [arm["timings"] for case in results["cases"] for arm in case["arms"]]
    return arms, f"{setting['postgres']}, Python {', '.join(setting['python'])}, {setting['lanes']} lanes"


def row(name: str, seconds: list[float]) -> str:
    """A line of the table, in milliseconds."""
    ms = [1000 * value for value in seconds]
    return f"| {name} | {statistics.median(ms):.1f} ({min(ms):.1f}-{max(ms):.1f}) |"


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("-n", type=int, default=5, metavar="RUNS", help="runs that count [default: 5]")
    parser.add_argument("arguments", nargs="*", help="arguments of `dj-regress run`, after --")
    options = parser.parse_args()
    _, setting = timings(options.arguments)
    arms = [arm for _ in range(options.n) for arm in timings(options.arguments)[0]]
    fixed = [sum(arm[part] for part in FIXED) for arm in arms]
    machine = f"{os.cpu_count()} cores ({platform.machine()}), load {os.getloadavg()[0]:.1f}"
    print(f"{len(arms)} arms of {options.n} runs; {machine}")
    print(f"{setting}; milliseconds, median (min-max)\n\n| part of an arm | ms |\n|---|---|")
    for part in PARTS:
        print(row(part, [arm[part] for arm in arms]))
    print(row(f"**fixed: {' + '.join(FIXED)}**", fixed))
    verdict = "met" if statistics.median(fixed) * 1000 < AIM_MS else "missed"
    print(f"\naim: a median below {AIM_MS} ms: {verdict}")


if __name__ == "__main__":
    main()
