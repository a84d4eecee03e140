#!/usr/bin/env python3
"""Small random language models in Hugging Face layout, and what they compute, by PyTorch in double precision.

usage: python3 make_models.py make DIR           writes a folder for each case, with reference.safetensors in it
       python3 make_models.py fuzz DIR COUNT SEED   the same for models of random settings; -DreferenceModels=DIR tests them
       python3 make_models.py logits DIR IDS...  reads a model folder and prints its logits as JSON, [time][vocabulary], a line
                                                 for each sequence of ids

Any PyTorch from 1.13 on; no other library. Written from the definitions of the architectures: settings, names and
layouts are those of the files that the transformers library writes. reference.safetensors holds `ids` [batch, time],
`labels` [batch, time], `logits` [batch, time, vocabulary], and the gradient of each weight, under the weight's name, for
the loss sum over tokens of -log softmax(logits)[label].
"""
import json, math, os, random, struct, sys
import torch
from torch.nn.functional import layer_norm, linear, silu

TYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "BOOL": torch.bool, "U8": torch.uint8,
         "I64": torch.int64}
BATCH, TIME, VOCABULARY = 2, 7, 19
MISSING = object()


def write(path, tensors, metadata):
    """tensors: name -> tensor."""
    header, data, at = {"__metadata__": metadata} if metadata else {}, [], 0
    for name, t in tensors.items():
        kind = next(k for k, v in TYPES.items() if v == t.dtype)
        t = t.contiguous()
        raw = (t.view(torch.int16) if t.dtype == torch.bfloat16 else t).numpy().tobytes()
        header[name] = {"dtype": kind, "shape": list(t.shape), "data_offsets": [at, at + len(raw)]}
        data.append(raw)
        at += len(raw)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + b"".join(data))


def read(path):
    with open(path, "rb") as f:
        raw = f.read()
    n = struct.unpack("<Q", raw[:8])[0]
    header, data = json.loads(raw[8:8 + n]), raw[8 + n:]
    out = {}
    for name, e in header.items():
        if name != "__metadata__":
            a, b = e["data_offsets"]
            kind = TYPES[e["dtype"]]
            t = torch.frombuffer(bytearray(data[a:b]), dtype=kind) if b > a else torch.empty(0, dtype=kind)
            out[name] = t.reshape(e["shape"])
    return out


def read_folder(folder):
    with open(os.path.join(folder, "config.json")) as f:
        config = json.load(f)
    index = os.path.join(folder, "model.safetensors.index.json")
    if os.path.exists(os.path.join(folder, "model.safetensors")):
        return config, read(os.path.join(folder, "model.safetensors"))
    with open(index) as f:
        files = sorted(set(json.load(f)["weight_map"].values()))
    out = {}
    for name in files:
        out.update(read(os.path.join(folder, name)))
    return config, out


def rms(x, gain, epsilon):
    return gain * (x * torch.rsqrt((x * x).mean(-1, keepdim=True) + epsilon))


def frequencies(base, n, scaling):
    f = 1.0 / base ** (torch.arange(0, n, 2, dtype=torch.float64) / n)
    kind = scaling.get("rope_type", scaling.get("type", "default"))
    if kind == "linear":
        return f / scaling["factor"]
    if kind == "llama3":
        low = scaling["original_max_position_embeddings"] / scaling["low_freq_factor"]
        high = scaling["original_max_position_embeddings"] / scaling["high_freq_factor"]
        length = 2 * math.pi / f
        smooth = (scaling["original_max_position_embeddings"] / length - scaling["low_freq_factor"]) / (
            scaling["high_freq_factor"] - scaling["low_freq_factor"])
        between = (1 - smooth) * f / scaling["factor"] + smooth * f
        return torch.where(length > low, f / scaling["factor"], torch.where(length < high, f, between))
    assert kind == "default", kind
    return f


