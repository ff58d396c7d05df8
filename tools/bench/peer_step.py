#!/usr/bin/env python3
"""PyTorch's side of tools/bench/step: samples per second of one training step on random data.

peer_step.py ARCH RUNG SECONDS RANKS [BATCH]   one thread a rank; two and more ranks: DistributedDataParallel over gloo.

The same work as bench_step: forward, cross-entropy, backward with gradient all-reduce, SGD with momentum. At its best:
channels_last, frozen layers in evaluation mode under no_grad, only what trains inside DistributedDataParallel.
"""
import os
import sys
import time

try:
    import torch
    import torch.nn as nn
    import torch.nn.functional as F
except ImportError:
    sys.exit(77)

CLASSES = 10


class Block(nn.Module):
    """Basic block; shortcut with a 1x1 convolution (ImageNet style) or padding (CIFAR style)."""

    def __init__(self, inputs, outputs, stride, cifar):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.stride = stride
        self.grow = (outputs - inputs) // 2
        self.down = None
        if not cifar and stride != 1:
            self.down = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = self.bn2(self.conv2(y))
        if self.down is not None:
            x = self.down(x)
        elif self.stride != 1:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.grow, self.grow))
        return F.relu(y + x, inplace=True)


def layers(arch):
    """Stem, blocks, head."""
    if arch == "resnet20":
        stem = nn.Sequential(nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(True))
        widths, depth, cifar = (16, 32, 64), 3, True
    else:
        stem = nn.Sequential(nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(True),
                             nn.MaxPool2d(3, 2, 1))
        widths, depth, cifar = (64, 128, 256, 512), 2, False
    blocks = []
    inputs = widths[0]
    for stage, width in enumerate(widths):
        for i in range(depth):
            blocks.append(Block(inputs, width, 2 if stage > 0 and i == 0 else 1, cifar))
            inputs = width
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, CLASSES))
    return [stem, *blocks, head]


def split(arch, rung):
    """What is frozen (or None) and what trains."""
    parts = layers(arch)
    trained = {"full": len(parts), "frozen": 1}.get(rung) or 1 + int(rung.split(":")[1])
    frozen = nn.Sequential(*parts[:-trained]) if trained < len(parts) else None
    return frozen, nn.Sequential(*parts[-trained:])


def measure(rank, arch, rung, seconds, ranks, batch):
    torch.set_num_threads(1)
    torch.manual_seed(rank)
    if ranks > 1:
        # One core a rank, as far as there are cores: otherwise the ranks wander and wait for each other.
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[rank % len(cores)]})
        torch.distributed.init_process_group("gloo", rank=rank, world_size=ranks)
    frozen, trained = split(arch, rung)
    trained = trained.to(memory_format=torch.channels_last).train()
    if frozen is not None:
        frozen = frozen.to(memory_format=torch.channels_last).eval().requires_grad_(False)
    model = nn.parallel.DistributedDataParallel(trained) if ranks > 1 else trained
    optimizer = torch.optim.SGD(model.parameters(), lr=0.001, momentum=0.9)
    x = torch.randn(batch, 3, 32, 32).to(memory_format=torch.channels_last)
    labels = torch.randint(0, CLASSES, (batch,))

    def step():
        optimizer.zero_grad()
        features = x
        if frozen is not None:
            with torch.no_grad():
                features = frozen(x)
        F.cross_entropy(model(features), labels).backward()
        optimizer.step()

    for _ in range(5):
        step()
    times = []
    more = torch.ones(1)
    start = time.perf_counter()
    while more.item() > 0:
        at = time.perf_counter()
        step()
        times.append(time.perf_counter() - at)
        more.fill_(1.0 if time.perf_counter() - start < seconds or len(times) < 4 else 0.0)
        if ranks > 1:
            torch.distributed.all_reduce(more, op=torch.distributed.ReduceOp.MIN)
    times.sort()
    median = times[len(times) // 2]
    if rank == 0:
        print(f"{arch} {rung} ranks {ranks} samples/s {batch * ranks / median:.1f} median_ms {median * 1e3:.3f} "
              f"best_ms {times[0] * 1e3:.3f} torch {torch.__version__}", flush=True)
    if ranks > 1:
        torch.distributed.destroy_process_group()


def main():
    arch, rung, seconds, ranks = sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4])
    batch = int(sys.argv[5]) if len(sys.argv) > 5 else 64
    if ranks == 1:
        measure(0, arch, rung, seconds, 1, batch)
        return
    os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
    os.environ.setdefault("MASTER_PORT", str(20000 + os.getpid() % 20000))
    torch.multiprocessing.spawn(measure, (arch, rung, seconds, ranks, batch), ranks)


if __name__ == "__main__":
    main()
