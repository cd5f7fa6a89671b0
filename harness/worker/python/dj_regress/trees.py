"""Compares source texts as syntax trees: comments and layout do not count."""

import ast
from typing import TypedDict


class Texts(TypedDict):
    """Two texts of one source file."""

    file: str
    one: str
    other: str


def differing(texts: list[Texts]) -> list[str]:
    """Name the files whose two texts do not mean the same."""
    return [text["file"] for text in texts if not same(**text)]


def same(file: str, one: str, other: str) -> bool:
    """Whether two texts are the same tree; files that are not Python have only their text."""
    if not file.endswith(".py"):
        return one == other
    return ast.dump(ast.parse(one, file)) == ast.dump(ast.parse(other, file))
