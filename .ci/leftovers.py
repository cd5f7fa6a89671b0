"""Exits 1 and says what is left, if processes, run folders, shared memory or containers outlived their run.

leftovers.py VARIABLE=VALUE SINCE

VARIABLE=VALUE is in the environment of all that the checked commands started; SINCE is when they began, in
seconds since 1970.
A run that still goes on, somebody else's on this machine, is left out: its folder is locked.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# A killed controller's supervisor ends everything by itself, but nobody waits for it.
PATIENCE = 5.0
RUN = re.compile(r"(.*/dj-regress-\d+/run-[^/ ]+)")


def is_held(run: Path) -> bool:
    """Whether the run's controller is alive: it locks this file."""
    try:
        with (run / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def run_of(process: Path, environment: list[str]) -> Path | None:
    """The run folder of a process; servers overwrite their environment, but stay in their folder."""
    for value in environment:
        if value.startswith("DJ_REGRESS_RUN="):
            return Path(value.partition("=")[2])
    inside = RUN.match(str((process / "cwd").readlink()))
    return Path(inside[1]) if inside else None


def bases() -> set[Path]:
    """Where run folders may be."""
    return {Path("/dev/shm"), Path("/tmp"), Path(tempfile.gettempdir())}


def unattached(since: float) -> list[str]:
    """System V segments made since then that no process holds: Postgres guards its data directory by one."""
    table = Path("/proc/sysvipc/shm")
    rows = [line.split() for line in table.read_text().splitlines()] if table.exists() else []
    # Columns are told by the first row; on 32-bit kernels some are missing.
    found = [dict(zip(rows[0], row, strict=False)) for row in rows[1:]]
    left = [row for row in found if row["nattch"] == "0" and float(row["ctime"]) >= since]
    return [f"shared memory {row['shmid']} of process {row['cpid']}" for row in left]


def containers() -> list[str]:
    """Containers with our labels whose run is over."""
    if shutil.which("docker") is None:
        return []
    columns = '{{.ID}} {{.Label "dj-regress.run"}}'
    command = ["docker", "ps", "--all", "--filter", "label=dj-regress.run", "--format", columns]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except subprocess.TimeoutExpired:
        return ["docker does not answer: containers may be left"]
    found = [line.partition(" ")[::2] for line in listed.stdout.splitlines()]
    held = {run.name for base in bases() for run in base.glob("dj-regress-*/run-*") if is_held(run)}
    return [f"container {container} of {run}" for container, run in found if run not in held]


def leftovers(marker: str, since: float) -> list[str]:
    """One line for each process, folder and segment that should be gone."""
    found = []
    segments = {path for path in Path("/dev/shm").glob("PostgreSQL.*") if path.stat().st_mtime >= since}
    for process in Path("/proc").glob("[0-9]*"):
        if process.name == str(os.getpid()):
            continue
        try:
            environment = os.fsdecode((process / "environ").read_bytes()).split("\0")
            command = os.fsdecode((process / "cmdline").read_bytes()).replace("\0", " ").strip()
            run = run_of(process, environment)
            maps = os.fsdecode((process / "maps").read_bytes()) if segments else ""
        except OSError:  # gone meanwhile, or another user's
            continue
        segments = {segment for segment in segments if str(segment) not in maps}
        # A zombie has no command line; it is its parent's to bury.
        if command and (marker in environment or (run is not None and not is_held(run))):
            found.append(f"process {process.name}: {command}")
    for base in bases():
        found += [f"folder {run}" for run in base.glob("dj-regress-*/run-*") if not is_held(run)]
    found += [f"shared memory {segment}" for segment in segments]
    return sorted(found + unattached(since) + containers())


def main() -> int:
    """Looks until nothing is left or patience ends."""
    deadline = time.monotonic() + PATIENCE
    while (found := leftovers(sys.argv[1], float(sys.argv[2]))) and time.monotonic() < deadline:
        time.sleep(0.1)
    print("\n".join(found) or "nothing is left")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
