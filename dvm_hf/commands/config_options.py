"""The config fields as options of the command line, made from their own rules: `--clip-length 8`."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import fields
from typing import Any, TypeVar

import click

from dvm_hf.dataset.builder import DVM
from dvm_hf.dataset.config import FIELD_RULES, DVMConfig, own_fields
from dvm_hf.errors import ConfigError

Command = TypeVar("Command", bound=Callable[..., Any])
DEFAULTS = {field.name: field.default for field in fields(DVMConfig)}


def config_options(command: Command) -> Command:
    """Add an option for each config field; the command gets them as keyword arguments, None where not given."""
    return options_of({name: _shown_default(name) for name in own_fields()})(command)


def options_of(shown_defaults: Mapping[str, str]) -> Callable[[Command], Command]:
    """As `config_options`, of some fields, with what their help says of their defaults."""
    return lambda command: _with_options(command, shown_defaults)


def _with_options(command: Command, shown_defaults: Mapping[str, str]) -> Command:
    for name, default in reversed(list(shown_defaults.items())):
        is_switch = isinstance(DEFAULTS[name], bool)
        flag = "--" + name.replace("_", "-")
        text = f"{FIELD_RULES[name][1]} (default: {default})"
        if is_switch:
            command = click.option(f"{flag}/--no-{flag[2:]}", name, default=None, help=text)(command)
        else:
            metavar = "A,B,..." if isinstance(DEFAULTS[name], tuple) else "VALUE"
            command = click.option(flag, name, default=None, metavar=metavar, help=text)(command)
    return command


def config(split: str, data_dir: str, given: Mapping[str, Any]) -> DVMConfig:
    """The config of a split with the fields given as text; raises ConfigError for a value that is not allowed."""
    chosen = {"version": DVM.VERSION, "data_dir": data_dir, **given_fields(given)}
    return DVMConfig(**{**_own_defaults(split), "name": split, **chosen})


def given_fields(given: Mapping[str, Any]) -> dict[str, Any]:
    """The values of the fields that were given, as text or as a switch; raises ConfigError as `config` does."""
    return {name: field_value(name, text) for name, text in given.items() if text is not None}


def field_value(name: str, text: Any) -> Any:
    """What a text means for a field: the first of a list, the text, a number, None that the field's rule allows."""
    is_allowed, allowed = FIELD_RULES[name]
    for read in (_listed, _as_it_is, _number, _none):
        value = read(name, text)
        if value is not ... and is_allowed(value):
            return value
    raise ConfigError(f"{name}={text!r}: not allowed; --{name.replace('_', '-')} must be {allowed}")


def _listed(name: str, text: Any) -> Any:
    return tuple(part.strip() for part in text.split(",")) if isinstance(DEFAULTS[name], tuple) else ...


def _as_it_is(name: str, text: Any) -> Any:
    return text


def _number(name: str, text: Any) -> Any:
    return int(text) if isinstance(text, str) and text.isdecimal() else ...


def _none(name: str, text: Any) -> Any:
    return None if text == "none" else ...


def _own_defaults(split: str) -> dict[str, Any]:
    """Fields of the builder's config of this split."""
    named = next(config for config in DVM.BUILDER_CONFIGS if config.name == split)
    return {name: getattr(named, name) for name in own_fields()}


def shown_defaults(*, without: Collection[str]) -> dict[str, str]:
    """Of the fields but some, what their help says of their defaults."""
    return {name: _shown_default(name) for name in own_fields() if name not in without}


def _shown_default(name: str) -> str:
    values = {config.name: getattr(config, name) for config in DVM.BUILDER_CONFIGS}
    shown = {split: ",".join(v) if isinstance(v, tuple) else str(v).lower() for split, v in values.items()}
    if len(set(shown.values())) == 1:
        return next(iter(shown.values()))
    return ", ".join(f"{split}: {value}" for split, value in shown.items())
