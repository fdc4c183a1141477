"""Benchmarks that measure this package beside its peers, in the same run on the same machine.

``python -m benchmarks NAME [--quick] [--json FILE]`` runs one workload. Each workload is a module
of this package with ``run(options: Options) -> list[Result]``.
"""

from benchmarks.framework import Options, Result, format_table, to_json

__all__ = ["Options", "Result", "format_table", "to_json"]
