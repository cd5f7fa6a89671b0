#!/usr/bin/env python3
"""Ends runs by signals at random moments, runs them where there is little, and measures what stays how long.

    cargo build
    tests/benchmarks/signals.py [-n ROUNDS] [--seed SEED] [--program PATH]

Each round of a kind ends a run of planted cases (faults, a real cluster) at a moment drawn evenly from
the time that such a run takes: SIGINT or SIGTERM to the controller, SIGKILL to it, SIGKILL to its
supervisor alone. No next start helps. What is measured is the time from the signal until the command has
ended (SIGINT, SIGTERM, the supervisor's death), or until nothing is left (SIGKILL): processes, its
folder, System V segments. Then eight runs at once, and one each with 64 files, with 4 MB of shared
memory, as another user, and with nice 19.

Exits with 1 if anything is left after the bounds below, or a run fails. The bound for SIGINT and SIGTERM is
reported, and not a reason to fail: it depends on what else the machine does.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from kill_fifty import BASES, REPOSITORY
from left_behind import orphaned_segments, processes_of

# Seconds.
INTERRUPTED = 0.2
LEFT = 3.0
GIVE_UP = 60.0


class Bench:
    """The program in a folder of its own."""

    def __init__(self, program: Path, folder: Path) -> None:
        """Copies the planted cases."""
        self.program, self.folder, self.number = program, folder, 0
        for name in ("faults", "killed", "verdicts"):
            shutil.copytree(REPOSITORY / "tests/planted" / name, folder / "cases" / name)
        shutil.copytree(REPOSITORY / "cases/locks", folder / "cases/locks")

    def command(self, *cases: str) -> list[str]:
        """A run with an output folder of its own."""
        self.number += 1
        words = ("run", "--frozen", "--services", "local", "--outputdir", f"out-{self.number}")
        return [str(self.program), *words, *cases]

    def start(self, *cases: str, before: tuple[str, ...] = (), **env: str) -> subprocess.Popen[bytes]:
        """Starts a run, e.g. by another program; what it says is kept."""
        with (self.folder / "said.log").open("ab") as log:
            return subprocess.Popen(
                [*before, *self.command(*cases)],
                cwd=self.folder,
                env=os.environ | env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def left(self, run: str, since: float) -> list[str]:
        """What there is of a run."""
        folders = [str(found) for base in BASES for found in base.glob(f"dj-regress-{os.geteuid()}/{run}*")]
        processes = [
            f"process {pid}: {what}" for pid, what in processes_of(run, self.folder / "none").items()
        ]
        return folders + processes + sorted(orphaned_segments(since))

    def until_gone(self, run: str, since: float) -> tuple[float, list[str]]:
        """How long it takes from now until nothing is left."""
        begun = time.monotonic()
        while (left := self.left(run, since)) and time.monotonic() - begun < GIVE_UP:
            time.sleep(0.01)
        return time.monotonic() - begun, left

    def end(
        self, moment: float, how: Callable[[subprocess.Popen[bytes], str], bool]
    ) -> tuple[float, float, int, list[str]] | None:
        """Ends a run: seconds until the command ended, and until nothing was left; its code.

        None if it was over.
        """
        since = time.time()
        controller = self.start("faults", "killed")
        run = f"run-{controller.pid}-"
        with contextlib.suppress(subprocess.TimeoutExpired):
            controller.wait(moment)
        begun = time.monotonic()
        if controller.poll() is not None or not how(controller, run):
            controller.wait()
            return None
        code = controller.wait(GIVE_UP)
        ended = time.monotonic() - begun
        _, left = self.until_gone(run, since)
        return ended, time.monotonic() - begun, code, left


def supervisor_of(run: str, bench: Bench) -> int | None:
    """The pid of a run's supervisor."""
    found = processes_of(run, bench.folder / "none").items()
    return next((pid for pid, what in found if " supervisor " in what), None)


