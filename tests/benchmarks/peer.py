#!/usr/bin/env python3
"""The flagship case side by side with the same proof written by hand in pytest and testcontainers.

    cargo build --release
    tests/benchmarks/peer.py PEER [-n RUNS]

PEER is the folder of the hand-written proof; a copy of it is used. Four commands in turn (by its own
bench.py), one round to warm up, then medians over RUNS rounds of wall-clock seconds. Each proves both states
of django-q2's `set_stat` fix:

  dj-regress   services included; environments and the migrated template are cached
  kill matrix  the same with each edit of the fix taken back and kept alone, for which the peer has no match
  container    a container per state; virtual environments and image are ready
  best case    on a server that runs already (fsync off), databases reused, both states at once, cheap ghosts

Needs Postgres (with initdb and psql), bc, docker, and uv or pip. Starts dockerd if there is none (as root),
and names an image of this machine's Postgres (harness/images/build) `postgres:15` if there is none; both are
gone afterwards.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
PROGRAM = REPOSITORY / "target/release/dj-regress"
CASE = "django_q/stat_master_list"
IMAGE = "postgres:15"
OURS, MATRIX, CONTAINER, BEST = "dj-regress", "kill matrix", "container", "best case"
# How much of the other's time we may take.
AIMS = {CONTAINER: 0.25, BEST: 1.0}
DEADLINE = 30.0


def run(*command: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    """Runs a command to its end; its standard output."""
    return subprocess.run(
        command, cwd=cwd, env=env, check=True, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    ).stdout


def succeeds(*command: str) -> bool:
    """Whether a command exits with 0."""
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True).returncode == 0


@contextlib.contextmanager
def docker(folder: Path) -> Iterator[None]:
    """A docker daemon: the one that answers, else one of our own until the block is left."""
    if succeeds("docker", "info"):
        yield
        return
    with (folder / "dockerd.log").open("w") as log:
        daemon = subprocess.Popen(
            ["dockerd"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    try:
        deadline = time.monotonic() + DEADLINE
        while not succeeds("docker", "info"):
            if daemon.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"dockerd does not answer:\n{(folder / 'dockerd.log').read_text()}")
            time.sleep(0.1)
        yield
    finally:
        daemon.terminate()
        daemon.wait()


@contextlib.contextmanager
def image() -> Iterator[None]:
    """The image that the peer asks for, made and removed if there is none."""
    if succeeds("docker", "image", "inspect", IMAGE):
        yield
        return
    [made, *_] = run(REPOSITORY / "harness/images/build", "postgres").split()
    run("docker", "tag", made.rstrip(":"), IMAGE)
    try:
        yield
    finally:
        run("docker", "image", "rm", IMAGE)


@contextlib.contextmanager
def server(peer: Path) -> Iterator[dict[str, str]]:
    """The peer's own running server; the variables that lead to it."""
    names = ("PGHOST", "PGPORT", "PGUSER", "PGPASSWORD")
    script = f'. ./server.sh start fast >&2 && for name in {" ".join(names)}; do echo "${{!name}}"; done'
    values = run("bash", "-c", script, cwd=peer).split()
    try:
        yield dict(zip(names, values, strict=True))
    finally:
        run("bash", "./server.sh", "stop", cwd=peer)


def environment(folder: Path) -> dict[str, str]:
    """Our environment, with uv on the PATH, for all alike."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    if shutil.which("uv") is None:
        run(sys.executable, "-m", "venv", folder / "tools")
        run(folder / "tools/bin/pip", "install", "--quiet", "uv")
        env["PATH"] = f"{folder / 'tools/bin'}:{env['PATH']}"
    return env


def measure(peer: Path, rounds: int, folder: Path, env: dict[str, str]) -> str:
    """Plays them in turn; what the peer's bench.py prints."""
    with docker(folder), image(), server(peer) as reached:
        reach = " ".join(f"{name}={shlex.quote(value)}" for name, value in reached.items())
        output = shlex.quote(str(folder / "regress.out"))
        ours = f"cd {shlex.quote(str(REPOSITORY))} && {PROGRAM} run {CASE} --output-dir {output}"
        commands = {
            OURS: f"{ours} --state both",
            MATRIX: ours,
            CONTAINER: "./peer_both_states.sh container",
            BEST: f"{reach} PEER_CHEAP_GHOSTS=1 ./peer_both_states.sh reuse-parallel",
        }
        arms = [f"{name}={command}" for name, command in commands.items()]
        bench = [sys.executable, "bench.py", "-n", str(rounds), *arms]
        ended = subprocess.run(bench, cwd=peer, env=env, text=True, stdout=subprocess.PIPE)
        if ended.returncode:
            sys.exit(f"{ended.stdout}a command of these failed")
        return ended.stdout


def main() -> None:
    """Prepares, measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("peer", type=Path, help="the folder of the hand-written proof")
    parser.add_argument("-n", type=int, default=5, metavar="RUNS", help="rounds that count [default: 5]")
    options = parser.parse_args()
    if not PROGRAM.exists():
        sys.exit(f"{PROGRAM} is not there: cargo build --release")
    with tempfile.TemporaryDirectory(prefix="peer-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # as root, the peer's server runs as another user
        peer = folder / "peer"
        shutil.copytree(options.peer, peer, ignore=shutil.ignore_patterns(".venvs", ".work", "__pycache__"))
        peer.chmod(0o755)
        env = environment(folder)
        print(run("./make_venvs.sh", cwd=peer, env=env | {"PYTHON": sys.executable}), end="")
        table = measure(peer, options.n, folder, env)
    machine = f"{os.cpu_count()} cores ({platform.machine()}), load {os.getloadavg()[0]:.1f}"
    print(f"{machine}, {platform.platform()}")
    print("seconds, median (min-max); CPU: of the command; machine: busy seconds of all processors\n")
    print(f"| command | runs | wall | CPU | machine |\n|---|---|---|---|---|\n{table}")
    wall = {name: float(median) for name, median in re.findall(r"^\| (.+?) \| \d+ \| ([\d.]+) ", table, re.M)}
    for other, aim in AIMS.items():
        ratio = wall[OURS] / wall[other]
        verdict = "met" if ratio <= aim else "missed"
        print(f"{OURS} / {other}: {ratio:.2f} (aim: at most {aim:.2f}: {verdict})")


if __name__ == "__main__":
    main()
