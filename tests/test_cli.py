"""How the `gpu-clusters` command ends, and what it says then."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from gpu_clusters._paths import STATE_VARIABLE
from gpu_clusters.cli.app import app
from gpu_clusters.cli.entry import INTERRUPTED, main
from gpu_clusters.errors import ConfigError, ConfigErrors, OperationError, UsageError
from typer.testing import CliRunner

VERBS = (
    ("doctor",),
    ("up",),
    ("preview",),
    ("refresh",),
    ("destroy",),
    ("sandbox", "start"),
    ("sandbox", "stop"),
    ("sandbox", "status"),
    ("sandbox", "kubeconfig"),
    ("sandbox", "logs"),
    ("sandbox", "list"),
)
_SPACE = "see that there is space, and that you may read and write there"
_WIDTH = 80
#: What `gpu-clusters doctor` does.
_WORK = "gpu_clusters.toolchain.diagnosis.diagnose"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder of each test's own, and nothing in the environment that stands for an option."""
    for name in ("PULUMI_STACK", "GPU_CLUSTERS_SANDBOX", "GPU_CLUSTERS_TRACEBACK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", str(_WIDTH))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "Usage: "),
        (("sandbox",), "Usage: "),
        (("nonsense",), "No such command 'nonsense'"),
        (("sandbox", "nonsense"), "No such command 'nonsense'"),
        (("up", "--nonsense"), "No such option: --nonsense"),
        (("up",), "Missing option '--stack'"),
        (("up", "--json"), "Missing option '--stack'"),
        (("up", "--stack"), "Option '--stack' requires an argument"),
        (("sandbox", "start", "--json", "--port", "x"), "Invalid value for '--port'"),
        (("sandbox", "start", "--port", "0"), "Invalid value for '--port'"),
        (("sandbox", "status", "--name", "A"), "`A` can't be the name of a sandbox"),
        (("sandbox", "kubeconfig", "--group", "a"), "a group needs a user; add --user NAME"),
        (("sandbox", "logs", "--follow"), "only one part can be followed"),
    ],
    ids=str,
)
def test_a_command_that_cannot_be_meant_ends_with_2_and_says_why(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    assert _end(monkeypatch, *arguments) == 2
    out, err = capsys.readouterr()
    assert said in out + err
    if arguments and arguments != ("sandbox",):
        assert out == ""


def test_with_json_the_error_is_the_document(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _end(monkeypatch, "up", "--stack", "nope", "--json") == 2
    out, err = capsys.readouterr()
    (error,) = json.loads(out)["errors"]
    assert list(error) == ["problem", "remedy"]
    assert error["problem"] in err


@pytest.mark.parametrize(("arguments", "code"), [(("sandbox", "status"), 1), (("sandbox", "list"), 0)], ids=str)
def test_a_verbs_own_exit_code_is_kept(monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], code: int) -> None:
    assert _end(monkeypatch, *arguments, "--json") == code


@pytest.mark.parametrize("arguments", [(), ("sandbox",), *VERBS], ids=" ".join)
def test_help_has_examples_that_the_command_accepts_and_fits_into_80_columns(arguments: tuple[str, ...]) -> None:
    lines = [line.rstrip() for line in _help_of(arguments).splitlines()]
    assert max(map(len, lines)) <= _WIDTH
    examples = [line.split("$ ", 1)[1] for line in lines if line.startswith(" $ ")]
    assert examples
    for example in examples:
        # A `$(...)` and a redirection are the shell's.
        (command,) = re.findall(r"gpu-clusters ([^>)]*)", example)
        shown = [word for word in command.split() if word.startswith("-")]
        assert set(shown) <= set(re.findall(r"--?[a-z-]+", _verbs_help(command.split())))


def _verbs_help(words: list[str]) -> str:
    return _help_of(words[:2] if words[0] == "sandbox" else words[:1])


def _help_of(arguments: Sequence[str]) -> str:
    result = CliRunner().invoke(app, [*arguments, "--help"])
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout


def _full_disk() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (OperationError("it broke", "mend it", ["a log"]), 1, "error: it broke; mend it\n  a log\n"),
        (UsageError("it can't be", "say another"), 2, "error: it can't be; say another\n"),
        (
            ConfigErrors([ConfigError("a", "is wrong", "mend it")]),
            2,
            "error: 1 problem in the configuration\n  a: is wrong; mend it\n",
        ),
        (_full_disk(), 1, f"error: No space left on device; {_SPACE}\n"),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), 1, f"error: /x: Permission denied; {_SPACE}\n"),
        (
            ModuleNotFoundError("No module named 'cryptography'", name="cryptography"),
            1,
            "error: the package cryptography isn't installed, which the sandbox needs; "
            'pip install "gpu-clusters[sandbox]"\n',
        ),
        (
            ValueError("odd\n[red]value"),
            1,
            "error: this is a fault in gpu-clusters: ValueError: odd [red]value; "
            "set GPU_CLUSTERS_TRACEBACK=1 to see where, and report it\n",
        ),
        (KeyboardInterrupt(), 130, f"{INTERRUPTED}\n"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_every_end_is_said_in_a_few_words_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, code: int, said: str
) -> None:
    monkeypatch.setattr(_WORK, _raising(error))
    assert _end(monkeypatch, "doctor") == code
    assert capsys.readouterr() == ("", said)


def test_the_traceback_is_shown_to_those_who_ask(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GPU_CLUSTERS_TRACEBACK", "1")
    monkeypatch.setattr(_WORK, _raising(ValueError("odd")))
    assert _end(monkeypatch, "doctor") == 1
    err = capsys.readouterr().err
    assert err.startswith("Traceback (most recent call last):")
    assert "test_cli.py" in err


def test_a_state_folder_that_cannot_be_used_is_an_error_that_names_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    (home / "file").touch()
    monkeypatch.setenv(STATE_VARIABLE, str(home / "file" / "state"))
    assert _end(monkeypatch, "sandbox", "start") == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert f"error: the sandbox `default` can't be started: [Errno 20] Not a directory: '{home}/file/state" in err


def test_a_reader_that_has_left_is_no_error_worth_a_word() -> None:
    code = "from gpu_clusters.cli.entry import main; main()"
    run = subprocess.Popen(
        [sys.executable, "-c", code, "sandbox", "list", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert run.stdout is not None
    assert run.stderr is not None
    run.stdout.close()
    assert run.stderr.read() == b""
    run.wait(30)


def _raising(error: BaseException) -> Callable[[], object]:
    def fail() -> object:
        raise error

    return fail


def _end(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int | str | None:
    """The exit code of the command."""
    monkeypatch.setattr(sys, "argv", ["gpu-clusters", *arguments])
    with pytest.raises(SystemExit) as ending:
        main()
    return ending.value.code
