#!/usr/bin/env python3
"""Low-rank adapters of the models in ../huggingface, in PEFT's layout, and what they compute, by PyTorch in double precision.

usage: python3 make_adapters.py make DIR                   writes a folder for each case, with reference.safetensors in it
       python3 make_adapters.py logits MODEL ADAPTERS IDS   prints [time][vocabulary] of a model with adapters as JSON

Any PyTorch from 1.13 on; no other library. reference.safetensors holds `ids`, `labels` [batch, time], `logits` [batch, time,
vocabulary] and the gradient of each adapter tensor, under its name, for the loss sum over tokens of -log softmax(logits)[label].
"""
import json, math, os, re, struct, sys
import torch

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "huggingface"))
import make_models as models

models.TYPES["F64"] = torch.float64
PREFIX = "base_model.model."
ALL = r".*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"
# name -> (model, pattern of modules, settings)
CASES = {
    "llama": ("llama", ALL + "|lm_head", dict(r=3, lora_alpha=5, rank_pattern={"q_proj": 2, "layers.1.mlp.down_proj": 1},
                                              alpha_pattern={"k_proj": 7})),
    "tied": ("llama-tied-f16", r".*\.(q_proj|v_proj)|lm_head", dict(r=2, lora_alpha=4)),
    "qwen3": ("qwen3", r".*\.(gate_proj|o_proj)", dict(r=4, lora_alpha=8, use_rslora=True)),
    "gpt2": ("gpt2", r".*\.(c_attn|c_fc|c_proj)", dict(r=2, lora_alpha=3, fan_in_fan_out=True)),
    "neox": ("neox", r".*\.(query_key_value|dense_4h_to_h)", dict(r=2, lora_alpha=2, use_rslora=True)),
}


def pattern(patterns, module, otherwise):
    for key, value in patterns.items():
        if re.match(rf"(.*\.)?({key})$", module):
            return value
    return otherwise


def scale(config, module):
    rank = pattern(config.get("rank_pattern", {}), module, config["r"])
    alpha = pattern(config.get("alpha_pattern", {}), module, config["lora_alpha"])
    return rank, alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)


def logits(config, weights, settings, adapters, ids):
    """adapters: module -> (A, B)."""
    tied = config.get("tie_word_embeddings", config["model_type"] == "gpt2")
    config = dict(config)
    adapted = dict(weights)
    for module, (a, b) in adapters.items():
        name = module + ".weight"
        if name not in adapted and module in ("lm_head", "embed_out") and tied:
            embedding = {"gpt2": "transformer.wte", "gpt_neox": "gpt_neox.embed_in"}.get(config["model_type"],
                                                                                       "model.embed_tokens")
            adapted[name] = weights[embedding + ".weight"]
            config["tie_word_embeddings"] = False
        product = scale(settings, module)[1] * (b @ a)
        conv = config["model_type"] == "gpt2" and module != "lm_head"
        adapted[name] = adapted[name] + (product.T if conv else product)
    return models.FORWARD[config["model_type"]](config, adapted, ids)


def make(folder):
    for name, (model, wanted, settings) in CASES.items():
        torch.manual_seed(len(name) + settings["r"])
        config, weights = models.read_folder(os.path.join(HERE, "..", "huggingface", model))
        weights = {k: v.double() if v.is_floating_point() else v for k, v in weights.items()}
        shapes = dict(models.shapes(config))
        if "lm_head.weight" not in shapes:
            shapes["lm_head.weight"] = (config["vocab_size"], config.get("hidden_size", config.get("n_embd")))
        adapters = {}
        for weight, shape in shapes.items():
            module = weight[:-len(".weight")]
            if len(shape) == 2 and weight.endswith(".weight") and re.fullmatch(wanted, module):
                rank = scale(settings, module)[0]
                out, inner = reversed(shape) if config["model_type"] == "gpt2" and module != "lm_head" else shape
                adapters[module] = (torch.randn(rank, inner).mul(0.4).double().requires_grad_(),
                                    torch.randn(out, rank).mul(0.4).double().requires_grad_())
        ids = torch.randint(models.VOCABULARY, (models.BATCH, models.TIME))
        labels = torch.randint(models.VOCABULARY, (models.BATCH, models.TIME))
        z = logits(config, weights, settings, adapters, ids)
        loss = torch.nn.functional.cross_entropy(z.flatten(0, 1), labels.flatten(), reduction="sum")
        loss.backward()
        target = os.path.join(folder, name)
        os.makedirs(target, exist_ok=True)
        tensors, reference = {}, dict(ids=ids, labels=labels, logits=z.detach())
        for module, pair in adapters.items():
            for letter, t in zip("AB", pair):
                tensor = f"{PREFIX}{module}.lora_{letter}.weight"
                tensors[tensor] = t.detach().float()
                reference[tensor] = t.grad
        models.write(os.path.join(target, "adapter_model.safetensors"), tensors, dict(format="pt"))
        models.write(os.path.join(target, "reference.safetensors"), reference, None)
        full = dict(alpha_pattern={}, auto_mapping=None, base_model_name_or_path=model, bias="none", fan_in_fan_out=False,
                    inference_mode=True, init_lora_weights=True, layer_replication=None, layers_pattern=None,
                    layers_to_transform=None, loftq_config={}, lora_dropout=0.0, megatron_config=None,
                    megatron_core="megatron.core", modules_to_save=None, peft_type="LORA", rank_pattern={}, revision=None,
                    target_modules=wanted, task_type="CAUSAL_LM", use_dora=False, use_rslora=False)
        full.update(settings)
        with open(os.path.join(target, "adapter_config.json"), "w") as f:
            json.dump(full, f, indent=2)


def apply(model, folder, ids):
    config, weights = models.read_folder(model)
    weights = {k: v.double() if v.is_floating_point() else v for k, v in weights.items()}
    with open(os.path.join(folder, "adapter_config.json")) as f:
        settings = json.load(f)
    pairs = {}
    for name, t in models.read(os.path.join(folder, "adapter_model.safetensors")).items():
        module, letter = re.fullmatch(re.escape(PREFIX) + r"(.+)\.lora_([AB])\.weight", name).groups()
        pairs.setdefault(module, {})[letter] = t.double()
    z = logits(config, weights, settings, {k: (v["A"], v["B"]) for k, v in pairs.items()}, ids)
    print(json.dumps(z[0].tolist()))


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(sys.argv[2])
    else:
        apply(sys.argv[2], sys.argv[3], torch.tensor([[int(i) for i in sys.argv[4].split(",")]]))
