"""What the library costs over a program that spells the pools of a large cluster on EKS out by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from _result import Result

_POOLS = 50
_ROUNDS = 5


def results() -> Sequence[Result]:
    """A ratio of processor time within one run: both sides take turns, and the fastest of each counts."""
    taken: dict[str, list[float]] = {"library": [], "by-hand": []}
    made: set[float] = set()
    for _ in range(_ROUNDS):
        for which, seconds in taken.items():
            run = _run(which)
            seconds.append(run["seconds"])
            made.add(run["resourcesPerPool"])
    if len(made) != 1:
        raise SystemExit(f"the two sides don't make the same number of resources per pool: {sorted(made)}")
    ratio = min(taken["library"]) / min(taken["by-hand"])
    return [Result(f"EKS, {_POOLS} GPU pools: library over hand-written", ratio, "ratio", 1.1, "lower")]


def _run(which: str) -> dict[str, float]:
    program = Path(__file__).with_name("eks_pools.py")
    command = [sys.executable, str(program), which, str(_POOLS)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
