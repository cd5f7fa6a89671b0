"""A project in its tree: where it stands, what its settings are made of, what fills its database."""

import os
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any, TypedDict


class ProjectTree(TypedDict):
    """What the controller says of it."""

    top: str
    root: str


def extensions() -> list[str]:
    """Name the extensions of Postgres that the migrations make sure of: not everybody can make them."""
    from django.db.migrations.loader import MigrationLoader
    from django.db.migrations.operations import RunSQL

    found: set[str] = set()
    for migration in MigrationLoader(None, ignore_no_migrations=True).disk_migrations.values():
        for operation in flat(migration.operations):
            if any(base.__name__ == "CreateExtension" for base in type(operation).__mro__):
                found.add(operation.name)
            elif isinstance(operation, RunSQL):
                statement = r"CREATE\s+EXTENSION\s+IF\s+NOT\s+EXISTS\s+\"?([\w-]+)"
                found.update(re.findall(statement, str(operation.sql), re.IGNORECASE))
    return sorted(found)


def flat(operations: Iterable[Any]) -> Iterable[Any]:
    """Go through operations, and those that others hold."""
    for operation in operations:
        yield operation
        yield from flat(getattr(operation, "database_operations", ()))


def begin(tree: ProjectTree) -> None:
    """Stand where ``manage.py`` stands, as it would be called."""
    os.chdir(tree["root"])
    # Settings and apps look at the command's name; this is none that anybody waits for.
    sys.argv[:] = ["manage.py", "dj_regress"]


def settings_files(module: ModuleType, before: set[str], top: str) -> list[Path]:
    """Name the files of the tree that the settings are made of."""
    files = {
        Path(file)
        for name, found in list(sys.modules.items())
        if name not in before and (file := file_of(found))
    }
    if file := file_of(module):
        # Some are executed, and not imported.
        files |= set(Path(file).parent.glob("*.py"))
    inside = Path(top).resolve()
    return sorted(file for file in files if file.suffix == ".py" and file.resolve().is_relative_to(inside))


def file_of(module: Any) -> str | None:
    """Name the file of a module."""
    file = getattr(module, "__file__", None)
    return file if isinstance(file, str) else None


def settle(tree: ProjectTree, arm: Path) -> None:
    """Let the working directory look like that of ``manage.py``: what is read relative to it is there.

    What is written there is the actor's own.
    """
    here = Path.cwd()
    for entry in os.scandir(tree["root"]):
        if not os.path.lexists(here / entry.name):
            (here / entry.name).symlink_to(entry.path)
    if not os.path.lexists(here / ".arm"):
        (here / ".arm").symlink_to(arm)


Function = Callable[[], Any]


def seed(words: list[str], root: str) -> None:
    """Fill a migrated database. What was put into the queue meanwhile is taken out again."""
    import shlex

    from django.core.management import call_command

    for word in words:
        print(f"seed: {word}", flush=True)
        file, _, function = word.rpartition(":")
        if file.endswith(".py"):
            function_of(Path(root) / file, function)()
        elif re.fullmatch(r"\S+\.(json|jsonl|ya?ml|xml)(\.\w+)?", word):
            call_command("loaddata", word)
        else:
            call_command(*shlex.split(word))
    forget_tasks()


def function_of(file: Path, name: str) -> Function:
    """Find a function in a file that need not be importable."""
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location("dj_regress_seed", file)
    if spec is None or spec.loader is None or not file.is_file():
        raise FileNotFoundError(f"the seed {file} is not in the project")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Function = getattr(module, name)
    return found


def forget_tasks() -> None:
    """Empty django-q2's queue in the database: signals of models put tasks there."""
    from django.apps import apps

    if not apps.is_installed("django_q"):
        return
    from django_q.models import OrmQ

    count, _ = OrmQ.objects.all().delete()
    if count:
        print(f"seed: {count} tasks that were put into the queue are taken out again", flush=True)
