"""Imported by the first process of an environment, so that its copies have these modules already.

Only modules that read no settings on import, and nothing that a case usually patches. Where an overlay
replaces one of these packages, that state must start from a process without this module: its watched
fingerprints would tell.
"""

import importlib
from contextlib import suppress

MODULES = (
    "psycopg",
    "multiprocessing.queues",
    "multiprocessing.sharedctypes",
    "multiprocessing.synchronize",
    "django.contrib.auth.apps",
    "django.contrib.auth.hashers",
    "django.contrib.contenttypes.apps",
    "django.core.cache.backends.db",
    "django.core.management.commands.createcachetable",
    "django.core.management.commands.migrate",
    "django.db.backends.postgresql.base",
    "django.db.migrations.loader",
    "django.forms",
    "django.test.signals",
    "picklefield.fields",
)

for name in MODULES:
    # An environment need not have all of them: psycopg2 in place of psycopg, no django-q2.
    with suppress(ImportError):
        importlib.import_module(name)
