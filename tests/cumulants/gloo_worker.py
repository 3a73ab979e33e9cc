"""One of several processes that share a metric."""

from __future__ import annotations

import torch
import torch.distributed as dist

from renorm.cumulants import Cumulants, JointCumulants

EDGES = [0, 7, 7, 3000, 5000]  # uneven parts, one of them empty


def main(rank: int, world_size: int, rendezvous: str, data: str, out: str) -> None:
    """Update with this process's rows, compute over all processes, save what came out."""
    dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=world_size)
    x = torch.load(data)
    edges = EDGES if world_size == 4 else [0, 4000, 5000]
    mine = x[edges[rank] : edges[rank + 1]]
    metrics = [Cumulants(3), JointCumulants(3, 2, stderr=True), JointCumulants(3, 3)]
    results = []
    for metric in metrics:
        for batch in mine.split(999) if len(mine) else [mine]:
            metric.update(batch)
        results.append(tuple(metric.compute()))
    torch.save({"world_size": dist.get_world_size(), "rows": len(mine), "results": results}, f"{out}.{rank}")
    dist.destroy_process_group()
