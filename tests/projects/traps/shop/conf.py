"""Who imports settings directly sees what they are."""

from traps.settings import CACHES, DATABASES, RATE

HOST = DATABASES["default"]["HOST"]
CACHE = CACHES["default"]["LOCATION"]
AT_IMPORT = RATE
