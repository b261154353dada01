"""The user's program, run in this process as the engine asks for it."""

from __future__ import annotations

import linecache
import os
import runpy
import sys
import traceback
from collections.abc import Generator
from contextlib import contextmanager, nullcontext, redirect_stdout
from pathlib import Path
from typing import Final

from pulumi import RunError

import gpu_clusters
from gpu_clusters.errors import GpuClustersError, OperationError
from gpu_clusters.findings import Finding, collected
from gpu_clusters.rehearsal.engine.project import Project

_LIBRARY: Final = Path(gpu_clusters.__file__).parent


class Program:
    """A project's program as a function without arguments, which the Automation API calls an inline program.

    It runs as `python __main__.py` would in the project's folder, within `surroundings`, which last as long as the
    operation: what an Output applies may run after the program's last line.

    Args:
        keeps_findings: whether findings are kept for who runs it, rather than shown by the engine.

    Attributes:
        error: why it failed the last time, if it did; the engine only gets to see the text of it.
        findings: of the last time, if they are kept.
    """

    def __init__(self, project: Project, *, keeps_findings: bool = False) -> None:
        self._project, self._keeps_findings = project, keeps_findings
        self.error: GpuClustersError | None = None
        self.findings: list[Finding] = []

    def __call__(self) -> None:
        with collected() if self._keeps_findings else nullcontext([]) as self.findings:
            self._run()

    def _run(self) -> None:
        self.error = None
        path = self._project.program
        try:
            runpy.run_path(str(path), run_name="__main__")
        except GpuClustersError as error:
            self.error = error
        except RunError as error:
            cause = error.__cause__
            is_ours = isinstance(cause, GpuClustersError)
            self.error = cause if is_ours else OperationError(f"the program says: {error}", f"see {path}")
        except SystemExit as error:
            if error.code not in {None, 0}:
                self.error = OperationError(f"the program ended itself with exit code {error.code}", f"see {path}")
        except Exception as error:
            self.error = _failure(error, self._project.directory, path)
        if self.error:
            raise RunError(str(self.error))

    @contextmanager
    def surroundings(self) -> Generator[None, None, None]:
        """Current folder and import path as a program has them; what it prints goes to standard error."""
        folder, before, modules, imports = self._project.directory, Path.cwd(), set(sys.modules), list(sys.path)
        os.chdir(folder)
        sys.path.insert(0, str(self._project.program.parent))
        linecache.checkcache()
        try:
            with redirect_stdout(sys.stderr):
                yield
        finally:
            os.chdir(before)
            sys.path[:] = imports
            # The program's own modules make resources when they are imported: a second run must import them again.
            for name in set(sys.modules) - modules:
                file = getattr(sys.modules[name], "__file__", None)
                if file and _is_of_user(Path(file), folder):
                    del sys.modules[name]


def _is_of_user(file: Path, folder: Path) -> bool:
    """Whether `file` was written for the project in `folder`: neither installed there nor of this library."""
    return file.is_relative_to(folder) and not file.is_relative_to(_LIBRARY) and "site-packages" not in file.parts


def _failure(error: Exception, folder: Path, program: Path) -> OperationError:
    """`error` with the lines of the user's own files that led to it; the rest of the stack says nothing to them."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if _is_of_user(Path(f.filename), folder)]
    lines = [f"{frame.filename}:{frame.lineno}: {frame.line}" for frame in frames]
    if isinstance(error, SyntaxError) and error.filename:
        lines = [f"{error.filename}:{error.lineno}: {(error.text or '').strip()}"]
    if not program.is_file():
        return OperationError(f"there is no program {program}", "write it, or set `main` in Pulumi.yaml")
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return OperationError(
        f"the program failed with {what}", "correct it at the last line below", lines or [str(program)]
    )
