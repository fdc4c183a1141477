"""The shape of the code, counted.

How: Python files of the package, tools, benchmarks, tests and examples are parsed, not run.

- A file's lines are all lines. A function's lines run from its ``def`` (decorators left out) to its
  end; functions inside it count towards it and by themselves.
- A call's positional arguments are those without a keyword; ``*rest`` counts as one. Functions
  whose parameters have no names are exempt: ``struct.pack``, the C core's ``pear_...``, and what
  a ``*parameter`` of the repository's own functions takes.
  Parameters are capped at five positional ones by ruff (PLR0917).
- A setting is a field of a dataclass whose name ends in Config, in a file whose name ends in
  ``config.py`` or ``configuration.py``. It is read where some module of the package takes that
  attribute of an expression whose class is that very dataclass (``support/field_reads.py`` says
  how classes are known), or where a term of the objective names it as its weight or period.
- A list of formats is one string, or one tuple, list, set or dictionary of strings, that holds the
  names of three or more of the registered pose formats as whole words, in any case. The registry's
  room ``motion/formats`` is the one place for those that are read, ``choices.py`` for those that
  are written; beside them may stand only the writers, which must be the same, and the sample
  commands in help texts (``_EXAMPLES``). TypeScript may hold no line with three.
- Two functions are the same when their bodies, docstrings left out, have equal syntax trees after
  every local name, parameter included, has been replaced by its order of first use. Bodies of
  fewer than five statements, nested ones included, are not compared.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from field_reads import field_reads

from pear_avatar.choices import NPZ_LAYOUTS
from pear_avatar.commands.write_motion import NPZ_WRITERS
from pear_avatar.fitting.objective import TERMS
from pear_avatar.motion.formats.registry import formats

ROOT = Path(__file__).parent.parent
FOLDERS = ("pear_avatar", "tools", "benchmarks", "tests", "examples")
MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 60
MAX_POSITIONAL_ARGUMENTS = 6
LEAST_STATEMENTS = 5

Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def trees() -> dict[str, ast.Module]:
    """Syntax tree of every Python file by its path below the repository."""
    paths = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    return {
        path.relative_to(ROOT).as_posix(): ast.parse(path.read_text("utf-8"), str(path))
        for path in sorted(paths)
    }


def functions(tree: ast.AST) -> Iterator[Function]:
    """All functions and methods, nested ones included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def length(function: Function) -> int:
    """Lines from ``def`` to the end."""
    assert function.end_lineno is not None
    return function.end_lineno - function.lineno + 1


def statements(function: Function) -> list[ast.stmt]:
    """The body without its docstring."""
    first = function.body[0]
    has_docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    return function.body[1:] if has_docstring else function.body


def weight(function: Function) -> int:
    """Statements of the body, nested ones included."""
    return sum(isinstance(n, ast.stmt) for top in statements(function) for n in ast.walk(top))


class _Renamed(ast.NodeTransformer):
    """Numbers local names in the order of their first use."""

    def __init__(self, local: set[str]) -> None:
        self._local = local
        self._numbers: dict[str, str] = {}

    def _number(self, name: str) -> str:
        if name not in self._local:
            return name
        return self._numbers.setdefault(name, f"local{len(self._numbers)}")

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.Name(self._number(node.id), node.ctx)

    def visit_arg(self, node: ast.arg) -> ast.arg:
        return ast.arg(self._number(node.arg), None)


