"""A Pulumi project and its stacks as files, read without Pulumi."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, cast

import yaml

from gpu_clusters.errors import ConfigError, ConfigErrors, ProblemId, UsageError

PROJECT_FILES: Final = ("Pulumi.yaml", "Pulumi.yml")
CLUSTER_KEY: Final = "gpu-clusters:cluster"
SANDBOX_KEY: Final = "gpu-clusters:sandbox"
DEFAULT_SANDBOX: Final = "default"
_STACK_NAME: Final = re.compile(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+){0,2}")


@dataclass(frozen=True)
class Project:
    """A Pulumi project whose program is written in Python.

    Attributes:
        directory: the folder that holds `file`.
        file: its Pulumi.yaml.
        name: as Pulumi.yaml says.
        settings: the whole of Pulumi.yaml.
    """

    directory: Path
    file: Path
    name: str
    settings: Mapping[str, object]

    @property
    def program(self) -> Path:
        """The Python file that makes the resources: `__main__.py` of the project's folder or of its `main`."""
        main = self.directory / str(self.settings.get("main") or ".")
        return main if main.suffix == ".py" else main / "__main__.py"

    @property
    def stacks_directory(self) -> Path:
        """Where the stacks' files are: `stackConfigDir`, by default beside Pulumi.yaml."""
        return self.directory / str(self.settings.get("stackConfigDir") or ".")

    @property
    def backend_url(self) -> str | None:
        """`backend.url` of Pulumi.yaml, if it says one."""
        url = as_mapping(self.settings.get("backend")).get("url")
        return str(url) if url else None

    def stack_names(self) -> tuple[str, ...]:
        """The stacks that have a file, sorted."""
        files = [*self.stacks_directory.glob("Pulumi.*.yaml"), *self.stacks_directory.glob("Pulumi.*.yml")]
        return tuple(sorted({file.stem.removeprefix("Pulumi.") for file in files if file.is_file()}))

    def stack(self, name: str) -> Stack:
        """The stack called `name`, also written `organization/project/name`.

        Raises:
            UsageError: it has no file.
            ConfigErrors: its file can't be read, is empty, or isn't YAML.
        """
        if not _STACK_NAME.fullmatch(name):
            raise UsageError(f"{name!r} can't be a stack's name", "use letters, digits, dots, dashes and underscores")
        short = name.rpartition("/")[2]
        for suffix in ("yaml", "yml"):
            if (path := self.stacks_directory / f"Pulumi.{short}.{suffix}").is_file():
                return Stack(self, name, path, _read(path, "write the stack's `config` into it, or delete the file"))
        raise UsageError(f"there is no stack {name!r} in {self.stacks_directory}", self._remedy(short))

    def _remedy(self, name: str) -> str:
        names = self.stack_names()
        if not names:
            return f"write {self.stacks_directory / f'Pulumi.{name}.yaml'}"
        nearest = difflib.get_close_matches(name, names, n=1)
        guess = f"did you mean {nearest[0]!r}? " if nearest else ""
        return f"{guess}there are: {', '.join(names)}"


@dataclass(frozen=True)
class Stack:
    """One stack of a project.

    Attributes:
        name: as the user wrote it; may begin with an organization and a project.
        path: its file, `Pulumi.<name>.yaml`.
        settings: the whole of that file.
    """

    project: Project
    name: str
    path: Path
    settings: Mapping[str, object]

    def configured_by(self, file: Path) -> Stack:
        """The same stack with another file's settings.

        Raises:
            ConfigErrors: the file can't be read, is empty, or isn't YAML.
        """
        return replace(self, path=file, settings=_read(file, "write the stack's `config` into it"))

    @property
    def short_name(self) -> str:
        """The name without organization and project."""
        return self.name.rpartition("/")[2]

    @property
    def config(self) -> Mapping[str, object]:
        """The stack's configuration; every key with its namespace, as the engine reads it."""
        config = as_mapping(self.settings.get("config"))
        return {key if ":" in key else f"{self.project.name}:{key}": value for key, value in config.items()}

    @property
    def sandbox(self) -> str | None:
        """The sandbox that the stack runs on, by name; None for a stack that runs on anything else.

        A stack says so by `platform: sandbox` in `gpu-clusters:cluster`; one whose program isn't configured by that
        key, by a name in `gpu-clusters:sandbox`.
        """
        cluster = as_mapping(self.config.get(CLUSTER_KEY))
        if cluster.get("platform") == "sandbox":
            return str(cluster.get("sandbox") or DEFAULT_SANDBOX)
        named = self.config.get(SANDBOX_KEY)
        return str(named) if named and CLUSTER_KEY not in self.config else None


def find_project(start: Path | None = None) -> Project:
    """The project in the folder `start`, or, where none is given, in the nearest folder from the current one upwards.

    Raises:
        UsageError: there is none, or its program isn't written in Python.
        ConfigErrors: its Pulumi.yaml can't be used.
    """
    folders = [start.absolute()] if start else [Path.cwd(), *Path.cwd().parents]
    for folder in folders:
        for name in PROJECT_FILES:
            if (file := folder / name).is_file():
                return _project(file)
    where = f"in {start}" if start else f"in {folders[0]} or a folder above it"
    raise UsageError(f"there is no Pulumi.yaml {where}", "go to the project's folder, or name it with --project")


def _project(file: Path) -> Project:
    settings = _read(file, "write the project's `name` and `runtime` into it")
    name = settings.get("name")
    if not isinstance(name, str) or not name:
        raise _error(file, "name", "is missing or no text", "give the project a name", ProblemId.MISSING_FIELD)
    runtime = settings.get("runtime")
    language = runtime if isinstance(runtime, str) else as_mapping(runtime).get("name")
    if language != "python":
        raise UsageError(f"the program of {file} is for the runtime {language!r}, not python", "use `pulumi` itself")
    return Project(file.parent, file, name, settings)


def _read(path: Path, remedy: str) -> Mapping[str, object]:
    try:
        content: object = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise _error(path, "", f"can't be read: {error}", "make it a readable UTF-8 file") from None
    except yaml.YAMLError as error:
        mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
        problem = error.problem if isinstance(error, yaml.MarkedYAMLError) else str(error)
        line = mark.line + 1 if mark else None
        raise _error(path, "", f"is not YAML: {problem}", "correct what stands there", line=line) from None
    if content is None:
        raise _error(path, "", "the file is empty", remedy)
    if not isinstance(content, dict):
        raise _error(path, "", "must be a mapping of keys to values", remedy, ProblemId.INVALID_TYPE, 1)
    return as_mapping(cast(object, content))


def _error(
    file: Path,
    path: str,
    problem: str,
    remedy: str,
    id: ProblemId = ProblemId.UNREADABLE_FILE,  # noqa: A002 - ConfigError's own word
    line: int | None = None,
) -> ConfigErrors:
    return ConfigErrors([ConfigError(path, problem, remedy, id=id, file=str(file), line=line)])


def as_mapping(value: object) -> Mapping[str, object]:
    """`value` if it is a mapping, its keys as text; else an empty one."""
    if not isinstance(value, dict):
        return {}
    return {str(key): item for key, item in cast(Mapping[object, object], value).items()}


def as_mappings(value: object) -> list[Mapping[str, object]]:
    """The mappings in `value` if it is a list; else none."""
    return [as_mapping(item) for item in cast("list[object]", value)] if isinstance(value, list) else []
