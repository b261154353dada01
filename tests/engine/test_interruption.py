"""Runs that are cut short: what is left, and how the next one goes on from there."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Generator
from pathlib import Path

import pytest
from cluster_api import Api, at
from engine_project import Project, Running
from gpu_clusters.controlplane import Sandbox

#: What is said once the engine is about to start.
STARTED = "Kubernetes provider:"
POINTS = 10
#: What keeps a program from ending until a file is there.
HOLD = """
import pathlib, time
print("holding", flush=True)
while not pathlib.Path({!r}).exists():
    time.sleep(0.05)
"""


@pytest.fixture
def project(sandbox: Sandbox, api: Api, tmp_path: Path) -> Generator[Project]:
    """A project of its own, taken down at the end."""
    made = Project(tmp_path, f"cut{os.urandom(3).hex()}", sandbox.name)
    made.write()
    if not api.exists("/api/v1/nodes/cut"):
        api.node("cut", {"cpu": "64", "memory": "64Gi", "pods": "110"})
    yield made
    made.take_down()
    assert made.objects(api) == {}


def _up(project: Project, generation: int) -> Running:
    running = project.start("up", "--stack", "sandbox", generation=generation)
    running.wait_for(STARTED)
    return running


@pytest.mark.slow
def test_up_killed_at_ten_random_points_converges_each_time_without_orphan_or_duplicate(
    project: Project, api: Api
) -> None:
    start = time.monotonic()
    assert _up(project, 0).end().code == 0
    usual = time.monotonic() - start
    points = random.Random(20)  # noqa: S311 - the same points each time
    generation = 0
    for number in range(POINTS):
        generation += 1
        running = _up(project, generation)
        time.sleep(points.uniform(0.1, 1.0) * usual)
        running.kill(with_engine=number % 2 == 0)
        # Every other time the program has changed meanwhile: what was begun is then no longer wanted.
        generation += number // 2 % 2
        project.run("up", "--stack", "sandbox", generation=generation)
        assert project.objects(api) == project.expected(generation)
        again = project.run("up", "--stack", "sandbox", "--json", generation=generation).json()
        assert at(again, "changes") == {"create": 0, "update": 0, "replace": 0, "delete": 0, "same": 37}


def test_up_killed_with_its_engine_in_the_midst_of_creating_converges(
    project: Project, api: Api, engine_state: Path
) -> None:
    running = _up(project, 0)
    running.wait_for("created    ConfigMap")
    running.kill(with_engine=True)
    # The state is written whole or not at all; a file beside it would not be, and cut off makes it unreadable.
    assert not list((engine_state / "backend").rglob("*.attrs"))
    ended = project.run("up", "--stack", "sandbox", generation=1)
    assert "removed the lock of an engine that was killed" in ended.err
    assert project.objects(api) == project.expected(1)


def test_ctrl_c_ends_what_runs_and_the_next_up_goes_on(project: Project, api: Api) -> None:
    running = _up(project, 0)
    running.wait_for("created    Namespace")
    os.killpg(running.process.pid, signal.SIGINT)
    ended = running.end()
    assert ended.code == 130
    assert "run the same command again" in ended.err
    assert "Traceback" not in ended.err
    project.run("up", "--stack", "sandbox")
    assert project.objects(api) == project.expected(0)


def test_a_second_run_on_the_same_stack_is_refused_and_harms_nothing(project: Project, api: Api) -> None:
    go_on = project.folder.with_name("go-on")
    project.write((project.folder / "__main__.py").read_text() + HOLD.format(str(go_on)))
    first = _up(project, 0)
    first.wait_for("holding")
    refused = project.run("up", "--stack", "sandbox", expect=1)
    assert f"another run works on the stack 'sandbox' (pid {first.process.pid})" in refused.err
    go_on.touch()
    assert first.end().code == 0
    assert project.objects(api) == project.expected(0)


def test_up_survives_that_the_api_server_is_killed_and_restarted(project: Project, api: Api, sandbox: Sandbox) -> None:
    running = _up(project, 0)
    running.wait_for("created    Namespace")
    (server,) = (part.pid for part in sandbox.status().parts if part.name == "kube-apiserver")
    assert server is not None
    os.kill(server, signal.SIGKILL)
    time.sleep(1)
    sandbox.start()
    ended = running.end()
    assert ended.code == 0, ended.err
    assert project.objects(api) == project.expected(0)
