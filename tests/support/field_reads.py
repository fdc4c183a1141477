"""Which fields of which classes a package reads, from its syntax trees and annotations.

The class of an expression is known from annotations of parameters, locals, dataclass fields,
properties and returns, from assignments to ``self`` and locals, and through ``replace(x, ...)``,
``x or y`` and ``x if c else y``. What stands in a module without a known class counts as no read.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

Function = ast.FunctionDef | ast.AsyncFunctionDef
_PASSES = 2  # an attribute may have the class of one that is assigned later


class _Types:
    """Classes by name, the class of each attribute, and what functions return."""

    def __init__(self, trees: Mapping[str, ast.Module]) -> None:
        nodes = [node for tree in trees.values() for node in ast.walk(tree)]
        classes = [node for node in nodes if isinstance(node, ast.ClassDef)]
        self.attributes: dict[str, dict[str, str]] = {node.name: {} for node in classes}
        self.returns: dict[str, str] = {}
        for node in nodes:
            if isinstance(node, Function):
                self.returns.setdefault(node.name, self.named(node.returns))
        for node in classes:
            own = self.attributes[node.name]
            for item in node.body:
                if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
                    own[item.target.id] = self.named(item.annotation)
                elif isinstance(item, Function):
                    own[item.name] = self.named(item.returns)
        methods = [(n, f) for n in classes for f in n.body if isinstance(f, Function)]
        for _ in range(_PASSES):
            for owner, method in methods:
                self._learn(owner.name, method)

    def _learn(self, owner: str, method: Function) -> None:
        """Note the classes of what a method assigns to ``self``."""
        known = self.environment(method, owner, {})
        for target, value, annotation in _assignments(method):
            if isinstance(target, ast.Attribute) and ast.unparse(target.value) == "self":
                name = self.named(annotation) or self.of(value, known)
                self.attributes[owner].setdefault(target.attr, name)

    def named(self, annotation: ast.expr | None) -> str:
        """The first class of the package that an annotation names, or nothing."""
        for node in ast.walk(annotation) if annotation is not None else ():
            name = getattr(node, "id", getattr(node, "attr", ""))
            if name in self.attributes:
                return str(name)
        return ""

    def environment(
        self, function: Function, owner: str, outer: Mapping[str, str]
    ) -> dict[str, str]:
        """The classes of a function's parameters and locals."""
        known = dict(outer)
        arguments = function.args
        for parameter in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
            known[parameter.arg] = self.named(parameter.annotation)
        if owner and arguments.args and arguments.args[0].arg == "self":
            known["self"] = owner
        for target, value, annotation in _assignments(function):
            if isinstance(target, ast.Name):
                known[target.id] = (
                    self.named(annotation) or self.of(value, known) or known.get(target.id, "")
                )
        return known

    def of(self, node: ast.expr | None, known: Mapping[str, str]) -> str:
        """The class of an expression, or nothing."""
        if isinstance(node, ast.Name):
            return known.get(node.id, "")
        if isinstance(node, ast.Attribute):
            return self.attributes.get(self.of(node.value, known), {}).get(node.attr, "")
        if isinstance(node, ast.Call):
            return self._of_call(node, known)
        parts: list[ast.expr] = []
        if isinstance(node, ast.BoolOp):
            parts = node.values
        elif isinstance(node, ast.IfExp):
            parts = [node.body, node.orelse]
        return next((name for part in parts if (name := self.of(part, known))), "")

    def _of_call(self, node: ast.Call, known: Mapping[str, str]) -> str:
        if not isinstance(node.func, ast.Name):
            return self.of(node.func, known)
        if node.func.id == "replace" and node.args:
            return self.of(node.args[0], known)
        name = node.func.id
        return name if name in self.attributes else self.returns.get(name, "")


def field_reads(trees: Mapping[str, ast.Module]) -> set[tuple[str, str]]:
    """(class, attribute) of everything that is read as an attribute."""
    types = _Types(trees)
    found: set[tuple[str, str]] = set()

    def visit(node: ast.AST, owner: str, known: Mapping[str, str]) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef):
                visit(child, child.name, known)
            elif isinstance(child, Function):
                visit(child, owner, types.environment(child, owner, known))
            else:
                if isinstance(child, ast.Attribute) and isinstance(child.ctx, ast.Load):
                    found.add((types.of(child.value, known), child.attr))
                visit(child, owner, known)

    for tree in trees.values():
        visit(tree, "", {})
    return found


def _assignments(
    function: Function,
) -> Iterator[tuple[ast.expr, ast.expr | None, ast.expr | None]]:
    """(target, value, annotation) of a function's assignments; tuples are taken apart."""
    for node in ast.walk(function):
        if isinstance(node, ast.AnnAssign):
            yield node.target, node.value, node.annotation
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                ends = isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple)
                if ends and len(target.elts) == len(node.value.elts):  # type: ignore[attr-defined]
                    for one, value in zip(target.elts, node.value.elts, strict=True):  # type: ignore[attr-defined]
                        yield one, value, None
                else:
                    yield target, node.value, None
