"""What can be done to a stack, and how it can end."""

from __future__ import annotations

from enum import StrEnum


class Verb(StrEnum):
    """What is done to a stack."""

    UP = "up"
    PREVIEW = "preview"
    DESTROY = "destroy"
    REFRESH = "refresh"


class Result(StrEnum):
    """How it ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
