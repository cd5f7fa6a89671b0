"""Puts a project's settings in an arm's place: what they would reach elsewhere is the arm's.

They are changed in place, in their own module and before ``django.setup()``: whoever imports them directly
sees it, too.
"""

import re
from importlib import import_module
from types import ModuleType
from typing import Any

SERVICE = "arm"
"""The service of libpq that is the arm's database; PGSERVICEFILE says where that is."""

REDIS = "unix:///proc/self/cwd/redis.sock"
"""The arm's Redis: each actor's working directory holds the socket of its own proxy."""

CELERY_REDIS = "redis+socket:///proc/self/cwd/redis.sock"

ARM = "/proc/self/cwd/.arm"
"""The arm's own folder, which all of its actors share."""

HOST = "shop.test"
"""What the harness's browsers ask for."""

WHERE = ("NAME", "USER", "PASSWORD", "HOST", "PORT")

CONNECTION = {
    "service",
    "servicefile",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "database",
    "user",
    "password",
    "passfile",
    "require_auth",
    "channel_binding",
    "application_name",
    "fallback_application_name",
    "sslmode",
    "requiressl",
    "sslnegotiation",
    "sslcompression",
    "sslcert",
    "sslkey",
    "sslpassword",
    "sslcertmode",
    "sslrootcert",
    "sslcrl",
    "sslcrldir",
    "sslsni",
    "requirepeer",
    "ssl_min_protocol_version",
    "ssl_max_protocol_version",
    "krbsrvname",
    "gsslib",
    "gssencmode",
    "gssdelegation",
    "replication",
    "target_session_attrs",
    "load_balance_hosts",
    "assume_role",
}
"""Options of a connection that say where it leads, as whom, and how it is told apart there."""

ELSEWHERE = {"service", "host", "hostaddr", "port", "dbname", "database", "user", "password", "passfile"}

FILE_STORAGE = "django.core.files.storage.FileSystemStorage"
STATIC_STORAGE = "django.contrib.staticfiles.storage.StaticFilesStorage"
MAIL = "django.core.mail.backends.locmem.EmailBackend"

FOREIGN_HANDLERS = ("SysLog", "SMTP", "HTTPHandler", "SocketHandler", "Datagram")

FOREIGN_BROKERS = ("disque_nodes", "iron_mq", "sqs", "mongo", "mongo_db", "broker_class")


class SettingsError(RuntimeError):
    """The settings cannot be put in an arm's place."""


class Places:
    """The settings of a project while they are changed."""

    def __init__(self, settings: ModuleType) -> None:
        """Nothing is changed yet."""
        self.settings = settings
        self.changed: list[str] = []
        self.redis = False

    def get(self, name: str, default: Any = None) -> Any:
        """Look up a setting of the project."""
        return getattr(self.settings, name, default)

    def put(self, name: str, value: Any, why: str) -> None:
        """Replace a setting, if that changes anything the project says."""
        said = hasattr(self.settings, name)
        if said and self.get(name) == value:
            return
        setattr(self.settings, name, value)
        if said:
            self.tell(f"{name}: {why}")

    def tell(self, sentence: str) -> None:
        """Keep a sentence for the log. None of them shows what may be a secret."""
        if sentence not in self.changed:
            self.changed.append(sentence)


def place(settings: ModuleType) -> Places:
    """Put all settings in their place."""
    places = Places(settings)
    refuse_what_waits_for_nobody(places)
    databases(places)
    caches(places)
    brokers(places)
    mail(places)
    logs(places)
    web(places)
    # Last: whoever imports a storage may look at settings.
    storages(places)
    return places


def refuse_what_waits_for_nobody(places: Places) -> None:
    """Refuse modes in which tasks run in their caller: no queue is there to measure."""
    cluster = places.get("Q_CLUSTER")
    said = []
    if isinstance(cluster, dict) and cluster.get("sync"):
        said.append(("Q_CLUSTER['sync']", "Q_CLUSTER: {sync: false}"))
    eager = ("CELERY_TASK_ALWAYS_EAGER", "CELERY_ALWAYS_EAGER", "task_always_eager")
    said += [(name, f"{name}: false") for name in eager if places.get(name)]
    huey = places.get("HUEY")
    if isinstance(huey, dict) and huey.get("immediate"):
        said.append(("HUEY['immediate']", "HUEY: {immediate: false}"))
    queues = places.get("RQ_QUEUES")
    if isinstance(queues, dict):
        for queue, config in queues.items():
            if isinstance(config, dict) and config.get("ASYNC") is False:
                said.append((f"RQ_QUEUES['{queue}']['ASYNC']", f"RQ_QUEUES: {{{queue}: {{ASYNC: true}}}}"))
    if said:
        name, instead = said[0]
        raise SettingsError(
            f"{name} makes tasks run in their caller, so nothing of a queue would be measured: "
            f"the case can say `settings: {{{instead}}}`"
        )


