#!/usr/bin/env python3
"""SIGKILLs the controller at random moments of runs with faults, and looks for what is left afterwards.

    cargo build
    tests/benchmarks/kill_fifty.py [-n ROUNDS] [--seed SEED] [--places local,docker,external] [--program PATH]

Each round runs planted cases (faults, a real cluster) on local, docker or external services in turn, and
SIGKILLs the controller at a moment drawn evenly from the time that such a run takes; in every third round
its supervisor, too. Then comes the next start: `clean`, or another run. Nothing of the killed run may be left
after a while: processes, containers, databases, roles, Redis keys, System V segments, files of /dev/shm and
of the temporary folder. What belongs to others must stay: containers without our labels and with one of
them, databases, keys, a process.

Exits with 1 if anything is left, or a stranger's is gone. Needs Postgres and Redis installed; docker for its
rounds.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from given_servers import GivenServers
from left_behind import docker, orphaned_memory, orphaned_segments, processes_of

REPOSITORY = Path(__file__).resolve().parents[2]
BASES = tuple(Path(base) for base in ("/dev/shm", "/tmp"))
IMAGE = "dj-regress/redis:7"
# An undisturbed run takes some seconds; undoing what is in containers some more.
RUN_DEADLINE = 180.0
LEFT_DEADLINE = 45.0
STRANGER = "of-a-stranger"


@dataclass
class Round:
    """What one kill came to."""

    number: int
    place: str
    moment: float
    supervisor_too: bool
    next_start: str
    # What there was just before the controller was killed.
    had: str = ""
    # From the kill until nothing was left.
    took: float = 0.0
    wrong: list[str] = field(default_factory=list)


class Strangers:
    """What belongs to others, and must stay."""

    def __init__(self, has_docker: bool, servers: GivenServers) -> None:
        """Plants them."""
        self.servers = servers
        self.containers: list[str] = []
        # It only looks like one of ours: its arguments name a run.
        command = ["sh", "-c", "sleep 100000 & wait", "postgres", f"/dev/shm/dj-regress-{os.geteuid()}/run-"]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
        if has_docker:
            self.container(start=True)
            self.container(f"dj-regress.run={STRANGER}")
        for name, comment in (("plain", None), ("labelled", "dj-regress 0123456789abcdef0123456789abcdef")):
            servers.sql(f"CREATE DATABASE dj_regress_{name}_stranger")
            if comment:
                servers.sql(f"COMMENT ON DATABASE dj_regress_{name}_stranger IS '{comment}'")
        servers.redis("SET", STRANGER, "1", database=1)

    def container(self, *labels: str, start: bool = False) -> None:
        """A container with these labels."""
        words = [word for label in labels for word in ("--label", label)]
        how = ["run", "-d"] if start else ["create"]
        self.containers.append(docker(*how, "--network", "none", *words, IMAGE))

    def missing(self) -> list[str]:
        """Those that are gone, of what is not looked at elsewhere."""
        gone = [] if self.process.poll() is None else ["a stranger's process is gone"]
        if self.containers:
            there = set(docker("ps", "-a", "-q", "--no-trunc").split())
            running = set(docker("ps", "-q", "--no-trunc").split())
            gone += [
                f"a stranger's container {one[:12]} is gone" for one in self.containers if one not in there
            ]
            if self.containers[0] not in running:
                gone.append("a stranger's container was stopped")
        return gone

    def forget(self, count: int) -> None:
        """Removes the containers but for the first ones."""
        for container in self.containers[count:]:
            with contextlib.suppress(RuntimeError):
                docker("rm", "-f", "-v", container)
        del self.containers[count:]

    def end(self) -> None:
        """Removes them."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.forget(0)


