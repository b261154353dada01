"""The simulated account: what is there, by id, and the names of what comes."""

from __future__ import annotations

import hashlib
import threading
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from gpu_clusters.rehearsal.providers.aws.catalogue import ResourceType
from gpu_clusters.rehearsal.providers.aws.reading import text
from gpu_clusters.rehearsal.providers.aws.regions import ACCOUNT, domain, partition
from gpu_clusters.rehearsal.providers.values import Properties

_SUFFIX_DIGITS: Final = 7
#: As many as terraform-plugin-sdk's helper/id appends to a prefix.
_PREFIX_DIGITS: Final = 26


@dataclass(frozen=True, slots=True)
class Thing:
    """Something that was made. Inputs and outputs are without secret marks."""

    kind: ResourceType
    id: str
    urn: str
    region: str
    inputs: Properties = field(hash=False)
    outputs: Properties = field(hash=False)

    @property
    def name(self) -> str:
        """By which others refer to it, where it has a name."""
        return text(self.outputs, self.kind.name) if self.kind.name else ""

    @property
    def arn(self) -> str:
        """Empty where AWS gives it none."""
        return text(self.outputs, "arn")


class Account:
    """Everything that a rehearsal has made. Safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._things: dict[tuple[str, str, str], Thing] = {}
        self._gone: set[tuple[str, str]] = set()
        self._made: dict[tuple[str, str], int] = {}
        self._planned: set[tuple[str, str, str]] = set()

    def put(self, thing: Thing) -> None:
        """Make it so: a new thing, or what has become of one."""
        with self._lock:
            self._things[_key(thing.kind.token, thing.region, thing.id)] = thing
            self._gone.discard((thing.kind.token, thing.id))

    def remove(self, token: str, region: str, identity: str) -> None:
        """Forget it, and remember that it was there."""
        with self._lock:
            if self._things.pop(_key(token, region, identity), None):
                self._gone.add((token, identity))

    def get(self, token: str, region: str, identity: str) -> Thing | None:
        """The thing of an id."""
        with self._lock:
            return self._things.get(_key(token, region, identity))

    def was_deleted(self, token: str, identity: str) -> bool:
        """Whether this run has deleted it."""
        with self._lock:
            return (token, identity) in self._gone

    def all(self, token: str = "", region: str = "") -> list[Thing]:
        """Everything of a type, or everything."""
        with self._lock:
            things = list(self._things.values())
        return [one for one in things if (not token or one.kind.token == token) and region in ("", one.region)]

    def named(self, token: str, region: str, name: str) -> Thing | None:
        """The thing of a type with a name."""
        return next((one for one in self.all(token, region) if one.name == name), None)

    def plan(self, token: str, region: str, name: str) -> None:
        """Something of that name is to be made: a preview makes nothing, and others may refer to it."""
        with self._lock:
            self._planned.add((token, region, name))

    def is_planned(self, token: str, region: str, name: str) -> bool:
        """Whether the program has said that it makes it."""
        with self._lock:
            return (token, region, name) in self._planned

    def with_arn(self, arn: str) -> Thing | None:
        """The thing with an ARN."""
        return next((one for one in self.all() if one.arn == arn), None)

    def generation(self, urn: str, use: str) -> int:
        """How many have been made for a resource before: its replacement needs another id."""
        with self._lock:
            self._made[urn, use] = self._made.get((urn, use), -1) + 1
            return self._made[urn, use]


def automatic_name(kind: ResourceType, region: str, logical: str, urn: str, account: Account) -> str:
    """The name that the provider makes up: the logical name and seven digits, another one for a replacement."""
    for seed in _seeds(urn):
        name = f"{logical}-{digits(seed, _SUFFIX_DIGITS)}"
        name = f"alias/{name}" if kind.service == "kms" else name
        if account.named(kind.token, region, name) is None:
            return name
    raise AssertionError("seeds don't end")


def prefixed_name(kind: ResourceType, region: str, prefix: str, urn: str, account: Account) -> str:
    """The name that the provider makes of a prefix."""
    names = (f"{prefix}{digits(seed, _PREFIX_DIGITS)}" for seed in _seeds(urn))
    return next(name for name in names if account.named(kind.token, region, name) is None)


def identities(kind: ResourceType, region: str, urn: str, generation: int, known: Properties) -> tuple[str, str]:
    """The id and the ARN of something new; `known`: its inputs with its name filled in."""
    seed = f"{urn}#{generation}"
    words = {
        "hex17": digits(seed, 17),
        "number": str(int(digits(seed, 8), 16)),
        "uuid": str(uuid.UUID(digits(seed, 32))),
        "account": ACCOUNT,
        "region": region,
        "domain": domain(region),
        "path": text(known, "path") or "/",
        "host": text(known, "url").removeprefix("https://"),
        "tagKey": text(known, "tag", "key"),
        "bareName": text(known, "name").removeprefix("/"),
        "arn": "",
        "id": "",
    }
    values = _Words(words, known)
    identity = kind.id.format_map(values)
    values.words["id"] = identity
    arn = f"arn:{partition(region)}:{kind.arn.format_map(values)}" if kind.arn else ""
    return identity or arn, arn


def digits(seed: str, count: int) -> str:
    """Hexadecimal digits that depend on the seed alone."""
    return hashlib.sha256(seed.encode()).hexdigest()[:count]


class _Words(dict[str, str]):
    def __init__(self, words: Mapping[str, str], known: Properties) -> None:
        super().__init__()
        self.words, self._known = dict(words), known

    def __missing__(self, key: str) -> str:
        return self.words[key] if key in self.words else text(self._known, key)


def _key(token: str, region: str, identity: str) -> tuple[str, str, str]:
    # IAM knows no regions.
    return token, "" if token.startswith("aws:iam/") else region, identity


def _seeds(urn: str) -> Iterator[str]:
    number = 0
    while True:
        yield f"{urn}#{number}"
        number += 1
