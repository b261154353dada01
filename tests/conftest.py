"""What all tests share."""

from __future__ import annotations

from pathlib import Path

import pytest
from gpu_clusters.controlplane import Sandbox


@pytest.fixture
def recorded_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a SandboxCluster be built where no sandbox runs: for recordings, which reach no cluster."""
    monkeypatch.setattr(Sandbox, "kubeconfig", lambda _: "a kubeconfig")
    monkeypatch.setattr(Sandbox, "identity", lambda _: "an identity")


@pytest.fixture
def root() -> Path:
    """The project's folder."""
    return Path(__file__).parents[1]
