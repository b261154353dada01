"""How the engine's program is called, with a program in its place that says what it was called with."""

from __future__ import annotations

from pathlib import Path

import pytest
from gpu_clusters.rehearsal.engine.process import EngineCommand


@pytest.mark.parametrize(
    ("arguments", "called_with"),
    [
        (["up", "--yes"], "--non-interactive up --yes --skip-plugin-pre-install"),
        (["preview"], "--non-interactive preview --skip-plugin-pre-install"),
        (["refresh", "--yes"], "--non-interactive refresh --yes --skip-plugin-pre-install"),
        (["destroy", "--yes"], "--non-interactive destroy --yes --skip-plugin-pre-install"),
        (["stack", "init", "dev"], "--non-interactive stack init dev"),
    ],
)
def test_no_verb_begins_by_fetching_plugins_that_nobody_uses(
    tmp_path: Path, arguments: list[str], called_with: str
) -> None:
    program = tmp_path / "pulumi"
    program.write_text('#!/bin/sh\necho "$@"\n')
    program.chmod(0o755)
    result = EngineCommand(program, "v3.246.0", lambda: None).run(arguments, str(tmp_path), {})
    assert result.stdout.strip() == called_with
