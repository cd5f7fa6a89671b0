#!/usr/bin/env python3
"""From nothing to Postgres and Redis answering: our local servers, our containers, Python's testcontainers.

    harness/images/build postgres redis
    tests/benchmarks/cold_start.py [-n ROUNDS]

The ways take turns, one round to warm up, then medians over ROUNDS rounds of wall-clock seconds, each in a
process of its own that takes the time itself (no imports, no removal):

  local             Postgres::start and Redis::start, from the cached data directory
  docker            containers, side by side; what the image initialises is kept from the first start
  docker, first     the same where nothing is kept yet: initialised, kept, and started
  Python            PostgresContainer, then RedisContainer, on the same images, as their pages show
  Python, threads   the two at once

Needs docker, Postgres and Redis, cargo, and uv or pip.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
LOCAL, DOCKER, FIRST = "local", "docker", "docker, first"
PYTHON, THREADS = "Python", "Python, threads"
# How much of Python's time we may take.
AIMS = {DOCKER: 0.4, LOCAL: 0.1}


def run(*command: str | Path, env: dict[str, str] | None = None) -> str:
    """Runs a command to its end; its standard output."""
    ended = subprocess.run(
        command, cwd=REPOSITORY, env=env, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )
    if ended.returncode:
        sys.exit(f"{ended.stdout}{' '.join(map(str, command))}: exit {ended.returncode}")
    return ended.stdout


def play_peer(way: str, postgres_image: str, redis_image: str) -> None:
    """The peer: starts both containers, and prints how long that took."""
    from testcontainers.community.postgres import PostgresContainer
    from testcontainers.community.redis import RedisContainer

    begun = time.perf_counter()
    postgres, redis = PostgresContainer(postgres_image), RedisContainer(redis_image)
    try:
        if way == THREADS:
            with ThreadPoolExecutor() as pool:
                list(pool.map(lambda container: container.start(), (postgres, redis)))
        else:
            postgres.start()
            redis.start()
        print(f"{time.perf_counter() - begun:.4f}")
    finally:
        postgres.stop()
        redis.stop()


def our_program() -> str:
    """Builds our side; its path."""
    said = run("cargo", "bench", "--quiet", "--bench", "cold_start", "--no-run", "--message-format", "json")
    built = [json.loads(line) for line in said.splitlines()]
    [program] = [
        one["executable"] for one in built if one.get("executable") and one["target"]["name"] == "cold_start"
    ]
    return str(program)


def peer_python(folder: Path) -> Path:
    """A virtual environment with Python's testcontainers; its interpreter."""
    python = folder / "venv/bin/python"
    requirements = HERE / "cold_start.requirements.txt"
    if uv := shutil.which("uv"):
        run(uv, "venv", "--quiet", "--python", sys.executable, folder / "venv")
        run(uv, "pip", "install", "--quiet", "--python", python, "--compile-bytecode", "-r", requirements)
    else:
        run(sys.executable, "-m", "venv", folder / "venv")
        run(python, "-m", "pip", "install", "--quiet", "-r", requirements)
    return python


def image(name: str) -> str:
    """The newest image that harness/images/build has made under this name."""
    tags = run("docker", "image", "ls", "--format", "{{.Tag}}", f"dj-regress/{name}").split()
    majors = [int(tag) for tag in tags if re.fullmatch(r"\d+", tag)]
    if not majors:
        sys.exit(f"no image dj-regress/{name}: harness/images/build {name}")
    return f"dj-regress/{name}:{max(majors)}"


def measure(rounds: int, folder: Path) -> dict[str, list[float]]:
    """Plays the ways in turn; seconds by way."""
    images = (image("postgres"), image("redis"))
    program, python = our_program(), peer_python(folder)
    env = os.environ | {"TESTCONTAINERS_RYUK_DISABLED": "true"}
    commands: dict[str, list[str | Path]] = {
        LOCAL: [program, "local", folder / "cache"],
        FIRST: [program, "first", *images],
        DOCKER: [program, "docker", *images],
        PYTHON: [python, __file__, "--peer", PYTHON, *images],
        THREADS: [python, __file__, "--peer", THREADS, *images],
    }
    seconds: dict[str, list[float]] = {way: [] for way in commands}
    for count in range(rounds + 1):
        for way, command in commands.items():
            took = float(run(*command, env=env))
            if count:
                seconds[way].append(took)
    return seconds


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("-n", type=int, default=5, metavar="ROUNDS", help="rounds that count [default: 5]")
    parser.add_argument("--peer", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peer:
        play_peer(*options.peer)
        return
    with tempfile.TemporaryDirectory(prefix="cold-start-") as folder:
        seconds = measure(options.n, Path(folder))
    engine = run("docker", "version", "--format", "{{.Server.Version}}").strip()
    print(f"{os.cpu_count()} cores ({platform.machine()}), load {os.getloadavg()[0]:.1f}, docker {engine}")
    print("\n| way | seconds, median (min-max) | of Python's |\n|---|---|---|")
    medians = {way: statistics.median(values) for way, values in seconds.items()}
    for way, values in seconds.items():
        ratio = medians[way] / medians[PYTHON]
        print(f"| {way} | {medians[way]:.3f} ({min(values):.3f}-{max(values):.3f}) | {ratio:.2f} |")
    print()
    for way, aim in AIMS.items():
        ratio = medians[way] / medians[PYTHON]
        print(f"{way} / Python: {ratio:.2f} (aim: at most {aim:.2f}: {'met' if ratio <= aim else 'missed'})")


if __name__ == "__main__":
    main()
