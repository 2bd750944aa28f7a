"""Each kind of fault in the docs is shown by tests that exist."""

from __future__ import annotations

import ast
from functools import cache

import pytest

from tools.env import ROOT
from tools.field_faults import FIELD_FAULTS, FieldFault


@cache
def functions_in(path: str) -> set[str]:
    tree = ast.parse((ROOT / "tests" / path).read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_kinds_are_numbered_without_gaps() -> None:
    assert [fault.number for fault in FIELD_FAULTS] == list(range(1, 26))


@pytest.mark.parametrize("fault", FIELD_FAULTS, ids=lambda fault: fault.number)
def test_named_tests_exist(fault: FieldFault) -> None:
    assert fault.tests
    for test in fault.tests:
        path, name = test.split("::")
        assert name.startswith("test_")
        assert name in functions_in(path)
