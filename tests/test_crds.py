"""Definitions of well-known add-ons: the table, and fetching them. Go is a script here."""

from __future__ import annotations

import json
from pathlib import Path
from zipfile import ZipFile

import pytest
from fake_programs import Machine, script
from gpu_clusters.data import rows
from gpu_clusters.errors import OperationError
from gpu_clusters.rehearsal.providers.kubernetes.crds import (
    Addon,
    addon_of,
    addons,
    asked_for,
    crds_for,
    definitions,
    without_webhook,
)
from gpu_clusters.rehearsal.providers.kubernetes.yamls import documents
from gpu_clusters.rehearsal.providers.values import Properties
from gpu_clusters.toolchain.gomodules import GoModule

_MODULE = GoModule(path="example.com/toys", version="v1.2.3", checksum="h1:abc=")
_ADDON = Addon(name="toys", charts=("toys",), module=_MODULE, folder="config/crds", switches={})
_DEFINITION: Properties = {"kind": "CustomResourceDefinition", "metadata": {"name": "toys.example.com"}}


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


@pytest.mark.parametrize("row", rows("crd_modules"), ids=lambda row: row["addon"])
def test_every_row_is_whole_and_has_a_source(row: dict[str, str]) -> None:
    assert row["checksum"].startswith("h1:")
    assert len(row["checksum"]) == 47
    assert row["version"].startswith("v")
    assert row["source"]
    assert row["retrieved"]
    assert row["addon"] in {addon.name for addon in addons()}


def test_a_chart_belongs_to_one_add_on() -> None:
    charts = [chart for addon in addons() for chart in addon.charts]
    assert len(charts) == len(set(charts))


@pytest.mark.parametrize(
    ("chart", "name"),
    [
        ("karpenter", "karpenter"),
        ("oci://public.ecr.aws/karpenter/karpenter", "karpenter"),
        ("oci://public.ecr.aws/karpenter/karpenter-crd", "karpenter"),
        ("kedacore/keda", "keda"),
        ("https://charts.example/cert-manager-v1.21.2.tgz", "cert-manager"),
        ("https://charts.example/keda-2.21.0.tgz", "keda"),
        ("prometheus-community/kube-prometheus-stack", "prometheus-operator"),
        ("keda-http-add-on", None),
        ("./charts/own", None),
        ("", None),
    ],
)
def test_a_chart_is_known_by_any_reference(chart: str, name: str | None) -> None:
    addon = addon_of(chart)
    assert (addon.name if addon else None) == name


def test_a_chart_that_is_not_known_brings_no_definitions() -> None:
    assert crds_for("nginx") == []


@pytest.mark.parametrize(
    ("chart", "values", "asked"),
    [
        ("karpenter", {}, True),
        ("keda", {}, True),
        ("keda", {"crds": {"install": False}}, False),
        ("cert-manager", {}, False),
        ("cert-manager", {"crds": {"enabled": True}}, True),
        ("cert-manager", {"installCRDs": True}, True),
        ("cert-manager", {"crds": "nonsense"}, False),
        ("external-secrets", {}, True),
        ("external-secrets", {"installCRDs": False}, False),
    ],
)
def test_a_charts_values_decide_whether_it_installs_them(chart: str, values: Properties, asked: bool) -> None:
    addon = addon_of(chart)
    assert addon is not None
    assert asked_for(addon, values) is asked


def test_they_are_fetched_once_and_kept(machine: Machine) -> None:
    _install_go(machine)
    assert definitions(_ADDON) == [_DEFINITION]
    assert (machine.records / "asked").read_text() == "mod download -json example.com/toys@v1.2.3 off\n"
    (machine.bin / "go").unlink()
    assert definitions(_ADDON) == [_DEFINITION]
    assert list((machine.cache / "modules").iterdir()) == []


def test_a_module_whose_go_mod_asks_for_a_newer_go_is_read_all_the_same(machine: Machine) -> None:
    _install_go(machine, error="requires go >= 99.0.0")
    assert definitions(_ADDON) == [_DEFINITION]


@pytest.mark.parametrize(
    ("checksum", "archived", "problem"),
    [
        ("h1:other=", True, "example.com/toys v1.2.3 has the checksum h1:other=, and h1:abc= was expected"),
        ("", False, "example.com/toys v1.2.3 couldn't be fetched: dial tcp: connection refused"),
    ],
)
def test_a_module_that_is_not_the_pinned_one_or_cannot_be_had_is_an_error(
    machine: Machine, checksum: str, archived: bool, problem: str
) -> None:
    _install_go(machine, checksum=checksum, archived=archived, error="dial tcp: connection refused")
    with pytest.raises(OperationError) as caught:
        definitions(_ADDON)
    assert caught.value.problem == problem
    assert "GOPROXY" in caught.value.remedy
    assert not (machine.cache / "crds").exists()


def test_a_module_without_definitions_is_an_error(machine: Machine) -> None:
    _install_go(machine, folder="elsewhere")
    with pytest.raises(OperationError, match="holds no definitions in config/crds"):
        definitions(_ADDON)


def test_a_damaged_file_in_the_cache_is_fetched_anew(machine: Machine) -> None:
    _install_go(machine)
    definitions(_ADDON)
    (kept,) = (machine.cache / "crds").iterdir()
    kept.write_text("{")
    assert definitions(_ADDON) == [_DEFINITION]


def test_no_webhook_is_asked_to_convert() -> None:
    webhook: Properties = {"spec": {"group": "g", "conversion": {"strategy": "Webhook", "webhook": {}}}}
    assert without_webhook(webhook) == {"spec": {"group": "g", "conversion": {"strategy": "None"}}}
    assert without_webhook(_DEFINITION) is _DEFINITION


@pytest.mark.parametrize(
    ("content", "objects"),
    [
        ("a: 2026-01-02\nb: =\nc: on", [{"a": "2026-01-02", "b": "=", "c": True}]),
        ("# nothing\n---\n---\na: 1\n", [{"a": 1}]),
        ("kind: List\nitems: [{a: 1}, {b: 2}]", [{"a": 1}, {"b": 2}]),
        ("text", []),
    ],
)
def test_yaml_is_read_as_json_can_say_it(content: str, objects: list[Properties]) -> None:
    assert documents(content) == objects


def _install_go(
    machine: Machine,
    *,
    checksum: str = "h1:abc=",
    archived: bool = True,
    error: str = "",
    folder: str = "config/crds",
) -> None:
    archive = machine.records / "toys.zip"
    with ZipFile(archive, "w") as opened:
        root = f"{_MODULE.path}@{_MODULE.version}/{folder}"
        opened.writestr(f"{root}/toys.yaml", json.dumps(_DEFINITION))
        opened.writestr(f"{root}/kustomization.yaml", "kind: Kustomization")
        opened.writestr(f"{root}/deeper/other.yaml", json.dumps(_DEFINITION))
    answer = {"Path": _MODULE.path, "Error": error, "Sum": checksum, "Zip": str(archive) if archived else ""}
    (machine.records / "answer").write_text(json.dumps(answer))
    script(
        machine.bin / "go",
        "if [ \"$1\" = version ]; then echo 'go version go1.26.0 linux/amd64'; exit 0; fi\n"
        f'echo "$* $GOSUMDB" >> {machine.records}/asked\n/bin/cat {machine.records}/answer\n'
        + ("exit 1" if error else ""),
    )
