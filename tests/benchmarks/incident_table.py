#!/usr/bin/env python3
"""The incident's table, measured: what the README shows beside the incident's own numbers.

    cargo build --release
    tests/benchmarks/incident_table.py

Runs the cases `incidents/five_gigabytes_a_day*` and prints Markdown from their results.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
PROGRAM = REPOSITORY / "target/release/dj-regress"
STAGING = "incidents/five_gigabytes_a_day"
PRODUCTION = "incidents/five_gigabytes_a_day_in_production"

# Case, fix, what it is, what the incident's write-up says of it.
ROWS = (
    (STAGING, None, "1.9.0, 122 entries (121 dead)", "~5 GB/day, reported"),
    (PRODUCTION, None, "1.9.0, 12 entries", "~0.73 GB/day, reported"),
    (STAGING, "upstream", "the fix alone", "~0.3 GB/day, estimated and never measured"),
    (STAGING, "mitigation", "the mitigation, `stat_disabled`", "0"),
)


def results() -> dict[str, Any]:
    """The cases of one run, by name."""
    with tempfile.TemporaryDirectory(prefix="incident-") as folder:
        output = Path(folder) / "regress.out"
        command = [str(PROGRAM), "run", STAGING, PRODUCTION, "--output-dir", str(output)]
        ended = subprocess.run(command, cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        if ended.returncode:
            sys.exit(f"{ended.stdout.decode()}{PROGRAM.name} exited with {ended.returncode}")
        return {case["name"]: case for case in json.loads((output / "results.json").read_text())["cases"]}


def values(case: dict[str, Any], fix: str | None) -> dict[str, float]:
    """What was measured in the applied state of a fix, or in the reverted state."""
    state = "applied" if fix else "reverted"
    arm = next(arm for arm in case["arms"] if arm["fix"] == fix and arm["state"] == state)
    return {invariant["name"]: invariant["value"] for invariant in arm["invariants"]}


def main() -> None:
    """Measures and prints."""
    cases = results()
    heads = ("", "the incident's write-up", "measured, GB/day", "statements per beat", "a real idle cluster")
    print(f"| {' | '.join(heads)} |")
    print("|---|---|---|---|---|")
    for case, fix, what, reported in ROWS:
        found = values(cases[case], fix)
        gigabytes = f"**{found['traffic'] / 1e9:.2f}**"
        real = f"{found['queries of a real one, per second']:.0f} queries/s"
        kilobytes = f"{found['bytes of a real one, per second'] / 1e3:.1f} kB/s"
        statements = found["heartbeat statements"]
        print(f"| {what} | {reported} | {gigabytes} | {statements} | {real}, {kilobytes} |")


if __name__ == "__main__":
    main()
