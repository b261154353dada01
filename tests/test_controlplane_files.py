"""The sandbox's files, ports and processes, without a control plane."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import cast

import pytest
import yaml
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from gpu_clusters._paths import STATE_VARIABLE
from gpu_clusters.controlplane import Sandbox, certificates, kubeconfig, parts, ports, processes, sandboxes, state
from gpu_clusters.controlplane.layout import PORTS, Layout, Part
from gpu_clusters.controlplane.locks import locked
from gpu_clusters.controlplane.status import tail
from gpu_clusters.errors import OperationError, UsageError

STATE = state.State(identity="1-2-3", ports={name: 20000 + number for number, name in enumerate(PORTS)}, starts=3)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder of each test's own."""
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path))
    return tmp_path


# Names and absence


@pytest.mark.parametrize("name", ["", "A", "a_b", "-a", "a-", ".", "../x", "a/b", "ä", "a" * 64, "a\n"])
def test_names_that_kubernetes_refuses_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="can't be the name of a sandbox; use 1 to 63"):
        Sandbox(name)


@pytest.mark.parametrize("name", ["a", "0", "default", "a-b", "a" * 63])
def test_names_that_kubernetes_takes_are_taken(name: str) -> None:
    assert Sandbox(name).status().state == "absent"


def test_a_sandbox_that_was_never_started_is_absent_and_says_how_to_start_it() -> None:
    sandbox = Sandbox("ci")
    assert sandboxes() == ()
    assert not sandbox.stop()
    assert not sandbox.stop(delete_data=True)
    assert sandbox.identity() is None
    for ask in (sandbox.kubeconfig, lambda: sandbox.client_kubeconfig("ann")):
        with pytest.raises(OperationError) as error:
            ask()
        assert str(error.value) == (
            "the sandbox `ci` has never been started; start it: `gpu-clusters sandbox start --name ci`"
        )


def test_an_unknown_part_has_no_log() -> None:
    with pytest.raises(UsageError, match="a sandbox has no part `kubelet`; name one of etcd, kube-apiserver"):
        Sandbox().logs("kubelet")


# State


def test_state_is_read_as_it_was_written(tmp_path: Path) -> None:
    STATE.save(tmp_path / "state.json")
    assert state.load(tmp_path / "state.json") == STATE
    assert (tmp_path / "state.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"\xff\x00", b'{"identity": 1, "ports": {}}', b"null"])
def test_garbage_in_the_state_is_an_error_with_a_remedy_and_stop_still_works(content: bytes, home: Path) -> None:
    directory = home / "sandboxes" / "broken"
    directory.mkdir(parents=True)
    (directory / "state.json").write_bytes(content)
    with pytest.raises(OperationError, match="stop --delete-data --name broken"):
        Sandbox("broken").status()
    assert Sandbox("broken").stop(delete_data=True)
    assert not directory.exists()
    assert not home.exists()


@pytest.mark.parametrize(
    ("there", "left"),
    [
        (["gone/"], []),
        (["gone/", ".gone.lock", ".ports.of-all.lock", ".other.lock"], []),
        ([".gone.lock", ".gone.deleted-x/pki/key"], []),
        (["gone/", ".other.lock", ".other.deleted-x/pki/key"], []),
        (["gone/", "other/state.json", ".other.lock"], [".other.lock", "other"]),
        (["gone/", "a file of the user's"], ["a file of the user's"]),
    ],
)
def test_deleting_the_last_sandbox_leaves_nothing_not_even_the_state_folder(
    home: Path, there: list[str], left: list[str]
) -> None:
    for name in there:
        path = home / "sandboxes" / name
        path.mkdir(parents=True) if name.endswith("/") else path.parent.mkdir(parents=True, exist_ok=True)
        if not name.endswith("/"):
            path.touch()
    Sandbox("gone").stop(delete_data=True)
    root = home / "sandboxes"
    assert (sorted(entry.name for entry in root.iterdir()) if root.exists() else []) == left
    assert home.exists() == bool(left)


def test_the_lock_of_a_start_that_is_under_way_is_left_alone(home: Path) -> None:
    (home / "sandboxes" / "gone").mkdir(parents=True)
    with locked(home / "sandboxes" / ".other.lock", 0):
        Sandbox("gone").stop(delete_data=True)
        assert [entry.name for entry in (home / "sandboxes").iterdir()] == [".other.lock"]


def test_what_else_is_in_the_state_folder_stays(home: Path) -> None:
    (home / "sandboxes" / "gone").mkdir(parents=True)
    (home / "backend").mkdir()
    Sandbox("gone").stop(delete_data=True)
    assert [entry.name for entry in home.iterdir()] == ["backend"]


def test_a_full_disk_is_an_error_before_anything_is_begun(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(home)._replace(free=5_000_000)

    def full(_path: Path) -> object:
        return usage

    monkeypatch.setattr(shutil, "disk_usage", full)
    with pytest.raises(OperationError, match="has 5 MB free, and a sandbox needs 300; free some, or name another"):
        Sandbox("full").start(programs=dict.fromkeys(Part, Path("/bin/false")))
    assert Sandbox("full").status().state == "absent"


def test_a_state_folder_that_is_a_file_is_an_error_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "file"))
    assert sandboxes() == ()
    with pytest.raises(OperationError, match=r"can't be started: .* see that there is space"):
        Sandbox().start(programs=dict.fromkeys(Part, Path("/bin/false")))


