"""EKS: a production GPU cluster on AWS. Needs `pip install "gpu-clusters[eks]"`."""

from __future__ import annotations
