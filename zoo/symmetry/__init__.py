"""Weight symmetries: which weights are tied, in MLPs and in graph networks, and how far weights are from it."""
