"""Writes attention.onnx and mlp.onnx, tiny language models exported from PyTorch, and what PyTorch makes of them as JSON.

    apt-get install python3-torch
    /usr/bin/python3 make_onnx.py [FOLDER]

The committed bytes are those of PyTorch 1.13; every run gives the same.
"""
import json
import math
import sys
from pathlib import Path

import torch
from torch import nn

VOCABULARY, WIDTH, HEADS, BATCH, TIME = 12, 16, 2, 3, 6
COEFFICIENT, STEPS = 1.0, 10
FOLDER = Path(sys.argv[1] if len(sys.argv) > 1 else ".")


class Attention(nn.Module):
    """One pre-norm transformer block with causal self-attention: ids [batch, time] to logits."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        self.position = nn.Parameter(torch.randn(TIME, WIDTH) * 0.1)
        self.norm = nn.LayerNorm(WIDTH)
        self.query, self.key, self.value, self.mix = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.up, self.down = nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(2 * WIDTH, WIDTH)
        self.out = nn.Linear(WIDTH, VOCABULARY)
        self.register_buffer("future", torch.ones(TIME, TIME, dtype=torch.bool).triu(1))

    def heads(self, x):
        return x.reshape(-1, TIME, HEADS, WIDTH // HEADS).transpose(1, 2)

    def forward(self, ids):
        x = self.embedding(ids) + self.position
        n = self.norm(x)
        query, key, value = self.heads(self.query(n)), self.heads(self.key(n)), self.heads(self.value(n))
        scores = query @ key.transpose(-2, -1) / math.sqrt(WIDTH // HEADS)
        attention = torch.softmax(scores.masked_fill(self.future, float("-inf")), -1)
        x = x + self.mix((attention @ value).transpose(1, 2).reshape(-1, TIME, WIDTH))
        return self.out(x + self.down(torch.relu(self.up(x))))


class Mlp(nn.Module):
    """A bigram model with a fixed prior: ids [batch] to logits."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        self.hidden, self.out = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, VOCABULARY)
        self.register_buffer("prior", torch.randn(VOCABULARY) * 0.1)

    def forward(self, ids):
        return self.out(torch.tanh(self.hidden(self.embedding(ids)))) + self.prior


def finetune(model, given, labels):
    """Cross-entropy and divergence from the start, in nats per token, after STEPS steps."""
    teacher = torch.log_softmax(model(given).detach(), -1)
    adam = torch.optim.Adam(model.parameters(), 0.01)
    for step in range(STEPS + 1):
        student = torch.log_softmax(model(given), -1)
        cross_entropy = -student.gather(-1, labels.unsqueeze(-1)).mean()
        divergence = (teacher.exp() * (teacher - student)).sum(-1).mean()
        adam.zero_grad()
        (cross_entropy + COEFFICIENT * divergence).backward()
        adam.step()
    return {"coefficient": COEFFICIENT, "steps": STEPS, "cross_entropy": round(cross_entropy.item(), 5),
            "divergence": round(divergence.item(), 5)}


def save(name, model, ids):
    given, labels = ids[..., :-1], ids[..., 1:]
    torch.onnx.export(model.eval(), given, str(FOLDER / (name + ".onnx")), opset_version=13, input_names=["input"],
                      output_names=["logits"], dynamic_axes={"input": {0: "batch"}, "logits": {0: "batch"}})
    logits = torch.round(model(given).double(), decimals=6)
    (FOLDER / (name + ".json")).write_text(json.dumps({
        "input": given.tolist(), "labels": labels.tolist(), "logits": logits.tolist(),
        "finetuned": finetune(model, given, labels)}) + "\n")


def main():
    torch.manual_seed(20240607)
    ids = torch.randint(0, VOCABULARY, (BATCH, TIME + 1))
    save("attention", Attention(), ids)
    save("mlp", Mlp(), ids.flatten())


main()
