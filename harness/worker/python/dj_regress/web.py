"""A web actor: the app's pages, served by waitress in threads beside the message loop."""

import importlib
import logging
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.signals import got_request_exception
from django.core.wsgi import get_wsgi_application
from django.utils.module_loading import import_string
from waitress import create_server

from dj_regress.raised import tell
from dj_regress.worker import Journal

Application = Callable[[dict[str, Any], Callable[..., Any]], Any]
"""What WSGI calls an application."""

NEVER = 10**12
"""Seconds after which waitress closes what is idle by the arm's clock, which may jump by hours. An answer
that is not sent yet counts as idle, as does a request of which a part is missing."""

QUIET = 3600
"""Real seconds that waitress's loop sleeps where nothing happens. Each round reads the arm's clock, and a
clock that stands moves when it is read."""

CONNECTIONS = 500
"""At most so many at a time, as no idle one is ever closed; descriptors are often limited to 1024."""


def serve(path: str, threads: int, journal: Journal) -> None:
    """Listen at a socket; when this returns, whoever connects is answered."""
    application = Recorded(load(), journal)
    tell_exceptions()
    got_request_exception.connect(
        lambda **_: tell_handled(journal),
        weak=False,
        dispatch_uid="dj_regress.raised",
    )
    calm()
    server = create_server(
        application,
        sockets=[bound(path)],
        threads=threads,
        channel_timeout=NEVER,
        asyncore_loop_timeout=QUIET,
        asyncore_use_poll=True,
        connection_limit=CONNECTIONS,
        # Whoever reaches the socket is the case, or a proxy of it: the app sees what they say.
        clear_untrusted_proxy_headers=False,
    )
    # Daemons as waitress's own: no thread keeps the process from ending.
    threading.Thread(target=server.run, name="waitress", daemon=True).start()


def load() -> Application:
    """Find the project's application, Django's own where it has none, with all its pages."""
    name = settings.WSGI_APPLICATION
    application: Application = import_string(name) if name else get_wsgi_application()
    # What cannot be imported is told now, not by each answer. Not before the holds are hung: a URL keeps the
    # function that it was given.
    urls = getattr(settings, "ROOT_URLCONF", None)
    if isinstance(urls, str):
        importlib.import_module(urls)
    return application


def bound(path: str) -> socket.socket:
    """Bind a socket that only we may connect to. It does not listen before waitress does."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    Path(path).chmod(0o600)
    return listener


def tell_exceptions() -> None:
    """Append to the arm's log what Django turns into a 500. By itself it mails that to admins."""
    if settings.DEBUG or settings.LOGGING:
        # It is on the log already, or the project says where it belongs.
        return

    def log(**_: Any) -> None:
        # In one piece: others write, too.
        sys.stderr.write(traceback.format_exc())

    got_request_exception.connect(log, weak=False, dispatch_uid="dj_regress.web")


def tell_handled(journal: Journal) -> None:
    """Tell of the exception that is being handled: it came out of a request."""
    error = sys.exc_info()[1]
    if error is not None:
        tell(journal, "request", error)


def calm() -> None:
    """Hear warnings and errors of waitress, in whatever place the project's logging has for them."""
    for name, level in (
        ("waitress", logging.WARNING),
        # How many requests wait for a thread. At its start it says so of any: it depends on the machine.
        ("waitress.queue", logging.ERROR),
    ):
        logger = logging.getLogger(name)
        # A project's LOGGING is put in place again with its application, and disables what it does not name.
        logger.disabled = False
        if logger.level == logging.NOTSET:
            logger.setLevel(level)


class Recorded:
    """An application whose requests and answers stand in the journal."""

    def __init__(self, application: Application, journal: Journal) -> None:
        """Stand before an application."""
        self._application = application
        self._journal = journal

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> "Answer":
        """Handle a request."""
        # With it Django would give files to waitress, and nobody saw the end.
        environ.pop("wsgi.file_wrapper", None)
        method = environ["REQUEST_METHOD"]
        request = self._journal.requested(method, environ["REQUEST_URI"])
        answer = Answer(self._journal, request, method, start_response)
        try:
            answer.body = self._application(environ, answer.start)
        except BaseException:
            tell_handled(self._journal)
            answer.fail()
            raise
        return answer


class Answer:
    """The answer to one request, on its way from the application to waitress."""

    def __init__(
        self, journal: Journal, request: str, method: str, start_response: Callable[..., Any]
    ) -> None:
        """Nothing of it is there yet."""
        self.body: Any = ()
        self._journal = journal
        self._request = request
        self._start_response = start_response
        self._is_told = False
        self._status = 500
        # So many bytes are all that the client waits for, where that is known before the end.
        self._length = 0 if method == "HEAD" else None
        self._given = 0

    def start(self, status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
        """Stand in for waitress's `start_response`."""
        write = self._start_response(status, headers, *exc_info)
        self._status = int(status.split(" ", 1)[0])
        for name, value in headers:
            if name.lower() == "content-length" and self._length is None:
                self._length = int(value)
        return write

    def __iter__(self) -> Iterator[bytes]:
        """Give the body. Its end is told before the client can have it."""
        try:
            for chunk in self.body:
                self._given += len(chunk)
                if self._length is not None and self._given >= self._length:
                    self._tell()
                yield chunk
        except Exception:
            tell_handled(self._journal)
            self.fail()
            raise
        self._tell()

    def close(self) -> None:
        """Let the application clean up, whether or not all of the body was wanted."""
        self._tell()
        close = getattr(self.body, "close", None)
        if close is not None:
            close()

    def fail(self) -> None:
        """Tell of an exception: as long as nothing of the body was given, waitress makes a 500 of it."""
        if not self._given:
            self._status = 500
        self._tell()

    def _tell(self) -> None:
        if not self._is_told:
            self._is_told = True
            self._journal.answered(self._request, self._status)