class Bench:
    """The program in a folder of its own, and what it must leave as it was."""

    def __init__(self, program: Path, folder: Path, servers: GivenServers, strangers: Strangers) -> None:
        """Copies the planted cases."""
        self.program, self.folder, self.servers, self.strangers = program, folder, servers, strangers
        for name in ("faults", "killed"):
            shutil.copytree(REPOSITORY / "tests/planted" / name, folder / "cases" / name)
        shutil.copytree(REPOSITORY / "cases/locks", folder / "cases/locks")
        self.temporary = folder / "tmp"
        self.temporary.mkdir(mode=0o755)
        self.given = (servers.databases_and_roles(), servers.keys())

    def start(self, place: str, words: tuple[str, ...], output: str) -> subprocess.Popen[bytes]:
        """Starts a command; what it says is kept."""
        env = os.environ | {"TMPDIR": str(self.temporary)}
        # Paths of sockets are short, whatever the folder is.
        if place == "external":
            env |= {
                "DJ_REGRESS_POSTGRES_URL": self.servers.postgres_url,
                "DJ_REGRESS_REDIS_URL": self.servers.redis_url,
            }
        with (self.folder / f"{output}.log").open("ab") as log:
            return subprocess.Popen(
                [self.program, *words],
                cwd=self.folder,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def run(self, place: str, output: str, *cases: str) -> subprocess.Popen[bytes]:
        """Starts a run."""
        words = ("run", "--frozen", "--services", place, "--output-dir", output, *cases)
        return self.start(place, words, output)

    def folders_of(self, run: str) -> list[Path]:
        """The private folders of a run."""
        bases = [*BASES, self.temporary]
        return [found for base in bases for found in base.glob(f"dj-regress-{os.geteuid()}/{run}*")]

    def left(self, run: str, since: float) -> set[str]:
        """What there is of a run, and of what it has made on servers of others."""
        left = {f"process {pid}: {what}" for pid, what in processes_of(run, self.temporary).items()}
        left |= {f"folder {folder}" for folder in self.folders_of(run)}
        left |= {
            f"temporary {path}"
            for path in self.temporary.rglob("*")
            if path.name != "lock" and path.is_file()
        }
        left |= orphaned_segments(since) | orphaned_memory(since)
        if self.strangers.containers:
            names = docker(
                "ps", "-a", "--filter", f"name=dj-regress-{run}", "--format", "{{.Names}} {{.Status}}"
            )
            left |= {f"container {name}" for name in names.splitlines()}
        databases, keys = self.given
        left |= (self.servers.databases_and_roles() - databases) | (self.servers.keys() - keys)
        return left

    def missing(self) -> list[str]:
        """What of others is gone."""
        databases, keys = self.given
        gone = (databases - self.servers.databases_and_roles()) | (keys - self.servers.keys())
        return [f"a stranger's {what} is gone" for what in sorted(gone)] + self.strangers.missing()

    def plant(self, run: str, stop: threading.Event) -> None:
        """As soon as the run has a manifest: containers of others that carry one label of this very run."""
        while not stop.is_set():
            for folder in self.folders_of(run):
                with contextlib.suppress(OSError, ValueError):
                    manifest = json.loads((folder / "manifest.json").read_text())
                    self.strangers.container(f"dj-regress.run={manifest['run']}")
                    self.strangers.container(
                        f"dj-regress.token={manifest['token']}", "dj-regress.run=another"
                    )
                    return
            time.sleep(0.005)

    def play(self, round_: Round) -> None:
        """One kill, the next start, and a look."""
        kept, begun, since = len(self.strangers.containers), time.monotonic(), time.time()
        controller = self.run(round_.place, "killed")
        run, stop = f"run-{controller.pid}-", threading.Event()
        planting = threading.Thread(target=self.plant, args=(run, stop))
        if round_.place == "docker":
            planting.start()
        with contextlib.suppress(subprocess.TimeoutExpired):
            controller.wait(max(0.0, round_.moment - (time.monotonic() - begun)))
        is_over = controller.poll() is not None
        round_.had = "the run was over" if is_over else self.summary(self.left(run, since))
        supervisors = [
            pid for pid, what in processes_of(run, self.temporary).items() if " supervisor " in what
        ]
        if round_.supervisor_too and not is_over:
            # Stopped first, or it would see its supervisor die.
            controller.send_signal(signal.SIGSTOP)
            for supervisor in supervisors:
                os.kill(supervisor, signal.SIGKILL)
        controller.kill()
        controller.wait()
        killed = time.monotonic()
        stop.set()
        if planting.ident:
            planting.join()
        if round_.next_start == "clean":
            following = self.start(round_.place, ("clean",), "next")
        else:
            following = self.run(round_.place, "next", "killed")
        try:
            code = following.wait(RUN_DEADLINE)
        except subprocess.TimeoutExpired:
            following.kill()
            code = following.wait()
        if code:
            round_.wrong.append(f"the next start exited with {code}: see next.log")
        until = killed + max(LEFT_DEADLINE, time.monotonic() - killed + 5)
        while (left := self.left(run, since)) and time.monotonic() < until:
            time.sleep(0.05)
        round_.took = time.monotonic() - killed
        round_.wrong += sorted(f"left: {what}" for what in left) + self.missing()
        self.strangers.forget(kept)

    @staticmethod
    def summary(left: set[str]) -> str:
        """How many of which kind."""
        kinds = [what.split()[0].rstrip(":") for what in left]
        kinds = ["memory" if kind.startswith("/") else kind for kind in kinds]
        return ", ".join(f"{kinds.count(kind)} {kind}" for kind in sorted(set(kinds))) or "nothing"


def whole_run(bench: Bench, place: str) -> float:
    """Seconds that an undisturbed run takes, when all that is kept between runs is there."""
    took = 0.0
    for _ in range(2):
        begun = time.monotonic()
        code = bench.run(place, "whole").wait(RUN_DEADLINE)
        took = time.monotonic() - begun
        if code:
            sys.exit(
                f"{(bench.folder / 'whole.log').read_text()}an undisturbed run on {place} exited with {code}"
            )
    return took


def show(rounds: list[Round], places: list[str]) -> int:
    """Prints the tables; how many rounds went wrong."""
    titles = ("round", "place", "killed at", "supervisor too", "next start", "there was", "gone after")
    print(f"| {' | '.join(titles)} |\n|{'---|' * len(titles)}")
    for one in rounds:
        cells = (
            one.number,
            one.place,
            f"{one.moment:.2f} s",
            "yes" if one.supervisor_too else "",
            one.next_start,
            one.had,
        )
        print(f"| {' | '.join(map(str, cells))} | {one.took:.1f} s |")
        for wrong in one.wrong:
            print(f"    {wrong}")
    columns = ("place", "rounds", "in the middle", "clean afterwards", "gone after, median (max)")
    print(f"\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for place in places:
        here = [one for one in rounds if one.place == place]
        if here:
            middle = sum(one.had not in ("nothing", "the run was over") for one in here)
            clean = sum(not one.wrong for one in here)
            times = [one.took for one in here]
            seconds = f"{statistics.median(times):.1f} s ({max(times):.1f} s)"
            print(f"| {place} | {len(here)} | {middle} | {clean} | {seconds} |")
    return sum(bool(one.wrong) for one in rounds)


def has_image() -> bool:
    """Whether docker answers and has the image that strangers run."""
    try:
        return bool(docker("image", "ls", "-q", IMAGE))
    except (OSError, RuntimeError):
        return False


def main() -> None:
    """Kills and counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("-n", type=int, default=50, metavar="ROUNDS", help="kills [default: 50]")
    parser.add_argument("--seed", type=int, default=4, help="of the moments [default: 4]")
    parser.add_argument("--places", default="local,docker,external", help="[default: local,docker,external]")
    parser.add_argument(
        "--program", type=Path, default=REPOSITORY / "target/debug/dj-regress", help="a built dj-regress"
    )
    options = parser.parse_args()
    places = options.places.split(",")
    has_docker = has_image()
    if "docker" in places and not has_docker:
        print(f"SKIPPED: docker: no daemon answers, or it has no {IMAGE}: harness/images/build")
        places.remove("docker")
    moments = random.Random(options.seed)
    folder = Path(tempfile.mkdtemp(prefix="kill-"))
    folder.chmod(0o755)
    rounds: list[Round] = []
    with GivenServers() as servers:
        strangers = Strangers(has_docker, servers)
        try:
            bench = Bench(options.program.resolve(), folder, servers, strangers)
            takes = {place: whole_run(bench, place) for place in places}
            for number in range(options.n):
                place = places[number % len(places)]
                moment = moments.uniform(0, takes[place])
                supervisor_too = number // len(places) % 3 == 2
                next_start = "clean" if number // len(places) % 2 else "run"
                round_ = Round(number + 1, place, moment, supervisor_too, next_start)
                bench.play(round_)
                rounds.append(round_)
                state = "; ".join(round_.wrong) or "clean"
                print(
                    f"{round_.number}/{options.n} {place} at {moment:.2f} s ({round_.had}): {state}",
                    file=sys.stderr,
                )
        finally:
            strangers.end()
    wrong = show(rounds, places)
    print(
        f"\nseed {options.seed}; undisturbed: "
        + ", ".join(f"{place} {took:.1f} s" for place, took in takes.items())
    )
    if wrong:
        print(f"{wrong} of {len(rounds)} rounds left something; what was said: {folder}")
        sys.exit(1)
    shutil.rmtree(folder)
    print(f"all {len(rounds)} rounds: nothing left, nobody else's touched")


if __name__ == "__main__":
    main()
