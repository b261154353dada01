"""Container images: which ones the library runs, and the one setting that moves them all to a private registry."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

from gpu_clusters import data
from gpu_clusters._spec import spec
from gpu_clusters.errors import ConfigError


class Image(StrEnum):
    """An image that the library runs: a row of `data/images.csv`, pinned to a version whose source is given there."""

    DCGM_EXPORTER = "dcgm-exporter"
    DEVICE_PLUGIN = "device-plugin"
    EFA_PLUGIN = "efa-plugin"
    VLLM = "vllm"


@spec
class Images:
    """Where images come from.

    Args:
        registry: a registry, with or without a path, that holds copies of all images under their own repository
            names: with `registry.example.com/mirror`, `nvcr.io/nvidia/k8s-device-plugin` is pulled from
            `registry.example.com/mirror/nvidia/k8s-device-plugin`. Default none: each comes from where it is published.
    """

    registry: str | None = None

    def reference(self, image: Image | str) -> str:
        """The full reference of one of our images, or of the user's own one, at the registry that is set.

        A digest is used where the catalogue has a recorded one, else the tag.
        """
        if not isinstance(image, Image):
            return self._moved(image)
        row = next(row for row in data.rows("images") if row["name"] == image.value)
        pin = f"@{row['digest']}" if row["digest"] else f":{row['tag']}"
        return self._moved(f"{row['repository']}{pin}")

    def _moved(self, reference: str) -> str:
        if self.registry is None or reference.startswith(f"{self.registry}/"):
            return reference
        head, slash, rest = reference.partition("/")
        has_host = slash and ("." in head or ":" in head or head == "localhost")
        return f"{self.registry}/{rest if has_host else reference}"

    def _problems(self) -> Iterator[ConfigError]:
        if self.registry is not None and (
            not self.registry or "://" in self.registry or self.registry.strip("/ ") != self.registry
        ):
            yield ConfigError(
                "registry",
                f"{self.registry!r} is not a registry as image references spell it",
                "leave out the scheme and any slash at the end, e.g. `registry.example.com/mirror`",
            )


def is_pinned(reference: str) -> bool:
    """Whether a reference names one image for ever: by digest."""
    return "@sha256:" in reference
