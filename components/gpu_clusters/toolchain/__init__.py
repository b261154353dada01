"""Finds the programs that this library runs, or builds them from pinned Go modules.

`locate` looks and never builds; `ensure` builds what is missing. Where they look, in this order: an explicit setting
(`GPU_CLUSTERS_KUBE_APISERVER=/path`), `PATH`, `KUBEBUILDER_ASSETS`, and the user's cache folder.
"""

from __future__ import annotations

from gpu_clusters.toolchain.building import ensure
from gpu_clusters.toolchain.finding import Located, Missing, locate
from gpu_clusters.toolchain.programs import BASE, Program

__all__ = ["BASE", "Located", "Missing", "Program", "ensure", "locate"]
