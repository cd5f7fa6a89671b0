"""Sessions of users, made as Django's own test client makes them."""

from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import (
    BACKEND_SESSION_KEY,
    HASH_SESSION_KEY,
    SESSION_KEY,
    get_user_model,
    load_backend,
)

LOCAL_CACHE = "django.core.cache.backends.locmem.LocMemCache"


def login(fields: dict[str, Any]) -> tuple[str, str]:
    """Make a session of the user with these fields; returns the cookie's name and value."""
    if settings.SESSION_ENGINE.endswith("sessions.backends.cache"):
        alias = settings.SESSION_CACHE_ALIAS
        if settings.CACHES[alias]["BACKEND"] == LOCAL_CACHE:
            raise RuntimeError(
                f"sessions are in the cache {alias}, which each process has for itself: nobody logs in"
            )
    user = get_user_model()._default_manager.get(**fields)
    session = import_module(settings.SESSION_ENGINE).SessionStore()
    session[SESSION_KEY] = user._meta.pk.value_to_string(user)
    session[BACKEND_SESSION_KEY] = backend()
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.save()
    return settings.SESSION_COOKIE_NAME, session.session_key


def backend() -> str:
    """Name the first backend that finds a user again."""
    for name in settings.AUTHENTICATION_BACKENDS:
        if hasattr(load_backend(name), "get_user"):
            return str(name)
    raise RuntimeError("no backend of AUTHENTICATION_BACKENDS finds a user again: nobody logs in")
