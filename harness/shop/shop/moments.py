"""Moments that have a name, so that something can be done to the shop just there."""


def moment(name: str) -> None:
    """Pass a moment. In production nothing comes of it."""
