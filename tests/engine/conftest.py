"""One sandbox for the whole test run. It is never left out: the toolchain builds what it needs."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest
from cluster_api import Api
from gpu_clusters._paths import STATE_VARIABLE
from gpu_clusters.controlplane import Sandbox


@pytest.fixture(scope="session")
def engine_state(tmp_path_factory: pytest.TempPathFactory) -> Generator[Path]:
    """The state folder of all engine tests, named in the environment for as long as they run."""
    directory = tmp_path_factory.mktemp("state")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(STATE_VARIABLE, str(directory))
        yield directory


@pytest.fixture(scope="session")
def sandbox(engine_state: Path) -> Generator[Sandbox]:
    """A running sandbox that all engine tests share: use namespaces and nodes of your own, and leave it running."""
    assert engine_state.is_dir()
    shared = Sandbox("tests")
    try:
        shared.start()
        yield shared
    finally:
        shared.stop(delete_data=True)


@pytest.fixture(scope="session")
def api(sandbox: Sandbox) -> Api:
    """The API server of the shared sandbox, as an administrator."""
    return Api(sandbox.kubeconfig())
