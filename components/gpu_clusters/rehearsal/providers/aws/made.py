"""What a rehearsal has made at the simulated cloud so far."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from gpu_clusters.rehearsal.providers.values import Properties, reveal
from gpu_clusters.rehearsal.world import Journal

#: By what a resource may be named beside its id; the first two everywhere, names only where AWS takes a name.
_NAMES: Final = ("id", "arn", "name", "keyName", "url")


@dataclass(frozen=True)
class Existing:
    """A resource that is there.

    Attributes:
        kind: the type token, such as `aws:ec2/subnet:Subnet`.
        id: as AWS would give it.
        inputs: as the program said, defaults filled in; no value in them is unknown.
        outputs: everything that is known of it.
    """

    kind: str
    id: str
    inputs: Properties
    outputs: Properties


class Made(Protocol):
    """What a check may ask."""

    @property
    def region(self) -> str:
        """Of the provider whose resource is checked, e.g. `us-west-2`."""
        ...

    @property
    def journal(self) -> Journal:
        """What is written down for the report."""
        ...

    def find(self, identifier: str) -> Existing | None:
        """By id, by ARN, or by name where AWS takes one."""
        ...

    def of(self, kind: str) -> Sequence[Existing]:
        """Everything of a type, in the order in which it was made."""
        ...


class Account:
    """Everything that all providers of a rehearsal have made. Safe to use from many threads."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, str], Existing] = {}
        self._generations: dict[str, int] = {}
        self._lock = threading.Lock()
        #: Held from the question whether something is in the way until what was asked for is there.
        self.making = threading.RLock()

    def put(self, existing: Existing) -> None:
        """Make it so, whether it was there or not."""
        with self._lock:
            self._made[existing.kind, existing.id] = existing

    def drop(self, kind: str, id_: str) -> None:
        """Forget it. Gone already is fine."""
        with self._lock:
            self._made.pop((kind, id_), None)

    def get(self, kind: str, id_: str) -> Existing | None:
        """By type and id."""
        with self._lock:
            return self._made.get((kind, id_))

    def generation(self, urn: str) -> int:
        """How many times a resource of that URN was made: a replacement is something else than what was."""
        with self._lock:
            return self._generations.get(urn, 0)

    def count(self, urn: str) -> None:
        """One more was made."""
        with self._lock:
            self._generations[urn] = self._generations.get(urn, 0) + 1

    def all(self) -> Sequence[Existing]:
        """Everything, in the order in which it was made."""
        with self._lock:
            return tuple(self._made.values())


class MadeHere:
    """The account as a provider of one region sees it."""

    def __init__(self, account: Account, region: str, journal: Journal) -> None:
        self._account = account
        self.region = region
        self.journal = journal

    def find(self, identifier: str) -> Existing | None:
        """By id, by ARN, or by name."""
        found = [one for one in self._account.all() if identifier == one.id]
        return next(iter(found or [one for one in self._account.all() if _is_named(one, identifier)]), None)

    def of(self, kind: str) -> Sequence[Existing]:
        """Everything of a type, in the order in which it was made."""
        return [one for one in self._account.all() if one.kind == kind]


def _is_named(one: Existing, identifier: str) -> bool:
    return any(reveal(one.outputs.get(name)) == identifier for name in _NAMES)
