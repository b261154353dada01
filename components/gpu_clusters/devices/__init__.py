"""The GPU device layer: one choice per pool of who installs driver and device plugin."""