def test_a_part_that_ends_at_its_start_is_named_with_its_last_words_and_the_rest_is_stopped(
    home: Path, tmp_path: Path
) -> None:
    program = tmp_path / "broken"
    program.write_text("#!/bin/sh\necho no luck today\nexit 3\n")
    program.chmod(0o755)
    with pytest.raises(OperationError, match="etcd ended at its start") as error:
        Sandbox("broken").start(programs=dict.fromkeys(Part, program))
    assert error.value.details == ("no luck today",)
    assert Sandbox("broken").status().state == "stopped"
    assert (home / "sandboxes" / "broken" / "kubeconfig").stat().st_mode & 0o777 == 0o600


# Certificates and kubeconfigs


def test_certificates_are_made_once_and_anew_if_one_of_them_is_damaged(tmp_path: Path) -> None:
    pki = tmp_path / "pki"
    assert certificates.ensure(pki)
    authority = (pki / "ca.crt").read_bytes()
    assert not certificates.ensure(pki)
    assert (pki / "ca.crt").read_bytes() == authority
    (pki / "kwok.key").write_bytes((pki / "admin.key").read_bytes())
    assert certificates.ensure(pki)
    assert (pki / "ca.crt").read_bytes() != authority
    assert {path.stat().st_mode & 0o777 for path in pki.glob("*.key")} == {0o600}
    assert [entry.name for entry in tmp_path.iterdir()] == ["pki"]


def test_a_client_certificate_names_its_user_and_groups_and_serves_nothing(tmp_path: Path) -> None:
    certificates.ensure(tmp_path / "pki")
    pair = certificates.client(tmp_path / "pki", "ann", ["team-a", "team-b"])
    certificate = x509.load_pem_x509_certificate(pair.certificate)
    subject = certificate.subject
    assert [item.value for item in subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == ["ann"]
    assert [item.value for item in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)] == ["team-a", "team-b"]
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    authority = x509.load_pem_x509_certificate((tmp_path / "pki" / "ca.crt").read_bytes())
    certificate.verify_directly_issued_by(authority)


def test_no_tenant_can_open_etcd_or_pose_as_the_api_servers_proxy(tmp_path: Path) -> None:
    certificates.ensure(tmp_path)
    tenant = x509.load_pem_x509_certificate(certificates.client(tmp_path, "front-proxy-client", []).certificate)
    for name in ("etcd-ca", "front-proxy-ca"):
        authority = x509.load_pem_x509_certificate((tmp_path / f"{name}.crt").read_bytes())
        with pytest.raises(ValueError, match="issuer"):
            tenant.verify_directly_issued_by(authority)


