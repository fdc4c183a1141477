"""Ways in which files come damaged."""

from __future__ import annotations

import random
from collections.abc import Iterator

CUTS = (0.03, 0.2, 0.5, 0.8, 0.97)


def damaged(data: bytes, seed: int, flips: int) -> Iterator[tuple[str, bytes]]:
    """(what was done, the damaged bytes): cut, emptied, zeroed, doubled, scrambled."""
    rng = random.Random(seed)
    yield "empty", b""
    yield "one byte", data[:1]
    for share in CUTS:
        yield f"cut at {share:.0%}", data[: int(len(data) * share)]
    yield "head only", data[:64]
    yield "zeros", bytes(len(data))
    yield "zeros behind the head", data[:64] + bytes(max(0, len(data) - 64))
    yield "something before", b"\xef\xbb\xbfX" + data
    for k in range(flips):
        scrambled = bytearray(data)
        first = 2048 if k % 2 else len(data)
        for _ in range(1 + k % 9):
            scrambled[rng.randrange(min(first, len(data)))] = rng.randrange(256)
        yield f"scrambled {k}", bytes(scrambled)
    text = bytearray(data)
    for _ in range(4):
        at = rng.randrange(len(text))
        text[at:at] = rng.choice((b"nan", b"-1", b"1e400", b"\xff\xff\xff\x7f", b"\0"))
    yield "numbers put in", bytes(text)
