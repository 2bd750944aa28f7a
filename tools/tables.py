"""The generated parts of docs/, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tools.class_tables import CLASS_PARTS
from tools.column_tables import COLUMN_PARTS
from tools.command_tables import COMMAND_PARTS
from tools.fault_tables import FAULT_PARTS
from tools.limit_tables import LIMIT_PARTS

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PARTS"]

PARTS: Final[dict[str, Callable[[], str]]] = {
    **LIMIT_PARTS,
    **COLUMN_PARTS,
    **FAULT_PARTS,
    **CLASS_PARTS,
    **COMMAND_PARTS,
}
"""The parts that a page can include, by name."""
