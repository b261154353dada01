"""A resource while it is made: what its outputs are worked out from."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Final

from gpu_clusters.rehearsal.providers.aws.identities import Identity
from gpu_clusters.rehearsal.providers.aws.made import Made
from gpu_clusters.rehearsal.providers.aws.places import Place
from gpu_clusters.rehearsal.providers.plausible import digest
from gpu_clusters.rehearsal.providers.values import UNKNOWN, Properties, Value, reveal

#: Everything in a rehearsal was made then: the same each time, so that a second `up` changes nothing.
CREATED: Final = "2026-01-01T00:00:00Z"


@dataclass(frozen=True)
class Making:
    """A resource while it is made or changed.

    Attributes:
        type: the type token.
        inputs: with nothing unknown in them, except in a preview.
        old: its outputs so far; empty for a new one.
        before: its inputs so far; empty for a new one.
        seed: hexadecimal digits that stay its own.
    """

    type: str
    inputs: Properties
    identity: Identity
    place: Place
    made: Made
    old: Properties
    before: Properties
    seed: str

    def id_of(self, prefix: str, role: str) -> str:
        """An id of something that comes with it, such as `rtb-0...`, the main route table of a VPC."""
        return f"{prefix}-0{digest(self.seed + role)[:16]}"

    def address(self, network: int = 11) -> str:
        """An address that no other resource has, most likely."""
        return str(ipaddress.ip_address((network << 24) + int(self.seed[8:14], 16)))


def merged(filled: Properties, said: Properties) -> Properties:
    """Two bags of properties, the second before the first, also inside objects."""
    result = dict(filled)
    for key, value in said.items():
        inner = filled.get(key)
        if value is None:
            continue
        result[key] = merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return result


def masked(full: Properties, said: Properties) -> Properties:
    """Outputs as a preview knows them: what the program has not said is unknown."""
    return {key: _masked(value, said[key]) if key in said else UNKNOWN for key, value in full.items()}


def _masked(value: Value, said: Value) -> Value:
    if isinstance(value, dict) and isinstance(said, dict):
        return masked(value, said)
    return said


def number(making: Making, key: str, default: int) -> int:
    """A whole number among the inputs."""
    value = reveal(making.inputs.get(key))
    return value if isinstance(value, int) and not isinstance(value, bool) else default
