"""Tables for people; with `--json` the same facts come as a document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from gpu_clusters.cli.output import answers, messages

if TYPE_CHECKING:
    from gpu_clusters.controlplane.overview import Overview
    from gpu_clusters.controlplane.status import SandboxStatus

_COLOURS = {"running": "green", "unhealthy": "yellow", "degraded": "yellow", "stopped": "red", "absent": "red"}


def print_sandbox(status: SandboxStatus) -> None:
    """A sandbox: where it is and which part is down, with the last log lines of those."""
    answers.print(f"sandbox [bold]{status.name}[/]: {_coloured(status.state)}")
    for label, value in (("server", status.server), ("kubeconfig", status.kubeconfig), ("version", status.version)):
        if value is not None:
            answers.print(f"  {label}: {escape(str(value))}")
    if status.parts:
        table = _table("part", "state", "process")
        for part in status.parts:
            table.add_row(part.name, _coloured(part.state), str(part.pid or ""))
        answers.print(table)
    for part in status.parts:
        if part.log:
            messages.print(f"the end of the log of [bold]{part.name}[/]:")
            for line in part.log:
                messages.print(f"  {line}", markup=False, style="dim")


def print_sandboxes(found: Sequence[SandboxStatus]) -> None:
    """All sandboxes, a row each."""
    if not found:
        messages.print("there is no sandbox; start one: [bold]gpu-clusters sandbox start[/]")
        return
    table = _table("name", "state", "version", "server")
    for status in found:
        table.add_row(status.name, _coloured(status.state), status.version or "", status.server or "")
    answers.print(table)


def print_overview(overview: Overview) -> None:
    """A cluster: nodes, tenants and services, a table each; none for what isn't there."""
    if overview.nodes:
        table = _table("node", "pool", "gpu", "gpus used", "ready")
        for node in overview.nodes:
            used = f"{node.gpus_used} of {node.gpus_allocatable}" if node.gpus_allocatable else "-"
            table.add_row(node.name, node.pool or "", node.gpu or "-", used, _yes(node.ready))
        _print_spaced(table)
    if overview.tenants:
        _print_spaced(_tenants(overview))
    if overview.services:
        table = _table("service", "namespace", "ready", "nodes")
        for service in overview.services:
            ready = f"{service.ready} of {service.desired}"
            colour = "green" if service.ready >= service.desired else "yellow"
            table.add_row(service.name, service.namespace, f"[{colour}]{ready}[/]", ", ".join(service.nodes))
        _print_spaced(table)
    for service in overview.services:
        for waiting in service.pending:
            answers.print(f"[yellow]waiting[/] {service.namespace}/{waiting.pod}: {escape(waiting.reason)}")


def _tenants(overview: Overview) -> Table:
    """A row per tenant, a column per resource of which a quota allows any."""
    allowed = [
        quota.resource for tenant in overview.tenants for quota in tenant.quota if quota.hard not in ("0", "0Gi")
    ]
    resources = [name for name in dict.fromkeys(allowed) if name == "pods" or name.startswith("requests.")]
    table = _table("tenant", *(name.removeprefix("requests.") for name in resources))
    for tenant in overview.tenants:
        quotas = {quota.resource: f"{quota.used} of {quota.hard}" for quota in tenant.quota}
        table.add_row(tenant.tenant, *(quotas.get(name, "") for name in resources))
    return table


def _print_spaced(table: Table) -> None:
    answers.print(table)
    answers.print()


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _coloured(state: str) -> str:
    return f"[{_COLOURS[state]}]{state}[/]"


def _yes(value: bool) -> str:
    return "[green]yes[/]" if value else "[red]no[/]"
