"""What the library costs over a program that is written by hand for the same objects."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from _result import Result

_TENANTS = 100
_ROUNDS = 7


def results() -> Sequence[Result]:
    """A ratio of processor time within one run: both sides take turns, and the fastest of each counts."""
    taken: dict[str, list[float]] = {"library": [], "by-hand": []}
    for _ in range(_ROUNDS):
        for which, seconds in taken.items():
            seconds.append(_seconds(which))
    ratio = min(taken["library"]) / min(taken["by-hand"])
    return [Result(f"{_TENANTS} tenants: library over hand-written", ratio, "ratio", 1.05, "lower")]


def _seconds(which: str) -> float:
    program = Path(__file__).with_name("tenants.py")
    run = subprocess.run(
        [sys.executable, str(program), which, str(_TENANTS)], check=True, capture_output=True, text=True
    )
    return float(run.stdout)
