"""One setting moves every image to a private registry."""

from __future__ import annotations

import pytest
from gpu_clusters import ConfigErrors, Image, Images
from gpu_clusters.images import is_pinned

MIRROR = "registry.example.com/mirror"


@pytest.mark.parametrize(
    ("registry", "image", "reference"),
    [
        (None, Image.VLLM, "docker.io/vllm/vllm-openai:v0.33.0"),
        (None, Image.DEVICE_PLUGIN, "nvcr.io/nvidia/k8s-device-plugin:v0.20.0"),
        (None, "example.com/own:1", "example.com/own:1"),
        (MIRROR, Image.DEVICE_PLUGIN, f"{MIRROR}/nvidia/k8s-device-plugin:v0.20.0"),
        (MIRROR, "example.com:5000/own@sha256:0", f"{MIRROR}/own@sha256:0"),
        (MIRROR, "own/image:1", f"{MIRROR}/own/image:1"),
        (MIRROR, f"{MIRROR}/own:1", f"{MIRROR}/own:1"),
    ],
)
def test_an_image_comes_from_where_the_setting_says(registry: str | None, image: Image | str, reference: str) -> None:
    assert Images(registry=registry).reference(image) == reference


@pytest.mark.parametrize("image", Image)
def test_every_image_of_the_library_moves(image: Image) -> None:
    assert Images(registry=MIRROR).reference(image).startswith(f"{MIRROR}/")


@pytest.mark.parametrize("registry", ["https://registry.example.com", "registry.example.com/", ""])
def test_what_is_no_registry_is_refused(registry: str) -> None:
    with pytest.raises(ConfigErrors, match="leave out the scheme"):
        Images(registry=registry)


@pytest.mark.parametrize(
    ("reference", "pinned"), [("a/b:1", False), ("a/b@sha256:00", True), ("a/b:1@sha256:00", True)]
)
def test_only_a_digest_pins(reference: str, pinned: bool) -> None:
    assert is_pinned(reference) is pinned
