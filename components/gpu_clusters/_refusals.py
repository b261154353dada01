"""What pydantic refuses, in the words of this library.  No Pulumi."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from gpu_clusters._hints import Place, field_names, kinds, told_by
from gpu_clusters._spec import camel, describe, required_fields
from gpu_clusters.errors import ConfigError, ProblemId
from gpu_clusters.gpus import Gpu, nearest


def explain(kind: str, value: object, where: Place) -> ConfigError:
    """A ConfigError for a refusal; its path, if it has one, is below where the refusal was.

    Args:
        kind: pydantic's name of it, e.g. `int_type`.
        value: what was refused.
    """
    last = str(where.location[-1]) if where.location else ""
    if kind in ("unexpected_keyword_argument", "extra_forbidden"):
        return unknown(last, field_names(where.owner) if where.owner else [])
    if kind == "missing":
        return ConfigError("", "it is required", f"add it: {_words(where)}", id=ProblemId.MISSING_FIELD)
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        return _wrong_kind(value, where)
    if where.hint is Gpu or (where.is_key and kind == "enum"):
        return _unknown_gpu(value if isinstance(value, str) else str(value))
    if kind == "literal_error":
        return ConfigError("", f"{value!r} is not to be had here", f"use {_words(where)}")
    return ConfigError(
        "", f"{_short(value)} is not {_words(where)}", f"give {_words(where)}", id=ProblemId.INVALID_TYPE
    )


def unknown(name: str, known: Sequence[str]) -> ConfigError:
    """A key that nothing here has, with the nearest that there is."""
    plain = {candidate.rpartition(":")[2]: candidate for candidate in known}
    near = get_close_matches(camel(name), plain, n=1, cutoff=0.6)
    remedy = f"did you mean `{plain[near[0]]}`?" if near else f"use one of {', '.join(known)}"
    return ConfigError("", "there is no such field", remedy, id=ProblemId.UNKNOWN_FIELD)


def _wrong_kind(value: object, where: Place) -> ConfigError:
    known, field = kinds(where.hint), told_by(where.hint)
    got = value.get(field) if isinstance(value, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    problem = f"it names no `{field}`" if got is None else f"there is no {field} {got!r}"
    near = get_close_matches(str(got), known, n=1)  # pyright: ignore[reportUnknownArgumentType]
    remedy = f"did you mean {near[0]}?" if near else f"use `{field}:` with one of {', '.join(known)}"
    # A field that tells apart more than the kind of a small mapping has a line of its own.
    path = "" if got is None or field == "kind" else field
    return ConfigError(path, problem, remedy, id=ProblemId.INVALID_VALUE)


def _unknown_gpu(name: str) -> ConfigError:
    near = nearest(name)
    remedy = f"did you mean {' or '.join(near)}?" if near else f"use one of {', '.join(gpu.value for gpu in Gpu)}"
    return ConfigError("", f"{name!r} names no one GPU that is known", remedy, id=ProblemId.UNKNOWN_GPU)


def _words(where: Place) -> str:
    hint = where.hint
    if isinstance(hint, type) and hasattr(hint, "__pydantic_config__"):
        required = [camel(name) for name in required_fields(hint)]
        return f"a mapping with {', '.join(required or field_names(hint)[:4])}"
    if kinds(hint):
        return f"a mapping with `{told_by(hint)}`, one of {', '.join(kinds(hint))}"
    return describe(hint)


def _short(value: object) -> str:
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
