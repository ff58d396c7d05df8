#!/usr/bin/env python3
"""PyTorch's side of tools/bench/step: samples per second of one training step, or of inference, on random data.

peer_step.py ARCH SIDE RUNG MODE SECONDS BATCH RANKS VARIANTS DIRECTORY

One thread a rank; two and more ranks: DistributedDataParallel over gloo, started here or, under mpirun (on hosts of tools/net-lab), by it. SIDE is that of the image, or tokens. MODE train is what bench_step
does: forward, cross-entropy, backward with gradient all-reduce, SGD with momentum; what is frozen runs in evaluation mode under no_grad; only
what trains is inside DistributedDataParallel. MODE infer is the frozen part of the rung alone.

All VARIANTS ("all", or names with commas between them) are tried, and the fastest is measured whenever a file `go` appears in DIRECTORY, with the
answer in the file `answer` ("-": once, to standard output). A variant is a layout (cl: channels_last) and how modules run: eager; jit: what
is frozen by torch.jit.freeze and optimize_for_inference; compile: everything by torch.compile.
"""
import os
import sys
import time
import zlib

try:
    import torch
    import torch.nn as nn
    import torch.nn.functional as F
except ImportError:
    sys.exit(77)

import peer_nets

# THAW_BENCH_CLOCK=cpu: seconds of this process's own work, which other load disturbs less.
clock = time.process_time if os.environ.get("THAW_BENCH_CLOCK") == "cpu" else time.perf_counter

def variants(arch, mode, rung):
    frozen = mode == "infer" or rung == "frozen" or rung.startswith("partial")
    kinds = ["eager"] + (["jit"] if frozen else [])
    if hasattr(torch, "compile"):
        kinds.append("compile")
    layouts = ["nchw"] if arch.startswith(("minilm", "vit_")) else ["cl", "nchw"]
    # Compiled code is laid out by the compiler, and takes long to make: one layout.
    return [f"{kind}-{layout}" for kind in kinds for layout in (layouts if kind != "compile" else layouts[:1])]


def prepared(frozen, x, kind):
    """The frozen part as this variant runs it."""
    frozen = frozen.eval().requires_grad_(False)
    with torch.no_grad():
        if kind == "jit":
            frozen = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(frozen, x)))
        elif kind == "compile":
            import torch._inductor.config as inductor
            inductor.freezing = True
            frozen = torch.compile(frozen)
        for _ in range(2):
            frozen(x)
    if kind == "compile":
        inductor.freezing = False
    return frozen


def make_step(arch, side, rung, mode, batch, ranks, variant):
    kind, layout = variant.split("-")
    memory = torch.channels_last if layout == "cl" else torch.contiguous_format
    frozen, trained = peer_nets.split(arch, rung, side)
    x = peer_nets.random_input(arch, side, batch)
    if x.dim() == 4:
        x = x.to(memory_format=memory)
    labels = torch.randint(0, peer_nets.CLASSES, (batch,))
    if frozen is not None:
        frozen = prepared(frozen.to(memory_format=memory), x, kind)
    if mode == "infer":
        def infer():
            with torch.no_grad():
                frozen(x)
        infer.trainable = sum(p.numel() for p in trained.parameters())
        return infer
    trained = trained.to(memory_format=memory).train()
    if kind == "compile":
        trained = torch.compile(trained)
    model = nn.parallel.DistributedDataParallel(trained) if ranks > 1 else trained
    optimizer = torch.optim.SGD([p for p in trained.parameters() if p.requires_grad], lr=0.001, momentum=0.9)

    def step():
        optimizer.zero_grad(set_to_none=True)
        features = x
        if frozen is not None:
            with torch.no_grad():
                features = frozen(x)
        F.cross_entropy(model(features), labels).backward()
        optimizer.step()
    step.trainable = sum(p.numel() for p in trained.parameters() if p.requires_grad)
    return step


def timed(step, seconds, least, ranks):
    times = []
    more = torch.ones(1)
    start = time.perf_counter()
    while more.item() > 0:
        at = clock()
        step()
        times.append(clock() - at)
        more.fill_(1.0 if time.perf_counter() - start < seconds or len(times) < least else 0.0)
        if ranks > 1:
            torch.distributed.all_reduce(more, op=torch.distributed.ReduceOp.MIN)
    return sorted(times)


