"""Bad and odd inputs over all commands, tried and judged: ``python -m tests.campaign``."""
