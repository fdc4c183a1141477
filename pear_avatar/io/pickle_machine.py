"""Reads a pickle as data: a stack machine that builds inert records and calls nothing.

Python's own unpickler imports and calls whatever a file names, and even with ``find_class``
restricted it lets a file change attributes of the classes it may reach, or reserve memory by
naming a large memo index. This machine knows no classes at all. A GLOBAL becomes a :class:`Name`
(after the caller's allow-list agreed to it), a call becomes a :class:`Call` that is never made;
every opcode consumes at least one byte of the file and stores no more than it read.
"""

from __future__ import annotations

import codecs
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

__all__ = ["Call", "Inline", "MalformedPickleError", "Name", "Stream", "parse_pickle"]

_MAX_OPCODES = 4_000_000
#: What may be a key or a member of a set: hashing a nested tuple would recurse without a limit.
_PLAIN_KEYS = (str, int, float, bool, bytes, type(None))
#: A tuple of so many plain values may be a key as well.
_MAX_KEY = 16
_MAX_DIGITS = 400


class MalformedPickleError(ValueError):
    """The bytes are no pickle, end too early, or use an opcode that no model file needs."""


@dataclass(frozen=True)
class Name:
    """A global that the file mentions; never imported."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(eq=False)
class Call:
    """An object that the file wants made: ``function(*args)``, then given ``state``."""

    function: Name
    args: tuple[Any, ...]
    state: Any = None
    items: list[Any] = field(default_factory=list)


class Stream(Protocol):
    """The bytes of a pickle from where it is read on."""

    def take(self, count: int) -> bytes:
        """The next ``count`` bytes; raises MalformedPickleError where there are fewer."""

    def nested(self) -> Any:
        """The value of a whole pickle that stands next."""


#: A record with its state and the stream behind it -> what takes the record's place.
Inline: TypeAlias = Callable[[Call, Stream], Any]


class _Mark:
    """Where a run of stack items starts."""


_MARK = _Mark()
_MISSING = object()


def parse_pickle(data: bytes, allow: Callable[[Name], None], inline: Inline | None = None) -> Any:
    """The value in a pickle of protocol 0 to 5, with records in the place of objects.

    Args:
        data: the whole pickle.
        allow: called with every global that the file names; raises to refuse the file.
        inline: called with every record that has got its state, and the stream behind it; what
            it returns takes the record's place. joblib keeps an array's bytes there.

    Raises:
        MalformedPickleError: truncated, damaged, or beyond what model files use.
    """
    machine = _Machine(data, allow, inline)
    try:
        return machine.run()
    except (
        IndexError,
        KeyError,
        TypeError,
        struct.error,
        UnicodeError,
        OverflowError,
        RecursionError,
    ) as error:
        raise MalformedPickleError(
            f"damaged at byte {machine.position} ({type(error).__name__})"
        ) from error


class _Machine:
    """One pass over the bytes; see :func:`parse_pickle`."""

    def __init__(
        self, data: bytes, allow: Callable[[Name], None], inline: Inline | None, position: int = 0
    ) -> None:
        self.data = data
        self.allow = allow
        self.inline = inline
        self.position = position
        self.left = _MAX_OPCODES
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        while self.left > 0:
            self.left -= 1
            opcode = self.take(1)
            if opcode == b".":
                return self.pop()
            handler = _HANDLERS.get(opcode)
            if handler is None:
                raise MalformedPickleError(
                    f"opcode {opcode!r} at byte {self.position - 1} has no place in a model file"
                )
            handler(self)
        raise MalformedPickleError(f"more than {_MAX_OPCODES} instructions")

    def nested(self) -> Any:
        """A whole pickle that stands in the stream, without inline data of its own."""
        inner = _Machine(self.data, self.allow, None, self.position)
        inner.left = self.left
        value = inner.run()
        self.position, self.left = inner.position, inner.left
        return value

    # Reading

    def take(self, count: int) -> bytes:
        """The next ``count`` bytes."""
        end = self.position + count
        if count < 0 or end > len(self.data):
            raise MalformedPickleError(
                f"cut short: {count} bytes wanted at byte {self.position} of {len(self.data)}"
            )
        chunk = self.data[self.position : end]
        self.position = end
        return chunk

    def number(self, layout: str) -> Any:
        """One number in :mod:`struct` notation."""
        return struct.unpack(layout, self.take(struct.calcsize(layout)))[0]

    def sized(self, layout: str) -> bytes:
        """A length and as many bytes."""
        return self.take(self.number(layout))

    def line(self) -> bytes:
        """The bytes up to the next line feed."""
        end = self.data.find(b"\n", self.position)
        if end < 0:
            raise MalformedPickleError(f"cut short: no end of line after byte {self.position}")
        text = self.data[self.position : end]
        self.position = end + 1
        return text

    # The stack

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        value = self.stack.pop()
        if value is _MARK:
            raise MalformedPickleError(f"a value is missing at byte {self.position}")
        return value

    def pop_to_mark(self) -> list[Any]:
        for start in range(len(self.stack) - 1, -1, -1):
            if self.stack[start] is _MARK:
                values = self.stack[start + 1 :]
                del self.stack[start:]
                return values
        raise MalformedPickleError(f"a mark is missing at byte {self.position}")

    def top(self, *kinds: type) -> Any:
        value = self.stack[-1]
        if not isinstance(value, kinds):
            raise MalformedPickleError(f"{type(value).__name__} cannot be filled")
        return value

    # Opcodes that need more than a line

    def integer_line(self) -> None:
        text = self.line()
        if text in (b"00", b"01"):  # how protocol 0 writes False and True
            return self.push(text == b"01")
        self.push(_decimal(text))

    def long_line(self) -> None:
        self.push(_decimal(self.line().rstrip(b"L")))

    def long_bytes(self, layout: str) -> None:
        raw = self.sized(layout)
        if len(raw) > _MAX_DIGITS:
            raise MalformedPickleError(f"an integer of {len(raw)} bytes")
        self.push(int.from_bytes(raw, "little", signed=True))

    def string_line(self) -> None:
        text = self.line()
        if len(text) < 2 or text[:1] != text[-1:] or text[:1] not in (b"'", b'"'):
            raise MalformedPickleError(f"an unquoted string before byte {self.position}")
        raw: Any = codecs.escape_decode(text[1:-1])[0]
        self.push(raw.decode("latin1"))

    def mention(self, module: Any, name: Any) -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            raise MalformedPickleError("a global without a name")
        found = Name(module, name)
        self.allow(found)
        self.push(found)

    def stack_global(self) -> None:
        name, module = self.pop(), self.pop()
        self.mention(module, name)

    def call(self) -> None:
        args, function = self.pop(), self.pop()
        if not isinstance(function, Name) or not isinstance(args, tuple):
            raise MalformedPickleError(f"{type(function).__name__} is called")
        self.push(Call(function, args))

    def build(self) -> None:
        state = self.pop()
        record = self.top(Call)
        record.state = state
        if self.inline is not None:
            self.stack[-1] = self.inline(record, self)

    def dictionary(self, values: list[Any]) -> dict[Any, Any]:
        if len(values) % 2:
            raise MalformedPickleError("a key without a value")
        self.check_keys(values[::2])
        return dict(zip(values[::2], values[1::2], strict=True))

    def check_keys(self, keys: Iterable[Any]) -> None:
        """Refuse keys and members of sets that are no plain values or short tuples of them."""
        for key in keys:
            if isinstance(key, (*_PLAIN_KEYS, Name)):
                continue
            short = isinstance(key, tuple) and len(key) <= _MAX_KEY
            if not short or not all(isinstance(part, _PLAIN_KEYS) for part in key):
                raise MalformedPickleError(
                    f"a {type(key).__name__} as a key before byte {self.position}"
                )

    def add_items(self, values: list[Any]) -> None:
        self.top(set).update(self.members(values))

    def members(self, values: list[Any]) -> list[Any]:
        """The same values, if they may be in a set."""
        self.check_keys(values)
        return values

    def set_items(self, values: list[Any]) -> None:
        target = self.top(dict, Call)
        if isinstance(target, Call):
            target.items.append(self.dictionary(values))
        else:
            target.update(self.dictionary(values))

    def append_items(self, values: list[Any]) -> None:
        target = self.top(list, Call)
        (target.items if isinstance(target, Call) else target).extend(values)

    def tuple_of(self, count: int) -> None:
        values = [self.pop() for _ in range(count)]
        self.push(tuple(reversed(values)))

    def put(self, index: int) -> None:
        self.memo[index] = self.top(object)

    def get(self, index: int) -> None:
        value = self.memo.get(index, _MISSING)
        if value is _MISSING:
            raise MalformedPickleError(f"memo {index} was never filled")
        self.push(value)


def _decimal(text: bytes) -> int:
    if len(text) > _MAX_DIGITS:
        raise MalformedPickleError(f"an integer of {len(text)} digits")
    try:
        return int(text)
    except ValueError:
        raise MalformedPickleError(f"{text[:20]!r} is no integer") from None


def _real(text: bytes) -> float:
    try:
        return float(text)
    except ValueError:
        raise MalformedPickleError(f"{text[:20]!r} is no number") from None


def _proto(m: _Machine) -> None:
    version = m.number("<B")
    if version > 5:
        raise MalformedPickleError(f"pickle protocol {version}; 0 to 5 can be read")


def _latin(raw: bytes) -> str:
    """Python 2's byte strings; one character a byte, so that arrays survive."""
    return raw.decode("latin1")


