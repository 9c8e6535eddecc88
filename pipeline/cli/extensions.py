"""Subcommands that packages add: entry points of the group `sightline.commands`.

    [project.entry-points."sightline.commands"]
    evaluate = "my_package.evaluate:app"

names a function with typer's annotations, or a `typer.Typer` with subcommands of its own. Its module is
imported when the command is used and when the list of commands is shown, so it should import little at its
top. Other commands do not wait for it.

A `typer.Typer` can be added to by other packages, which need not know each other: entry points of the group
`sightline.commands.NAME` become subcommands of `sightline NAME`.

    [project.entry-points."sightline.commands.evaluate"]
    detect = "my_package.evaluate:detect"
"""

from __future__ import annotations

import logging
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup

from pipeline.errors import ConfigError


class ExtensibleGroup(TyperGroup):
    """A command's own subcommands, and after them, by name, those of the entry points.

    A subcommand that cannot be imported is missing from the list, which a warning tells, and fails with the
    reason when it is used; it never touches the others.

    Attributes:
        group: of the entry points.
    """

    group: ClassVar[str] = "sightline.commands"

    # Typer has brought its own click since 0.20, so the types of these two differ between its versions.
    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands that can be used, the built-in ones first."""
        return [*super().list_commands(ctx), *self._extensions]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command, or None when there is none of this name."""
        own = super().get_command(ctx, cmd_name)
        if own is not None or cmd_name not in self._entries:
            return own
        try:
            return self._imported(self._entries[cmd_name])
        except ConfigError as error:
            return _broken(cmd_name, error)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help text; warnings of what is missing from it come before it, not in its midst."""
        self.list_commands(ctx)
        super().format_help(ctx, formatter)

    @cached_property
    def _entries(self) -> dict[str, EntryPoint]:
        """All extensions by name; a built-in command or another extension may have taken a name before."""
        entries: dict[str, EntryPoint] = {}
        for entry in sorted(entry_points(group=self.group), key=lambda entry: entry.name):
            taken = "a built-in command" if entry.name in self.commands else entries.get(entry.name)
            if taken is None:
                entries[entry.name] = entry
            elif isinstance(taken, str) or taken.value != entry.value:
                other = taken if isinstance(taken, str) else taken.value
                _warn(f"command '{entry.name}' ({entry.value}) is left out: the name is that of {other}")
        return entries

    @cached_property
    def _extensions(self) -> list[str]:
        """The names of those that can be imported; each of the others costs one warning."""
        usable = []
        for name, entry in self._entries.items():
            try:
                self._imported(entry)
            except ConfigError as error:
                _warn(f"{error}; it is left out")
                continue
            usable.append(name)
        return usable

    def _imported(self, entry: EntryPoint) -> Any:
        try:
            return _command(entry.name, entry.load(), self.epilog, f"{self.group}.{entry.name}")
        except (Exception, SystemExit) as error:  # a third party's import may fail in any way
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ConfigError(
                f"command '{entry.name}' ({entry.value}) cannot be imported: {reason}"
            ) from error


def _command(name: str, what: object, epilog: str | None, group: str) -> Any:
    """Make typer's command of a function, or of a `typer.Typer`, to which the entry points of `group` add."""
    holder = typer.Typer(add_completion=False)
    if isinstance(what, typer.Typer):
        holder.add_typer(what, name=name, cls=type("ExtendedGroup", (ExtensibleGroup,), {"group": group}))
    elif callable(what):
        holder.command(name)(what)
    else:
        raise TypeError(f"a {type(what).__name__} is neither a function nor a typer.Typer")
    command = typer.main.get_group(holder).commands[name]
    _say_below(command, epilog)
    return command


def _say_below(command: Any, epilog: str | None) -> None:
    """Give the command and its subcommands the epilog, where they have none."""
    command.epilog = command.epilog or epilog
    for below in getattr(command, "commands", {}).values():
        _say_below(below, epilog)


def _broken(name: str, error: ConfigError) -> Any:
    """Make a command that takes any words and raises the error: after `--debug` has been understood."""

    def fail() -> None:
        raise error

    takes_all = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}
    return TyperCommand(name, callback=fail, add_help_option=False, context_settings=takes_all)


def _warn(line: str) -> None:
    logging.getLogger(__name__).warning(line)
