"""The pretrained zoo: how its entries are loaded (``hub.py``), trained, verified, shown and exported."""