def databases(places: Places) -> None:
    """Lead every database to the arm's. How connections behave stays as it is."""
    found = places.get("DATABASES") or {}
    if not found.get("default"):
        raise SettingsError("DATABASES names no default database: an arm has one, of Postgres")
    for alias, config in found.items():
        check_engine(alias, config.get("ENGINE") or "")
        gone = [name for name in WHERE if config.get(name)]
        # In place: settings modules that were imported from others share it.
        options = config.setdefault("OPTIONS", {})
        before = dict(options)
        for name in CONNECTION:
            options.pop(name, None)
        gone += [f"OPTIONS.{name}" for name in sorted(before) if name not in options]
        config.update(dict.fromkeys(WHERE, ""))
        options["service"] = SERVICE
        if before != options or gone:
            places.tell(f"DATABASES['{alias}']: the arm's database, without {', '.join(gone) or 'a place'}")
    if len(found) > 1:
        places.tell(f"DATABASES: {', '.join(found)} are all the arm's one database")


def check_engine(alias: str, engine: str) -> None:
    """Refuse what is no Postgres."""
    try:
        vendor = import_module(f"{engine}.base").DatabaseWrapper.vendor
    except ImportError as error:
        raise SettingsError(
            f"the ENGINE of DATABASES['{alias}'], {engine!r}, cannot be imported: {error}"
        ) from error
    except Exception as error:
        if type(error).__name__ != "ImproperlyConfigured":
            raise
        raise SettingsError(
            f"DATABASES['{alias}'], {engine!r}, has no driver here ({error}): "
            'name one, `requirements = [..., "psycopg[binary]"]`'
        ) from error
    if vendor != "postgresql":
        raise SettingsError(
            f"DATABASES['{alias}'] is {vendor}, and an arm has Postgres: let the environment say so "
            '(`env = {DATABASE_URL = "postgres:///"}` where the settings read it), or the case: '
            f"`settings: {{DATABASES: {{{alias}: {{ENGINE: django.db.backends.postgresql}}}}}}`"
        )


def caches(places: Places) -> None:
    """Lead caches in Redis to the arm's, and those in files to its folder."""
    for alias, config in (places.get("CACHES") or {}).items():
        backend = str(config.get("BACKEND", ""))
        if "redis" in backend.lower():
            config["LOCATION"] = redis_url(
                places, config.get("LOCATION"), (config.get("OPTIONS") or {}).pop("db", None)
            )
            for secret in ("PASSWORD", "password", "username", "USERNAME", "SENTINELS"):
                (config.get("OPTIONS") or {}).pop(secret, None)
            places.tell(f"CACHES['{alias}']: the arm's Redis")
        elif backend.endswith("FileBasedCache"):
            config["LOCATION"] = f"{ARM}/cache-{alias}"
            places.tell(f"CACHES['{alias}']: a folder of the arm's")


def redis_url(places: Places, said: Any, number: Any = None, url: str = REDIS, parameter: str = "db") -> str:
    """Name the arm's Redis, with the number of the database that the project says."""
    places.redis = True
    if isinstance(said, list | tuple):
        said = said[0] if said else None
    found = re.search(r"[?&](?:db|virtual_host)=(\d+)|://[^/]*/(\d+)\b", str(said or ""))
    if number is None and found:
        number = next(group for group in found.groups() if group)
    return url if number in (None, "", 0, "0") else f"{url}?{parameter}={number}"


def brokers(places: Places) -> None:
    """Lead the queues of django-q2, Celery and channels to the arm's Redis."""
    cluster = places.get("Q_CLUSTER")
    if isinstance(cluster, dict):
        q_cluster(places, cluster)
    elif "django_q" in (places.get("INSTALLED_APPS") or ()):
        places.put("Q_CLUSTER", {"redis": redis_url(places, None)}, "")
        places.tell("Q_CLUSTER: there is none, which means a Redis on localhost: the arm's")
    layers = places.get("CHANNEL_LAYERS") or {}
    for alias, config in layers.items():
        if "redis" in str(config.get("BACKEND", "")).lower():
            config.setdefault("CONFIG", {})["hosts"] = [redis_url(places, None)]
            places.tell(f"CHANNEL_LAYERS['{alias}']: the arm's Redis")
    for name, value in list(vars(places.settings).items()):
        is_url = isinstance(value, str) and value.startswith(("redis://", "rediss://"))
        if name.isupper() and is_url:
            is_celery = "CELERY" in name or name in ("BROKER_URL", "RESULT_BACKEND")
            url, parameter = (CELERY_REDIS, "virtual_host") if is_celery else (REDIS, "db")
            setattr(places.settings, name, redis_url(places, value, None, url, parameter))
            places.tell(f"{name}: the arm's Redis")


def q_cluster(places: Places, cluster: dict[str, Any]) -> None:
    """Lead django-q2's queue to the arm. In the database or behind a cache it is there already."""
    if cluster.get("orm") or cluster.get("django_redis"):
        return
    foreign = [name for name in FOREIGN_BROKERS if cluster.get(name)]
    if foreign:
        raise SettingsError(
            f"Q_CLUSTER['{foreign[0]}'] is a broker that an arm does not have: it has Postgres and Redis. "
            "The case can say `settings: {Q_CLUSTER: {orm: default}}`"
        )
    said = cluster.get("redis")
    number = said.get("db") if isinstance(said, dict) else None
    cluster["redis"] = redis_url(places, said if isinstance(said, str) else None, number)
    places.tell(
        "Q_CLUSTER: the arm's Redis" + ("" if said else "; it names no broker, which means one on localhost")
    )


