"""The page of findings, ``docs/findings.md``: prose here, every number from the full runs in ``claims.json``.

``python -m findings`` writes it, and ``python -m findings --take report`` takes the claims of a finished report first.
"""
