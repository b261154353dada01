"""Kubernetes's quantities as numbers: `500m`, `16Gi`, `1e3` (Kubernetes API reference, Quantity)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Final

_SUFFIXES: Final[Mapping[str, Decimal]] = {
    **{suffix: Decimal(10) ** power for suffix, power in (("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3))},
    **{suffix: Decimal(10) ** power for suffix, power in (("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18))},
    **{f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", start=1)},
}
_QUANTITY: Final = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)([A-Za-z]*)")


def amount(quantity: object) -> Decimal:
    """The number that a quantity stands for; 0 if it is none, which the API server would have refused."""
    found = _QUANTITY.fullmatch(str(quantity))
    if found is None or found[2] not in _SUFFIXES:
        return Decimal(0)
    return Decimal(found[1]) * _SUFFIXES[found[2]]


def amounts(quantities: Mapping[str, object]) -> dict[str, Decimal]:
    """The numbers by resource name."""
    return {name: amount(quantity) for name, quantity in quantities.items()}


def total(parts: Iterable[Mapping[str, Decimal]]) -> dict[str, Decimal]:
    """The sums by resource name."""
    result: dict[str, Decimal] = {}
    for part in parts:
        for name, number in part.items():
            result[name] = result.get(name, Decimal(0)) + number
    return result


def most(parts: Iterable[Mapping[str, Decimal]]) -> dict[str, Decimal]:
    """The greatest numbers by resource name."""
    result: dict[str, Decimal] = {}
    for part in parts:
        for name, number in part.items():
            result[name] = max(result.get(name, number), number)
    return result
