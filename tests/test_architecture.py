"""The rules of docs/architecture.md that a machine can check."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("runner", "controller")
LONGEST_MODULE = 300
LONGEST_FUNCTION = 40
NAMES_THAT_SAY_NOTHING = {"utils", "util", "helpers", "helper", "common", "misc", "lib"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def modules() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def functions(path: Path) -> Iterator[Function]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, Function):
            yield node


def length(function: Function) -> int:
    """Lines from `def` to the end, without the docstring: a command's is its help text."""
    assert function.end_lineno is not None
    explained = ast.get_docstring(function, clean=False)
    return function.end_lineno - function.lineno + 1 - (explained.count("\n") + 1 if explained else 0)


def cycles(imports: dict[str, set[str]]) -> list[str]:
    """Each import that closes a circle, as the chain of modules it closes."""
    found: list[str] = []
    finished: set[str] = set()

    def visit(module: str, chain: list[str]) -> None:
        if module in chain:
            found.append(" → ".join([*chain[chain.index(module) :], module]))
        elif module not in finished:
            for imported in sorted(imports[module]):
                visit(imported, [*chain, module])
            finished.add(module)

    for module in sorted(imports):
        visit(module, [])
    return found


def test_every_import_keeps_to_the_layers() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_no_imports_go_round_in_circles_not_even_those_for_types() -> None:
    graph = grimp.build_graph(*PACKAGES, cache_dir=None, exclude_type_checking_imports=False)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    assert cycles(imports) == []


def test_a_circle_of_imports_would_be_seen() -> None:
    assert cycles({"a": {"b"}, "b": {"c"}, "c": {"a"}}) == ["a → b → c → a"]


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_is_too_long_to_read_in_one_go(path: Path) -> None:
    lines = path.read_text().count("\n")
    assert lines <= LONGEST_MODULE


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_function_is_too_long_to_see_at_once(path: Path) -> None:
    long = {
        f"{each.name}: {length(each)} lines" for each in functions(path) if length(each) > LONGEST_FUNCTION
    }
    assert not long


def test_every_module_is_named_for_what_it_holds() -> None:
    assert not [path for path in modules() if path.stem in NAMES_THAT_SAY_NOTHING]


def test_no_test_package_can_shadow_the_packages() -> None:
    assert not [package for package in PACKAGES if (ROOT / "tests" / package).exists()]
