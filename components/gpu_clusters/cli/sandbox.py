"""`gpu-clusters sandbox`: a real control plane with simulated GPU nodes, on this machine."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from gpu_clusters.cli.output import JsonOption, answers, errors_as_json, examples, messages, print_json

if TYPE_CHECKING:
    from pathlib import Path

app = typer.Typer(
    help="Run a real Kubernetes control plane with simulated GPU nodes on this machine.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    epilog=examples("gpu-clusters sandbox start", "gpu-clusters sandbox stop --delete-data"),
)

NameOption = Annotated[
    str, typer.Option("--name", "-n", envvar="GPU_CLUSTERS_SANDBOX", help="Which sandbox; several may run at once.")
]

_FOLLOW_SECONDS = 0.2


@app.command(
    epilog=examples(
        "gpu-clusters sandbox start",
        "gpu-clusters sandbox start --name ci --port 6443",
        "export KUBECONFIG=$(gpu-clusters sandbox kubeconfig)",
    )
)
def start(
    name: NameOption = "default",
    port: Annotated[
        int | None,
        typer.Option("--port", min=1, max=65535, help="The API server's port; default: a free one, kept from then on."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Start a sandbox, or what of it isn't running, and wait until it works.

    etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kwok run as
    processes of yours on loopback until they are stopped. What is in the sandbox
    survives a stop and a reboot. A node with the annotation
    `kwok.x-k8s.io/node: fake` is simulated; its capacity comes from
    `sandbox.gpu-clusters.dev/capacity`.
    """
    from gpu_clusters.controlplane import Sandbox

    begin = time.monotonic()
    with errors_as_json(json):
        status = Sandbox(name).start(port=port, report=messages.print)
    if json:
        print_json(status.to_json())
        return
    messages.print(
        f"the sandbox [bold]{name}[/] runs Kubernetes {status.version} after {time.monotonic() - begin:.1f} s"
    )
    answers.print(f"export KUBECONFIG={status.kubeconfig}", markup=False)


