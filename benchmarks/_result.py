"""What a benchmark found, and what was aimed at."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Result:
    """One measured number.

    Args:
        name: what was measured.
        value: how much of `unit`.
        unit: e.g. `s` or `pods/s`.
        aim: the value aimed at on 2 cores; None if there is none.
        better: whether less or more of it is better.
    """

    name: str
    value: float
    unit: str
    aim: float | None
    better: Literal["lower", "higher"]

    @property
    def met(self) -> bool | None:
        """Whether the aim is met; None if there is none."""
        if self.aim is None:
            return None
        return self.value <= self.aim if self.better == "lower" else self.value >= self.aim


def machine() -> str:
    """This machine and how busy it is; asked before measuring, for what is measured is load itself."""
    return f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} beforehand"
