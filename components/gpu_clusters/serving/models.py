"""Models: the facts that a service is derived from.  No Pulumi."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache

from gpu_clusters import data


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model of the catalogue: a row of `data/models.csv`, where it has its source.

    Attributes:
        name: its id on Hugging Face.
        weights_gib: size of the checkpoint in GiB; None where no source gives it.
        attention_heads: tensor parallelism must divide them; None where unknown.
        max_position_embeddings: the longest sequence it was made for, in tokens; None where unknown.
    """

    name: str
    weights_gib: float | None
    attention_heads: int | None
    max_position_embeddings: int | None


def find(name: str) -> Model | None:
    """The catalogue's row for a model, by its exact id."""
    return _models().get(name)


def nearest(name: str) -> tuple[str, ...]:
    """Ids in the catalogue that somebody who wrote `name` may have meant, best first."""
    return tuple(get_close_matches(name, _models(), n=2, cutoff=0.75))


@cache
def _models() -> dict[str, Model]:
    return {
        row["model"]: Model(
            name=row["model"],
            weights_gib=_weights_gib(row),
            attention_heads=_whole(row["num_attention_heads"]),
            max_position_embeddings=_whole(row["max_position_embeddings"]),
        )
        for row in data.rows("models")
    }


def _weights_gib(row: data.Row) -> float | None:
    if row["checkpoint_size_gib"]:
        return float(row["checkpoint_size_gib"])
    if row["parameters"] and not row["quantization"]:
        # Checkpoints are published in 16 bits unless their row names a quantization.
        return float(row["parameters"]) * 2 / 2**30
    return None


def _whole(cell: str) -> int | None:
    return int(cell) if cell else None
