from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from made_counts import make_counts

if TYPE_CHECKING:
    from made_counts import MadeCounts


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> MadeCounts:
    """Write counts and Tweets of two months into folders."""
    return make_counts(tmp_path_factory.mktemp("made"))
