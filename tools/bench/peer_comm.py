#!/usr/bin/env python3
"""PyTorch's side of tools/bench/comm: gloo's all_reduce of floats in place.

peer_comm.py LABEL RANKS SECONDS   prints `size BYTES LABEL MICROSECONDS`: the median over rounds, each that of the slowest rank.
"""
import os
import sys
import time

try:
    import torch
    import torch.distributed as dist
except ImportError:
    sys.exit(77)

SIZES = (1 << 10, 16 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20, 44700000, 100 << 20)


def all_reduce(data):
    dist.barrier()
    began = time.perf_counter()
    dist.all_reduce(data)
    took = torch.tensor([time.perf_counter() - began], dtype=torch.float64)
    dist.all_reduce(took, op=dist.ReduceOp.MAX)
    return took.item()


def run(rank, label, ranks, seconds):
    torch.set_num_threads(1)
    if hasattr(os, "sched_setaffinity") and ranks <= len(os.sched_getaffinity(0)):
        os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[rank]})
    dist.init_process_group("gloo", rank=rank, world_size=ranks)
    for size in SIZES:
        data = torch.zeros(size // 4)
        times = []
        began = time.perf_counter()
        more = torch.ones(1)
        while more.item() > 0:
            times.append(all_reduce(data))
            more[0] = 1.0 if len(times) < 8 or time.perf_counter() - began < seconds else 0.0
            dist.all_reduce(more, op=dist.ReduceOp.MIN)
        if rank == 0:
            print("size", size, label, "%.2f" % (sorted(times[2:])[len(times[2:]) // 2] * 1e6), flush=True)
    dist.destroy_process_group()


def main():
    label, ranks, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
    os.environ.setdefault("MASTER_PORT", str(20000 + os.getpid() % 20000))
    torch.multiprocessing.spawn(run, (label, ranks, seconds), ranks)


if __name__ == "__main__":
    main()
