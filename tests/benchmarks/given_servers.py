"""Postgres and Redis on loopback, each with a password: what a CI job gives. They are no part of any run."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PASSWORD = "hunter2-hunter2"
USER = "ci"
DEADLINE = 30.0
REDIS_DATABASES = 4


def free_port() -> int:
    """A port that the system has just found free."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def postgres_binaries() -> Path:
    """The folder of the newest Postgres that is installed."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name))
    found = shutil.which("initdb")
    if not folders and not found:
        sys.exit("no Postgres is installed: apt-get install postgresql postgresql-contrib")
    return folders[-1] if folders else Path(str(found)).resolve().parent


class GivenServers:
    """Started when entered, ended when left."""

    def __init__(self) -> None:
        """Nothing is started yet."""
        self.folder = Path(tempfile.mkdtemp(prefix="given-"))
        self.postgres_port, self.redis_port = free_port(), free_port()
        self.binaries = postgres_binaries()
        self.processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> GivenServers:
        """Starts both; they answer when this returns."""
        try:
            self._start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        """Ends both, and removes what they had."""
        self._end()

    @property
    def postgres_url(self) -> str:
        """With the password."""
        return f"postgres://{USER}:{PASSWORD}@127.0.0.1:{self.postgres_port}/postgres"

    @property
    def redis_url(self) -> str:
        """With the password."""
        return f"redis://:{PASSWORD}@127.0.0.1:{self.redis_port}"

    def sql(self, statement: str) -> list[str]:
        """The lines that a statement gives."""
        words = [
            "-h",
            "127.0.0.1",
            "-p",
            str(self.postgres_port),
            "-U",
            USER,
            "-d",
            "postgres",
            "-XAtqc",
            statement,
        ]
        env = os.environ | {"PGPASSWORD": PASSWORD}
        return self._said([str(self.binaries / "psql"), *words], env)

    def redis(self, *words: str, database: int = 0) -> list[str]:
        """The lines that a command gives."""
        command = ["redis-cli", "-p", str(self.redis_port), "-n", str(database), *words]
        return self._said(command, os.environ | {"REDISCLI_AUTH": PASSWORD})

    def databases_and_roles(self) -> set[str]:
        """All that are there, but for the built-in ones."""
        names = self.sql(
            "SELECT 'database ' || datname FROM pg_database UNION SELECT 'role ' || rolname FROM pg_roles "
            "WHERE rolname !~ '^pg_'"
        )
        return set(names)

    def keys(self) -> set[str]:
        """All keys of all databases of Redis."""
        found = ((number, self.redis("KEYS", "*", database=number)) for number in range(REDIS_DATABASES))
        return {f"key {key} of Redis database {number}" for number, keys in found for key in keys if key}

    @staticmethod
    def _said(command: list[str], env: dict[str, str]) -> list[str]:
        ended = subprocess.run(command, env=env, text=True, capture_output=True, stdin=subprocess.DEVNULL)
        if ended.returncode:
            raise RuntimeError(f"{command[0]}: {ended.stderr}")
        return ended.stdout.splitlines()

    def _start(self) -> None:
        # Postgres refuses to run as root.
        user = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
        data, password = self.folder / "data", self.folder / "password"
        password.write_text(PASSWORD)
        if user:
            for path in (self.folder, password):
                os.chown(path, user.pw_uid, user.pw_gid)
        who = user.pw_uid if user else None
        words = ["-D", str(data), "-U", USER, "--auth=scram-sha-256", f"--pwfile={password}", "--no-sync"]
        subprocess.run([self.binaries / "initdb", *words], user=who, check=True, stdout=subprocess.DEVNULL)
        password.unlink()
        settings = {
            "port": str(self.postgres_port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "off",
            "dynamic_shared_memory_type": "mmap",
            "shared_preload_libraries": "pg_stat_statements",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        redis = [
            *(
                "redis-server",
                "--port",
                str(self.redis_port),
                "--bind",
                "127.0.0.1",
                "--requirepass",
                PASSWORD,
            ),
            *("--save", "", "--databases", str(REDIS_DATABASES), "--dir", str(self.folder)),
        ]
        with (self.folder / "log").open("wb") as log:
            for command, user_id in (
                ([str(self.binaries / "postgres"), "-D", str(data), *options], who),
                (redis, None),
            ):
                # A session of its own: Ctrl-C ends the benchmark first, which ends these.
                started = subprocess.Popen(
                    command,
                    user=user_id,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
                self.processes.append(started)
        until = time.monotonic() + DEADLINE
        while True:
            try:
                self.sql("SELECT 1")
                self.redis("PING")
                return
            except RuntimeError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.02)

    def _end(self) -> None:
        for process in self.processes:
            process.send_signal(signal.SIGINT)
        for process in self.processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
            process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
