"""Where the engine keeps a stack: what the user has set up, or, for a sandbox stack, a place of our own.

For a sandbox stack nothing has to be set up: its state goes to a local backend in our state folder, secrets are
encrypted with an empty passphrase, and the engine works on a copy of the stack's file, since it writes
`encryptionsalt` into it and the user's files must stay as they are.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from gpu_clusters._files import remove_if_empty, write_atomically
from gpu_clusters._paths import STATE_VARIABLE, state_dir
from gpu_clusters.errors import OperationError
from gpu_clusters.rehearsal.engine.locks import alone, clear_engine_locks, exclusive, shared
from gpu_clusters.rehearsal.engine.project import Stack, as_mapping, as_mappings

#: The keys of a stack's file in which the engine keeps how its secrets are encrypted.
_ENCRYPTION_KEYS: Final = ("encryptionsalt", "encryptedkey", "secretsprovider")
_PASSPHRASE_VARIABLES: Final = ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE")


@dataclass(frozen=True)
class Workspace:
    """Where the engine runs for one stack.

    Attributes:
        directory: the folder with the Pulumi.yaml and the stack's file that the engine uses.
        environment: set for the engine on top of this process's own.
        state: the stack's state in our own local backend; None if the user's backend is used.
    """

    directory: Path
    environment: Mapping[str, str]
    state: Path | None

    def exists(self) -> bool:
        """Whether our own backend knows the stack; a user's backend is taken to."""
        return self.state is None or self.state.is_file()

    def has_pending_operations(self) -> bool:
        """Whether an engine was killed in the midst of operations, so that their outcome isn't known.

        Raises:
            OperationError: the state can't be read.
        """
        if self.state is None or not self.state.is_file():
            return False
        try:
            content: object = json.loads(self.state.read_bytes())
        except (OSError, ValueError, RecursionError) as error:
            backup = self.state.with_name(f"{self.state.name}.bak")
            remedy = f"copy {backup} over it" if backup.is_file() else "delete it; then delete what the stack had made"
            raise OperationError(f"the stack's state in {self.state} can't be read: {error}", remedy) from None
        latest = as_mapping(as_mapping(as_mapping(content).get("checkpoint")).get("latest"))
        return bool(latest.get("pending_operations"))


@contextmanager
def workspace(stack: Stack, *, own_home: bool, say: Callable[[str], None]) -> Generator[Workspace, None, None]:
    """The place where the engine works on `stack`, for as long as the block runs.

    Args:
        own_home: whether the engine gets a `PULUMI_HOME` of ours rather than the user's.
        say: is told what was put right after a run that was killed.

    Raises:
        OperationError: another run works on the same sandbox stack, or the state folder can't be used.
    """
    environment = {"PULUMI_SKIP_UPDATE_CHECK": "1"}
    if stack.sandbox and not any(os.environ.get(name) is not None for name in _PASSPHRASE_VARIABLES):
        environment["PULUMI_CONFIG_PASSPHRASE"] = ""
    if not uses_own_backend(stack):
        yield Workspace(stack.project.directory, environment, None)
        return
    with ExitStack() as held:
        try:
            place = _own_place(stack, held, say)
        except OSError as error:
            raise OperationError(
                f"the state folder {state_dir()} can't be used: {error}",
                f"make it writable and see that the disk isn't full, or name another in {STATE_VARIABLE}",
            ) from None
        # Without sidecar files of metadata: one that a kill has cut off would make the state unreadable.
        environment["PULUMI_BACKEND_URL"] = f"{_backend().as_uri()}?metadata=skip"
        if own_home:
            environment["PULUMI_HOME"] = str(_home())
        yield Workspace(place, environment, _state(stack))


def _own_place(stack: Stack, held: ExitStack, say: Callable[[str], None]) -> Path:
    held.enter_context(shared(_users_lock()))
    directory = _directory(stack)
    held.enter_context(exclusive(directory / "lock", f"the stack {stack.name!r}"))
    clear_engine_locks(_engine_locks(stack), say)
    _backend().mkdir(parents=True, exist_ok=True)
    _copy_files(stack, directory)
    return directory


