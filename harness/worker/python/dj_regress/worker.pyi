"""The native module, built from harness/worker/src."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, final

@final
class Clock:
    """Real time plus the offset in the arm's clock file."""

    def __new__(cls, path: str | Path) -> Clock: ...
    def time_ns(self) -> int: ...
    def offset(self) -> int: ...
    def advance(self, nanoseconds: int) -> None: ...

@final
class Ledger:
    """An execute wrapper that records every statement."""

    def __new__(cls, path: str | Path, actor: str) -> Ledger: ...
    def __call__(
        self,
        execute: Callable[..., Any],
        sql: object,
        params: Any,
        many: bool,
        context: dict[str, Any],
    ) -> Any: ...

def digest(parts: list[str]) -> str: ...
def fingerprint(path: str | Path) -> str: ...
def run(socket: str, name: str) -> None: ...
