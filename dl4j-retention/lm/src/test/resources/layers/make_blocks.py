#!/usr/bin/env python3
"""Reference values of decoder blocks, by PyTorch's autograd in double precision.

usage: python3 make_blocks.py > blocks.json        (any PyTorch from 1.13 on)

Written from the definitions of the architectures, for small blocks with every option. Inputs, parameters and the
gradient of the output follow from formulas, number(i, seed) below, so that the file holds results alone:
the output, and the gradients of the input and of every parameter, for the loss sum(output * gradient).
Arrays are flat; weights are in PyTorch's order [out, in], activations in the order [batch, time, width].
"""
import json, math
import torch

torch.set_default_dtype(torch.float64)
BATCH, WIDTH = 2, 6


def number(i, seed):
    return math.sin(1.3 * i + seed)


def numbers(shape, seed, scale=1.0, offset=0.0):
    count = math.prod(shape)
    return torch.tensor([offset + scale * number(i, seed) for i in range(count)]).reshape(shape).requires_grad_()


def layout(o):
    """Shapes of the parameters, [out, in] for weights."""
    q, kv, hidden = o["heads"] * o["headSize"], o["keyValueHeads"] * o["headSize"], o["hidden"]
    p = {"query": (q, WIDTH), "key": (kv, WIDTH), "value": (kv, WIDTH), "projection": (WIDTH, q)}
    gated = o["feedForward"] == "SWIGLU"
    if gated:
        p["gate"] = (hidden, WIDTH)
    p["up"], p["down"] = (hidden, WIDTH), (WIDTH, hidden)
    if o["queryKeyValueBias"]:
        p["queryBias"], p["keyBias"], p["valueBias"] = (q,), (kv,), (kv,)
    if o["projectionBias"]:
        p["projectionBias"] = (WIDTH,)
    if o["feedForwardBias"]:
        if gated:
            p["gateBias"] = (hidden,)
        p["upBias"], p["downBias"] = (hidden,), (WIDTH,)
    if o["queryKeyNorm"]:
        p["queryNorm"] = p["keyNorm"] = (o["headSize"],)
    p["attentionNorm"] = p["feedForwardNorm"] = (WIDTH,)
    if o["norm"] == "LAYER_NORM":
        p["attentionNormBias"] = p["feedForwardNormBias"] = (WIDTH,)
    return p


GAINS = ("queryNorm", "keyNorm", "attentionNorm", "feedForwardNorm")


def norm(x, gain, bias, o):
    if o["norm"] == "LAYER_NORM":
        return torch.nn.functional.layer_norm(x, (WIDTH,), gain, bias, o["epsilon"])
    return rms(x, gain, o["epsilon"])


def rms(x, gain, epsilon):
    return gain * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + epsilon)


def frequencies(r, head_size):
    n = r.get("dimensions", 0) or head_size
    f = r["base"] ** (-torch.arange(0, n, 2) / n)
    if "linear" in r:
        return f / r["linear"]
    if "llama3" in r:
        factor, low, high, positions = r["llama3"]
        out = []
        for x in f.tolist():
            wavelength = 2 * math.pi / x
            if wavelength < positions / high:
                out.append(x)
            elif wavelength > positions / low:
                out.append(x / factor)
            else:
                smooth = (positions / wavelength - low) / (high - low)
                out.append((1 - smooth) * x / factor + smooth * x)
        return torch.tensor(out)
    return f


