"""``python -m pear_avatar`` is the ``pear-avatar`` command."""

import sys


def start() -> int:
    """Run the command; Ctrl-C ends it with one line from the first moment on."""
    try:
        from pear_avatar.cli.main import main

        return main()
    except KeyboardInterrupt:
        sys.stderr.write("\npear-avatar: interrupted. Nothing was begun.\n")
        return 130


if __name__ == "__main__":
    sys.exit(start())
