"""Configurations of the accelerator as data: YAML files, some of which ship."""

from dataclasses import MISSING, fields
from pathlib import Path

import yaml

from neurogen.mapping.plan import ConfigurationError
from neurogen.spec.mega import MegaSpec


__all__ = ["CONFIGS", "load_config"]


_FOLDER = Path(__file__).parent / "configs"
# Names of the configurations that ship, smallest first.
CONFIGS = ("mini", "edge", "default", "wide", "max")


def load_config(name_or_path: str | Path) -> MegaSpec:
    """Return a configuration that ships, by name, or one that a YAML file holds.

    The keys of a file are the parameters of `MegaSpec`.

    Raises
    ------
    ConfigurationError
        If it is unknown, unreadable or wrong; names the file, the line and the key.
    """
    path = _path(name_or_path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"Configuration {path} must be a readable text file: {error}") from None
    values, lines = _parse(path, text)
    known = {f.name: f.default for f in fields(MegaSpec)}
    for key in values:
        if key not in known:
            raise ConfigurationError(f"{path}, line {lines[key]}: key must be one of {', '.join(known)}, "
                                     f"not {key!r}")
    missing = [key for key, default in known.items() if default is MISSING and key not in values]
    if missing:
        raise ConfigurationError(f"Configuration {path} must have the key {missing[0]!r}")
    return _spec(path, values, lines)


def _path(name):
    if str(name) in CONFIGS:
        return _FOLDER / f"{name}.yaml"
    path = Path(name)
    if not path.is_file():
        raise ConfigurationError(f"Configuration must be a YAML file or one of {', '.join(CONFIGS)}, "
                                 f"not {str(name)!r}")
    return path


def _parse(path, text):
    """Return the values and the line of each key."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if not isinstance(node, yaml.MappingNode):
            raise ConfigurationError(f"Configuration {path} must be a mapping of keys to values")
        loader = yaml.SafeLoader("")
        values, lines = {}, {}
        for key_node, value_node in node.value:
            key = loader.construct_object(key_node, deep=True)
            line = key_node.start_mark.line + 1
            if not isinstance(key, str):
                raise ConfigurationError(f"{path}, line {line}: key must be a name, not {key!r}")
            if key in values:
                raise ConfigurationError(f"{path}, line {line}: key must occur once, and {key!r} is also in "
                                         f"line {lines[key]}")
            values[key], lines[key] = loader.construct_object(value_node, deep=True), line
        return values, lines
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise ConfigurationError(f"{path}{where}: configuration must be YAML: "
                                 f"{getattr(error, 'problem', None) or error}") from None
    except (RecursionError, ValueError) as error:
        if isinstance(error, ConfigurationError):
            raise
        raise ConfigurationError(f"Configuration {path} must be YAML of plain values: {error}") from None


def _spec(path, values, lines):
    """Return the spec; blame a bad value on its line."""
    for key, value in values.items():
        wanted = _kind(key)
        good = type(value) is wanted and (wanted is not list or all(type(v) is int for v in value))
        if not good:
            what = {bool: "true or false", int: "an integer", list: "a list of integers"}[wanted]
            raise ConfigurationError(f"{path}, line {lines[key]}: {key} must be {what}, not {value!r}")
    try:
        return MegaSpec(**values)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"{path}{_blame(values, lines, str(error))}: {error}") from None


def _kind(key):
    default = next(f.default for f in fields(MegaSpec) if f.name == key)
    return {bool: bool, tuple: list}.get(type(default), int)


def _blame(values, lines, message):
    """Return ", line N (key)" of the first value that is also refused among good values."""
    good = {"lanes": 8, "weight_bits": 8, "state_bits": 16, "state_depth": 64, "weight_depth": 64,
            "spike_depth": 64}
    for key, value in values.items():
        try:
            MegaSpec(**(good | {key: value}))
        except (TypeError, ValueError) as error:
            if str(error) == message:
                return f", line {lines[key]} ({key})"
    return ""
