"""Measure everything: `make bench`. Ratios hold on any machine; seconds are this one's, which is named with them."""

from __future__ import annotations

import argparse
import json
import sys

import bench_eks
import bench_imports
import bench_library
import bench_sandbox
import bench_up
from _result import machine
from rich.console import Console
from rich.table import Table

_PARTS = {
    "imports": bench_imports,
    "library": bench_library,
    "eks": bench_eks,
    "sandbox": bench_sandbox,
    "up": bench_up,
}


def main() -> None:
    """Run the parts that are named, or all, and print a table, or a document with `--json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*_PARTS, []], help="default: all")
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    options = parser.parse_args()
    measured_on = machine()
    found = [result for part in options.parts or _PARTS for result in _PARTS[part].results()]
    if options.json:
        rows = [{"name": r.name, "value": r.value, "unit": r.unit, "aim": r.aim, "met": r.met} for r in found]
        sys.stdout.write(json.dumps({"machine": measured_on, "results": rows}, indent=2) + "\n")
        return
    table = Table("measured", "value", "aim", "", title=measured_on, box=None)
    for result in found:
        aim = "" if result.aim is None else f"{result.aim:g} {result.unit}"
        met = {None: "", True: "[green]met[/]", False: "[red]missed[/]"}[result.met]
        table.add_row(result.name, f"{result.value:.2f} {result.unit}", aim, met)
    Console().print(table)


if __name__ == "__main__":
    main()
