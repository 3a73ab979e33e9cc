"""Sweeps: many fits over what cannot be stacked, on the cores of this machine or on a Ray cluster, as one table.

The engines are ``local_engine.py``, the default, and ``ray_engine.py``.
"""
