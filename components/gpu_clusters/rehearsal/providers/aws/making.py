"""What is being made, as those see it who say what AWS answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from gpu_clusters.rehearsal.providers.aws.account import Account
from gpu_clusters.rehearsal.providers.aws.catalogue import ResourceType
from gpu_clusters.rehearsal.providers.values import Properties

#: Of everything: no clock is part of a simulation.
CREATED: Final = "2026-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class Making:
    """Something that is being made.

    Attributes:
        known: its inputs without secret marks, with its name and ARN filled in.
        seed: from which all chance comes.
    """

    kind: ResourceType
    region: str
    id: str
    known: Properties
    seed: str
    account: Account


#: What AWS fills in, given what the program says.
Answer: TypeAlias = Callable[[Making], Properties]
