"""What the engine says while it works, gathered into what happened."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, cast

from pulumi.automation.events import DiagnosticEvent, EngineEvent, OpType, StepEventMetadata

STACK_TYPE: Final = "pulumi:pulumi:Stack"
SECRET: Final = "[secret]"  # noqa: S105 - what stands in the place of one
#: The Pulumi SDK's own mark of a value that isn't plain, and that of a secret.
_SIGNATURE_KEY: Final = "4dabf18193072939515e22adb298388d"
_SECRET_SIGNATURE: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105
_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*m|<\{%[^%]*%\}>")
_UNHANDLED: Final = "an unhandled error occurred: "
_RUNTIME_ERROR: Final = "python inline source runtime error: "
_FRAME: Final = re.compile(r'^\s*File "(?P<file>[^"]+)", line (?P<line>\d+)', re.MULTILINE)
#: Replacements show as one step; that the new one is created and the old one deleted is a part of it.
_PARTS: Final = frozenset({OpType.CREATE_REPLACEMENT, OpType.DELETE_REPLACED, OpType.DISCARD_REPLACED})
_QUIET: Final = frozenset({OpType.SAME, OpType.READ, OpType.REFRESH})


@dataclass(frozen=True)
class Step:
    """One resource and what is done to it.

    Attributes:
        op: the engine's word: `create`, `update`, `replace`, `delete`, `import`, ...
        type: the resource's type token, e.g. `kubernetes:core/v1:Namespace`.
        replace_reasons: the properties that make a replacement necessary.
        diff: the properties that change, each with `add`, `update` or `delete` and, where it forces one, `-replace`.
    """

    op: str
    type: str
    name: str
    urn: str
    replace_reasons: Sequence[str] = ()
    diff: Mapping[str, str] | None = None

    def __str__(self) -> str:
        return f"{self.type} {self.name}"


@dataclass(frozen=True)
class Changes:
    """How many resources were, or would be, changed in which way."""

    create: int = 0
    update: int = 0
    replace: int = 0
    delete: int = 0
    same: int = 0

    @property
    def any(self) -> bool:
        """Whether anything changes at all."""
        return bool(self.create or self.update or self.replace or self.delete)


@dataclass(frozen=True)
class ResourceError:
    """Something that failed, in the words of who refused it.

    Attributes:
        resource: type and name; None where it isn't about one.
    """

    resource: str | None
    message: str

    def __str__(self) -> str:
        return f"{self.resource}: {self.message}" if self.resource else self.message


class Listener(Protocol):
    """Is told what happens while it happens, from a thread of its own."""

    def started(self, step: Step) -> None:
        """The engine has begun with a resource."""
        ...

    def ended(self, step: Step, *, succeeded: bool) -> None:
        """The engine is done with a resource."""
        ...

    def said(self, severity: str, message: str) -> None:
        """The program, a provider or the engine has something to say: `info` or `warning`."""
        ...


class Recorder:
    """Takes the engine's events in, in their order.

    Attributes:
        changes: the engine's own count, once it has one.
        steps: resources that change, in the engine's order.
        outputs: of the stack; a secret is `[secret]`.
        errors: each once, in the order they came.
        began: whether the engine has said anything.
        done: set once it has no more to say.
    """

    def __init__(self, listener: Listener) -> None:
        self.changes = Changes()
        self.steps: list[Step] = []
        self.outputs: Mapping[str, object] = {}
        self.errors: list[ResourceError] = []
        self.began = False
        self.done = threading.Event()
        self._listener = listener
        self._said: set[tuple[str | None, str]] = set()

    def __call__(self, event: EngineEvent) -> None:
        self.began = True
        if event.diagnostic_event:
            self._diagnostic(event.diagnostic_event)
        elif event.resource_pre_event:
            self._started(event.resource_pre_event.metadata)
        elif event.res_outputs_event:
            self._ended(event.res_outputs_event.metadata)
        elif event.res_op_failed_event:
            self._listener.ended(_step(event.res_op_failed_event.metadata), succeeded=False)
        elif event.summary_event:
            self.changes = _changes(cast("Mapping[str, int]", event.summary_event.resource_changes))
        elif event.cancel_event:
            self.done.set()

    def _started(self, metadata: StepEventMetadata) -> None:
        if metadata.op in _QUIET or metadata.op in _PARTS:
            return
        step = _step(metadata)
        self.steps.append(step)
        self._listener.started(step)

    def _ended(self, metadata: StepEventMetadata) -> None:
        if metadata.type == STACK_TYPE and metadata.new and metadata.new.outputs is not None:
            self.outputs = cast("Mapping[str, object]", _plain(metadata.new.outputs))
        if metadata.op not in _QUIET and metadata.op not in _PARTS:
            step = _step(metadata)
            if step.urn not in {known.urn for known in self.steps}:
                # A refresh says only afterwards what has changed.
                self.steps.append(step)
            self._listener.ended(step, succeeded=True)

    def _diagnostic(self, event: DiagnosticEvent) -> None:
        message = readable(event.message)
        if event.severity == "debug" or event.ephemeral or not message or (event.urn, message) in self._said:
            return
        self._said.add((event.urn, message))
        if event.severity == "error":
            self.errors.append(ResourceError(_resource(event.urn), message))
        else:
            self._listener.said("warning" if event.severity == "warning" else "info", message)


def readable(message: str) -> str:
    """A message without control codes; of a Python traceback only what failed and the place where it did."""
    text = _COLOURS.sub("", message).strip().removeprefix(_UNHANDLED)
    if text.startswith(_RUNTIME_ERROR):
        what, _, stack = text.removeprefix(_RUNTIME_ERROR).partition("\nTraceback ")
        places = [match for match in _FRAME.finditer(stack) if "site-packages" not in match["file"]]
        return f"{what.strip()} ({places[-1]['file']}:{places[-1]['line']})" if places else what.strip()
    return text


def _step(metadata: StepEventMetadata) -> Step:
    detailed = {path: str(change.diff_kind.value) for path, change in (metadata.detailed_diff or {}).items()}
    return Step(
        op=metadata.op.value,
        type=metadata.type,
        name=metadata.urn.rpartition("::")[2],
        urn=metadata.urn,
        replace_reasons=tuple(metadata.keys or ()),
        diff=detailed or dict.fromkeys(metadata.diffs or (), "update"),
    )


def _resource(urn: str | None) -> str | None:
    parts = urn.split("::", 3) if urn else []
    if len(parts) < 4 or parts[2] == STACK_TYPE:
        return None
    return f"{parts[2].rpartition('$')[2]} {parts[3]}"


def _changes(counts: Mapping[str, int]) -> Changes:
    count = {str(op): number for op, number in counts.items()}
    return Changes(
        create=count.get("create", 0) + count.get("import", 0),
        update=count.get("update", 0),
        replace=count.get("replace", 0) + count.get("import-replacement", 0),
        delete=count.get("delete", 0),
        same=count.get("same", 0),
    )


def _plain(value: object) -> object:
    if isinstance(value, dict):
        items = cast("Mapping[str, object]", value)
        if items.get(_SIGNATURE_KEY) == _SECRET_SIGNATURE:
            return SECRET
        return {key: _plain(item) for key, item in items.items()}
    if isinstance(value, list):
        return [_plain(item) for item in cast("list[object]", value)]
    return value
