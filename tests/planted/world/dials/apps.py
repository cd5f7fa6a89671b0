"""Reports to a server, and carries on if there is none."""

import socket

from django.apps import AppConfig


class Dials(AppConfig):
    """An app with a guarded connection in `ready()`."""

    name = "dials"

    def ready(self) -> None:
        """Say that the app is up."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            try:
                sock.sendto(b"up:1|c", ("192.0.2.7", 8125))
            except OSError:
                pass
