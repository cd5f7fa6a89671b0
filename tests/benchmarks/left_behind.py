"""What a killed run can leave on this machine: processes, containers, memory."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path


def docker(*words: str) -> str:
    """What the command line of docker says."""
    ended = subprocess.run(["docker", *words], text=True, capture_output=True, stdin=subprocess.DEVNULL)
    if ended.returncode:
        raise RuntimeError(f"docker {' '.join(words)}: {ended.stderr.strip()}")
    return ended.stdout.strip()


def read(path: Path) -> str:
    """The text of a file of /proc; empty where the process is gone."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def link(path: Path) -> str:
    """Where a link of /proc leads; empty where the process is gone."""
    try:
        return str(path.readlink())
    except OSError:
        return ""


def living() -> Iterator[Path]:
    """The folders in /proc of all processes but zombies."""
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            state = read(process / "stat").rpartition(") ")[2][:1]
            if state not in ("", "Z", "X"):
                yield process


def processes_of(run: str, temporary: Path) -> dict[int, str]:
    """Those that have the run's folder or ours in their environment, directory, output or arguments."""
    marks = (f"/{run}", str(temporary))
    found = {}
    for process in living():
        if int(process.name) == os.getpid():
            continue
        places = [link(process / "cwd"), link(process / "fd/1"), link(process / "fd/2")]
        texts = [*places, read(process / "environ"), read(process / "cmdline")]
        if any(mark in text for mark in marks for text in texts):
            found[int(process.name)] = read(process / "cmdline").replace("\0", " ").strip()[:80]
    return found


def orphaned_segments(since: float) -> set[str]:
    """System V segments made since then (seconds since 1970) that nobody uses and whose maker is dead."""
    found = set()
    for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]:
        words = line.split()
        maker, attached, changed = int(words[4]), int(words[6]), int(words[13])
        if attached == 0 and changed >= int(since) and not Path(f"/proc/{maker}").exists():
            found.add(f"segment {words[1]}")
    return found


def orphaned_memory(since: float) -> set[str]:
    """Files of /dev/shm (semaphores, Postgres' segments) made since then that nobody has mapped."""
    made = set()
    for path in Path("/dev/shm").iterdir():
        with contextlib.suppress(OSError):
            if path.is_file() and path.stat().st_ctime >= since:
                made.add(str(path))
    if made:
        maps = "".join(read(process / "maps") for process in living())
        made = {path for path in made if path not in maps}
    return made
