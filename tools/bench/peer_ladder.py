#!/usr/bin/env python3
"""The quickstart's ladder as one would write it in PyTorch: DistributedDataParallel over gloo, plain loops. For tools/bench/ladder.

peer_ladder.py DIR OPTION=VALUE...   DIR is from `bench_data dump`. Options are those of the config file: rungs=frozen,full seeds=3 epochs=24 batch=50
  eval_batch, momentum, weight_decay, clip_norm, warmup, rank, alpha (lora), search_scratch=0.1,0.3 search_head search_adapter
  search_backbone; and ranks=2, share=1, layout=cl, gate= and test= (names of splits; empty: none).

Per rung: every rate with the first seed; the rate with the best val accuracy; the other seeds with it. A trial trains all epochs, judges each on
val, keeps the best and predicts gate. Partial and full start from the frozen rung's head. At the end the rung that is best on gate, and the
baselines, are judged on test. The frozen rung is the usual linear probe: the backbone in evaluation mode under no_grad, for every batch. One
process a rank does all of this, so that PyTorch is imported once.
share < 1 runs that part of the trials of each rung, at least one, and multiplies: the line says so. The last line has the seconds.
"""
import math
import os
import resource
import sys
import time

STARTED = time.perf_counter()

import torch
import torch.distributed as dist
import torch.nn as nn
import torch.nn.functional as F

import peer_nets

DEFAULTS = dict(rungs="scratch,frozen,peft,partial:1,full", seeds="3", epochs="24", batch="50", eval_batch="100", momentum="0.9",
                weight_decay="0.0005", clip_norm="1.0", warmup="0.1", rank="4", alpha="8", search_scratch="0.1,0.3,1.0",
                search_head="0.1,0.3,1.0", search_adapter="0.1,0.3,1.0", search_backbone="0.03,0.1,0.3", ranks="2", share="1",
                layout="cl", gate="gate", test="test")


class Data:
    def __init__(self, directory, layout):
        self.splits, self.tensors, offset = {}, {}, 0
        words = [line.split() for line in open(os.path.join(directory, "index"))]
        weights = torch.from_file(os.path.join(directory, "tensors"), size=sum(int(w[2]) for w in words if w[0] == "tensor"))
        for kind, *rest in words:
            if kind == "shape":
                self.shape = [int(n) for n in rest]
            elif kind == "classes":
                peer_nets.CLASSES = int(rest[0])
            elif kind == "arch":
                self.arch = rest[0]
            elif kind == "split":
                name, n = rest[0], int(rest[1])
                x = torch.from_file(os.path.join(directory, name + ".x"), size=n * math.prod(self.shape)).view(n, *self.shape)
                y = torch.from_file(os.path.join(directory, name + ".y"), size=n, dtype=torch.int32).long()
                self.splits[name] = (x.contiguous(memory_format=layout), y)
            else:
                self.tensors[rest[0]] = weights[offset:offset + int(rest[1])]
                offset += int(rest[1])

    def parts(self, pretrained):
        parts = peer_nets.layers(self.arch, self.shape[0])
        if pretrained:
            for name, to in peer_nets.named_tensors(self.arch, parts):
                to.data.copy_(self.tensors[name].view_as(to))
        return parts


class Trial:
    """One training run: what is frozen, what trains, with which rates."""

    def __init__(self, data, o, rung, rate, seed, head_rate, head, rank, ranks):
        self.data, self.o, self.rank, self.ranks = data, o, rank, ranks
        torch.manual_seed(seed)
        parts = data.parts(rung != "scratch")
        linear = parts[-1][-1]
        if head is not None and rung not in ("scratch", "frozen", "peft"):
            linear.load_state_dict(head)
        frozen, trained = peer_nets.split_parts(parts, "full" if rung == "scratch" else "lora" if rung == "peft" else rung)
        self.frozen = frozen.to(memory_format=o.layout).eval().requires_grad_(False) if frozen is not None else None
        self.trained = trained.to(memory_format=o.layout)
        self.model = nn.parallel.DistributedDataParallel(self.trained) if ranks > 1 else self.trained
        self.linear = linear
        heads = list(linear.parameters())
        others = [p for p in trained.parameters() if p.requires_grad and all(p is not h for h in heads)]
        groups = [dict(params=heads, lr=rate if rung in ("scratch", "frozen") else head_rate)]
        if others:
            groups.append(dict(params=others, lr=rate))
        self.optimizer = torch.optim.SGD(groups, lr=rate, momentum=o.momentum, nesterov=True, weight_decay=o.weight_decay)
        self.seed = seed

    def features(self, x):
        if self.frozen is None:
            return x
        with torch.no_grad():
            return self.frozen(x)

    def train(self):
        o, (x, y) = self.o, self.data.splits["train"]
        steps = (len(y) - 1) // o.batch + 1
        total = steps * o.epochs
        warm = math.ceil(total * o.warmup)

        def factor(step):
            return (step + 1) / warm if step < warm else (1 + math.cos(math.pi * (step - warm) / max(1, total - warm))) / 2
        schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, factor)
        order = torch.Generator().manual_seed(self.seed)
        best, kept = (-1.0, 0.0), None
        for _ in range(o.epochs):
            self.model.train()
            for indices in torch.randperm(len(y), generator=order).split(o.batch):
                mine = indices.chunk(self.ranks)[self.rank]
                self.optimizer.zero_grad(set_to_none=True)
                F.cross_entropy(self.model(self.features(x[mine])), y[mine]).backward()
                nn.utils.clip_grad_norm_(self.trained.parameters(), o.clip_norm)
                self.optimizer.step()
                schedule.step()
            right, loss = self.judge("val")
            if (right, -loss) > best:
                best, kept = (right, -loss), {k: v.clone() for k, v in self.trained.state_dict().items()}
        self.trained.load_state_dict(kept)
        return best

    def judge(self, split):
        """Accuracy and loss; every rank does its part."""
        x, y = self.data.splits[split]
        self.trained.eval()
        sums = torch.zeros(2, dtype=torch.float64)
        with torch.no_grad():
            for indices in torch.arange(len(y))[self.rank::self.ranks].split(self.o.eval_batch):
                logits = self.trained(self.features(x[indices]))
                sums[0] += (logits.argmax(1) == y[indices]).sum()
                sums[1] += F.cross_entropy(logits, y[indices], reduction="sum")
        if self.ranks > 1:
            dist.all_reduce(sums)
        return (sums / len(y)).tolist()


