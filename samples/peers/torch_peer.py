#!/usr/bin/env python3
"""Training steps in PyTorch, the other side of PeerBenchmark: the same shapes, Adam, FLOAT, random tokens.

usage: OMP_NUM_THREADS=2 python3 torch_peer.py lstm|transformer|large plain|cached|online BATCH TIME WARMUP SECONDS

plain is cross-entropy; online adds KL(p0 || p) with a frozen copy's forward pass; cached has its log-probabilities
ready. Prints "step MILLISECONDS" for each measured step and "peak MEGABYTES" at the end.
"""
import copy
import math
import os
import resource
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

VOCABULARY = {'lstm': 2000, 'transformer': 2000, 'large': 49152}


class Lstm(nn.Module):
    def __init__(self, time):
        super().__init__()
        v = VOCABULARY['lstm']
        self.embedding, self.lstm, self.output = nn.Embedding(v, 256), nn.LSTM(256, 256, 2, batch_first=True), nn.Linear(256, v)

    def forward(self, x):
        return self.output(self.lstm(self.embedding(x))[0])


class Attention(nn.Module):
    """Causal; grouped-query and rotary if key-value heads are given."""

    def __init__(self, width, heads, kv_heads, bias, rotary):
        super().__init__()
        self.heads, self.kv, self.size, self.rotary = heads, kv_heads, width // heads, rotary
        self.qkv = nn.Linear(width, (heads + 2 * kv_heads) * self.size, bias=bias)
        self.projection = nn.Linear(heads * self.size, width, bias=bias)

    def forward(self, x, mask, angles):
        b, t, _ = x.shape
        q, k, v = self.qkv(x).split([self.heads * self.size, self.kv * self.size, self.kv * self.size], 2)
        q, k, v = [z.view(b, t, -1, self.size).transpose(1, 2) for z in (q, k, v)]
        if self.rotary:
            q, k = turn(q, *angles), turn(k, *angles)
            k, v = [z.repeat_interleave(self.heads // self.kv, 1) for z in (k, v)]
        scores = (q @ k.transpose(-2, -1)) / math.sqrt(self.size)
        mixed = scores.masked_fill(mask, float('-inf')).softmax(-1) @ v
        return self.projection(mixed.transpose(1, 2).reshape(b, t, -1))


def turn(x, cos, sin):
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


class RmsNorm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * self.gain


class Gelu(nn.Module):
    def __init__(self, width, hidden):
        super().__init__()
        self.up, self.down = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x):
        return self.down(F.gelu(self.up(x)))


class SwiGlu(nn.Module):
    def __init__(self, width, hidden):
        super().__init__()
        self.gate, self.up, self.down = (nn.Linear(i, o, bias=False) for i, o in ((width, hidden), (width, hidden), (hidden, width)))

    def forward(self, x):
        return self.down(F.silu(self.gate(x)) * self.up(x))


class Block(nn.Module):
    def __init__(self, width, heads, kv_heads, hidden, llama):
        super().__init__()
        norm = RmsNorm if llama else nn.LayerNorm
        self.norm1, self.norm2 = norm(width), norm(width)
        self.attention = Attention(width, heads, kv_heads, not llama, llama)
        self.feed_forward = (SwiGlu if llama else Gelu)(width, hidden)

    def forward(self, x, mask, angles):
        x = x + self.attention(self.norm1(x), mask, angles)
        return x + self.feed_forward(self.norm2(x))


class Decoder(nn.Module):
    def __init__(self, time, v, width, blocks, heads, kv_heads, hidden, llama):
        super().__init__()
        self.embedding = nn.Embedding(v, width)
        self.positions = None if llama else nn.Embedding(time, width)
        self.blocks = nn.ModuleList(Block(width, heads, kv_heads, hidden, llama) for _ in range(blocks))
        self.norm = (RmsNorm if llama else nn.LayerNorm)(width)
        self.output = nn.Linear(width, v, bias=not llama)
        if llama:
            nn.init.normal_(self.embedding.weight, std=0.02)
            self.output.weight = self.embedding.weight
        pairs = width // heads // 2
        angles = torch.outer(torch.arange(time).float(), 10000.0 ** (-torch.arange(pairs).float() / pairs))
        self.register_buffer('cos', angles.cos())
        self.register_buffer('sin', angles.sin())
        self.register_buffer('mask', torch.triu(torch.ones(time, time, dtype=torch.bool), 1))

    def forward(self, x):
        h = self.embedding(x)
        if self.positions is not None:
            h = h + self.positions.weight
        for block in self.blocks:
            h = block(h, self.mask, (self.cos, self.sin))
        return self.output(self.norm(h))


def network(shape, time):
    if shape == 'lstm':
        return Lstm(time)
    if shape == 'transformer':
        return Decoder(time, 2000, 128, 4, 4, 4, 512, False)
    return Decoder(time, 49152, 576, 30, 9, 3, 1536, True)


def log_softmax(net, x):
    return F.log_softmax(net(x).flatten(0, 1), -1)


def main(shape, side, batch, length, warm_up, seconds):
    torch.set_num_threads(int(os.environ.get('OMP_NUM_THREADS', os.cpu_count())))
    torch.manual_seed(1)
    student = network(shape, length).train()
    teacher = copy.deepcopy(student).requires_grad_(False).eval() if side != 'plain' else None
    adam = torch.optim.Adam(student.parameters(), lr=1e-4)
    v = VOCABULARY[shape]
    data = [(torch.randint(0, v, (batch, length)), torch.randint(0, v, (batch * length,))) for _ in range(4)]
    ready = None
    if side == 'cached':
        with torch.no_grad():
            ready = [log_softmax(teacher, x) for x, _ in data]

    def step(i):
        x, y = data[i % 4]
        adam.zero_grad(set_to_none=True)
        p0 = ready[i % 4] if ready else None
        if side == 'online':
            with torch.no_grad():
                p0 = log_softmax(teacher, x)
        p = log_softmax(student, x)
        loss = F.nll_loss(p, y)
        if p0 is not None:
            loss = loss + F.kl_div(p, p0, reduction='batchmean', log_target=True)
        loss.backward()
        adam.step()

    i, start = 0, time.perf_counter()
    while i < 3 or time.perf_counter() - start < warm_up:
        step(i)
        i += 1
    first, start = i, time.perf_counter()
    while i < first + 3 or time.perf_counter() - start < seconds:
        before = time.perf_counter()
        step(i)
        print('step %.3f' % ((time.perf_counter() - before) * 1000))
        i += 1
    print('peak %.1f' % (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


if __name__ == '__main__':
    main(sys.argv[1], sys.argv[2], *(int(a) for a in sys.argv[3:5]), *(float(a) for a in sys.argv[5:7]))