def mail(places: Places) -> None:
    """Keep mail here. Where nothing is said, Django sends it."""
    if places.get("EMAIL_BACKEND") != MAIL:
        vars(places.settings)["EMAIL_BACKEND"] = MAIL
        places.tell("EMAIL_BACKEND: mail is kept in memory, and sent to nobody")


def logs(places: Places) -> None:
    """Let handlers that would write elsewhere write to the arm's log."""
    logging = places.get("LOGGING")
    if not isinstance(logging, dict):
        return
    for name, handler in (logging.get("handlers") or {}).items():
        kind = str(handler.get("class", handler.get("()", "")))
        is_elsewhere = any(
            word in kind for word in ("SysLog", "SMTP", "HTTPHandler", "SocketHandler", "Datagram")
        )
        if "filename" in handler or is_elsewhere:
            kept = {key: value for key, value in handler.items() if key in ("level", "formatter", "filters")}
            handler.clear()
            handler.update(kept, **{"class": "logging.StreamHandler"})
            places.tell(f"LOGGING: the handler {name} writes to the arm's log")


def web(places: Places) -> None:
    """Let the harness's browsers in: they speak HTTP, and ask for one host."""
    hosts = list(places.get("ALLOWED_HOSTS") or [])
    if "*" not in hosts:
        vars(places.settings)["ALLOWED_HOSTS"] = [*hosts, HOST]
        places.tell(f"ALLOWED_HOSTS: {HOST}, which browsers ask for, is allowed")
    if places.get("SECURE_SSL_REDIRECT"):
        places.put("SECURE_SSL_REDIRECT", False, "there is no TLS between browsers and the app")


def storages(places: Places) -> None:
    """Keep uploaded files in the arm's folder, and serve static files without a manifest."""
    found = places.get("STORAGES")
    for alias, config in (found if isinstance(found, dict) else {}).items():
        backend = str(config.get("BACKEND", ""))
        if alias == "staticfiles":
            config["BACKEND"] = static_storage(places, "STORAGES['staticfiles']", backend)
            if config["BACKEND"] != backend:
                config.pop("OPTIONS", None)
        elif backend != FILE_STORAGE:
            config.update(BACKEND=FILE_STORAGE, OPTIONS={"location": f"{ARM}/{alias}"})
            places.tell(f"STORAGES['{alias}']: a folder of the arm's")
        elif (config.get("OPTIONS") or {}).get("location"):
            config["OPTIONS"]["location"] = f"{ARM}/{alias}"
            places.tell(f"STORAGES['{alias}']: a folder of the arm's")
    if places.get("DEFAULT_FILE_STORAGE", FILE_STORAGE) != FILE_STORAGE:
        places.put("DEFAULT_FILE_STORAGE", FILE_STORAGE, "files are kept in the arm's folder")
    if places.get("STATICFILES_STORAGE"):
        static = static_storage(places, "STATICFILES_STORAGE", places.get("STATICFILES_STORAGE"))
        vars(places.settings)["STATICFILES_STORAGE"] = static
    for name, folder in (("MEDIA_ROOT", "media"), ("STATIC_ROOT", "static")):
        if places.get(name):
            places.put(name, f"{ARM}/{folder}", "a folder of the arm's")
        elif name == "MEDIA_ROOT":
            setattr(places.settings, name, f"{ARM}/{folder}")


def static_storage(places: Places, name: str, backend: str) -> str:
    """Name the storage for static files: Django's plain one, where `collectstatic` would be needed."""
    if backend == STATIC_STORAGE or not (needs_manifest(backend) or is_remote(backend)):
        return backend
    places.tell(f"{name}: without a manifest, which `collectstatic` would have to make")
    return STATIC_STORAGE


def needs_manifest(backend: str) -> bool:
    """Whether a storage reads a manifest."""
    if "Manifest" in backend:
        return True
    module, _, name = backend.rpartition(".")
    try:
        storage = getattr(import_module(module), name)
    except Exception:
        # It says so when it is used.
        return False
    return any("Manifest" in base.__name__ for base in getattr(storage, "__mro__", ()))


def is_remote(backend: str) -> bool:
    """Whether a storage is one of django-storages: all of them are elsewhere."""
    return backend.startswith("storages.")


def check_connections() -> None:
    """Refuse to go on where a connection would lead elsewhere: nothing has been asked of a database yet."""
    from django.db import connections

    for alias in connections:
        parameters = connections[alias].get_connection_params()
        elsewhere = [name for name in sorted(ELSEWHERE - {"service"}) if parameters.get(name)]
        if parameters.get("service") != SERVICE or elsewhere:
            named = ", ".join(elsewhere) or "no service"
            raise SettingsError(
                f"the connection {alias} would lead elsewhere: it has {named}; nothing was asked of it"
            )
