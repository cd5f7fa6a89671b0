"""Virtual time: time-machine, moved by the arm's shared clock."""

from importlib import metadata
from pathlib import Path
from typing import Any

import time_machine

from dj_regress.worker import Clock


def start(path: str | Path) -> Clock:
    """Make ``time.time``, ``datetime.now`` and all that builds on them follow the arm's clock.

    Monotonic clocks, waits and sleeps stay real. Children by fork follow, too.
    """
    clock = Clock(path)
    travellers = stack()
    # Starting a journey patches the interpreter; then our clock takes the traveller's place.
    time_machine.travel(clock.time_ns() / 1e9).start()
    travellers[-1] = clock
    return clock


def check() -> None:
    """Refuse releases that move what must stay real."""
    version = metadata.version("time-machine")
    if int(version.split(".")[0]) < 3:
        raise RuntimeError(f"time-machine {version} moves monotonic clocks, too: 3.0 or later is needed")


def stack() -> list[Any]:
    """The list whose last item time-machine asks for the time: an internal of it, hence its pin."""
    for name in ("traveller_stack", "coordinates_stack"):
        found = getattr(time_machine, name, None)
        if isinstance(found, list):
            return found
    raise RuntimeError("this release of time-machine has neither traveller_stack nor coordinates_stack")
