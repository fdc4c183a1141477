"""The ``pear-avatar`` command line: one file a command."""