_HANDLERS: dict[bytes, Callable[[_Machine], Any]] = {
    b"\x80": _proto,
    b"\x95": lambda m: m.number("<Q"),  # a frame's length; frames only help reading
    b"(": lambda m: m.push(_MARK),
    b"0": lambda m: m.stack.pop(),
    b"1": lambda m: m.pop_to_mark(),
    b"2": lambda m: m.push(m.top(object)),
    # Constants and numbers
    b"N": lambda m: m.push(None),
    b"\x88": lambda m: m.push(True),
    b"\x89": lambda m: m.push(False),
    b"I": _Machine.integer_line,
    b"J": lambda m: m.push(m.number("<i")),
    b"K": lambda m: m.push(m.number("<B")),
    b"M": lambda m: m.push(m.number("<H")),
    b"L": _Machine.long_line,
    b"\x8a": lambda m: m.long_bytes("<B"),
    b"\x8b": lambda m: m.long_bytes("<i"),
    b"F": lambda m: m.push(_real(m.line())),
    b"G": lambda m: m.push(m.number(">d")),
    # Text and bytes
    b"S": _Machine.string_line,
    b"T": lambda m: m.push(_latin(m.sized("<i"))),
    b"U": lambda m: m.push(_latin(m.sized("<B"))),
    b"V": lambda m: m.push(m.line().decode("raw-unicode-escape")),
    b"X": lambda m: m.push(m.sized("<I").decode("utf-8", "surrogatepass")),
    b"\x8c": lambda m: m.push(m.sized("<B").decode("utf-8", "surrogatepass")),
    b"\x8d": lambda m: m.push(m.sized("<Q").decode("utf-8", "surrogatepass")),
    b"B": lambda m: m.push(m.sized("<I")),
    b"C": lambda m: m.push(m.sized("<B")),
    b"\x8e": lambda m: m.push(m.sized("<Q")),
    b"\x96": lambda m: m.push(m.sized("<Q")),
    # Containers
    b"]": lambda m: m.push([]),
    b"a": lambda m: m.append_items([m.pop()]),
    b"e": lambda m: m.append_items(m.pop_to_mark()),
    b"l": lambda m: m.push(m.pop_to_mark()),
    b")": lambda m: m.push(()),
    b"t": lambda m: m.push(tuple(m.pop_to_mark())),
    b"\x85": lambda m: m.tuple_of(1),
    b"\x86": lambda m: m.tuple_of(2),
    b"\x87": lambda m: m.tuple_of(3),
    b"}": lambda m: m.push({}),
    b"d": lambda m: m.push(m.dictionary(m.pop_to_mark())),
    b"s": lambda m: m.set_items([m.pop(), m.pop()][::-1]),
    b"u": lambda m: m.set_items(m.pop_to_mark()),
    b"\x8f": lambda m: m.push(set()),
    b"\x90": lambda m: m.add_items(m.pop_to_mark()),
    b"\x91": lambda m: m.push(frozenset(m.members(m.pop_to_mark()))),
    # Names and calls, kept as records
    b"c": lambda m: m.mention(m.line().decode("utf-8"), m.line().decode("utf-8")),
    b"\x93": _Machine.stack_global,
    b"R": _Machine.call,
    b"\x81": _Machine.call,
    b"b": _Machine.build,
    # Memory
    b"p": lambda m: m.put(_decimal(m.line())),
    b"q": lambda m: m.put(m.number("<B")),
    b"r": lambda m: m.put(m.number("<I")),
    b"\x94": lambda m: m.put(len(m.memo)),
    b"g": lambda m: m.get(_decimal(m.line())),
    b"h": lambda m: m.get(m.number("<B")),
    b"j": lambda m: m.get(m.number("<I")),
}
