#!/usr/bin/env python3
"""Times PyTorch's convolutions on shapes read from standard input, for bench_kern.

Each line: name count B C H W O KH KW stride pad groups. Prints per line: name, and the best milliseconds of
forward, backward data, backward weights for one call, one thread, channels_last.
"""
import os
import sys
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")
import torch  # noqa: E402

torch.set_num_threads(1)


def best(call, seconds):
    call()
    least = 1e9
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        call()
        least = min(least, time.perf_counter() - start)
    return least * 1e3


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

            forward = best(lambda: torch.conv2d(x, w, None, stride, pad, 1, groups), seconds)
            data = best(lambda: backward([True, False, False]), seconds)
            weights = best(lambda: backward([False, True, False]), seconds)
        print(f"{name} {forward:.4f} {data:.4f} {weights:.4f}", flush=True)


main()
