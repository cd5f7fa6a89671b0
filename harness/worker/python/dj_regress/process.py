"""Turns a bare interpreter into a zygote: this state's code on the path, its settings, Django set up."""

import compileall
import gc
import importlib
import os
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from copy import deepcopy
from importlib import metadata
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, TypedDict

from dj_regress import places
from dj_regress.project import ProjectTree, begin, extensions, settings_files
from dj_regress.worker import attach, digest, fingerprint, fingerprint_tree
from dj_regress.world import World, inhabit

PROJECT = "the project"
"""Under this name the code of a project is reported: all files of its tree."""

CLOCK = "DJ_REGRESS_CLOCK"
"""The variable that names the clock of what this process executes."""

DISTRIBUTIONS = ("django", "django-q2", "psycopg")


class Fingerprint(TypedDict):
    """Which code a process loaded for a package."""

    path: str
    hash: str


class Prepared(TypedDict):
    """What the controller wants to know of a zygote."""

    code: dict[str, Fingerprint]
    template: str
    guard_cycle: float | None
    versions: dict[str, str]
    changed: list[str]
    redis: bool
    extensions: list[str]


class State:
    """What this process has become."""

    settings: str | None = None
    """The settings module, once it is prepared."""
    tree: ProjectTree | None = None
    """The project that it runs, if it is none of the shop."""


def prepare(
    sys_path: list[str],
    settings_module: str,
    settings: dict[str, Any],
    env: dict[str, str],
    watch: list[str],
    app: str | None,
    project: ProjectTree | None,
    template: list[str],
    world: World | None,
    clock: str | None,
) -> Prepared:
    """Put code and settings in place, run ``django.setup()`` and say what was loaded."""
    if State.settings is not None:
        raise RuntimeError("this process is prepared already: fork another one")
    State.settings, State.tree = settings_module, project
    if clock is not None:
        show(clock)
    sys.path[:0] = sys_path
    importlib.invalidate_caches()
    if world is not None:
        compile_all(sys_path)
        inhabit(world)
    os.environ.update(env)
    # The C library has read TZ before.
    time.tzset()
    os.environ["DJANGO_SETTINGS_MODULE"] = settings_module
    changed, redis, made_of = load_settings(settings_module, settings, project)
    if app is not None:
        install(app, sys.modules[settings_module], names_urls="ROOT_URLCONF" in settings)

    import django

    from dj_regress import statements

    statements.listen()
    django.setup()
    if project is not None:
        places.check_connections()
    import_early()
    # Projects ask before their tables exist, too, and heed it: what they asked is told in the log.
    tried = refuse_connections()
    if tried and project is None:
        raise RuntimeError(tried)
    prepared = Prepared(
        code=fingerprints(watch),
        template=hash_of_template([*template, *made_of]),
        guard_cycle=guard_cycle(),
        versions=versions(),
        changed=[*changed, tried] if tried else changed,
        redis=redis,
        extensions=[] if project is None else extensions(),
    )
    # What is here stays: a collection in a copy would otherwise touch, and so copy, every page of it.
    gc.collect()
    gc.freeze()
    return prepared


def show(clock: str) -> None:
    """Show this process the clock of this file, and whatever it starts."""
    attach(clock)
    os.environ[CLOCK] = clock


def load_settings(
    name: str, overrides: Mapping[str, Any], tree: ProjectTree | None
) -> tuple[list[str], bool, list[str]]:
    """Import the settings, and put the case's over them; of a project, put them in the arm's place.

    Returns what was changed, whether they lead to a Redis, and the texts that a project's are made of.
    """
    if tree is None:
        override(importlib.import_module(name), overrides)
        return [], False, []
    begin(tree)
    before = set(sys.modules)
    module = importlib.import_module(name)
    files = settings_files(module, before, tree["top"])
    override(module, overrides)
    placed = places.place(module)
    return placed.changed, placed.redis, [file.read_text() for file in files]


def compile_all(folders: list[str]) -> None:
    """Compile what is new in the cache: from within a world nothing can be written there."""
    if sys.dont_write_bytecode:
        return
    for folder in folders:
        for package in Path(folder).iterdir():
            if package.is_dir() and not (package / "__pycache__").exists():
                # A file that does not compile says so when it is imported.
                compileall.compile_dir(package, quiet=2)


def import_early() -> None:
    """Import what every actor uses, once: after the fork each would do it again, 10 ms at a time."""
    import dj_regress.actor
    import dj_regress.namespace

    dj_regress.namespace.standard_names()
    with suppress(ModuleNotFoundError):
        # Not in every environment. After the set-up, which disables loggers that it does not name.
        importlib.import_module("dj_regress.web")


