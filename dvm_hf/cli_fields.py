"""Config fields as options of the command line: `--clip-length 8`, `--kinds image,video`."""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import click

from dvm_hf.config import DVMConfig, own_fields

Command = TypeVar("Command", bound=Callable[..., Any])
NAMES = ("pairs",)  # fields whose value is taken as it is written


def field_value(field: str, default: Any, text: str | None) -> Any:
    """The value of a field as written: a whole number where it is one, a list where the field's default is one."""
    if text is None or field in NAMES:
        return text
    if isinstance(default, tuple):
        return tuple(part.strip() for part in text.split(","))
    if isinstance(default, bool):
        return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}.get(text.lower(), text)
    return int(text) if text.removeprefix("-").isdigit() else text


def field_options(*, without: Iterable[str] = ()) -> Callable[[Command], Command]:
    """An option for each config field; those that are given reach the command as `fields`, see `given_fields`."""

    def add(command: Command) -> Command:
        defaults = {field.name: field.default for field in dataclasses.fields(DVMConfig)}
        for name in reversed([name for name in own_fields() if name not in without]):
            command = _option(name, defaults[name])(command)
        return command

    return add


def _option(name: str, default: Any) -> Callable[[Command], Command]:
    def value(context: click.Context, parameter: click.Parameter, text: str | None) -> Any:
        return field_value(name, default, text)

    shown = ",".join(default) if isinstance(default, tuple) else default
    text = None if default is None else f"Default: {shown}"
    return click.option(f"--{name.replace('_', '-')}", name, metavar="VALUE", callback=value, help=text)


def given_fields(options: dict[str, Any]) -> dict[str, Any]:
    """The fields that were given, as keyword arguments of a config."""
    return {name: value for name, value in options.items() if value is not None}