def normalised(function: Function) -> str:
    """The body as text in which local names and annotations of locals do not matter."""
    local = {node.arg for node in ast.walk(function) if isinstance(node, ast.arg)}
    local |= {
        node.id
        for node in ast.walk(function)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    source = ast.Module(statements(function), [])
    copy = ast.parse(ast.unparse(source))
    return ast.dump(_Renamed(local).visit(copy))


def same_bodies(found: dict[str, ast.Module]) -> list[list[str]]:
    """Groups of functions with equal normalised bodies."""
    places = defaultdict(list)
    for path, tree in found.items():
        for function in functions(tree):
            if weight(function) >= LEAST_STATEMENTS:
                places[normalised(function)].append(f"{path}:{function.lineno} {function.name}")
    return [group for group in places.values() if len(group) > 1]


def takes_no_keywords(function: ast.expr) -> bool:
    """Whether a called function's parameters have no names."""
    text = ast.unparse(function)
    return text == "struct.pack" or text.rpartition(".")[2].startswith("pear_")


@cache
def variadic() -> frozenset[str]:
    """Names of functions with a ``*parameter``."""
    return frozenset(f.name for tree in trees().values() for f in functions(tree) if f.args.vararg)


def long_calls(tree: ast.AST) -> Iterator[tuple[int, int]]:
    """(line, number of positional arguments) of calls with too many."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or takes_no_keywords(node.func):
            continue
        name = ast.unparse(node.func).rpartition(".")[2]
        if len(node.args) > MAX_POSITIONAL_ARGUMENTS and name not in variadic():
            yield node.lineno, len(node.args)


def settings(found: dict[str, ast.Module]) -> Iterator[tuple[str, str]]:
    """(class, field) of every setting."""
    for path, tree in found.items():
        if not path.removesuffix(".py").endswith(("config", "configuration")):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and node.name.endswith("Config"):
                for item in node.body:
                    if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
                        yield node.name, item.target.id


def named_by_terms() -> set[tuple[str, str]]:
    """(class, field) of the settings that terms of the objective name."""
    weights = {("LossConfig", str(term.weight)) for term in TERMS}
    return weights | {("FittingConfig", str(term.every)) for term in TERMS}


def strings_of(node: ast.AST) -> list[str]:
    """The text of a string, or of the strings in a tuple, list, set or dictionary's keys."""
    if isinstance(node, ast.Constant | ast.JoinedStr):
        parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    elif isinstance(node, ast.Tuple | ast.List | ast.Set):
        parts = node.elts
    else:
        parts = node.keys if isinstance(node, ast.Dict) else []
    return [p.value for p in parts if isinstance(p, ast.Constant) and isinstance(p.value, str)]


@cache
def format_pattern() -> re.Pattern[str]:
    """Matches the names of all pose formats."""
    names = "|".join(re.escape(f.name) for f in formats())
    return re.compile(rf"\b(?:{names})\b", re.IGNORECASE)


def formats_in(text: str) -> set[str]:
    """The pose formats that a text names."""
    return {found.lower() for found in format_pattern().findall(text)}


def format_lists(found: dict[str, ast.Module]) -> Iterator[tuple[str, int]]:
    """(path, line) of every list of formats."""
    for path, tree in found.items():
        examples = {
            id(node.value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_EXAMPLES"
        }
        for node in ast.walk(tree):
            if id(node) not in examples and len(formats_in(" ".join(strings_of(node)))) >= 3:
                yield path, node.lineno  # type: ignore[attr-defined]


def package() -> dict[str, ast.Module]:
    """The trees of the package alone."""
    return {path: tree for path, tree in trees().items() if path.startswith("pear_avatar")}


def test_no_file_is_too_long() -> None:
    paths = [ROOT / path for path in trees()]
    paths += (ROOT / "pear_avatar" / "_native" / "src").rglob("*.cpp")
    paths += (ROOT / "pear_avatar" / "_native" / "src").rglob("*.h")
    paths += (ROOT / "viewer" / "src").rglob("*.ts")
    lengths = {str(p.relative_to(ROOT)): len(p.read_text("utf-8").splitlines()) for p in paths}
    assert not {path: n for path, n in lengths.items() if n > MAX_FILE_LINES}


def test_no_function_is_too_long() -> None:
    found = {
        f"{path} {function.name}": length(function)
        for path, tree in trees().items()
        for function in functions(tree)
        if length(function) > MAX_FUNCTION_LINES
    }
    assert not found, f"split them: {found}"


def test_no_call_has_too_many_positional_arguments() -> None:
    found = [
        f"{path}:{line}: {count} positional arguments"
        for path, tree in trees().items()
        for line, count in long_calls(tree)
    ]
    assert not found, f"{len(found)} calls\n" + "\n".join(found)


def test_every_setting_is_read() -> None:
    found = package()
    read = field_reads(found) | named_by_terms()
    assert not [f"{owner}.{name}" for owner, name in settings(found) if (owner, name) not in read]


def test_formats_are_listed_in_one_place() -> None:
    allowed = ("pear_avatar/motion/formats/", "pear_avatar/choices.py")
    writers = "pear_avatar/commands/write_motion.py"
    found = [
        f"{path}:{line}"
        for path, line in format_lists(package())
        if not path.startswith((*allowed, writers))
    ]
    assert not found, "\n".join(found)
    assert list(NPZ_WRITERS) == [name for name in NPZ_LAYOUTS if name != "track"]


def test_the_page_lists_no_formats() -> None:
    found = [
        path.name
        for path in (ROOT / "viewer" / "src").rglob("*.ts")
        for line in path.read_text("utf-8").splitlines()
        if len(formats_in(line)) >= 3
    ]
    assert not found


def test_no_two_functions_have_the_same_body() -> None:
    groups = same_bodies({p: t for p, t in trees().items() if not p.startswith("tests")})
    assert not groups, "\n".join(" = ".join(group) for group in groups)


def test_the_settings_are_found() -> None:
    owners = {owner for owner, _ in settings(package())}
    assert {"FittingConfig", "LossConfig", "RatesConfig", "TrackConfig", "FitConfig"} <= owners


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("def f(a):\n b = a\n c = b\n d = c\n e = d\n return e",
         "def g(x):\n 'doc'\n y = x\n z = y\n u = z\n v = u\n return v", True),
        ("def f(a):\n b = a\n c = b\n d = c\n e = d\n return e",
         "def g(x):\n y = x\n z = x\n u = z\n v = u\n return v", False),
        ("def f(a):\n b = a + 1\n c = b\n d = c\n e = d\n return e",
         "def f(a):\n b = a + 2\n c = b\n d = c\n e = d\n return e", False),
        ("def f(a):\n b = a\n return b", "def g(a):\n b = a\n return b", False),
    ],
)  # fmt: skip
def test_the_comparison_of_bodies(first: str, second: str, same: bool) -> None:
    assert bool(same_bodies({"a.py": ast.parse(first), "b.py": ast.parse(second)})) == same


def test_the_other_checks_see_what_they_look_for() -> None:
    call = ast.parse("f(1, 2, 3, 4, 5, 6, 7)\nf(1, *rest, last=2)\nx.pear_y(1, 2, 3, 4, 5, 6, 7)")
    assert list(long_calls(call)) == [(1, 7)]
    module = {
        "x_config.py": ast.parse("class XConfig:\n    used: int = 1\n    idle: int = 2"),
        "y.py": ast.parse(
            "class Other:\n    idle: int = 0\n"
            "class Job:\n    config: XConfig\n"
            "def f(job: Job, other: Other):\n"
            "    config = job.config\n    return config.used + other.idle"
        ),
    }
    read = field_reads(module)
    assert [name for _, name in settings(module) if ("XConfig", name) not in read] == ["idle"]
    listing = ast.parse(
        "'one of AMASS, bvh and ehm'\n_EXAMPLES = 'amass bvh ehm'\n('amass', 'bvh')"
    )
    assert list(format_lists({"a.py": listing})) == [("a.py", 1)]
