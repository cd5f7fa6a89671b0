"""What a process sees of the machine: an arm's own files and network; each attempt to reach more is told."""

import errno
import ipaddress
import os
import socket
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, TypedDict

from dj_regress.worker import Journal, join, own_folders, seal

Address = Any
"""What Python calls an address: a pair, a tuple of four, a path."""

OUT: dict[str, Callable[..., "Stranger | None"]] = {
    "socket.connect": lambda sock, address: of_address(sock.family, sock.type, address),
    "socket.sendto": lambda sock, address: of_address(sock.family, sock.type, address),
    "socket.sendmsg": lambda sock, address: of_address(sock.family, sock.type, address),
    "socket.getaddrinfo": lambda host, port, *_: of_name(host, port),
    "socket.gethostbyname": lambda host: of_name(host),
    "socket.gethostbyaddr": lambda host: of_name(host),
}
"""Python's own audit events that lead out of the process, and whom each one means."""

NO_SERVER = "no such server in this arm"

LISTENS = "0A"
"""The state of a listening socket in ``/proc/net/tcp``."""


class World(TypedDict):
    """What the controller says of it."""

    namespaces: dict[str, Any] | None
    environment: dict[str, str]
    sockets: list[str]


class Stranger(TypedDict):
    """Somebody who is not of the arm."""

    name: str
    why: OSError


class Watch:
    """Keeps this process and its forks from whoever is not of the arm, and tells of each attempt."""

    def __init__(self) -> None:
        """Nobody listens yet: what is attempted before there is a journal is kept for it."""
        self.folders: list[str] = []
        self.is_sealed = False
        self._early: list[tuple[str, str]] = []
        self._tell: Callable[[str, str], None] | None = None
        self._is_hung = False

    def hang(self, world: World) -> None:
        """Begin, or go on in another world. A hook cannot be taken down again."""
        self.is_sealed = world["namespaces"] is not None
        self.folders = world["sockets"]
        if not self._is_hung:
            self._is_hung = True
            sys.addaudithook(self._hear)

    def tell(self, journal: Journal) -> None:
        """Write down what was attempted so far, and all that will be."""
        self._tell = journal.outbound
        for address, site in self._early:
            journal.outbound(address, site)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        # Of each import and each opened file, too: all others must cost next to nothing.
        whom = OUT.get(event)
        if whom is None:
            return
        stranger = whom(*arguments)
        if stranger is None:
            return
        site = call_site()
        if self._tell is None:
            self._early.append((stranger["name"], site))
        else:
            self._tell(stranger["name"], site)
        raise stranger["why"]


WATCH = Watch()


def inhabit(world: World) -> None:
    """Go there. This process must have one thread."""
    namespaces = world["namespaces"]
    if namespaces is not None:
        if "of" in namespaces:
            here = Path.cwd()
            join(namespaces["of"])
            os.chdir(here)
        else:
            new = namespaces["new"]
            seal(new["writable"], [*new["readable"], *python_folders()])
    os.environ.update(world["environment"])
    # It may have been asked for before.
    tempfile.tempdir = None
    WATCH.hang(world)


def python_folders() -> list[str]:
    """Where this interpreter and what it imports are."""
    program = Path(sys.executable)
    folders = {sys.prefix, sys.base_prefix, str(program.parent), str(program.resolve().parent), *sys.path}
    return sorted(folder for folder in folders if folder and Path(folder).exists())


def of_address(family: int, kind: int, address: Address) -> Stranger | None:
    """Say whom an address means; nobody, if it is of the arm, or the socket is connected and needs none."""
    if address is None:
        return None
    if family == socket.AF_UNIX:
        return of_path(os.fsdecode(address))
    if family in (socket.AF_INET, socket.AF_INET6) and isinstance(address, tuple):
        host, port = address[:2]
        if not is_here(host):
            return stranger(host, port, errno.ENETUNREACH, "no network in this arm")
        if not (WATCH.is_sealed and listens(port, kind)):
            return stranger(host, port, errno.ECONNREFUSED, NO_SERVER)
    return None


def of_path(path: str) -> Stranger | None:
    """Say whom the path of a unix socket means."""
    if not path or path.startswith("\0"):
        # Abstract ones belong to a network. Without one of our own they are the machine's.
        if WATCH.is_sealed or not path:
            return None
        return stranger(f"@{path[1:]}", None, errno.ECONNREFUSED, NO_SERVER)
    real = os.path.realpath(path)
    if is_below(real, WATCH.folders):
        return None
    # In a folder that was empty nobody else can have put one.
    if WATCH.is_sealed and is_below(real, own_folders()) and Path(real).exists():
        return None
    return stranger(path, None, errno.ECONNREFUSED, NO_SERVER)


def is_below(path: str, folders: list[str]) -> bool:
    """Whether a path is in one of these folders."""
    return any(path.startswith(f"{os.path.realpath(folder)}/") for folder in folders)


def of_name(host: Address, port: Address = None) -> Stranger | None:
    """Say whom a name means that is to be looked up."""
    if host is None or is_here(host) or as_text(host) == socket.gethostname():
        return None
    try:
        ipaddress.ip_address(as_text(host))
    except ValueError:
        return stranger(host, port, socket.EAI_AGAIN, "no names outside of this arm", socket.gaierror)
    # An address needs nobody to be found; who connects to it is told then.
    return None


def stranger(host: Address, port: Address, code: int, why: str, kind: type[OSError] = OSError) -> Stranger:
    """Name somebody, in the exception, too. Of an OSError the code says which one it is."""
    name = as_text(host)
    if port is not None:
        name = f"[{name}]:{port}" if ":" in name else f"{name}:{as_text(port)}"
    return Stranger(name=name, why=kind(code, f"{why}: {name}"))


def as_text(value: Address) -> str:
    """Names of hosts may be bytes."""
    return value.decode(errors="replace") if isinstance(value, bytes | bytearray) else str(value)


def is_here(host: Address) -> bool:
    """Whether a name or an address is this host's by itself."""
    text = as_text(host)
    if text in ("", "localhost"):
        return True
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback or address.is_unspecified


def listens(port: int, kind: int) -> bool:
    """Whether a process of the arm listens on this port."""
    is_stream = kind & 0xF == socket.SOCK_STREAM
    for table in ("tcp", "tcp6") if is_stream else ("udp", "udp6"):
        try:
            lines = Path(f"/proc/self/net/{table}").read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            _number, local, _remote, state, *_ = line.split()
            if int(local.rpartition(":")[2], 16) == port and (state == LISTENS or not is_stream):
                return True
    return False


def call_site() -> str:
    """Say which line of the app, or of a library of it, is at it: the innermost that is not Python's own."""
    stdlib, ours = sysconfig.get_path("stdlib"), str(Path(__file__).parent)
    first = frame = sys._getframe(1)
    while frame.f_back is not None:
        file = frame.f_code.co_filename
        is_ours = file.startswith((ours, "<frozen"))
        if not is_ours and not (file.startswith(stdlib) and "site-packages" not in file):
            return described(frame)
        frame = frame.f_back
    return described(first)


def described(frame: FrameType) -> str:
    """Name a line as the ledger does: by the path below its folder of ``sys.path``."""
    file = frame.f_code.co_filename
    folders = [folder for folder in sys.path if folder and file.startswith(f"{folder.rstrip('/')}/")]
    if folders:
        file = file[len(max(folders, key=len).rstrip("/")) + 1 :]
    return f"{file}:{frame.f_lineno}:{frame.f_code.co_name}"