def signals(bench: Bench, whole: float, rounds: int, moments: random.Random) -> int:
    """All kinds of ends; how many went wrong."""

    def interrupt(controller: subprocess.Popen[bytes], _: str) -> bool:
        controller.send_signal(moments.choice((signal.SIGINT, signal.SIGTERM)))
        return True

    def kill(controller: subprocess.Popen[bytes], _: str) -> bool:
        controller.kill()
        return True

    def kill_supervisor(_: subprocess.Popen[bytes], run: str) -> bool:
        if supervisor := supervisor_of(run, bench):
            os.kill(supervisor, signal.SIGKILL)
        return supervisor is not None

    kinds = (
        ("SIGINT or SIGTERM", interrupt, 130, INTERRUPTED),
        ("SIGKILL of the controller", kill, -signal.SIGKILL, LEFT),
        ("SIGKILL of the supervisor", kill_supervisor, 2, LEFT),
    )
    print("| what | rounds | command ended, median (max) | nothing left, median (max) | bound | wrong |")
    print("|---|---|---|---|---|---|")
    all_wrong = 0
    for name, how, expected, bound in kinds:
        ended: list[float] = []
        gone: list[float] = []
        wrong: list[str] = []
        while len(gone) < rounds:
            met = bench.end(moments.uniform(0.02, 0.9 * whole), how)
            if met is None:
                continue
            ended.append(met[0])
            gone.append(met[1])
            if met[2] != expected:
                wrong.append(f"exit code {met[2]}")
            wrong += met[3]
            if met[1] > LEFT:
                wrong.append(f"something was left for {met[1]:.1f} s")
        cells = [f"{statistics.median(times):.2f} s ({max(times):.2f} s)" for times in (ended, gone)]
        print(f"| {name} | {rounds} | {cells[0]} | {cells[1]} | {bound} s | {len(wrong)} |")
        for line in wrong:
            print(f"    {line}")
        all_wrong += len(wrong)
    return all_wrong


def limits(bench: Bench) -> int:
    """Runs where there is little; how many failed."""
    wrong = 0
    begun = time.monotonic()
    eight = [bench.start("verdicts/proven", "verdicts/reproduced") for _ in range(8)]
    codes = [run.wait() for run in eight]
    print(f"eight runs at once: {codes} in {time.monotonic() - begun:.1f} s")
    wrong += sum(code != 0 for code in codes)
    small = 'mount -t tmpfs -o size=4m tmpfs /dev/shm && exec "$@"'
    places: dict[str, tuple[str, ...]] = {
        "64 files": ("sh", "-c", 'ulimit -n 64 && exec "$@"', "sh"),
        "4 MB of shared memory": ("unshare", "-m", "sh", "-c", small, "sh"),
        "nice 19": ("nice", "-n", "19"),
    }
    for name, before in places.items():
        code = bench.start("verdicts/proven", "verdicts/reproduced", before=before).wait()
        print(f"{name}: {code}")
        wrong += code != 0
    if os.geteuid() == 0 and shutil.which("setpriv"):
        code = ordinary(bench)
        print(f"another user than root: {code}")
        wrong += code != 0
    return wrong


def ordinary(bench: Bench) -> int:
    """A run of the user `nobody`, with the tools of this one's cache."""
    home = bench.folder / "nobody"
    shutil.copytree(bench.folder / "cases", home / "work/cases")
    # The program must be where that user can reach it.
    (home / "bin").mkdir()
    shutil.copy(bench.program, home / "bin")
    for path in (home, *home.rglob("*")):
        os.chown(path, 65534, 65534, follow_symlinks=False)
    words = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    run = [*words, str(home / "bin" / bench.program.name), "run", "--frozen", "--services", "local"]
    with (bench.folder / "said.log").open("ab") as log:
        return subprocess.run(
            [*run, "verdicts/proven", "verdicts/reproduced"],
            cwd=home / "work",
            env=os.environ | {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        ).returncode


def main() -> None:
    """Ends, and counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("-n", type=int, default=20, metavar="ROUNDS", help="of each kind [default: 20]")
    parser.add_argument("--seed", type=int, default=10, help="of the moments [default: 10]")
    parser.add_argument(
        "--program", type=Path, default=REPOSITORY / "target/debug/dj-regress", help="a built dj-regress"
    )
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="signals-"))
    folder.chmod(0o755)
    bench = Bench(options.program.resolve(), folder)
    bench.start("faults", "killed").wait()
    begun = time.monotonic()
    code = bench.start("faults", "killed").wait()
    whole = time.monotonic() - begun
    if code:
        sys.exit(f"{(folder / 'said.log').read_text()}an undisturbed run exited with {code}")
    print(f"an undisturbed run: {whole:.1f} s; load {os.getloadavg()[0]:.1f}; seed {options.seed}\n")
    wrong = signals(bench, whole, options.n, random.Random(options.seed))
    wrong += limits(bench)
    if wrong:
        sys.exit(f"{wrong} wrong; what was said: {folder}/said.log")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