def override(settings: ModuleType, overrides: Mapping[str, Any]) -> None:
    """Put the case's settings over the app's, in place: whoever imports them directly sees it, too."""
    for name, value in overrides.items():
        setattr(settings, name, merge(getattr(settings, name, None), value))


def install(app: str, settings: ModuleType, *, names_urls: bool) -> None:
    """Add the case's own app to the settings; its URLs are the root, unless the case names others.

    It is looked for, not imported: that may need the settings.
    """
    installed = list(getattr(settings, "INSTALLED_APPS", ()))
    # An app is installed by its name, or by that of its configuration.
    if not any(entry == app or entry.startswith(f"{app}.apps.") for entry in installed):
        vars(settings)["INSTALLED_APPS"] = [*installed, app]
    found = find_spec(app)
    folders = found.submodule_search_locations if found else None
    if not names_urls and folders and PathFinder.find_spec(f"{app}.urls", folders):
        vars(settings)["ROOT_URLCONF"] = f"{app}.urls"


def merge(base: Any, override: Any) -> Any:
    """Return the override; where both are mappings, merged deeply. Neither is changed."""
    if not (isinstance(base, Mapping) and isinstance(override, Mapping)):
        return override
    merged = dict(deepcopy(base))
    for key, value in override.items():
        merged[key] = merge(base.get(key), value)
    return merged


def fingerprints(watch: list[str]) -> dict[str, Fingerprint]:
    """Say where the watched packages come from in this process, and what is in them."""
    found = {name: of_package(importlib.import_module(name)) for name in watch}
    if State.tree is not None and State.settings is not None:
        found[PROJECT] = of_project(State.tree, importlib.import_module(State.settings))
    return found


def of_project(tree: ProjectTree, settings: ModuleType) -> Fingerprint:
    """Hash all files of a project's tree, if its settings are from there."""
    file = Path(settings.__file__ or "")
    top = Path(tree["top"])
    if not file.is_relative_to(top):
        return Fingerprint(path=str(file), hash="")
    return Fingerprint(path=str(top), hash=fingerprint_tree(top))


def of_package(module: ModuleType) -> Fingerprint:
    """Hash a package's folder, or the one file of a plain module."""
    if module.__file__ is None:
        raise ImportError(f"{module.__name__} has no __init__.py: it cannot be watched")
    file = Path(module.__file__)
    is_package = hasattr(module, "__path__")
    return Fingerprint(
        path=str(file.parent),
        hash=fingerprint(file.parent if is_package else file),
    )


def hash_of_template(further: list[str]) -> str:
    """Hash what a migrated, empty database depends on."""
    import django
    from django.apps import apps
    from django.conf import settings
    from django.db.migrations.loader import MigrationLoader

    parts = [
        django.get_version(),
        str(settings.AUTH_USER_MODEL),
        str(settings.DEFAULT_AUTO_FIELD),
        *settings.INSTALLED_APPS,
        *further,
    ]
    for app in apps.get_app_configs():
        name, _explicit = MigrationLoader.migrations_module(app.label)
        parts += [app.label, hash_of_migrations(name) if name else ""]
    return digest(parts)


def hash_of_migrations(name: str) -> str:
    """Hash an app's migrations; an app without any has the empty hash."""
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        # Migrations that are there but cannot import something are an error.
        if error.name is None or not name.startswith(error.name):
            raise
        return ""
    return of_package(module)["hash"] if module.__file__ else ""


def guard_cycle() -> float | None:
    """Seconds between two heartbeats of a real cluster."""
    from django.apps import apps

    if not apps.is_installed("django_q"):
        return None
    from django_q.conf import Conf

    return float(Conf.GUARD_CYCLE)


def versions() -> dict[str, str]:
    """Versions of the distributions that matter, as far as they are installed."""
    found = {}
    for name in DISTRIBUTIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def refuse_connections() -> str:
    """Refuse what every forked actor would share; returns what was tried in vain, in words."""
    from django.db import connections

    opened = [
        connection.alias
        for connection in connections.all(initialized_only=True)
        if connection.connection is not None
    ]
    # Nothing is there to connect to. Who swallows that runs another app than the real one.
    tried = [
        connection.alias
        for connection in connections.all(initialized_only=True)
        if connection.connection is None and connection.errors_occurred
    ]
    connections.close_all()
    if opened:
        raise RuntimeError(
            f"the app opened a connection to {', '.join(opened)} while it was set up "
            "(on import or in AppConfig.ready()); actors would share it"
        )
    if not tried:
        return ""
    return (
        f"the app tried to ask {', '.join(tried)} while it was set up (on import or in AppConfig.ready()): "
        "there is no server yet, and it went on without an answer"
    )
