"""What the engine says, as it is told to people and to programs."""

from __future__ import annotations

import pytest
from gpu_clusters.cli.progress import counted
from gpu_clusters.rehearsal.engine.events import Changes, Recorder, ResourceError, Step, readable
from gpu_clusters.rehearsal.engine.failures import complaints, meaningful, remedy
from pulumi.automation.events import EngineEvent

ROOT = "urn:pulumi:s::p::pulumi:pulumi:Stack::p-s"
POD = "urn:pulumi:s::p::demo:index:C$kubernetes:core/v1:Pod::web"
SECRET = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "[secret]"}
TRACEBACK = """python inline source runtime error: division by zero
Traceback (most recent call last):
  File "/x/site-packages/pulumi/output.py", line 318, in run
    transformed = func(value)
  File "/p/__main__.py", line 13, in <lambda>
    1/0
ZeroDivisionError: division by zero
"""


class Heard:
    """A listener that keeps what it is told."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def started(self, step: Step) -> None:
        self.words.append(f"started {step.op} {step}")

    def ended(self, step: Step, *, succeeded: bool) -> None:
        self.words.append(f"{'ended' if succeeded else 'failed'} {step.op} {step}")

    def said(self, severity: str, message: str) -> None:
        self.words.append(f"{severity}: {message}")


def _recorded(*events: dict[str, object]) -> tuple[Recorder, list[str]]:
    heard = Heard()
    recorder = Recorder(heard)
    for event in events:
        recorder(EngineEvent.from_json(event))  # pyright: ignore[reportUnknownMemberType] - a plain `dict` there
    return recorder, heard.words


def _step(op: str, urn: str = POD, **more: object) -> dict[str, object]:
    return {"metadata": {"op": op, "urn": urn, "type": urn.split("::")[2].rpartition("$")[2], **more}}


def _diagnostic(severity: str, message: str, urn: str | None = None) -> dict[str, object]:
    return {"diagnosticEvent": {"severity": severity, "message": message, "color": "never", "urn": urn}}


def test_what_changes_is_told_and_what_stays_is_not() -> None:
    recorder, words = _recorded(
        {"resourcePreEvent": _step("same", ROOT)},
        {"resourcePreEvent": _step("update", detailedDiff={"spec.a": {"diffKind": "update-replace"}}, keys=["spec.a"])},
        {"resourcePreEvent": _step("create-replacement")},
        {"resOutputsEvent": _step("create-replacement")},
        {"resOutputsEvent": _step("update")},
        {"resOpFailedEvent": {**_step("update"), "status": 1, "steps": 1}},
        {"summaryEvent": {"resourceChanges": {"update": 1, "same": 3}}},
    )
    pod = "kubernetes:core/v1:Pod web"
    assert words == [f"started update {pod}", f"ended update {pod}", f"failed update {pod}"]
    assert recorder.steps == [
        Step("update", "kubernetes:core/v1:Pod", "web", POD, ("spec.a",), {"spec.a": "update-replace"})
    ]
    assert recorder.changes == Changes(update=1, same=3)
    assert not recorder.done.is_set()


def test_secrets_among_the_outputs_are_masked_at_any_depth() -> None:
    outputs = {"a": 1, "b": SECRET, "c": {"d": [SECRET, "e"]}}
    recorder, _ = _recorded({"resOutputsEvent": _step("same", ROOT, new={"type": "t", "outputs": outputs})})
    assert recorder.outputs == {"a": 1, "b": "[secret]", "c": {"d": ["[secret]", "e"]}}


def test_every_message_is_told_once_and_without_control_codes() -> None:
    red = "\x1b[31mcareful\x1b[0m <{%reset%}>now<{%reset%}>\n"
    recorder, words = _recorded(
        _diagnostic("warning", red),
        _diagnostic("warning", red),
        _diagnostic("debug", "noise"),
        _diagnostic("info", "hello"),
        _diagnostic("error", "it is full", POD),
        _diagnostic("error", "it is full", POD),
        _diagnostic("error", "update failed", ROOT),
        {"cancelEvent": {}},
    )
    assert words == ["warning: careful now", "info: hello"]
    assert meaningful(recorder.errors) == (ResourceError("kubernetes:core/v1:Pod web", "it is full"),)
    assert str(recorder.errors[0]) == "kubernetes:core/v1:Pod web: it is full"
    assert recorder.done.is_set()


@pytest.mark.parametrize("prefix", ["", "an unhandled error occurred: "])
def test_of_a_traceback_only_what_failed_and_where_is_told(prefix: str) -> None:
    assert readable(prefix + TRACEBACK) == "division by zero (/p/__main__.py:13)"


@pytest.mark.parametrize(
    ("message", "advice"),
    [
        (
            "Could not automatically download and install resource plugin 'pulumi-resource-aws' at version v7.30.0",
            "install the missing plugin: pulumi plugin install resource aws v7.30.0",
        ),
        (
            "no resource plugin 'pulumi-resource-gcp' found",
            "install the missing plugin: pulumi plugin install resource gcp",
        ),
        ("error: incorrect passphrase", "set PULUMI_CONFIG_PASSPHRASE to the passphrase that the stack was made with"),
        ("[409] Conflict: Another update is currently in progress.", "wait for the other run, or `pulumi cancel`"),
        ("anything", "put right what is said below, then run the same command again: what was done is kept"),
    ],
)
def test_what_pulumi_complains_of_comes_with_what_to_do(message: str, advice: str) -> None:
    assert remedy([ResourceError(None, "first"), ResourceError(None, message)]) == advice


@pytest.mark.parametrize(
    ("stdout", "stderr", "messages"),
    [
        ("Updating\n", "warning: w\nerror: a\nerror: b\n", ["a", "b"]),
        ("", "panic\n\ngoroutine\n", ["panic", "goroutine"]),
        ("error: c\n", "", ["c"]),
        ("", "", ["it said nothing"]),
    ],
)
def test_of_a_command_without_events_its_own_output_is_told(stdout: str, stderr: str, messages: list[str]) -> None:
    assert [error.message for error in complaints(stdout, stderr)] == messages


@pytest.mark.parametrize(
    ("changes", "preview", "text"),
    [
        (Changes(create=12, update=1, same=30), False, "12 created, 1 updated, 30 unchanged in 4.2 s"),
        (Changes(replace=1, delete=2), False, "1 replaced, 2 deleted in 4.2 s"),
        (Changes(create=1, delete=2, same=1), True, "1 to create, 2 to delete, 1 unchanged in 4.2 s"),
        (Changes(same=3), False, "nothing to change; 3 resources are as they should be (4.2 s)"),
        (Changes(), False, "nothing to change; there are no resources (4.2 s)"),
    ],
)
def test_the_last_line_counts_what_was_done(changes: Changes, preview: bool, text: str) -> None:
    assert counted(changes, preview=preview, seconds=4.21) == text
