"""Find ids that lost their last digits in a spreadsheet or in JavaScript."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Final, NamedTuple

from airflow_provider_engagement.api.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["AS_TEXT", "check_rounding"]

log = logging.getLogger(__name__)

AS_TEXT: Final = (
    "Export the ids as text: format the column as text before the ids are entered or imported, "
    "and put ids in quotes in JSON and in forms."
)

# A spreadsheet keeps 15 digits, so a 19-digit id ends in 0000. A double keeps 53 bits, and
# JavaScript prints at most 17 digits of it, so a 19-digit id ends in 00.
_SPREADSHEET_DIGITS: Final = 15
_ZEROS: Final = (1, 2, 3, 4)

# How likely an honest id ends in k zeros. The last digits of ids would be uniform (10**-k), but
# many ids are multiples of 2**12, because their sequence number is 0. Such a multiple ends in k
# zeros when it is divisible by 5**k, so 5**-k bounds both kinds.
_SHARE: Final = {zeros: 5.0**-zeros for zeros in _ZEROS}

# Chernoff's bound on the chance that so many of n honest ids end in k zeros. A collection is
# refused below 1e-8: with four values of k, fewer than 4 honest collections in 100 million are
# refused, whether they hold ten ids or a million.
_REFUSE_BELOW: Final = 1e-8
_WARN_BELOW: Final = 1e-4
# One or two ids prove nothing, but in a small collection they deserve a warning.
_FEW: Final = 2
_WARN_OF_FEW_BELOW: Final = 0.05


class _Finding(NamedTuple):
    chance: float
    zeros: int
    found: int


def check_rounding(ids: Collection[str], *, name: str) -> None:
    """Refuse a collection in which more ids end in zeros than chance explains.

    One or two such ids in a small collection are logged as a warning.

    :param ids: the ids, each once.
    :param name: the parameter's or file's name, for the message.
    :raises InvalidArgumentError: if ids have lost their last digits.
    """
    long_ids = [each for each in ids if len(each) > _SPREADSHEET_DIGITS]
    ending = [each for each in long_ids if each[-1] == "0"]
    if not ending:
        return
    worst = min(_finding(len(long_ids), ending, zeros) for zeros in _ZEROS)
    what = (
        f"{name}: {worst.found:,} of {len(long_ids):,} ids end in {'0' * worst.zeros}, "
        f"as ids do that {_cause(ending)} has rounded"
    )
    if worst.chance < _REFUSE_BELOW:
        raise InvalidArgumentError(
            f"{what}. So many do not by chance, and a rounded id is the id of another Tweet.",
            advice=AS_TEXT,
        )
    few = worst.found <= _FEW and worst.chance < _WARN_OF_FEW_BELOW
    if few or worst.chance < _WARN_BELOW:
        log.warning("%s. If they were numbers on their way here: %s", what, AS_TEXT)


def _finding(total: int, ending: list[str], zeros: int) -> _Finding:
    found = sum(each.endswith("0" * zeros) for each in ending)
    return _Finding(_chance(total, found, _SHARE[zeros]), zeros, found)


def _chance(total: int, found: int, share: float) -> float:
    """Bound the chance that so many or more of all ids end in zeros."""
    seen = found / total
    if seen <= share:
        return 1.0
    exponent = seen * math.log(seen / share)
    if found < total:
        exponent += (1 - seen) * math.log((1 - seen) / (1 - share))
    return math.exp(-total * exponent)


def _cause(ending: list[str]) -> str:
    rounded = [each for each in ending if each.endswith("00")]
    short = sum(len(each.rstrip("0")) <= _SPREADSHEET_DIGITS for each in rounded)
    return "a spreadsheet" if 2 * short > len(rounded) else "JavaScript, or a float,"
