"""Elastic Fabric Adapter: which network interfaces a node needs, for every machine that takes EFA.  No Pulumi."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from gpu_clusters.eks.machines import Machine

#: The extended resource of AWS's EFA device plugin.
EFA_RESOURCE: Final = "vpc.amazonaws.com/efa"


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """A network interface of a node.

    Attributes:
        card: index of the network card.
        device: index of the interface on its card.
        kind: `interface` carries IP; `efa-only` carries EFA, and takes no IP address of the subnet.
    """

    card: int
    device: int
    kind: Literal["interface", "efa-only"]


def interfaces(machine: Machine) -> tuple[Interface, ...]:
    """The interfaces of a node of that machine with all its EFA; none where it takes no EFA or the layout is unknown.

    The primary interface is card 0, device 0, and carries IP. Card 0 takes an EFA beside it only where it supports EFA;
    p6-b300's doesn't, and a launch with one there fails. Every further card takes one at device 0. Source: EC2 user
    guide, "Maximize network bandwidth on Amazon EC2 instances with multiple network cards".
    """
    if not machine.efa_interfaces or machine.network_cards is None:
        return ()
    first = (Interface(card=0, device=1, kind="efa-only"),) if machine.efa_on_first_card else ()
    further = (Interface(card=card, device=0, kind="efa-only") for card in range(1, machine.network_cards))
    return (Interface(card=0, device=0, kind="interface"), *first, *further)


def efa_count(machine: Machine) -> int:
    """How many of `EFA_RESOURCE` a node of that machine offers with all its EFA."""
    return sum(item.kind == "efa-only" for item in interfaces(machine))
