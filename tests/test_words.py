"""Plain technical English: words that make a reader stop are kept out of code, messages, pages."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
#: Word or phrase -> what to write instead. Matched as whole words, in any case.
WORDS = {
    "told": "described, reported, logged",
    "tell": "report, decide, distinguish",
    "tells": "reports, says, decides",
    "somebody": "a person",
    "nobody": "no person",
    "everybody": "all people",
    "anybody": "any person",
    "made of what": "name the parts",
    "is given": "there is, takes, gets",
    "was given": "name the argument",
    "are given": "there are",
}
#: Participles and other words that do not say what a function does.
FUNCTIONS = re.compile(
    r"^_?(told|made|given|whole|placed|finished|corrected|chosen|seen|shown|taken|kept|of_what)$"
)
_PATTERN = re.compile(r"\b(" + "|".join(WORDS) + r")\b", re.IGNORECASE)
_CODE = ("pear_avatar", "tools", "benchmarks", "examples")
_TEXT = ("docs", "README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "Makefile")


def comments_and_strings(source: str) -> Iterator[tuple[int, str]]:
    """(line, text) of every comment and string of a module, docstrings included."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in (tokenize.COMMENT, tokenize.STRING):
            yield token.start[0], token.string


def found_in(text: str) -> list[str]:
    """Words in a text; phrases may be broken over two lines."""
    return [m.group(0).lower() for m in _PATTERN.finditer(re.sub(r"\s+(#:? ?)?", " ", text))]


def _files(names: tuple[str, ...], pattern: str) -> Iterator[Path]:
    for name in names:
        path = ROOT / name
        yield from (sorted(path.rglob(pattern)) if path.is_dir() else [path] * path.is_file())


def test_code_and_messages_are_in_plain_words() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {word!r}; write {WORDS[word]}"
        for path in _files(_CODE, "*.py")
        for line, text in comments_and_strings(path.read_text("utf-8"))
        for word in found_in(text)
    ]
    assert not found, "\n".join(found)


def test_pages_are_in_plain_words() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {word!r}; write {WORDS[word]}"
        for path in _files(_TEXT, "*.md")
        for word in found_in(path.read_text("utf-8"))
    ]
    assert not found, "\n".join(found)


def test_functions_say_what_they_do() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {node.name}"
        for path in _files(_CODE, "*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef) and FUNCTIONS.match(node.name)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("text", ["Nobody is here", "a list that is\n# given", "as told."])
def test_the_check_itself_sees_a_word(text: str) -> None:
    assert found_in(text)


@pytest.mark.parametrize("text", ["noted", "a given angle", "detellable"])
def test_the_check_itself_accepts_other_words(text: str) -> None:
    assert not found_in(text)
