"""``python -m pear_avatar`` is the ``pear-avatar`` command."""

import sys

from pear_avatar.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