def rotate(x, f):
    """x [batch, heads, time, size]: the first 2 len(f) numbers turn, halves against each other."""
    angle = torch.outer(torch.arange(x.shape[2], dtype=torch.float64), f)
    cos, sin = torch.cat((angle, angle), -1).cos(), torch.cat((angle, angle), -1).sin()
    n = 2 * len(f)
    turn, rest = x[..., :n], x[..., n:]
    half = torch.cat((-turn[..., n // 2:], turn[..., :n // 2]), -1)
    return torch.cat((turn * cos + half * sin, rest), -1)


def attend(q, k, v, window=None):
    """q [batch, heads, time, size], k and v with as many heads or fewer."""
    group = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
    scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
    i, j = torch.arange(q.shape[2])[:, None], torch.arange(q.shape[2])[None, :]
    hidden = j > i
    if window is not None:
        hidden = hidden | (j <= i - window)
    mixed = scores.masked_fill(hidden, float("-inf")).softmax(-1) @ v
    return mixed.transpose(1, 2).flatten(2)


def split(x, heads):
    return x.reshape(x.shape[0], x.shape[1], heads, -1).transpose(1, 2)


def rope(config):
    return dict(config.get("rope_parameters") or config.get("rope_scaling") or {})


def windows(c):
    """For each layer how many tokens a token sees; None for all."""
    n = c["num_hidden_layers"]
    if c["model_type"] == "mistral":
        return [c.get("sliding_window", 4096)] * n
    if c["model_type"] in ("qwen2", "qwen3"):
        size = c.get("sliding_window", 4096) if c.get("use_sliding_window") else None
        kinds = c.get("layer_types")
        if kinds:
            return [size if kind == "sliding_attention" else None for kind in kinds]
        return [size if i >= c.get("max_window_layers", 28) else None for i in range(n)]
    return [None] * n


def llama(c, w, ids):
    """Llama, Mistral, Qwen2 and Qwen3."""
    p, eps, heads = "model.", c.get("rms_norm_eps", 1e-6), c["num_attention_heads"]
    missing = {"llama": heads, "mistral": 8, "qwen2": 32, "qwen3": 32}[c["model_type"]]
    kv = c.get("num_key_value_heads", missing) or heads
    size = c.get("head_dim") or c["hidden_size"] // heads
    scaling = rope(c)
    f = frequencies(scaling.get("rope_theta", c.get("rope_theta", 10000.0)), size, scaling)
    x = w[p + "embed_tokens.weight"][ids]
    for i, window in enumerate(windows(c)):
        a, m = f"{p}layers.{i}.self_attn.", f"{p}layers.{i}.mlp."
        n = rms(x, w[f"{p}layers.{i}.input_layernorm.weight"], eps)
        q, k, v = (split(linear(n, w[a + o + ".weight"], w.get(a + o + ".bias")), h)
                   for o, h in (("q_proj", heads), ("k_proj", kv), ("v_proj", kv)))
        if c["model_type"] == "qwen3":
            q, k = rms(q, w[a + "q_norm.weight"], eps), rms(k, w[a + "k_norm.weight"], eps)
        y = attend(rotate(q, f), rotate(k, f), v, window)
        x = x + linear(y, w[a + "o_proj.weight"], w.get(a + "o_proj.bias"))
        n = rms(x, w[f"{p}layers.{i}.post_attention_layernorm.weight"], eps)
        gate, up = (linear(n, w[m + o + ".weight"], w.get(m + o + ".bias")) for o in ("gate_proj", "up_proj"))
        x = x + linear(silu(gate) * up, w[m + "down_proj.weight"], w.get(m + "down_proj.bias"))
    return head(c, w, rms(x, w[p + "norm.weight"], eps), p + "embed_tokens.weight", "lm_head.weight", False)


def head(c, w, x, embedding, output, tied):
    return linear(x, w[embedding] if c.get("tie_word_embeddings", tied) else w[output])


def activation(name):
    return {"gelu": lambda x: 0.5 * x * (1 + torch.erf(x / math.sqrt(2))),
            "relu": torch.relu}.get(name, lambda x: 0.5 * x * (
                1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x ** 3))))


def gpt2(c, w, ids):
    p = "transformer." if "transformer.wte.weight" in w else ""
    eps, act = c.get("layer_norm_epsilon", 1e-5), activation(c.get("activation_function", "gelu_new"))

    def norm(x, name):
        return layer_norm(x, x.shape[-1:], w[p + name + ".weight"], w[p + name + ".bias"], eps)

    def conv(x, name):
        return x @ w[p + name + ".weight"] + w[p + name + ".bias"]

    x = w[p + "wte.weight"][ids] + w[p + "wpe.weight"][:ids.shape[1]]
    for i in range(c["n_layer"]):
        h = f"h.{i}."
        q, k, v = (split(y, c["n_head"]) for y in conv(norm(x, h + "ln_1"), h + "attn.c_attn").chunk(3, -1))
        x = x + conv(attend(q, k, v), h + "attn.c_proj")
        x = x + conv(act(conv(norm(x, h + "ln_2"), h + "mlp.c_fc")), h + "mlp.c_proj")
    return head(c, w, norm(x, "ln_f"), p + "wte.weight", "lm_head.weight", True)


def neox(c, w, ids):
    p, eps, act = "gpt_neox.", c.get("layer_norm_eps", 1e-5), activation(c.get("hidden_act", "gelu"))
    heads = c["num_attention_heads"]
    size, scaling = c["hidden_size"] // heads, rope(c)
    part = scaling.get("partial_rotary_factor", c.get("rotary_pct", 0.25))
    f = frequencies(scaling.get("rope_theta", c.get("rotary_emb_base", 10000)), int(size * part), scaling)

    def norm(x, name):
        return layer_norm(x, x.shape[-1:], w[name + ".weight"], w[name + ".bias"], eps)

    def dense(x, name):
        return linear(x, w[name + ".weight"], w.get(name + ".bias"))

    x = w[p + "embed_in.weight"][ids]
    for i in range(c["num_hidden_layers"]):
        h = f"{p}layers.{i}."
        qkv = dense(norm(x, h + "input_layernorm"), h + "attention.query_key_value")
        q, k, v = (y.transpose(1, 2) for y in qkv.reshape(*ids.shape, heads, 3 * size).split(size, -1))
        middle = x + dense(attend(rotate(q, f), rotate(k, f), v), h + "attention.dense")
        source = x if c.get("use_parallel_residual", True) else middle
        up = act(dense(norm(source, h + "post_attention_layernorm"), h + "mlp.dense_h_to_4h"))
        x = middle + dense(up, h + "mlp.dense_4h_to_h")
    return head(c, w, norm(x, p + "final_layer_norm"), p + "embed_in.weight", "embed_out.weight", False)


FORWARD = {"llama": llama, "mistral": llama, "qwen2": llama, "qwen3": llama, "gpt2": gpt2, "gpt_neox": neox}
SIZES = dict(vocab_size=VOCABULARY, hidden_size=12, intermediate_size=10, num_hidden_layers=2, num_attention_heads=4,
             max_position_embeddings=32)
LLAMA = dict(SIZES, model_type="llama", architectures=["LlamaForCausalLM"], hidden_act="silu", num_key_value_heads=2,
             hidden_size=16, rms_norm_eps=1e-5, tie_word_embeddings=False)
MISTRAL = dict(LLAMA, model_type="mistral", architectures=["MistralForCausalLM"])
QWEN2 = dict(LLAMA, model_type="qwen2", architectures=["Qwen2ForCausalLM"], rms_norm_eps=1e-6)
QWEN3 = dict(LLAMA, model_type="qwen3", architectures=["Qwen3ForCausalLM"], head_dim=6, rms_norm_eps=1e-6)
GPT2 = dict(model_type="gpt2", architectures=["GPT2LMHeadModel"], vocab_size=VOCABULARY, n_embd=12, n_layer=2, n_head=3,
            n_positions=16, n_ctx=16, resid_pdrop=0.1, embd_pdrop=0.1, attn_pdrop=0.1)
NEOX = dict(SIZES, model_type="gpt_neox", architectures=["GPTNeoXForCausalLM"], hidden_size=16, num_attention_heads=2,
            rotary_pct=0.25, rotary_emb_base=10000, hidden_act="gelu")
LLAMA3 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=16)
# name -> (config, type, options): tied weights also in the file, buffers, names without prefix, shards
CASES = {
    "llama": (LLAMA, "F32", ()),
    "llama-tied-f16": (dict(LLAMA, tie_word_embeddings=True, rope_theta=100000.0, torch_dtype="float16"), "F16", ()),
    "llama-tied-twice": (dict(LLAMA, tie_word_embeddings=True, num_key_value_heads=4), "F32", ("twice",)),
    "llama3-shards-bf16": (dict(LLAMA, tie_word_embeddings=True, rope_theta=500.0, rope_scaling=LLAMA3, head_dim=8,
                                torch_dtype="bfloat16"), "BF16", ("shards",)),
    "llama-biases-linear": (dict(LLAMA, attention_bias=True, mlp_bias=True, num_key_value_heads=1, pretraining_tp=2,
                                 rope_scaling=dict(type="linear", factor=2.5)), "F32", ("buffers",)),
    "llama-defaults": ({k: v for k, v in LLAMA.items() if k not in (
        "num_key_value_heads", "rms_norm_eps", "tie_word_embeddings", "hidden_act", "architectures")}, "F32", ()),
    "mistral-window": (dict(MISTRAL, sliding_window=3), "BF16", ()),
    "mistral-head-size": (dict(MISTRAL, sliding_window=None, head_dim=6, rope_theta=1e6), "F32", ("shards",)),
    "qwen2": (dict(QWEN2, tie_word_embeddings=True, use_sliding_window=False, sliding_window=2, max_window_layers=0,
                   rope_theta=1e6), "BF16", ()),
    "qwen2-window": (dict(QWEN2, use_sliding_window=True, sliding_window=3, max_window_layers=1), "F32", ()),
    "qwen2-layer-types": (dict(QWEN2, use_sliding_window=True, sliding_window=2, max_window_layers=28,
                               layer_types=["sliding_attention", "full_attention"]), "F32", ()),
    "qwen3": (dict(QWEN3, rope_theta=1e6, max_window_layers=28, sliding_window=None, use_sliding_window=False,
                   tie_word_embeddings=True), "BF16", ()),
    "qwen3-biases-parameters": (dict(QWEN3, attention_bias=True, dtype="float32", rope_parameters=dict(
        LLAMA3, rope_theta=300.0, partial_rotary_factor=1.0)), "F32", ()),
    "gpt2": (GPT2, "F32", ("buffers",)),
    "gpt2-bare": (dict(GPT2, n_inner=14, layer_norm_epsilon=1e-3, activation_function="gelu"), "F16",
                  ("bare", "buffers")),
    "gpt2-untied-relu": (dict(GPT2, tie_word_embeddings=False, activation_function="relu"), "F32", ("shards",)),
    "neox": (dict(NEOX, torch_dtype="float16"), "F16", ("buffers",)),
    "neox-sequential": (dict(NEOX, use_parallel_residual=False, attention_bias=False, tie_word_embeddings=True,
                             hidden_act="gelu_new", rotary_pct=0.5), "F32", ()),
    "neox-parameters": ({**{k: v for k, v in NEOX.items() if not k.startswith("rotary")}, "layer_norm_eps": 1e-3,
                         "rope_parameters": dict(rope_type="linear", factor=4.0, rope_theta=50.0,
                                                 partial_rotary_factor=1.0)}, "F32", ("shards",)),
}


