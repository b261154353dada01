"""A rehearsal's report for people; with `--json` the same facts come as a document."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.markup import escape

from gpu_clusters.cli.output import answers
from gpu_clusters.cli.progress import word
from gpu_clusters.cli.tables import print_overview

if TYPE_CHECKING:
    from gpu_clusters.rehearsal.engine.events import ResourceError, Step
    from gpu_clusters.rehearsal.report import Report
    from gpu_clusters.rehearsal.world import Rollout

_LEFTOVERS = {"loadBalancer": "load balancer", "volume": "volume", "networkInterface": "network interface", "other": ""}


def print_report(report: Report) -> None:
    """All that was found, the verdict last."""
    for name, overview in report.overviews.items():
        if len(report.overviews) > 1:
            answers.print(f"[bold]cluster {escape(name)}[/]")
        print_overview(overview)
    _section("came up", _counted(report))
    _errors("refused", report.refused)
    _section("Pending", [f"{pod.namespace}/{pod.name} on {pod.cluster}: {pod.reason}" for pod in report.pending])
    _journal(report)
    _change(report)
    _second_up(report)
    _section("a destroy leaves behind", [_leftover(item.kind, item.name, item.reason) for item in report.leftovers])
    _section("protected, which a destroy would refuse to delete", report.protected)
    _section("findings", [f"{item.severity}: {item.resource}: {item}" for item in report.findings])
    _simulated(report)
    answers.print(_verdict(report))


def _counted(report: Report) -> list[str]:
    counts = Counter(one.type for one in report.created)
    return [f"{count} x {kind}" for kind, count in sorted(counts.items())] or ["nothing"]


def _journal(report: Report) -> None:
    journal = report.journal
    _section(
        "scaled, since pods were Pending",
        [f"{one.pool} of {one.cluster}: {one.before} -> {one.after} nodes, {one.reason}" for one in journal.scaled],
    )
    _section("rolled out", [line for one in journal.rollouts for line in _rollout(one)])


def _rollout(rollout: Rollout) -> list[str]:
    gap, beyond = rollout.nodes - rollout.lowest, rollout.peak - rollout.maximum
    return [
        f"{rollout.pool} of {rollout.cluster}: {rollout.nodes} nodes, at most {rollout.peak} (maximum "
        f"{rollout.maximum}), at least {rollout.lowest} Ready: a gap of {gap}",
        *([f"  it needs capacity for {beyond} beyond the maximum while it lasts"] if beyond > 0 else []),
        *(f"  a drain was blocked: {words}" for words in rollout.blocked),
    ]


def _change(report: Report) -> None:
    if report.change is None:
        return
    _errors(f"refused of {report.change.file}", report.change.errors)
    _section(f"changed from {report.change.file}", [_step(step) for step in report.change.steps] or ["nothing"])


def _second_up(report: Report) -> None:
    if report.second_up is None:
        _section("a second up", ["left out: it says nothing where the first one was refused"])
        return
    steps = [_step(step) for step in report.second_up.steps]
    _section("a second up", steps if steps or report.second_up.errors else ["changes nothing"])
    _errors("refused in the second up", report.second_up.errors)


def _simulated(report: Report) -> None:
    _section("accepted, not checked", [f"{item.resource}: {item.reason}" for item in report.journal.unchecked])
    _section("lookups with simulated answers", report.journal.simulated)
    _section("encrypted values of the configuration, replaced by simulated ones", report.simulated_secrets)
    _section("left out of the configuration", report.left_out)


def _verdict(report: Report) -> str:
    second = report.second_up
    changes = len(second.steps) + len(second.errors) if second else 0
    counts = (
        (len(report.refused), "refused"),
        (len(report.change.errors) if report.change else 0, "refused before the change"),
        (len(report.pending), "Pending"),
        (changes, "changed by a second up"),
    )
    wrong = ", ".join(f"{count} {what}" for count, what in counts if count)
    took = f"{len(report.created)} resources in {report.seconds:.1f} s"
    stack = escape(report.stack)
    if report.passed:
        return f"[bold green]passed[/]: stack {stack} comes up, and stays as it is ({took})"
    return f"[bold red]failed[/]: stack {stack}: {wrong} ({took})"


def _section(title: str, lines: Iterable[str]) -> None:
    """A title with lines below it; nothing if there are no lines."""
    shown = list(lines)
    if shown:
        answers.print(f"[bold]{escape(title)}[/]")
        for line in shown:
            answers.print(f"  {line}", markup=False)
        answers.print()


def _errors(title: str, errors: Sequence[ResourceError]) -> None:
    _section(title, [str(error).replace("\n", "\n    ") for error in errors])


def _step(step: Step) -> str:
    paths = f": {', '.join(step.diff)}" if step.diff else ""
    return f"{word(step.op, 0)} {step.op} {step}{paths}"


def _leftover(kind: str, name: str, reason: str) -> str:
    return f"{_LEFTOVERS[kind]} {name}: {reason}".strip()