def uses_own_backend(stack: Stack) -> bool:
    """Whether `stack` is kept in our local backend: a sandbox stack is, unless the user has named a backend."""
    return bool(stack.sandbox) and not os.environ.get("PULUMI_BACKEND_URL") and not stack.project.backend_url


def remove_workspace(stack: Stack) -> None:
    """Remove our copy of the stack's files and, with the last stack, our backend and the engine's own folder."""
    directory = _directory(stack)
    with exclusive(directory / "lock", f"the stack {stack.name!r}"):
        shutil.rmtree(directory)
    with alone(_users_lock()) as is_alone:
        if is_alone and not any((_backend() / ".pulumi" / "stacks").rglob("*.json")):
            shutil.rmtree(_backend(), ignore_errors=True)
            shutil.rmtree(_home(), ignore_errors=True)
            _users_lock().unlink(missing_ok=True)
    for folder in (directory.parent, directory.parent.parent, state_dir()):
        remove_if_empty(folder)


def _backend() -> Path:
    return state_dir() / "backend"


def _home() -> Path:
    return state_dir() / "pulumi-home"


def _users_lock() -> Path:
    return state_dir() / "backend.lock"


def _state(stack: Stack) -> Path:
    return _backend() / ".pulumi" / "stacks" / stack.project.name / f"{stack.short_name}.json"


def _engine_locks(stack: Stack) -> Path:
    return _backend() / ".pulumi" / "locks" / "organization" / stack.project.name / stack.short_name


def _directory(stack: Stack) -> Path:
    # By name, not by folder: the backend too takes two copies of a project for one.
    return state_dir() / "workspaces" / stack.project.name / stack.short_name


def _copy_files(stack: Stack, directory: Path) -> None:
    # The program stays where it is: paths of assets are relative to it.
    project = {key: value for key, value in stack.project.settings.items() if key not in {"stackConfigDir", "backend"}}
    project["main"] = str(stack.project.program.parent)
    if isinstance(project.get("plugins"), dict):
        project["plugins"] = _absolute_plugins(as_mapping(project["plugins"]), stack.project.directory)
    _write_if_changed(directory / "Pulumi.yaml", yaml.safe_dump(project, sort_keys=False))
    copy = directory / f"Pulumi.{stack.short_name}.yaml"
    _write_if_changed(copy, _with_encryption(stack, copy))


def _absolute_plugins(plugins: Mapping[str, object], folder: Path) -> dict[str, object]:
    return {
        kind: [{**item, "path": str(folder / str(item.get("path", "")))} for item in as_mappings(entries)]
        for kind, entries in plugins.items()
    }


def _with_encryption(stack: Stack, copy: Path) -> str:
    """The text of the stack's file, with what the engine has added to the copy of it."""
    text = stack.path.read_text(encoding="utf-8")
    if any(key in stack.settings for key in _ENCRYPTION_KEYS):
        return text
    added: dict[str, object] = {}
    with suppress(OSError, UnicodeDecodeError, yaml.YAMLError):
        kept = as_mapping(yaml.safe_load(copy.read_text(encoding="utf-8")))
        added = {key: kept[key] for key in _ENCRYPTION_KEYS if key in kept}
    if not added:
        return text
    both = {**stack.settings, **added}
    joined = f"{text}\n{yaml.safe_dump(added)}"
    # The user's own text is kept word for word where it can be: writing it anew may change the type of a value.
    with suppress(yaml.YAMLError):
        if yaml.safe_load(joined) == both:
            return joined
    return yaml.safe_dump(both, sort_keys=False)


def _write_if_changed(path: Path, text: str) -> None:
    if not path.is_file() or path.read_bytes() != text.encode():
        write_atomically(path, text, mode=0o600)
