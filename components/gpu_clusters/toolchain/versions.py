"""Versions of programs: compared as numbers, and asked from the programs themselves."""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from gpu_clusters._files import write_atomically
from gpu_clusters._paths import cache_dir

_ANSWER_SECONDS = 20.0


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """The three numbers of a semantic version; what follows them (`-rc.1`, `-dispatcher`) is not compared."""

    major: int
    minor: int
    patch: int

    @classmethod
    def parse(cls, text: str) -> Version | None:
        """The version that `text` starts with, such as `3.7.3`; None where it starts with none."""
        match = re.match(r"(\d+)\.(\d+)\.(\d+)", text)
        return cls(*(int(number) for number in match.groups())) if match else None

    @property
    def series(self) -> tuple[int, int]:
        """Major and minor: `(1, 36)` of 1.36.3."""
        return self.major, self.minor

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A program that didn't say its version."""

    reason: str


@dataclass(frozen=True, slots=True)
class Question:
    """How a program is asked for its version.

    Args:
        arguments: what it is called with.
        prefix: what stands before the version, at the start of a line of the answer.
    """

    arguments: tuple[str, ...]
    prefix: str


def ask_version(path: Path, question: Question) -> Version | Unanswered:
    """Ask the program at `path` for its version, once: the answer is kept until the file changes.

    A script is asked each time: a version manager's shim stays the same while what it starts does not.
    """
    try:
        stat = path.stat()
        with path.open("rb") as file:
            is_script = file.read(2) == b"#!"
    except OSError as error:
        return Unanswered(f"{path} can't be read: {error.strerror}")
    stamp = f"{stat.st_mtime_ns}-{stat.st_size}"
    if not is_script and (known := _remembered().get(str(path))) is not None and known[0] == stamp:
        return known[1]
    answer = _ask(path, question)
    if isinstance(answer, Version) and not is_script:
        _remember(path, stamp, answer)
    return answer


def _ask(path: Path, question: Question) -> Version | Unanswered:
    command = [str(path), *question.arguments]
    environment = os.environ | {"PULUMI_SKIP_UPDATE_CHECK": "1", "GOTOOLCHAIN": "local"}
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_ANSWER_SECONDS,
            env=environment,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Unanswered(f"{path} didn't say its version within {_ANSWER_SECONDS:.0f} s")
    except OSError as error:
        return Unanswered(f"{path} can't be run: {error.strerror}")
    output = (done.stdout + b"\n" + done.stderr).decode(errors="replace")
    match = re.search(rf"^{re.escape(question.prefix)}(\d+\.\d+\.\d+)", output, re.MULTILINE)
    version = Version.parse(match[1]) if match else None
    asked = " ".join((path.name, *question.arguments))
    return version or Unanswered(f"{path} names no version when asked with `{asked}`")


def _memory() -> Path:
    return cache_dir() / "toolchain" / "versions.json"


def _remembered() -> dict[str, tuple[str, Version]]:
    try:
        content: object = json.loads(_memory().read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    known: dict[str, tuple[str, Version]] = {}
    for path, entry in (cast("dict[str, object]", content) if isinstance(content, dict) else {}).items():
        stamp, _, text = entry.partition(" ") if isinstance(entry, str) else ("", "", "")
        if (version := Version.parse(text)) is not None:
            known[path] = (stamp, version)
    return known


def _remember(path: Path, stamp: str, version: Version) -> None:
    known = _remembered() | {str(path): (stamp, version)}
    kept = {name: f"{entry[0]} {entry[1]}" for name, entry in known.items() if Path(name).exists()}
    try:
        write_atomically(_memory(), json.dumps(kept, indent=1))
    except OSError:
        # Only time is lost: a cache folder that can't be written to is reported where something must be built.
        return