class Ladder:
    def __init__(self, data, o, rank, ranks):
        self.data, self.o, self.rank, self.ranks = data, o, rank, ranks
        self.head_rate, self.heads, self.ran, self.planned, self.saved = None, {}, 0, 0, 0.0

    def trial(self, rung, rate, seed):
        run = Trial(self.data, self.o, rung, rate, seed, self.head_rate or rate, self.heads.get(seed), self.rank, self.ranks)
        best = run.train()
        run.gate = run.judge(self.o.gate)[0] if self.o.gate in self.data.splits else 0.0
        return best, run

    def rung(self, name):
        o = self.o
        rates = {"scratch": o.search_scratch, "frozen": o.search_head, "peft": o.search_adapter}.get(name, o.search_backbone)
        planned = len(rates) + o.seeds - 1
        most = max(1, round(o.share * planned))
        started = time.perf_counter()
        tried = [(*self.trial(name, rate, 1), rate) for rate in rates[:most]]
        best, first, rate = max(tried, key=lambda t: t[0])
        runs = [first] + [self.trial(name, rate, 1 + s)[1] for s in range(1, o.seeds) if len(rates) + s <= most]
        ran = len(tried) + len(runs) - 1
        self.ran, self.planned = self.ran + ran, self.planned + planned
        self.saved += (time.perf_counter() - started) / ran * (planned - ran)
        if name == "frozen":
            self.head_rate = rate
            self.heads = {1 + s: run.linear.state_dict() for s, run in enumerate(runs)}
        gate = sum(run.gate for run in runs) / len(runs)
        if self.rank == 0:
            print(f"{name}: rate {rate:g}, val accuracy {best[0]:.4f}, gate accuracy {gate:.4f}, "
                  f"{(time.perf_counter() - started) / ran:.2f} s a trial", flush=True)
        return gate, runs

    def climb(self):
        done = {name: self.rung(name) for name in self.o.rungs}
        if self.o.test in self.data.splits:
            chosen = max(done, key=lambda name: done[name][0])
            for name in sorted({chosen, "scratch", "frozen"} & set(done)):  # in the same order on every rank
                accuracy = sum(run.judge(self.o.test)[0] for run in done[name][1]) / len(done[name][1])
                if self.rank == 0:
                    print(f"test: {name} {accuracy:.4f}", flush=True)


class Options:
    def __init__(self, words):
        for key, value in {**DEFAULTS, **dict(word.split("=", 1) for word in words)}.items():
            if key == "rungs":
                value = value.split(",")
            elif key.startswith("search_"):
                value = [float(v) for v in value.split(",")]
            elif key in ("gate", "test"):
                pass
            elif key == "layout":
                value = torch.channels_last if value == "cl" else torch.contiguous_format
            else:
                value = float(value) if "." in value else int(value)
            setattr(self, key, value)
        peer_nets.LORA_RANK, peer_nets.LORA_ALPHA = self.rank, float(self.alpha)


def work(rank, directory, words, started):
    o = Options(words)
    torch.set_num_threads(1)
    if o.ranks > 1:
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[rank % len(cores)]})
        dist.init_process_group("gloo", rank=rank, world_size=o.ranks)
    ladder = Ladder(Data(directory, o.layout), o, rank, o.ranks)
    ladder.climb()
    if rank == 0:
        seconds = time.perf_counter() - started
        print(f"seconds {seconds + ladder.saved:.2f} rss_mib {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.1f} "
              f"trials {ladder.ran} of {ladder.planned}"
              + (f", extrapolated from {seconds:.2f} s" if ladder.ran < ladder.planned else ""), flush=True)
    if o.ranks > 1:
        dist.destroy_process_group()


def main():
    os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
    os.environ.setdefault("MASTER_PORT", str(20000 + os.getpid() % 20000))
    ranks = Options(sys.argv[2:]).ranks
    if ranks == 1:
        work(0, sys.argv[1], sys.argv[2:], STARTED)
    else:
        torch.multiprocessing.spawn(work, (sys.argv[1], sys.argv[2:], STARTED), ranks)


if __name__ == "__main__":
    main()
