"""The engine's process: started apart from the terminal, told once to stop, and never left behind unwatched."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from pulumi.automation import CommandResult, PulumiCommand
from pulumi.automation.errors import create_command_error
from semver import VersionInfo

_STOPPING = (signal.SIGINT, signal.SIGTERM)
# Otherwise the engine first fetches the plugin of every installed provider SDK, used, attached or neither: many MB,
# or, without a network, five attempts in three seconds. A plugin that is needed and missing is still fetched.
_NO_PREPARATION = "--skip-plugin-pre-install"
_PREPARED = frozenset({"up", "preview", "refresh", "destroy"})
#: Reads until its parent says that all is well; if the parent is gone instead, the engine is told to finish.
_WATCH = 'read -r _ || kill -INT "$1"'


class EngineCommand(PulumiCommand):
    """The `pulumi` program, as the Automation API wants it.

    Unlike the base class it doesn't ask for the version, which is known, and:

    - The engine runs in a session of its own, so that Ctrl-C reaches this process alone. The first one (or a SIGTERM)
      is passed on, upon which the engine finishes what runs and saves its state; the second kills it.
    - Its output goes to files. Were they pipes, an engine whose parent is killed would die of SIGPIPE, with the
      operations that run unrecorded.
    - If this process is killed, the engine is told to finish, as by Ctrl-C.

    Attributes:
        interrupted: whether it was told to stop.
        last: the result of the last command, also where it failed.
    """

    def __init__(self, path: Path, version: str, on_interrupt: Callable[[], None]) -> None:
        self.command = str(path)
        self.version = VersionInfo.parse(version.removeprefix("v"))
        self.interrupted = False
        self.last: CommandResult | None = None
        self._on_interrupt = on_interrupt

    def run(
        self,
        args: list[str],
        cwd: str,
        additional_env: Mapping[str, str],
        on_output: Callable[[str], object] | None = None,
        on_error: Callable[[str], object] | None = None,
    ) -> CommandResult:
        """Run `pulumi` with `args` to its end.

        Raises:
            CommandError: it failed.
            KeyboardInterrupt: this run was told to stop before the command began.
        """
        if self.interrupted:
            raise KeyboardInterrupt
        options = [_NO_PREPARATION] if args[0] in _PREPARED else []
        environment = os.environ | additional_env | {"PULUMI_AUTOMATION_API": "true"}
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            process = subprocess.Popen(
                [self.command, "--non-interactive", *args, *options],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                cwd=cwd,
                env=environment,
                start_new_session=True,
            )
            with _watched(process), self._stopping(process):
                code = process.wait()
            texts: list[str] = []
            for file, callback in ((output, on_output), (errors, on_error)):
                file.seek(0)
                texts.append(file.read().decode(errors="replace"))
                if callback:
                    for line in texts[-1].splitlines():
                        callback(line)
        self.last = CommandResult(stdout=texts[0], stderr=texts[1], code=code)
        if code != 0:
            raise create_command_error(self.last)
        return self.last

    @contextmanager
    def _stopping(self, process: subprocess.Popen[bytes]) -> Generator[None, None, None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def stop(_number: int, _frame: FrameType | None) -> None:
            with suppress(ProcessLookupError):
                if self.interrupted:
                    os.killpg(process.pid, signal.SIGKILL)
                else:
                    self.interrupted = True
                    process.send_signal(signal.SIGINT)
                    self._on_interrupt()

        before = {number: signal.signal(number, stop) for number in _STOPPING}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def _watched(process: subprocess.Popen[bytes]) -> Generator[None, None, None]:
    watcher = subprocess.Popen(
        ["/bin/sh", "-c", _WATCH, "sh", str(process.pid)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        # Also where this process itself gives up: an engine must not outlive the call that started it.
        if process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        with suppress(BrokenPipeError):
            watcher.communicate(b"\n")
