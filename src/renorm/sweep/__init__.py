"""Sweeps: many fits over what cannot be stacked, on the cores of this machine or on a Ray cluster, as one table."""