def shapes(c):
    """name -> shape of the weights, as the files have them."""
    kind, s = c["model_type"], {}
    if kind == "gpt2":
        width, hidden = c["n_embd"], c.get("n_inner") or 4 * c["n_embd"]
        s.update({"transformer.wte.weight": (c["vocab_size"], width), "transformer.wpe.weight": (c["n_positions"], width)})
        for i in range(c["n_layer"]):
            h = f"transformer.h.{i}."
            for name, a, b in (("attn.c_attn", width, 3 * width), ("attn.c_proj", width, width),
                               ("mlp.c_fc", width, hidden), ("mlp.c_proj", hidden, width)):
                s.update({h + name + ".weight": (a, b), h + name + ".bias": (b,)})
            for name in ("ln_1", "ln_2"):
                s.update({h + name + ".weight": (width,), h + name + ".bias": (width,)})
        s.update({"transformer.ln_f.weight": (width,), "transformer.ln_f.bias": (width,)})
        if not c.get("tie_word_embeddings", True):
            s["lm_head.weight"] = (c["vocab_size"], width)
        return s
    width, hidden, heads = c["hidden_size"], c["intermediate_size"], c["num_attention_heads"]
    if kind == "gpt_neox":
        s["gpt_neox.embed_in.weight"] = (c["vocab_size"], width)
        for i in range(c["num_hidden_layers"]):
            h, bias = f"gpt_neox.layers.{i}.", c.get("attention_bias", True)
            for name, a, b, biased in (("attention.query_key_value", 3 * width, width, bias),
                                       ("attention.dense", width, width, bias),
                                       ("mlp.dense_h_to_4h", hidden, width, True),
                                       ("mlp.dense_4h_to_h", width, hidden, True)):
                s[h + name + ".weight"] = (a, b)
                if biased:
                    s[h + name + ".bias"] = (a,)
            for name in ("input_layernorm", "post_attention_layernorm"):
                s.update({h + name + ".weight": (width,), h + name + ".bias": (width,)})
        s.update({"gpt_neox.final_layer_norm.weight": (width,), "gpt_neox.final_layer_norm.bias": (width,)})
        if not c.get("tie_word_embeddings", False):
            s["embed_out.weight"] = (c["vocab_size"], width)
        return s
    size = c.get("head_dim") or width // heads
    q, kv = heads * size, (c.get("num_key_value_heads") or heads) * size
    bias = c.get("attention_bias", False)
    s["model.embed_tokens.weight"] = (c["vocab_size"], width)
    for i in range(c["num_hidden_layers"]):
        h = f"model.layers.{i}."
        for name, a, b, biased in (("self_attn.q_proj", q, width, bias or kind == "qwen2"),
                                   ("self_attn.k_proj", kv, width, bias or kind == "qwen2"),
                                   ("self_attn.v_proj", kv, width, bias or kind == "qwen2"),
                                   ("self_attn.o_proj", width, q, bias),
                                   ("mlp.gate_proj", hidden, width, c.get("mlp_bias", False)),
                                   ("mlp.up_proj", hidden, width, c.get("mlp_bias", False)),
                                   ("mlp.down_proj", width, hidden, c.get("mlp_bias", False))):
            s[h + name + ".weight"] = (a, b)
            if biased:
                s[h + name + ".bias"] = (a,)
        if kind == "qwen3":
            s.update({h + "self_attn.q_norm.weight": (size,), h + "self_attn.k_norm.weight": (size,)})
        s.update({h + "input_layernorm.weight": (width,), h + "post_attention_layernorm.weight": (width,)})
    s["model.norm.weight"] = (width,)
    if not c.get("tie_word_embeddings", False):
        s["lm_head.weight"] = (c["vocab_size"], width)
    return s


