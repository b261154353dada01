"""How long `make up` takes once everything is built: the sandbox's start, the stack, and a second time."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from _result import Result
from gpu_clusters._paths import STATE_VARIABLE

_PROJECT = Path(__file__).parents[1]


def results() -> Sequence[Result]:
    """Wall-clock seconds, in a state folder of its own."""
    with tempfile.TemporaryDirectory(prefix="gpu-clusters-") as folder:
        environment = {**os.environ, STATE_VARIABLE: folder}
        try:
            start = _seconds(environment, "sandbox", "start")
            first = _seconds(environment, "up", "--stack", "sandbox")
            second = _seconds(environment, "up", "--stack", "sandbox")
        finally:
            _seconds(environment, "sandbox", "stop", "--delete-data")
    status = _seconds(environment, "sandbox", "status", fails=True)
    return [
        Result("make up: sandbox and stack, all built", start + first, "s", 15.0, "lower"),
        Result("up again, nothing to change", second, "s", None, "lower"),
        Result("sandbox status", status, "s", None, "lower"),
    ]


def _seconds(environment: dict[str, str], *arguments: str, fails: bool = False) -> float:
    code = "from gpu_clusters.cli.app import main; main()"
    begin = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=_PROJECT, env=environment, capture_output=True, check=not fails
    )
    return time.perf_counter() - begin
