"""A project of its own for each test, and the command line as its users run it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, cast

from cluster_api import Api, Json, at

COMMAND = (sys.executable, "-c", "from gpu_clusters.cli.app import main; main()")
CONFIG_MAPS = 20
FLEETING = 10
_PROGRAM = Path(__file__).with_name("engine_program.py")


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str

    def json(self) -> Json:
        """Standard output, which must be one JSON document."""
        return cast("Json", json.loads(self.out))


@dataclass
class Running:
    """A command that runs."""

    process: subprocess.Popen[str]
    out: IO[str]
    err: Path

    def wait_for(self, text: str, seconds: float = 60.0) -> None:
        """Wait until it has said `text` on standard error."""
        end = time.monotonic() + seconds
        while text not in self.err.read_text():
            assert self.process.poll() is None, self.err.read_text()
            assert time.monotonic() < end, self.err.read_text()
            time.sleep(0.02)

    def end(self, seconds: float = 120.0) -> Ended:
        """Wait until it ends."""
        code = self.process.wait(seconds)
        self.out.seek(0)
        return Ended(code, self.out.read(), self.err.read_text())

    def kill(self, *, with_engine: bool) -> None:
        """Kill its process group without warning; `with_engine`, all that it has started, too."""
        victims = descendants(self.process.pid) if with_engine else []
        os.killpg(self.process.pid, signal.SIGKILL)
        for pid in victims:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait(10)


@dataclass(frozen=True)
class Project:
    """A project in a folder of its own, with a stack `sandbox` whose objects' names begin with its name."""

    folder: Path
    name: str
    sandbox: str
    started: list[Running] = field(default_factory=list[Running])

    def write(self, program: str | None = None) -> None:
        """Write its files; `program` in place of the usual one of some 40 objects."""
        (self.folder / "stacks").mkdir(parents=True, exist_ok=True)
        (self.folder / "Pulumi.yaml").write_text(f"name: {self.name}\nruntime: python\nstackConfigDir: stacks\n")
        config = f"config:\n  gpu-clusters:sandbox: {self.sandbox}\n  {self.name}:word: a secret  # not in the output\n"
        (self.folder / "stacks" / "Pulumi.sandbox.yaml").write_text(config)
        (self.folder / "__main__.py").write_text(program or _PROGRAM.read_text())

    def take_down(self) -> None:
        """Destroy its stack, once nothing works on it any more, also after a test that failed."""
        for running in self.started:
            if running.process.poll() is None:
                running.kill(with_engine=True)
        self.write()
        self.run("destroy", "--stack", "sandbox", "--remove")

    def files(self) -> dict[str, bytes]:
        """Every file of it, as it is."""
        found = (path for path in self.folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in found}

    def start(self, *arguments: str, generation: int = 0, environment: Mapping[str, str] | None = None) -> Running:
        """Start a verb in the project's folder, in a process group of its own."""
        said = self.folder.with_name(f"{self.folder.name}-said")
        said.mkdir(exist_ok=True)
        out = tempfile.TemporaryFile("w+")  # noqa: SIM115 - it is read when the command has ended
        handle, err = tempfile.mkstemp(dir=said)
        ambient = {key: value for key, value in os.environ.items() if not key.startswith("PULUMI_")}
        process = subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=self.folder,
            env={**ambient, "PYTHONPATH": str(_PROGRAM.parent), "GENERATION": str(generation), **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=handle,
            text=True,
            start_new_session=True,
        )
        os.close(handle)
        self.started.append(Running(process, out, Path(err)))
        return self.started[-1]

    def run(
        self,
        *arguments: str,
        generation: int = 0,
        environment: Mapping[str, str] | None = None,
        expect: int | None = 0,
    ) -> Ended:
        """Run a verb to its end; `expect` its exit code."""
        ended = self.start(*arguments, generation=generation, environment=environment).end()
        assert expect in (None, ended.code), ended.err
        assert "Traceback" not in ended.err
        return ended

    def objects(self, api: Api) -> dict[str, str]:
        """What the API server has of it: `kind namespace/name` to what tells generations apart."""
        found: dict[str, str] = {}
        for space in _items(api.get("/api/v1/namespaces")):
            namespace = str(at(space, "metadata")["name"])
            if not namespace.startswith(f"{self.name}-"):
                continue
            found[f"Namespace {namespace}"] = ""
            for kind, path in _PATHS.items():
                for item in _items(api.get(path.format(namespace))):
                    name = str(at(item, "metadata")["name"])
                    if name != "kube-root-ca.crt":
                        found[f"{kind} {namespace}/{_without_suffix(name)}"] = str(at(item, "data").get("value", ""))
        return found

    def expected(self, generation: int) -> dict[str, str]:
        """What `objects` is to be once `up` has ended in this generation."""
        one = f"{self.name}-0"
        found = {f"Namespace {self.name}-{number}": "" for number in range(3)}
        found |= {f"ConfigMap {self.name}-{n % 3}/kept-{n}": str(generation) for n in range(CONFIG_MAPS)}
        found |= {f"ConfigMap {one}/of-{generation}-{n}": str(generation) for n in range(FLEETING)}
        return found | {f"Deployment {one}/web": "", f"Service {one}/web": ""}


_PATHS = {
    "ConfigMap": "/api/v1/namespaces/{}/configmaps",
    "Service": "/api/v1/namespaces/{}/services",
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
}


def descendants(pid: int) -> list[int]:
    """Every process that `pid` has started, and those that they have."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError):
            continue
        children.setdefault(parent, []).append(int(stat.parent.name))
    found: list[int] = []
    waiting = [pid]
    while waiting:
        waiting.extend(new := children.get(waiting.pop(), []))
        found.extend(new)
    return found


def _items(answer: Json) -> Sequence[Json]:
    return cast("Sequence[Json]", answer["items"])


def _without_suffix(name: str) -> str:
    """The logical name of an object that was named automatically: two of one logical name then can't be told apart."""
    stem, _, suffix = name.rpartition("-")
    return stem if len(suffix) == 8 and all(digit in "0123456789abcdef" for digit in suffix) else name