def buffers(c):
    if c["model_type"] == "gpt2":
        n = c["n_positions"]
        mask = torch.ones(n, n).tril().reshape(1, 1, n, n)
        return {f"transformer.h.{i}.attn.bias": mask for i in range(c["n_layer"])}
    if c["model_type"] == "gpt_neox":
        out = {}
        for i in range(c["num_hidden_layers"]):
            a = f"gpt_neox.layers.{i}.attention."
            out[a + "bias"] = torch.ones(8, 8, dtype=torch.bool).tril().reshape(1, 1, 8, 8)
            out[a + "masked_bias"] = torch.tensor(-1e9)
            out[a + "rotary_emb.inv_freq"] = torch.tensor([1.0])
        return out
    return {f"model.layers.{i}.self_attn.rotary_emb.inv_freq": torch.rand(2) for i in range(c["num_hidden_layers"])}


def fuzzed(count, seed):
    """Cases of random settings, within what the architectures' definitions allow."""
    r = random.Random(seed)

    def some(config, **choices):
        """With each setting, at random, or without."""
        return dict(config, **{k: v for k, v in ((k, r.choice(v)) for k, v in choices.items()) if v is not MISSING})

    cases = {}
    for i in range(count):
        kind = r.choice(["llama", "mistral", "qwen2", "qwen3", "gpt2", "gpt_neox"])
        options = {o for o in ("shards", "buffers") if r.random() < 0.3}
        heads = r.choice([1, 2, 3, 4, 6])
        size = r.choice([2, 4, 6, 8])
        base = dict(model_type=kind, vocab_size=VOCABULARY, bos_token_id=1, eos_token_id=r.choice([2, [2, 3]]), use_cache=True)
        scaling = r.choice([None, None, dict(type="linear", factor=r.choice([1.5, 4.0])), dict(
            rope_type="llama3", factor=r.choice([2.0, 32.0]), low_freq_factor=1.0, high_freq_factor=r.choice([2.0, 4.0]),
            original_max_position_embeddings=r.choice([8, 64])), dict(rope_type="default")])
        theta = r.choice([MISSING, 10000.0, 500.0, 1000000])
        if kind == "gpt2":
            c = some(dict(base, n_embd=heads * size, n_layer=r.choice([1, 2, 3]), n_head=heads, n_positions=r.choice([7, 12])),
                     n_inner=[MISSING, None, 5, 14], layer_norm_epsilon=[MISSING, 1e-3],
                     activation_function=[MISSING, "gelu_new", "gelu", "relu", "gelu_fast", "gelu_pytorch_tanh"],
                     tie_word_embeddings=[MISSING, True, False], scale_attn_weights=[MISSING, True],
                     reorder_and_upcast_attn=[MISSING, False], summary_type=[MISSING, "cls_index"])
            if c.get("tie_word_embeddings", True) and r.random() < 0.3:
                options.add("bare")
        elif kind == "gpt_neox":
            part = r.choice([p for p in (0.25, 0.5, 1.0) if int(size * p) >= 2 and int(size * p) % 2 == 0])
            c = some(dict(base, hidden_size=heads * size, intermediate_size=r.choice([5, 12]), num_attention_heads=heads,
                          num_hidden_layers=r.choice([1, 2, 3]), rotary_pct=part, max_position_embeddings=16),
                     rotary_emb_base=[MISSING, 10000, 300], layer_norm_eps=[MISSING, 1e-3], attention_bias=[MISSING, True, False],
                     use_parallel_residual=[MISSING, True, False], tie_word_embeddings=[MISSING, True, False],
                     hidden_act=[MISSING, "gelu", "gelu_new", "gelu_fast", "relu"], hidden_dropout=[MISSING, 0.1],
                     rope_scaling=[MISSING, scaling])
        else:
            c = some(dict(base, hidden_size=heads * size, intermediate_size=r.choice([5, 12]), num_attention_heads=heads,
                          num_hidden_layers=r.choice([1, 2, 3]), hidden_act="silu", max_position_embeddings=16,
                          num_key_value_heads=r.choice([n for n in (1, 2, 3, 4, 6) if heads % n == 0])),
                     rms_norm_eps=[MISSING, 1e-3], tie_word_embeddings=[MISSING, True, False],
                     initializer_range=[MISSING, 0.02], attention_dropout=[MISSING, 0.0])
            if theta is not MISSING or scaling is not None:
                where = r.choice(["old", "new"])
                if where == "old":
                    c.update({k: v for k, v in (("rope_theta", theta), ("rope_scaling", scaling)) if v is not MISSING})
                else:
                    c["rope_parameters"] = dict(scaling or dict(rope_type="default"), **(
                        {} if theta is MISSING else dict(rope_theta=theta)))
            if kind == "llama":
                c = some(c, attention_bias=[MISSING, True, False], mlp_bias=[MISSING, True, False], pretraining_tp=[MISSING, 1, 2],
                         rope_interleaved=[MISSING, False])
            if kind == "mistral":
                c = some(c, sliding_window=[MISSING, None, 1, 3, 100])
            if kind in ("qwen2", "qwen3"):
                c = some(c, use_sliding_window=[MISSING, False, True], sliding_window=[MISSING, None, 2, 5],
                         max_window_layers=[MISSING, 0, 1, 28], use_mrope=[MISSING, False] if kind == "qwen2" else [MISSING])
                if c.get("use_sliding_window") and c.get("sliding_window", 4096) and r.random() < 0.4:
                    c["layer_types"] = [r.choice(["full_attention", "sliding_attention"]) for _ in range(c["num_hidden_layers"])]
            if kind == "qwen3":
                c = some(c, attention_bias=[MISSING, True, False])
            c["head_dim"] = r.choice([size, 4, 6])
            if kind != "qwen3" and c["head_dim"] == size and r.random() < 0.5:
                c["head_dim"] = None
            if c.get("tie_word_embeddings"):
                options |= {o for o in ("twice", "bare") if r.random() < 0.3}
                if options >= {"twice", "bare"}:
                    options.remove("twice")
        cases["%s-%03d" % (kind, i)] = (c, r.choice(["F32", "F16", "BF16"]), tuple(sorted(options)))
    return cases


