"""The settings of a trainer in its ``--help``, read from its source: importing it would take seconds."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection
from typing import Any

import typer
from typer.core import TyperCommand

from sotopia_env.training.options import Options, own_settings, source_of


def settings_help(module: str, name: str) -> list[str]:
    """What a class of settings says of each that its docstring names, with its default: a paragraph each.

    Args:
        module: where the class is.
        name: of the class.
    """
    found = source_of(module, name)
    defaults = own_settings(found)
    arguments = (ast.get_docstring(found) or "").partition("\nArgs:\n")[2]
    told = re.findall(r"^    (\w+): (.*?)(?=^    \w|\Z)", arguments, re.MULTILINE | re.DOTALL)
    paragraphs = [
        f"--{setting}{f' ({defaults[setting]})' if setting in defaults else ''}: {_plain(text)}"
        for setting, text in told
    ]
    plain = {setting: value for setting, value in defaults.items() if not value.startswith("field(")}
    others = [f"{setting} {value}" for setting, value in plain.items() if setting not in dict(told)]
    return [*paragraphs, f"Further defaults: {', '.join(others)}."]


def _plain(text: str) -> str:
    """A docstring's text without its markup, on one line."""
    return re.sub(r":\w+:`([^`]*)`|``([^`]*)``", lambda match: match[1] or match[2], " ".join(text.split()))


def inherited_help(options: Options, library: str, own: Collection[str] = ()) -> list[str]:
    """The settings that a trainer takes over from a library, in groups: a paragraph each.

    Args:
        options: what becomes of them.
        library: whose they are.
        own: settings that are told of already.
    """
    groups = {
        f"Settings of {library} that change what is learnt, logged or saved": options.effective,
        f"Settings of {library} that it heeds by itself": options.library,
        "Refused, since they would have no effect here (the error says what to do instead)": options.refused,
    }
    left = {heading: sorted(set(names) - set(own)) for heading, names in groups.items()}
    return [f"{heading}: {', '.join(names)}." for heading, names in left.items() if names]


def command_with_settings(module: str, name: str, library: str, options: Options) -> type[TyperCommand]:
    """A kind of command whose help ends with the settings that may follow its options, its own ones first.

    Args:
        module: where the class of the settings is.
        name: of the class.
        library: whose settings they add to.
        options: what becomes of those.
    """

    class CommandWithSettings(TyperCommand):
        def format_help(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]
            paragraphs = [
                "Settings of its own, as --NAME VALUE or in the YAML of --config:",
                *settings_help(module, name),
                *inherited_help(options, library, own_settings(source_of(module, name))),
            ]
            self.epilog = "\n\n".join(text.replace("[", r"\[") for text in paragraphs)
            super().format_help(ctx, formatter)

    return CommandWithSettings
