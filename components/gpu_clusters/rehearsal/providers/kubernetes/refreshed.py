"""A program's inputs, derived from an object as it is now."""

from __future__ import annotations

import base64
import binascii
from typing import Final

from gpu_clusters.kube.objects import text
from gpu_clusters.rehearsal.providers.kubernetes.objects import mapping
from gpu_clusters.rehearsal.providers.values import UNKNOWN, Properties, Secret, Value, reveal, reveal_all

# A live object never holds an unknown value, so that it can stand for a field that isn't there any more.
_GONE: Final = UNKNOWN


def refreshed_inputs(inputs: Properties, before: Properties, now: Properties) -> Properties:
    """The inputs that the object as it is now stands for.

    Where an object hasn't changed since it was recorded, its inputs keep the spelling of the program: the API server
    writes `1024Mi` as `1Gi` and fills in defaults, which is no change. Fields that the program doesn't set are left
    out.

    Args:
        inputs: those that the object was made from.
        before: the object as it was recorded.
        now: the object as it is.
    """
    before = _with_string_data(inputs, reveal_all(before))
    result = _derived(inputs, before, _with_string_data(inputs, now))
    return result if isinstance(result, dict) else {}


def _derived(given: Value, before: Value, now: Value) -> Value:
    if isinstance(given, Secret):
        inner = _derived(given.value, before, now)
        return inner if inner is _GONE else Secret(inner)
    if before == now:
        return given
    if isinstance(given, dict) and isinstance(now, dict):
        return _derived_mapping(given, before if isinstance(before, dict) else {}, now)
    if isinstance(given, list) and isinstance(now, list):
        return _derived_list(given, before if isinstance(before, list) else [], now)
    return now


def _derived_mapping(given: Properties, before: Properties, now: Properties) -> Properties:
    result: Properties = {}
    for key, value in given.items():
        # A field that the server never shows, such as a write-only one, keeps its input.
        derived = (
            value if key not in before and key not in now else _derived(value, before.get(key), now.get(key, _GONE))
        )
        if derived is not _GONE:
            result[key] = derived
    return result


def _derived_list(given: list[Value], before: list[Value], now: list[Value]) -> Value:
    names = [_name(item) for item in given]
    if all(names):
        # Others may add elements of their own, a sidecar say: match by name, and leave theirs out.
        was, here = ({_name(item): item for item in items} for items in (before, now))
        pairs = zip(given, names, strict=True)
        return [_derived(item, was.get(name), here[name]) for item, name in pairs if name in here]
    if len(given) == len(before) == len(now):
        return [_derived(item, was, here) for item, was, here in zip(given, before, now, strict=True)]
    return now


def _name(item: Value) -> str:
    return text(item, "name")


def _with_string_data(inputs: Properties, live: Properties) -> Properties:
    """A live Secret with `stringData` beside `data`, for the keys that the program gave so."""
    keys = mapping(reveal(inputs.get("stringData")))
    data = mapping(live, "data")
    if live.get("kind") != "Secret" or not keys:
        return live
    return {**live, "stringData": {key: _decoded(data[key]) for key in keys if key in data}}


def _decoded(value: Value) -> Value:
    try:
        return base64.b64decode(value).decode() if isinstance(value, str) else value
    except (binascii.Error, UnicodeDecodeError):
        return value
