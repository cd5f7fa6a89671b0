"""Entry point: ``python -s <folder>/dj_regress/__main__.py <socket> <name> [<process>]``.

Its environment is what the controller says, and nothing of the caller's: ``-I`` would keep ``PYTHONHASHSEED``
out, too. The process is one whose user namespace is joined.
"""

import sys
from pathlib import Path


def main() -> None:
    """Connect to the controller and serve it until it hangs up."""
    # Python puts the folder of the script there, whose modules are ours alone.
    folder = Path(__file__).resolve().parent
    sys.path[:] = [entry for entry in sys.path if not entry or Path(entry).resolve() != folder]
    # Last, so that nothing of the app is shadowed; overlays go to the front later.
    sys.path.append(str(folder.parent))
    # What the harness needs beside the packages of a project: their own releases win.
    beside = Path(sys.prefix) / "beside"
    if beside.is_dir():
        sys.path.append(str(beside))

    from dj_regress.worker import run

    socket, name, *users = sys.argv[1:]
    # The app must not see our arguments.
    del sys.argv[1:]
    run(socket, name, *map(int, users))


if __name__ == "__main__":
    main()
