"""What happens inside the clusters of a rehearsal: each is a sandbox, with a cloud's controllers played in it."""

from gpu_clusters.rehearsal.clusters.pool import Patience
from gpu_clusters.rehearsal.clusters.simulated import SimulatedWorld

__all__ = ["Patience", "SimulatedWorld"]
