"""Where this library keeps things on the user's machine."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

APP = "gpu-clusters"
CACHE_VARIABLE = "GPU_CLUSTERS_CACHE_DIR"
STATE_VARIABLE = "GPU_CLUSTERS_STATE_DIR"


def cache_dir() -> Path:
    """Things that can be made again: built programs. `GPU_CLUSTERS_CACHE_DIR` overrides the platform's folder."""
    return Path(os.environ.get(CACHE_VARIABLE) or platformdirs.user_cache_path(APP)).absolute()


def state_dir() -> Path:
    """Things that can't: sandboxes, local Pulumi state. `GPU_CLUSTERS_STATE_DIR` overrides the platform's folder."""
    return Path(os.environ.get(STATE_VARIABLE) or platformdirs.user_state_path(APP)).absolute()
