#!/usr/bin/env python3
"""Times PyTorch's convolutions on shapes read from standard input, for tools/bench/kernels.

Each line: name count B C H W O KH KW stride pad groups (count negative: no backward data). Prints a line a pass: name/pass, median milliseconds
of one call, GFLOP/s; one thread, channels_last.
"""
import os
import sys
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")
import torch  # noqa: E402

torch.set_num_threads(1)


def median(call, seconds):
    call()
    times = []
    end = time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return sorted(times)[len(times) // 2]


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 0.1
    for line in sys.stdin:
        name, *numbers = line.split()
        count, B, C, H, W, O, KH, KW, stride, pad, groups = map(int, numbers)
        cl = torch.channels_last
        x = torch.randn(B, C, H, W).to(memory_format=cl)
        w = torch.randn(O, C // groups, KH, KW).to(memory_format=cl)
        with torch.no_grad():
            y = torch.conv2d(x, w, None, stride, pad, 1, groups)
            dy = torch.randn(y.shape).to(memory_format=cl)

            def backward(mask):
                return torch.ops.aten.convolution_backward(
                    dy, x, w, None, [stride, stride], [pad, pad], [1, 1], False, [0, 0], groups, mask)

            calls = {"forward": lambda: torch.conv2d(x, w, None, stride, pad, 1, groups),
                     "data": lambda: backward([True, False, False]), "weights": lambda: backward([False, True, False])}
            for kind, call in calls.items():
                if kind == "data" and count < 0:
                    continue
                took = median(call, seconds)
                flops = 2 * y.numel() * (C // groups) * KH * KW
                print(f"{name}/{kind} {took * 1e3:.4f} {flops / took * 1e-9:.3f}", flush=True)


main()