def make(folder, cases):
    for number, (name, (config, kind, options)) in enumerate(cases.items()):
        torch.manual_seed(number)
        weights = {}
        for key, shape in shapes(config).items():
            scale = 0.1 if len(shape) == 1 else 0.5
            gain = 1.0 if len(shape) == 1 and "norm" in key + key.replace("ln_", "norm") and key.endswith("weight") else 0.0
            weights[key] = (gain + scale * torch.randn(shape)).to(TYPES[kind])
        exact = {k: v.double().requires_grad_() for k, v in weights.items()}
        ids = torch.randint(VOCABULARY, (BATCH, TIME))
        labels = torch.randint(VOCABULARY, (BATCH, TIME))
        logits = FORWARD[config["model_type"]](config, exact, ids)
        loss = -logits.log_softmax(-1).gather(-1, labels[..., None]).sum()
        loss.backward()
        reference = {"ids": ids, "labels": labels, "logits": logits.detach().float()}
        reference.update({k: v.grad.float() for k, v in exact.items()})
        tensors = dict(weights)
        if "buffers" in options:
            tensors.update(buffers(config))
        if "twice" in options:
            tensors["lm_head.weight"] = weights["model.embed_tokens.weight"]
        if "bare" in options:
            prefix = "transformer." if config["model_type"] == "gpt2" else "model."
            tensors = {k.replace(prefix, ""): v for k, v in tensors.items()}
            reference = {k.replace(prefix, ""): v for k, v in reference.items()}
        out = os.path.join(folder, name)
        os.makedirs(out, exist_ok=True)
        with open(os.path.join(out, "config.json"), "w") as f:
            f.write(json.dumps(config, indent=2) + "\n")
        if "shards" in options:
            keys = list(tensors)
            files = {"model-00001-of-00002.safetensors": keys[::2], "model-00002-of-00002.safetensors": keys[1::2]}
            index = {"metadata": {"total_size": sum(t.numel() * t.element_size() for t in tensors.values())},
                     "weight_map": {}}
            for file, part in files.items():
                write(os.path.join(out, file), {k: tensors[k] for k in part}, {"format": "pt"})
                index["weight_map"].update({k: file for k in part})
            with open(os.path.join(out, "model.safetensors.index.json"), "w") as f:
                f.write(json.dumps(index, indent=2) + "\n")
        else:
            write(os.path.join(out, "model.safetensors"), tensors, {"format": "pt"} if number % 2 else {})
        write(os.path.join(out, "reference.safetensors"), reference, {})


def logits(folder, sequences):
    config, weights = read_folder(folder)
    exact = {k: v.double() for k, v in weights.items()}
    with torch.no_grad():
        for ids in sequences:
            print(json.dumps(FORWARD[config["model_type"]](config, exact, torch.tensor([ids]))[0].tolist()))


if __name__ == "__main__":
    torch.set_default_dtype(torch.float32)
    if sys.argv[1] == "make":
        make(sys.argv[2], CASES)
    elif sys.argv[1] == "fuzz":
        make(sys.argv[2], fuzzed(int(sys.argv[3]), int(sys.argv[4])))
    else:
        logits(sys.argv[2], [[int(i) for i in ids.split(",")] for ids in sys.argv[3:]])