def candidate(args, variant, seconds):
    """A variant, warm, and its median step; (None, why) if this PyTorch cannot do it."""
    arch, side, rung, mode, batch, ranks = args
    try:
        step = make_step(arch, side, rung, mode, batch, ranks, variant)
        timed(step, seconds / 8, 2, ranks)
        times = timed(step, seconds / 4, 2, ranks)
    except Exception as error:  # a variant that fails is no variant; which one and why is reported
        return None, f"{type(error).__name__}: {error}".splitlines()[0][:100]
    median = torch.tensor(times[len(times) // 2])
    if ranks > 1:
        torch.distributed.all_reduce(median, op=torch.distributed.ReduceOp.MAX)
    return step, median.item()


def choose(args, names, seconds):
    """The fastest variant, and a text of what was tried."""
    best, chosen, least, tried = None, "", 0, []
    for name in names:
        step, median = candidate(args, name, seconds)
        if step is None:
            tried.append(f"{name} failed ({median})")
            continue
        tried.append(f"{name} {median * 1e3:.1f} ms")
        if best is None or median < least:
            best, chosen, least = step, name, median
    if best is None:
        sys.exit(f"no variant runs: {'; '.join(tried)}")
    return best, f"{chosen} (tried: {', '.join(tried)})"


def wait_for(path, parent):
    """Until the file is there; False when whoever asks has ended."""
    while not os.path.exists(path):
        if os.getppid() != parent:
            return False
        time.sleep(0.02)
    os.remove(path)
    return True


def serve(rank, args, names, seconds, directory, parent):
    arch, side, rung, mode, batch, ranks = args
    torch.set_num_threads(1)
    torch.manual_seed(rank)
    if ranks > 1:
        # One core a rank, where there are as many: otherwise the ranks wander and wait for each other.
        cores = sorted(os.sched_getaffinity(0))
        if ranks <= len(cores):
            os.sched_setaffinity(0, {cores[rank]})
        torch.distributed.init_process_group("gloo", rank=rank, world_size=ranks)
    step, variant = choose(args, names, seconds)
    on = torch.ones(1)
    while on.item() > 0:
        if rank == 0 and directory != "-":
            on.fill_(float(wait_for(os.path.join(directory, "go"), parent)))
        if ranks > 1:
            torch.distributed.broadcast(on, 0)
        if on.item() == 0:
            break
        times = timed(step, seconds, 3, ranks)
        median = times[len(times) // 2]
        answer = (f"samples/s {batch * ranks / median:.2f} median_ms {median * 1e3:.3f} best_ms {times[0] * 1e3:.3f} "
                  f"trainable {step.trainable} variant {variant}")
        if directory == "-":
            if rank == 0:
                print(answer, "torch", torch.__version__, flush=True)
            break
        if rank == 0:
            with open(os.path.join(directory, "answer.part"), "w") as file:
                print(answer, file=file)
            os.rename(os.path.join(directory, "answer.part"), os.path.join(directory, "answer"))
    if ranks > 1:
        torch.distributed.destroy_process_group()


def main():
    arch, side, rung, mode, seconds, batch, ranks, names, directory = sys.argv[1:10]
    there = variants(arch, mode, rung)
    names = [name for name in there if names == "all" or name in names.split(",")]
    args = (arch, int(side), rung, mode, int(batch), int(ranks))
    if args[5] == 1:
        serve(0, args, names, float(seconds), directory, os.getppid())
        return
    os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
    rank = os.environ.get("OMPI_COMM_WORLD_RANK")
    if rank is not None:
        # The same on all hosts, and another than that of the job before, whose socket may still be open.
        os.environ.setdefault("MASTER_PORT", str(20000 + zlib.crc32(repr(args).encode()) % 20000))
        serve(int(rank), args, names, float(seconds), directory, os.getppid())
        return
    os.environ.setdefault("MASTER_PORT", str(20000 + os.getpid() % 20000))
    torch.multiprocessing.spawn(serve, (args, names, float(seconds), directory, os.getpid()), args[5])


if __name__ == "__main__":
    main()
