"""Exceptions that come out of the app's code and are caught by somebody else: each is told to the journal."""

import ast
import re
import sys
import threading
import traceback
from types import TracebackType
from typing import Any

from dj_regress.worker import Journal

ALL = {"Exception", "BaseException"}
"""What an `except` names that catches whatever comes."""

FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+), in (?P<function>\S+)')
"""A frame of a formatted traceback."""


def slips() -> tuple[type[BaseException], ...]:
    """Name the exceptions of code that cannot work: whoever catches all does not mean these."""
    from django.core.exceptions import FieldError
    from django.db import ProgrammingError

    slip = (NameError, AttributeError, ImportError, TypeError, SyntaxError, NotImplementedError)
    return (*slip, FieldError, ProgrammingError)


def tell(journal: Journal, during: str, error: BaseException) -> None:
    """Tell of an exception; its place is the innermost frame."""
    journal.raised(during, type(error).__name__, str(error), place(error.__traceback__))


def tell_formatted(journal: Journal, during: str, text: str) -> None:
    """Tell of an exception of which only the formatted traceback is left."""
    lines = text.splitlines()
    ends = [number for number, line in enumerate(lines) if line.startswith("  ")]
    # Right after its innermost frame; what it says may have several lines.
    said = lines[ends[-1] + 1 :] if ends else lines
    exception, _, message = "\n".join(said).partition(": ")
    frames = FRAME.findall(text)
    site = ":".join((short(frames[-1][0]), *frames[-1][1:])) if frames else ""
    journal.raised(during, exception.rpartition(".")[2], message, site)


def place(trace: TracebackType | None) -> str:
    """Say where an exception was raised: file, line and function."""
    frames = traceback.extract_tb(trace)
    return f"{short(frames[-1].filename)}:{frames[-1].lineno}:{frames[-1].name}" if frames else ""


def short(file: str) -> str:
    """Cut a path down to what is below the folder of `sys.path` that it is in."""
    below = [file[len(folder) + 1 :] for folder in sys.path if folder and file.startswith(f"{folder}/")]
    return min(below, key=len, default=file)


def tell_of_threads(journal: Journal) -> None:
    """Tell of every thread that ends with an exception; what is done with it otherwise stays as it is."""
    hook = threading.excepthook

    def tell_one(args: Any) -> None:
        if args.exc_value is not None and args.exc_type is not SystemExit:
            tell(journal, "thread", args.exc_value)
        hook(args)

    threading.excepthook = tell_one


class Swallowed:
    """What a step of the case calls where it catches whatever comes."""

    NAME = "__dj_regress_swallowed__"

    def __init__(self, journal: Journal) -> None:
        """Tell this journal."""
        self._journal = journal
        self._slips = slips()

    def __call__(self) -> None:
        """Tell of the exception that is handled, if it says that code cannot work."""
        error = sys.exc_info()[1]
        if isinstance(error, self._slips):
            tell(self._journal, "step", error)


class Handlers(ast.NodeTransformer):
    """Puts the call into every handler that catches whatever comes: what it names itself, it means."""

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.AST:
        """Handlers stand within handlers, too."""
        self.generic_visit(node)
        named = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
        if any(one is None or (isinstance(one, ast.Name) and one.id in ALL) for one in named):
            call = ast.Expr(ast.Call(ast.Name(Swallowed.NAME, ast.Load()), [], []))
            node.body.insert(0, ast.copy_location(call, node.body[0]))
        return node