def test_a_kubeconfig_tells_which_sandbox_it_is_for(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text("authority")
    text = kubeconfig.render(
        sandbox="ci", identity="1-2-3", port=6443, authority=tmp_path / "ca.crt", user="ann", certificate=b"c", key=b"k"
    )
    document = cast("dict[str, object]", yaml.safe_load(text))
    assert document["current-context"] == "gpu-clusters-sandbox-ci"
    cluster = cast("list[dict[str, object]]", document["clusters"])[0]
    assert cluster == {
        "name": "gpu-clusters-sandbox-ci",
        "cluster": {
            "server": "https://127.0.0.1:6443",
            "certificate-authority-data": "YXV0aG9yaXR5",
            "extensions": [
                {"name": "sandbox.gpu-clusters.dev", "extension": {"name": "ci", "identity": "1-2-3"}},
            ],
        },
    }


# Command lines


@pytest.mark.parametrize("part", list(Part))
def test_a_part_is_known_by_an_argument_of_its_own_and_names_no_other_address(part: Part, tmp_path: Path) -> None:
    layout = Layout(tmp_path / "ci")
    command = parts.command(part, Path("/usr/bin", part), layout, STATE)
    assert command[0] == f"/usr/bin/{part}"
    assert command.count(layout.marker(part)) == 1
    assert layout.marker(part) not in {layout.marker(other) for other in Part if other is not part}
    assert str(STATE.ports[part]) in " ".join(command)
    assert "0.0.0.0" not in " ".join(command)  # noqa: S104 - that is what must not be there


def test_settings_in_the_users_environment_dont_reach_the_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETCD_LISTEN_METRICS_URLS", "http://0.0.0.0:1")
    monkeypatch.setenv("HOME", "/home/ann")
    found = parts.environment(Part.ETCD, STATE)
    assert "ETCD_LISTEN_METRICS_URLS" not in found
    assert found["HOME"] == "/home/ann"


# Ports


def test_free_ports_are_free_apart_and_not_taken() -> None:
    first = ports.free(6, ())
    assert len(set(first)) == 6
    assert all(ports.is_free(port) for port in first)
    everything = range(20000, 32768)
    assert ports.free(1, set(everything) - {first[0]}) == (first[0],)
    with pytest.raises(OperationError, match="no 2 free ports"):
        ports.free(2, set(everything) - {first[0]})


def test_a_port_that_is_listened_on_is_not_free_and_its_holder_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = cast("int", server.getsockname()[1])
        assert not ports.is_free(port)
        if sys.platform == "linux":
            assert str(ports.holder(port)).endswith(f"(process {os.getpid()})")
    assert ports.gets_free(port)
    assert ports.holder(port) is None


# Processes and locks


def _spawn(code: str, mark: str, directory: Path) -> int:
    return processes.spawn([sys.executable, "-c", code, mark], directory / "p.log", directory, dict(os.environ))


def test_a_process_is_found_by_its_whole_argument_and_ended(tmp_path: Path) -> None:
    pid = _spawn("import time; time.sleep(60)", f"--data={tmp_path}/a b", tmp_path)
    markers = {"it": f"--data={tmp_path}/a b", "part of it": f"--data={tmp_path}/a", "other": f"--data={tmp_path}/c"}
    _until(lambda: processes.find(markers)["it"] == (pid,))
    assert processes.find(markers) == {"it": (pid,), "part of it": (), "other": ()}
    processes.terminate([pid], 5)
    assert processes.find(markers)["it"] == ()
    assert not processes.is_running(pid)


def test_a_process_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    )
    pid = _spawn(code, "--deaf", tmp_path)
    _until(lambda: tail(tmp_path / "p.log", 1) == ("deaf",))
    processes.terminate([pid], 0.1)
    assert not processes.is_running(pid)


def test_a_process_survives_ctrl_c_at_the_terminal_of_its_parent(tmp_path: Path) -> None:
    pid = _spawn("import time; time.sleep(60)", "--mark", tmp_path)
    assert os.getsid(pid) == pid != os.getsid(0)
    processes.terminate([pid], 5)


def test_a_new_start_keeps_the_log_of_the_one_before(tmp_path: Path) -> None:
    for word in ("first", "second"):
        pid = _spawn(f"print('{word}')", "--mark", tmp_path)
        _until(lambda pid=pid: not processes.is_running(pid))
    assert (tmp_path / "p.log").read_text() == "second\n"
    assert (tmp_path / "p.previous").read_text() == "first\n"
    assert (tmp_path / "p.log").stat().st_mode & 0o777 == 0o600


def test_a_log_ends_with_its_last_lines_or_those_of_the_start_before(tmp_path: Path) -> None:
    log = tmp_path / "p.log"
    assert tail(log, 2) == ()
    log.with_suffix(".previous").write_text("old\n")
    log.touch()
    assert tail(log, 2) == ("old",)
    log.write_text("a\nb\nc\n")
    assert tail(log, 2) == ("b", "c")


def test_a_lock_is_waited_for_and_freed_by_its_holders_death(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    take = f"import fcntl, time; f = open({str(path)!r}, 'w'); fcntl.flock(f, fcntl.LOCK_EX)"
    code = f"{take}; print('held', flush=True); time.sleep(60)"
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    holder.stdout.readline()
    with pytest.raises(OperationError, match="another start or stop of the sandbox is under way"), locked(path, 0.1):
        pass
    threading.Timer(0.2, lambda: holder.send_signal(signal.SIGKILL)).start()
    with locked(path, 10):
        pass
    holder.communicate()


def test_a_lock_holds_though_each_holder_deletes_the_file_and_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "folder" / ".a.lock"
    program = f"""
import os
from pathlib import Path
from gpu_clusters.controlplane.locks import locked, remove_unused
path, inside = Path({str(path)!r}), Path({str(tmp_path / "inside")!r})
for _ in range(150):
    with locked(path, 30):
        os.close(os.open(inside, os.O_CREAT | os.O_EXCL))
        inside.unlink()
    remove_unused(path.parent, lambda _: False)
"""
    runs = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(3)]
    assert [run.wait(60) for run in runs] == [0, 0, 0]
    assert not path.parent.exists()


def _until(check: object, seconds: float = 10.0) -> None:
    assert callable(check)
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end
        time.sleep(0.02)
