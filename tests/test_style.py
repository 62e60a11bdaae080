"""What the style checker has no rule for."""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "varscore"
SOURCES = {path: path.read_text() for path in sorted(PACKAGE.rglob("*.py"))}


def test_only_tables_are_laid_out_by_hand() -> None:
    """``fmt: skip`` ends a literal of a module and nothing else."""
    for path, text in SOURCES.items():
        ends = {
            node.end_lineno
            for node in ast.parse(text).body
            if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Dict | ast.Tuple | ast.List)
        }
        skipped = {number for number, line in enumerate(text.split("\n"), 1) if "# fmt:" in line}
        assert skipped <= ends, f"{path.relative_to(PACKAGE)}: {sorted(skipped - ends)}"


def test_arrays_say_what_they_hold() -> None:
    """An annotation of an array is an NDArray with the kind of its elements."""
    for path, text in SOURCES.items():
        for node in ast.walk(ast.parse(text)):
            for said in (getattr(node, "annotation", None), getattr(node, "returns", None)):
                parts = list(ast.walk(said)) if isinstance(said, ast.expr) else []
                specified = [part.value for part in parts if isinstance(part, ast.Subscript)]
                bare = [part for part in parts if ast.unparse(part) in ("np.ndarray", "NDArray")]
                assert all(part in specified for part in bare), f"{path.relative_to(PACKAGE)}: {ast.unparse(said)}"
