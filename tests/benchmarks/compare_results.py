#!/usr/bin/env python3
"""Compare the results.json of two runs: verdicts, edits and measured values.

compare_results.py BEFORE AFTER [--tolerance 0.01]

Counts, texts and booleans must be equal. A value that no run repeats exactly (bytes, memory, real seconds)
may differ by the tolerance; beyond it the value is listed and, while both runs judge its bound alike, does
not fail the comparison. Exits 1 if a verdict, an edit's outcome or a count differs.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, cast

Json = dict[str, Any]


def keyed(items: list[Json], *keys: str) -> dict[tuple[str, ...], Json]:
    """The items by the values of these keys."""
    return {tuple(str(item.get(key)) for key in keys): item for item in items}


def verdicts(case: Json) -> Json:
    """What was concluded of a case, its fixes and their edits."""
    found: Json = {"verdict": case["verdict"], "as declared": case["as_declared"]}
    for fix in case["fixes"]:
        found[f"fix {fix['fix']}"] = (fix["verdict"], fix["decisive"])
        for edit in fix["edits"]:
            outcome = (edit["pinned_by"], edit["sufficient_alone"], bool(edit["inconclusive"]))
            found[f"edit {edit['edit']} of {fix['fix']}"] = outcome
    return found


def values(case: Json) -> dict[str, tuple[Any, bool]]:
    """What each arm of a case measured, and whether it met its bound."""
    found = {}
    for (fix, state, repetition, growth), arm in keyed(
        case["arms"], "fix", "state", "repetition", "growth"
    ).items():
        for invariant in arm["invariants"]:
            name = f"{fix} · {state} · {repetition} · {growth} · {invariant['name']}"
            found[name] = (invariant["value"], invariant["holds"])
    return found


def is_close(before: Any, after: Any, tolerance: float) -> bool:
    """Whether two numbers differ by no more than the tolerance."""
    numbers = all(
        isinstance(value, (int, float)) and not isinstance(value, bool) for value in (before, after)
    )
    return numbers and abs(before - after) <= tolerance * max(abs(before), abs(after))


def compare(before: Json, after: Json, tolerance: float) -> tuple[list[str], list[str]]:
    """The differences that count, and those that no run repeats exactly."""
    failures, drifts, counted = [], [], 0
    old, new = (keyed(results["cases"], "name") for results in (before, after))
    failures += [f"{name}: only in one run" for (name,) in sorted(old.keys() ^ new.keys())]
    for (name,) in sorted(old.keys() & new.keys()):
        a, b = old[name,], new[name,]
        for key in sorted(verdicts(a).keys() | verdicts(b).keys()):
            if (left := verdicts(a).get(key)) != (right := verdicts(b).get(key)):
                failures.append(f"{name}: {key}: {left} -> {right}")
        left_values, right_values = values(a), values(b)
        for key in sorted(left_values.keys() | right_values.keys()):
            counted += 1
            left, right = left_values.get(key), right_values.get(key)
            if left == right:
                continue
            line = f"{name}: {key}: {left} -> {right}"
            alike = left is not None and right is not None and left[1] == right[1]
            is_count = alike and isinstance(left[0], (int, str, bool, type(None)))  # type: ignore[index]
            if alike and (is_close(left[0], right[0], tolerance) or not is_count):  # type: ignore[index]
                drifts.append(line)
            else:
                failures.append(line)
    print(f"{len(old)} and {len(new)} cases, {counted} values compared")
    return failures, drifts


def main() -> int:
    """Prints what differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--tolerance", type=float, default=0.01)
    arguments = parser.parse_args()
    before, after = (cast(Json, json.loads(path.read_text())) for path in (arguments.before, arguments.after))
    failures, drifts = compare(before, after, arguments.tolerance)
    for line in drifts:
        print(f"  within noise: {line}")
    for line in failures:
        print(f"DIFFERS: {line}")
    print("differ" if failures else "the same verdicts and the same counts")
    return int(bool(failures))


if __name__ == "__main__":
    raise SystemExit(main())
