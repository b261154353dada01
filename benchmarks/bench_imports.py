"""What importing costs: the library's part of a program's start."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence

from _result import Result

_ROUNDS = 7
_ALL = "import gpu_clusters; [getattr(gpu_clusters, name) for name in gpu_clusters.__all__]"


def results() -> Sequence[Result]:
    """Ratios of wall-clock time, the runs of both sides taking turns, the fastest of each."""
    library, pulumi = _pair("import gpu_clusters", "import pulumi")
    everything, both = _pair(_ALL, "import pulumi, pulumi_kubernetes")
    verb, _ = _pair("import gpu_clusters.cli.app", "pass")
    return [
        Result("import gpu_clusters over import pulumi", library / pulumi, "ratio", 1.15, "lower"),
        Result("every public name over import pulumi, pulumi_kubernetes", everything / both, "ratio", None, "lower"),
        Result("the command line's import over import pulumi", verb / pulumi, "ratio", None, "lower"),
    ]


def _pair(first: str, second: str) -> tuple[float, float]:
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(_ROUNDS):
        for code, taken in zip((first, second), times, strict=True):
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True)
            taken.append(time.perf_counter() - start)
    return min(times[0]), min(times[1])
