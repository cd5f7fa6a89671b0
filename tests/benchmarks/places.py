#!/usr/bin/env python3
"""Tells whether every case says the same on local, docker and external services, with the same counts.

    cargo build --release
    tests/benchmarks/places.py [--program PATH] [--places local,docker,external] [CASE ...]

The external ones are a Postgres and a Redis on loopback, with passwords, as a CI job has them. Counts are the
whole numbers of all invariants in all arms. Where the case itself gives a range, a limit or no bound, a count
may differ (bytes; how often a real cluster does something in a while): that is told with -v only.

Exits with 1 if a verdict differs. SKIPPED, with its reason, is no difference on external services.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from given_servers import GivenServers

REPOSITORY = Path(__file__).resolve().parents[2]
PLACES = ("local", "docker", "external")
DEADLINE = 3600.0
# The outcome was as declared, was not, or nothing was left to run.
EXPECTED = (0, 1, 4, 5)

# A count of an arm, and whether its bound is one value.
Counts = dict[tuple[str, ...], tuple[int, bool]]


def run(program: Path, place: str, cases: list[str], servers: GivenServers, folder: Path) -> dict[str, Any]:
    """Runs the cases in one place; their reports by name."""
    output = folder / place
    env = {name: value for name, value in os.environ.items() if not name.startswith("DJ_REGRESS_SERVICES")}
    if place == "external":
        env |= {"DJ_REGRESS_POSTGRES_URL": servers.postgres_url, "DJ_REGRESS_REDIS_URL": servers.redis_url}
    command = [str(program), "run", "--frozen", "--services", place, "--output-dir", str(output), *cases]
    print(f"# {place}", file=sys.stderr)
    ended = subprocess.run(
        command, cwd=REPOSITORY, env=env, stdin=subprocess.DEVNULL, stdout=sys.stderr, timeout=DEADLINE
    )
    if ended.returncode not in EXPECTED:
        sys.exit(f"a run on {place} services exited with {ended.returncode}")
    results = json.loads((output / "results.json").read_text())
    return {case["name"]: case for case in results["cases"]}


def is_exact(bound: str) -> bool:
    """Whether a bound is one value: others say that machines may differ."""
    return not any(sign in bound for sign in ("none", "<", ">", "..", "+-"))


def counts(case: dict[str, Any]) -> Counts:
    """Whole numbers by arm and invariant."""
    found: Counts = {}
    invariants = [invariant for arm in case["arms"] for invariant in arm["invariants"]]
    # A state without a part of the fix is held against the other state's bound: look at both.
    loose = {one["name"] for one in invariants if one["bound"] != "none" and not is_exact(one["bound"])}
    for arm in case["arms"]:
        label = (arm["fix"] or "", arm["state"], str(arm["repetition"]), str(arm["growth"]))
        for invariant in arm["invariants"]:
            value = invariant["value"]
            key = (*label, invariant["name"])
            if type(value) is int:
                found[key] = (
                    value,
                    is_exact(invariant["bound"]) and invariant["name"] not in loose,
                )
    return found


def differences(one: Counts, other: Counts) -> dict[str, bool]:
    """What the places do not have in common, and whether it should be."""
    nothing = (None, True)
    told = {}
    for name in sorted(one.keys() | other.keys()):
        (a, is_exact_here), (b, is_exact_there) = one.get(name, nothing), other.get(name, nothing)
        if a != b:
            label = " ".join(part for part in name if part not in ("", "0", "None"))
            told[f"{label}: {a} and {b}"] = is_exact_here and is_exact_there
    return told


def compare(name: str, reports: dict[str, dict[str, Any]], verbose: bool) -> tuple[bool, list[str]]:
    """Prints a case's row; whether the verdicts agree, and what there is to say."""
    cases = {place: report[name] for place, report in reports.items()}
    notes: list[str] = []
    ran = {place: case for place, case in cases.items() if case["verdict"] != "SKIPPED"}
    for place, case in cases.items():
        if case["verdict"] == "SKIPPED":
            notes.append(f"{place}: {case['reason']}")
        elif not case["as_declared"]:
            reasons = [fix["reason"] for fix in case["fixes"] if fix["reason"]]
            notes.append(f"{place}: {case['verdict']}, not as declared: {'; '.join(reasons)}")
    verdicts = {(case["verdict"], case["as_declared"]) for case in ran.values()}
    # Only where somebody else runs the servers may a case be skipped.
    agree = len(verdicts) <= 1 and not any(place not in ran for place in cases if place != "external")
    if not agree:
        notes.insert(0, "the verdicts differ")
    first, others = next(iter(ran), ""), list(ran)[1:]
    found = {
        f"{first} and {place}: {what}": is_exact
        for place in others
        for what, is_exact in differences(counts(ran[first]), counts(ran[place])).items()
    }
    exact = sum(is_exact for _, is_exact in counts(ran[first]).values()) if first else 0
    equal = "" if len(ran) < 2 else "no" if any(found.values()) else f"all {exact}"
    row = [name, *[case["verdict"] for case in cases.values()], equal]
    print(f"| {' | '.join(row)} |")
    told = [
        what if is_exact else f"may differ: {what}" for what, is_exact in found.items() if is_exact or verbose
    ]
    return agree, notes + told


def main() -> None:
    """Runs and compares."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    program = REPOSITORY / "target/release/dj-regress"
    parser.add_argument("--program", type=Path, default=program, help="[default: target/release/dj-regress]")
    parser.add_argument("--places", default=",".join(PLACES), help=f"[default: {','.join(PLACES)}]")
    parser.add_argument("-v", "--verbose", action="store_true", help="tell also what may differ")
    parser.add_argument("cases", nargs="*", metavar="CASE", help="cases or folders [default: all]")
    options = parser.parse_args()
    with GivenServers() as servers, tempfile.TemporaryDirectory(prefix="places-") as folder:
        before = (servers.databases_and_roles(), servers.keys())
        reports = {
            place: run(options.program.resolve(), place, options.cases, servers, Path(folder))
            for place in options.places.split(",")
        }
        left = (servers.databases_and_roles() - before[0]) | (servers.keys() - before[1])
    names = list(next(iter(reports.values())))
    print(f"| case | {' | '.join(reports)} | counts equal |\n|---|{'---|' * (len(reports) + 1)}")
    rows = {name: compare(name, reports, options.verbose) for name in names}
    for name, (_, notes) in rows.items():
        for note in notes:
            print(f"{name}: {note}")
    differing = [name for name, (agree, _) in rows.items() if not agree]
    print(f"\n{len(names)} cases, {len(differing)} with other verdicts elsewhere")
    for what in sorted(left):
        print(f"left on the given servers: {what}")
    sys.exit(1 if differing or left else 0)


if __name__ == "__main__":
    main()
