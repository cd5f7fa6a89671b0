"""What of the app still has something to do when its steps are over."""

import sys
import threading
from concurrent.futures import thread as pool


def lives() -> list[str]:
    """Name the threads that a process would wait for before it ends, and timers.

    A daemon is none of them: it may go on for ever, and ends with its process. Nor is a thread of a pool that
    waits for work.
    """
    frames = sys._current_frames()
    told = []
    for thread in threading.enumerate():
        if thread is threading.main_thread() or thread is threading.current_thread():
            continue
        if isinstance(thread, threading.Timer):
            if not thread.finished.is_set():
                told.append(f"a timer for {named(thread.function)}")
        elif not thread.daemon and not is_idle(frames.get(thread.ident or 0)):
            told.append(f"the thread {thread.name}")
    return told


def is_idle(frame: object) -> bool:
    """Whether a thread of a pool waits for work: nothing but the pool itself is under way in it."""
    code = getattr(frame, "f_code", None)
    return code is pool._worker.__code__


def named(function: object) -> str:
    """Name a function."""
    return str(getattr(function, "__qualname__", repr(function)))