def rotate(x, r):
    """x: [batch, heads, time, head size]."""
    f = frequencies(r, x.shape[-1])
    angle = torch.arange(x.shape[2])[:, None] * f[None, :]
    cos, sin, n = angle.cos(), angle.sin(), 2 * len(f)
    turning, rest = x[..., :n], x[..., n:]
    if r.get("interleaved"):
        a, b = turning[..., 0::2], turning[..., 1::2]
        turned = torch.stack((a * cos - b * sin, a * sin + b * cos), -1).flatten(-2)
    else:
        a, b = turning[..., : n // 2], turning[..., n // 2 :]
        turned = torch.cat((a * cos - b * sin, a * sin + b * cos), -1)
    return torch.cat((turned, rest), -1)


def attention(n, p, o, mask):
    batch, time, _ = n.shape

    def heads(name, count):
        y = torch.nn.functional.linear(n, p[name], p.get(name + "Bias"))
        return y.reshape(batch, time, count, o["headSize"]).transpose(1, 2)

    q, k, v = heads("query", o["heads"]), heads("key", o["keyValueHeads"]), heads("value", o["keyValueHeads"])
    if o["queryKeyNorm"]:
        q, k = rms(q, p["queryNorm"], o["epsilon"]), rms(k, p["keyNorm"], o["epsilon"])
    if o["rotary"]:
        q, k = rotate(q, o["rotary"]), rotate(k, o["rotary"])
    group = o["heads"] // o["keyValueHeads"]
    k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
    i, j = torch.arange(time)[:, None], torch.arange(time)[None, :]
    seen = ((j <= i) & (j > i - o["window"]))[None, None]
    if mask is not None:
        seen = seen & mask[:, None, None, :]
    scores = (q @ k.transpose(-1, -2) / math.sqrt(o["headSize"])).masked_fill(~seen, -1e300)
    probabilities = scores.softmax(-1) * seen
    mixed = (probabilities @ v).transpose(1, 2).reshape(batch, time, -1)
    return torch.nn.functional.linear(mixed, p["projection"], p.get("projectionBias"))


def feed_forward(n, p, o):
    up = torch.nn.functional.linear(n, p["up"], p.get("upBias"))
    kind = o["feedForward"]
    if kind == "SWIGLU":
        hidden = torch.nn.functional.silu(torch.nn.functional.linear(n, p["gate"], p.get("gateBias"))) * up
    elif kind == "RELU":
        hidden = up.relu()
    else:
        hidden = torch.nn.functional.gelu(up, approximate="tanh" if kind == "GELU_TANH" else "none")
    return torch.nn.functional.linear(hidden, p["down"], p.get("downBias"))


def block(x, p, o, mask):
    middle = x + attention(norm(x, p["attentionNorm"], p.get("attentionNormBias"), o), p, o, mask)
    read = x if o["parallelResidual"] else middle
    return middle + feed_forward(norm(read, p["feedForwardNorm"], p.get("feedForwardNormBias"), o), p, o)


DEFAULTS = dict(heads=2, keyValueHeads=2, headSize=3, hidden=8, norm="LAYER_NORM", epsilon=1e-5,
                feedForward="GELU_TANH", rotary=None, queryKeyValueBias=True, projectionBias=True,
                feedForwardBias=True, queryKeyNorm=False, parallelResidual=False, window=1000)
BARE = dict(queryKeyValueBias=False, projectionBias=False, feedForwardBias=False)
LLAMA = dict(norm="RMS_NORM", feedForward="SWIGLU", heads=4, headSize=4, rotary=dict(base=10000.0), **BARE)
CASES = {
    "gpt2": {},
    "exact GELU without biases": dict(feedForward="GELU", **BARE),
    "ReLU": dict(feedForward="RELU"),
    "RMSNorm with large epsilon": dict(norm="RMS_NORM", epsilon=0.1),
    "llama with grouped queries": dict(LLAMA, keyValueHeads=2),
    "one key-value head": dict(LLAMA, keyValueHeads=1),
    "SwiGLU with biases": dict(LLAMA, keyValueHeads=4, feedForwardBias=True),
    "interleaved rotary": dict(LLAMA, keyValueHeads=2, rotary=dict(base=100.0, interleaved=True)),
    "GPT-NeoX, parallel and partly rotary": dict(feedForward="GELU", headSize=4, parallelResidual=True,
                                                 rotary=dict(base=10000.0, dimensions=2)),
    "linear scaling": dict(LLAMA, keyValueHeads=2, rotary=dict(base=100.0, linear=2.5)),
    "llama3 scaling": dict(LLAMA, keyValueHeads=2, headSize=8, hidden=5,
                           rotary=dict(base=50.0, llama3=[8.0, 1.0, 4.0, 40])),
    "Qwen2, biases of queries, keys and values": dict(LLAMA, keyValueHeads=2, queryKeyValueBias=True),
    "Qwen3, query-key norm": dict(LLAMA, keyValueHeads=2, queryKeyNorm=True, epsilon=1e-6),
    "Mistral, window of 2": dict(LLAMA, keyValueHeads=2, window=2),
    "mask with a hole and a whole row": dict(LLAMA, keyValueHeads=2,
                                             mask=[[0, 1, 0, 1, 1], [0, 0, 0, 0, 0]]),
    "mask with a suffix and a window": dict(window=2, mask=[[1, 1, 1, 0, 0], [1, 0, 0, 0, 1]]),
}


def main():
    cases = []
    for name, changes in CASES.items():
        o = dict(DEFAULTS, **changes)
        mask = o.pop("mask", None)
        time = 5
        p = {n: numbers(s, sum(map(ord, n)), 0.2 if n in GAINS else 0.5, 1.0 if n in GAINS else 0.0)
             for n, s in layout(o).items()}
        x = numbers((BATCH, time, WIDTH), 1)
        gradient = numbers((BATCH, time, WIDTH), 2).detach()
        y = block(x, p, o, None if mask is None else torch.tensor(mask, dtype=torch.bool))
        (y * gradient).sum().backward()
        cases.append(dict(name=name, options=o, mask=mask, time=time, output=y.flatten().tolist(),
                          inputGradient=x.grad.flatten().tolist(),
                          gradients={n: a.grad.flatten().tolist() for n, a in p.items()}))
    print(json.dumps(dict(torch=torch.__version__, batch=BATCH, width=WIDTH, cases=cases), separators=(",", ":")))


if __name__ == "__main__":
    main()
