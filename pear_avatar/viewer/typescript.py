"""Writes ``viewer/src/generated/schema.ts`` from :mod:`pear_avatar.viewer.schema`.

Run ``python -m pear_avatar.viewer.typescript`` in a source checkout after a change of the schema;
with ``--check`` it only says, by its exit code, whether the file is up to date.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import logging
import sys
import textwrap
import types
import typing
from collections.abc import Sequence
from pathlib import Path

from pear_avatar.io.atomic import write_text_atomic
from pear_avatar.viewer import schema
from pear_avatar.viewer.schema import TensorSpec

#: Where the file lies in a source checkout.
SCHEMA_TS = Path(__file__).parents[2] / "viewer" / "src" / "generated" / "schema.ts"

_HEADER = """\
// Generated from pear_avatar/viewer/schema.py by `python -m pear_avatar.viewer.typescript`.
// Do not edit: change the dataclasses there and run it again.
"""
_PLAIN: dict[object, str] = {
    str: "string",
    int: "number",
    float: "number",
    bool: "boolean",
    type(None): "null",
}


def typescript_source() -> str:
    """The whole of schema.ts."""
    parts = [
        _HEADER,
        f"export type DType = {_type_name(schema.DType)};\n",
        *(_interface(message) for message in schema.MESSAGES),
        f"export const SCHEMA_VERSION = {schema.SCHEMA_VERSION};",
        f"export const AVATAR_FORMAT = {json.dumps(schema.AVATAR_FORMAT)};",
        f"export const MOTION_FORMAT = {json.dumps(schema.MOTION_FORMAT)};",
        f"export const LIVE_FORMAT = {json.dumps(schema.LIVE_FORMAT)};\n",
        _tensors("AVATAR_TENSORS", schema.AVATAR_TENSORS),
        _tensors("MOTION_TENSORS", schema.MOTION_TENSORS),
        _tensors("LIVE_TENSORS", schema.LIVE_TENSORS),
    ]
    return "\n".join(parts)


def main(argv: Sequence[str] | None = None) -> int:
    """Write the file, or with ``--check`` compare it; exit code 1 where it is out of date."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    log = logging.getLogger(__name__)
    source = typescript_source()
    current = SCHEMA_TS.read_text("utf-8") if SCHEMA_TS.is_file() else ""
    if current == source:
        log.info("%s is up to date", SCHEMA_TS.name)
        return 0
    if "--check" in (sys.argv[1:] if argv is None else argv):
        log.error("%s is out of date: run python -m pear_avatar.viewer.typescript", SCHEMA_TS.name)
        return 1
    write_text_atomic(SCHEMA_TS, source)
    log.info("written: %s", SCHEMA_TS)
    return 0


def _interface(message: type) -> str:
    hints = typing.get_type_hints(message)
    lines = [
        f"  readonly {field.name}: {_field_type(message, field.name, hints[field.name])};"
        for field in dataclasses.fields(message)
    ]
    head = f"export interface {message.__name__} {{"
    return "\n".join([_comment(inspect.getdoc(message) or ""), head, *lines, "}\n"])


def _comment(text: str) -> str:
    lines = textwrap.wrap(" ".join(text.replace("``", "`").split()), 96)
    return "\n".join(["/**", *(f" * {line}" for line in lines), " */"])


def _field_type(message: type, name: str, hint: object) -> str:
    if message is TensorSpec and name == "dtypes":
        return "readonly DType[]"  # the alias reads better than its values
    return _type_name(hint)


def _type_name(hint: object) -> str:
    """A Python type as TypeScript writes it."""
    if hint in _PLAIN:
        return _PLAIN[hint]
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return hint.__name__
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return " | ".join(json.dumps(value) for value in args)
    if origin in (typing.Union, types.UnionType):
        return " | ".join(_type_name(arg) for arg in args)
    if origin is tuple and len(args) == 2 and args[1] is Ellipsis:
        item = _type_name(args[0])
        return f"readonly ({item})[]" if " | " in item else f"readonly {item}[]"
    if origin is dict:
        return f"Readonly<Record<{_type_name(args[0])}, {_type_name(args[1])}>>"
    raise TypeError(f"the schema uses {hint}, which the TypeScript generator does not know")


def _tensors(name: str, specs: tuple[TensorSpec, ...]) -> str:
    rows = []
    for spec in specs:
        fields = (
            f"name: {json.dumps(spec.name)}",
            f"dtypes: {json.dumps(spec.dtypes)}",
            f"shape: {json.dumps(spec.shape)}",
            f"optional: {json.dumps(spec.optional)}",
        )
        rows.append(f"  {{ {', '.join(fields)} }},")
    return "\n".join([f"export const {name}: readonly TensorSpec[] = [", *rows, "];\n"])


if __name__ == "__main__":
    sys.exit(main())