@app.command(epilog=examples("gpu-clusters sandbox stop", "gpu-clusters sandbox stop --name ci --delete-data"))
def stop(
    name: NameOption = "default",
    delete_data: Annotated[
        bool, typer.Option("--delete-data", help="Delete what is in it too: objects, certificates, kubeconfig, logs.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Stop a sandbox: no process of it is left. Stopping one that is stopped, or isn't there, succeeds."""
    from gpu_clusters.controlplane import Sandbox

    with errors_as_json(json):
        sandbox = Sandbox(name)
        changed = sandbox.stop(delete_data=delete_data)
    if json:
        print_json({**sandbox.status().to_json(), "changed": changed})
    elif not changed:
        messages.print(f"the sandbox [bold]{name}[/] was not running")
    else:
        messages.print(f"the sandbox [bold]{name}[/] is stopped" + (" and deleted" if delete_data else ""))


@app.command(epilog=examples("gpu-clusters sandbox status", "gpu-clusters sandbox status --name ci --json"))
def status(name: NameOption = "default", json: JsonOption = False) -> None:
    """Show which parts of a sandbox run, and the last log lines of those that are down.

    Exit code 1 if not every part works.
    """
    from gpu_clusters.controlplane import Sandbox

    with errors_as_json(json):
        found = Sandbox(name).status()
    if json:
        print_json(found.to_json())
    else:
        from gpu_clusters.cli.tables import print_sandbox

        print_sandbox(found)
    if found.state != "running":
        if found.state != "absent" or not json:
            messages.print(f"start it: [bold]gpu-clusters sandbox start{_option(name)}[/]")
        raise typer.Exit(1)


@app.command(
    epilog=examples(
        "export KUBECONFIG=$(gpu-clusters sandbox kubeconfig)",
        "gpu-clusters sandbox kubeconfig --user ann --group team-a > ann.kubeconfig",
    )
)
def kubeconfig(
    name: NameOption = "default",
    raw: Annotated[bool, typer.Option("--raw", help="Print the content, not the path.")] = False,
    user: Annotated[
        str | None,
        typer.Option("--user", help="Make one for this user, with a new certificate, and print its content."),
    ] = None,
    group: Annotated[list[str] | None, typer.Option("--group", help="A group of that user; may be repeated.")] = None,
    json: JsonOption = False,
) -> None:
    """Print the path of an administrator's kubeconfig, or a kubeconfig itself."""
    from gpu_clusters.controlplane import Sandbox
    from gpu_clusters.errors import UsageError

    with errors_as_json(json):
        if group and user is None:
            raise UsageError("a group needs a user", "add --user NAME")
        sandbox = Sandbox(name)
        content = sandbox.kubeconfig() if user is None else sandbox.client_kubeconfig(user, group or ())
    path = str(sandbox.kubeconfig_path) if user is None else None
    if json:
        # The content holds a private key: it is shown to who asks for it, and not by the way.
        print_json({"path": path} | ({"kubeconfig": content} if raw or user else {}))
    else:
        text = content if raw or path is None else f"{path}\n"
        typer.echo(text, nl=False)


@app.command(epilog=examples("gpu-clusters sandbox logs", "gpu-clusters sandbox logs kube-scheduler --follow"))
def logs(
    part: Annotated[
        str | None,
        typer.Argument(help="etcd, kube-apiserver, kube-controller-manager, kube-scheduler or kwok; default: each."),
    ] = None,
    name: NameOption = "default",
    lines: Annotated[int, typer.Option("--lines", min=1, help="How many of the last lines.")] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is added; needs PART.")] = False,
    json: JsonOption = False,
) -> None:
    """Show the last log lines of a part, or of each part, since its last start."""
    from gpu_clusters.controlplane import Sandbox
    from gpu_clusters.controlplane.layout import Part
    from gpu_clusters.errors import UsageError

    with errors_as_json(json):
        if follow and (part is None or json):
            raise UsageError(
                "only one part can be followed, and not as JSON", "name it: `gpu-clusters sandbox logs PART -f`"
            )
        sandbox = Sandbox(name)
        sandbox.kubeconfig()
        found = {item: sandbox.logs(item, lines) for item in ((part,) if part else tuple(str(each) for each in Part))}
    if json:
        print_json({"parts": [{"name": item, "log": list(log)} for item, log in found.items()]})
        return
    for item, log in found.items():
        if part is None:
            messages.print(f"[bold]{item}[/]")
        for line in log:
            typer.echo(line)
    if follow and part is not None:
        _follow(sandbox.log_path(part))


@app.command("list", epilog=examples("gpu-clusters sandbox list"))
def list_(json: JsonOption = False) -> None:
    """List the sandboxes that have data, running or not."""
    from gpu_clusters.controlplane import Sandbox, sandboxes

    with errors_as_json(json):
        found = [Sandbox(name).status() for name in sandboxes()]
    if json:
        print_json({"sandboxes": [item.to_json() for item in found]})
        return
    from gpu_clusters.cli.tables import print_sandboxes

    print_sandboxes(found)


def _follow(path: Path) -> None:
    """Print what is added to a log until Ctrl-C; a new start of the part begins a new file."""
    file = path.open(errors="replace")
    file.seek(0, 2)
    try:
        while True:
            text = file.read()
            if text:
                typer.echo(text, nl=False)
            elif path.exists() and path.stat().st_ino != _inode(file.fileno()):
                file.close()
                file = path.open(errors="replace")
            else:
                time.sleep(_FOLLOW_SECONDS)
    except KeyboardInterrupt:
        raise typer.Exit(0) from None
    finally:
        file.close()


def _inode(handle: int) -> int:
    import os

    return os.fstat(handle).st_ino


def _option(name: str) -> str:
    return "" if name == "default" else f" --name {name}"
