"""YAML with its line numbers, so that an error can say where a value was written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

from gpu_clusters.errors import ConfigError, ConfigErrors, ProblemId

#: Where a value stands: the keys and indexes that lead to it.
Location = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A YAML file: its value, and the line (from 1) on which each part of it begins."""

    value: object
    lines: dict[Location, int]

    def line(self, location: Location) -> int | None:
        """The line of a value, or of the nearest thing around it; None where nothing was read from a file."""
        while location and location not in self.lines:
            location = location[:-1]
        return self.lines.get(location)


def read(path: Path, name: str) -> Document:
    """Read a YAML file.

    Args:
        name: what errors call the file.

    Raises:
        ConfigErrors: it can't be read, isn't YAML, or names a key twice.
    """
    try:
        text = path.read_text("utf-8")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise _unreadable(name, None, f"it can't be read: {why}") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise _unreadable(name, line, f"it is not YAML: {error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise _unreadable(name, None, f"it is not YAML: {error}") from error
    lines: dict[Location, int] = {}
    repeated: list[ConfigError] = []
    if root is None:
        return Document(None, lines)
    try:
        _walk(root, (), lines, repeated, name)
    except RecursionError:
        raise _unreadable(name, None, "it refers to itself") from None
    if repeated:
        raise ConfigErrors(repeated)
    try:
        value: object = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise _unreadable(name, line, f"a value can't be read: {error.problem}") from error
    return Document(value, lines)


def spelled(location: Location) -> str:
    """A location as people write it: `cluster.gpuPools[1].nodes.max`."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _walk(node: yaml.Node, at: Location, lines: dict[Location, int], repeated: list[ConfigError], name: str) -> None:
    lines.setdefault(at, node.start_mark.line + 1)
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _walk(item, (*at, index), lines, repeated, name)
    elif isinstance(node, yaml.MappingNode):
        for key_node, item in node.value:
            here = (*at, str(key_node.value))
            line = key_node.start_mark.line + 1
            if here in lines:
                repeated.append(
                    ConfigError(
                        spelled(here),
                        f"the key stands on line {lines[here]} already, and the later one would hide it",
                        "keep one of them",
                        id=ProblemId.DUPLICATE_KEY,
                        file=name,
                        line=line,
                    )
                )
                continue
            lines[here] = line
            _walk(item, here, lines, repeated, name)


def _unreadable(name: str, line: int | None, problem: str) -> ConfigErrors:
    return ConfigErrors([ConfigError("", problem, "mend the file", id=ProblemId.UNREADABLE_FILE, file=name, line=line)])
