"""Entry point: ``python -I <folder>/dj_regress/__main__.py <socket> <name>``.

``-I`` keeps the caller's working directory and ``PYTHON*`` variables out of the interpreter.
"""

import sys
from pathlib import Path


def main() -> None:
    """Connect to the controller and serve it until it hangs up."""
    # Last, so that nothing of the app is shadowed; overlays go to the front later.
    sys.path.append(str(Path(__file__).resolve().parent.parent))

    from dj_regress.worker import run

    socket, name = sys.argv[1:]
    # The app must not see our arguments.
    del sys.argv[1:]
    run(socket, name)


if __name__ == "__main__":
    main()
