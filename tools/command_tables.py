"""The generated parts of docs/ about the command line: commands, options, variables, exit codes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airflow_provider_engagement.cli.connection import VARIABLES
from airflow_provider_engagement.cli.exit_codes import MEANINGS
from airflow_provider_engagement.cli.options import COMMANDS, Option
from tools.markdown import table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["COMMAND_PARTS"]


def _commands() -> str:
    return "\n\n".join(_sections())


def _sections() -> Iterator[str]:
    for command in COMMANDS:
        rows = ((_names(option), _meaning(option)) for option in command.options)
        shown = table(("argument", "meaning"), rows)
        yield f"### engagement {command.name}\n\n{command.description}\n\n{shown}"


def _names(option: Option) -> str:
    value = option.settings.get("metavar")
    if not option.flags[0].startswith("-"):
        return f"`{value or option.flags[0]}`"
    takes_value = "action" not in option.settings
    names = [f"`{flag} {value or 'NAME'}`" if takes_value else f"`{flag}`" for flag in option.flags]
    return ", ".join(names)


def _meaning(option: Option) -> str:
    choices, default = option.settings.get("choices"), option.settings.get("default")
    text = str(option.settings["help"])
    if not choices or not text.startswith(tuple(choices)):
        text = text[0].upper() + text[1:]
    allowed = f" One of {', '.join(f'`{choice}`' for choice in choices)}." if choices else ""
    usual = f" Default: `{default}`." if default is not None else ""
    return f"{text}.{allowed}{usual}"


def _exit_codes() -> str:
    return table(("exit code", "meaning"), ((int(code), text) for code, text in MEANINGS.items()))


def _variables() -> str:
    rows = [
        (f"`{variable}`", f"`{name if name in _OWN_FIELDS else f'extra.{name}'}`")
        for name, variable in VARIABLES.items()
    ]
    return table(("environment variable", "field"), rows)


_OWN_FIELDS: Final = ("host", "login", "password")

COMMAND_PARTS: Final[dict[str, Callable[[], str]]] = {
    "commands": _commands,
    "exit-codes": _exit_codes,
    "variables": _variables,
}
"""The parts, by name."""
