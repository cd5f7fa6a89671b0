"""Settings with every trap that was met in the projects of others."""

import os
import sys
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent

# Secrets are in a file that git ignores, or in the environment; without one nothing starts.
ENV = dict(line.split("=", 1) for line in Path(".env").read_text().splitlines()) if Path(".env").exists() else {}
SECRET_KEY = ENV.get("SECRET_KEY") or os.environ["SECRET_KEY"]

# Relative to the working directory.
RATE = float(Path("rate.txt").read_text())

# Which command is it?
COMMAND = sys.argv[1]

DEBUG = False
ALLOWED_HOSTS = ["traps.example.com"]
SECURE_SSL_REDIRECT = True
ROOT_URLCONF = "traps.urls"
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django_q",
    "shop",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": "127.0.0.1",
        "PORT": "@PORT@",
        "NAME": "production",
        "USER": "production",
        "PASSWORD": ENV.get("DATABASE_PASSWORD", ""),
        "ATOMIC_REQUESTS": True,
        "CONN_MAX_AGE": 60,
        "OPTIONS": {"application_name": "production", "sslmode": "prefer"},
    },
}
DATABASES["reports"] = {**DATABASES["default"], "OPTIONS": {"options": "-c statement_timeout=30000"}}
CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://127.0.0.1:@PORT@/1"}}
# No broker: a Redis on localhost.
Q_CLUSTER = {"name": "traps", "workers": 1, "timeout": 30, "retry": 60}
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"},
}
STATIC_URL = "/static/"
STATIC_ROOT = "/srv/traps/static"
MEDIA_ROOT = "/srv/traps/media"
EMAIL_HOST = "127.0.0.1"
EMAIL_PORT = int("@PORT@")
LOGGING = {
    "version": 1,
    "handlers": {"file": {"class": "logging.FileHandler", "filename": "/var/log/traps.log"}},
    "root": {"handlers": ["file"], "level": "WARNING"},
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
