"""What the shop does to the world: money taken, letters sent. No rollback takes it back."""

import json
import os
import time

JOURNAL = "SHOP_EFFECTS"
"""The variable that names the file in which effects are written down; without it nothing is."""

ACTOR = "SHOP_ACTOR"
"""The variable that names who does it."""


def happened(key: str, attempt: int | None = None) -> None:
    """Let an effect happen: one line in a file, outside of any transaction."""
    path = os.environ.get(JOURNAL)
    if not path:
        return
    # The harness compares it with its own: the arm's clock may have been moved.
    from dj_regress.worker import machine

    effect = {
        "record": "effect",
        "key": str(key),
        "pid": os.getpid(),
        "actor": os.environ.get(ACTOR, ""),
        "at": machine(),
        "time": time.time(),
        "attempt": attempt,
    }
    # A process that was killed while it wrote has left a part of a line: it is not ours to go on with.
    line = f"\n{json.dumps(effect)}\n"
    journal = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        # One write, so that lines of several processes do not mix.
        os.write(journal, line.encode())
    finally:
        os.close(journal)
