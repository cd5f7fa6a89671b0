"""Print the releases of a package as the index has them: a line per file, and whether it is yanked.

The index is the one that uv is told by its environment, else PyPI. Where JSON (PEP 691) is asked for, a mirror
may answer with HTML (PEP 503).
"""

import base64
import json
import os
import re
import sys
import urllib.parse
import urllib.request
from html.parser import HTMLParser

TIMEOUT = 20.0
ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"


class Links(HTMLParser):
    """The links of a page of the index: file name, and whether the file is yanked."""

    def __init__(self) -> None:
        """Start without any."""
        super().__init__()
        self.files: list[tuple[str, bool]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep a link."""
        values = dict(attrs)
        if tag == "a" and (address := values.get("href")):
            name = urllib.parse.unquote(urllib.parse.urlsplit(address).path.rsplit("/", 1)[-1])
            self.files.append((name, "data-yanked" in values))


def ask(package: str) -> list[tuple[str, bool]]:
    """The files of a package."""
    index = os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("UV_INDEX_URL") or "https://pypi.org/simple"
    # uv also takes `NAME=URL`.
    parts = urllib.parse.urlsplit(re.sub(r"^[\w-]+=", "", index))
    host = parts.netloc.rsplit("@", 1)[-1]
    page = f"{parts.path.rstrip('/')}/{re.sub(r'[-_.]+', '-', package).lower()}/"
    request = urllib.request.Request(urllib.parse.urlunsplit((parts.scheme, host, page, "", "")))
    request.add_header("Accept", ACCEPT)
    if parts.username:
        login = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
        request.add_header("Authorization", "Basic " + base64.b64encode(login.encode()).decode())
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
        text = answer.read().decode()
        if "json" in answer.headers.get("Content-Type", ""):
            return [(file["filename"], bool(file.get("yanked"))) for file in json.loads(text)["files"]]
    links = Links()
    links.feed(text)
    return links.files


def version(file: str) -> str | None:
    """The version in the name of a wheel or a source archive; none for other files."""
    if file.endswith(".whl"):
        return file.split("-")[1] if "-" in file else None
    found = re.fullmatch(r".+-([^-]+?)(?:\.tar\.gz|\.zip|\.tar\.bz2)", file)
    return found.group(1) if found else None


try:
    FILES = ask(sys.argv[1])
except (OSError, ValueError, KeyError) as error:
    sys.exit(f"{type(error).__name__}: {error}")
for name, is_yanked in FILES:
    if found := version(name):
        print(found, "yanked" if is_yanked else "")
