"""The `gpu-clusters` command: one file per verb, no logic of its own."""
