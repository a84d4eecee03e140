package io.github.dl4jretention.lm.huggingface;

import io.github.dl4jretention.lm.layers.DecoderBlock;
import io.github.dl4jretention.lm.layers.FeedForward;
import io.github.dl4jretention.lm.layers.Norm;
import io.github.dl4jretention.lm.layers.RotaryPositions;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.nd4j.shade.jackson.databind.JsonNode;

/**
 * The architectures, by config.json's model_type, and how each reads its settings. Keys and defaults are those of the
 * reference implementation, https://github.com/huggingface/transformers.
 */
enum Architecture {
    LLAMA("llama", Set.of("LlamaForCausalLM", "LlamaModel")) {
        @Override
        Decoder read(Config config) throws IOException {
            boolean bias = config.flag("attention_bias", false);
            config.require("rope_interleaved", false);
            return gated(
                    config,
                    2048,
                    config.size("num_key_value_heads", config.size("num_attention_heads")),
                    config.size("head_dim", 0),
                    block -> block.queryKeyValueBias(bias)
                            .projectionBias(bias)
                            .feedForwardBias(config.flag("mlp_bias", false)),
                    windows(config, Integer.MAX_VALUE));
        }
    },
    MISTRAL("mistral", Set.of("MistralForCausalLM", "MistralModel")) {
        @Override
        Decoder read(Config config) throws IOException {
            int window = config.mentions("sliding_window") && !config.has("sliding_window")
                    ? Integer.MAX_VALUE
                    : config.size("sliding_window", 4096);
            return gated(
                    config,
                    131_072,
                    keyValueHeads(config, 8),
                    config.size("head_dim", 0),
                    block -> {},
                    windows(config, window));
        }
    },
    QWEN2("qwen2", Set.of("Qwen2ForCausalLM", "Qwen2Model")) {
        @Override
        Decoder read(Config config) throws IOException {
            config.require("use_mrope", false);
            return gated(
                    config,
                    32_768,
                    keyValueHeads(config, 32),
                    config.size("head_dim", 0),
                    block -> block.queryKeyValueBias(true),
                    qwenWindows(config));
        }
    },
    QWEN3("qwen3", Set.of("Qwen3ForCausalLM", "Qwen3Model")) {
        @Override
        Decoder read(Config config) throws IOException {
            boolean bias = config.flag("attention_bias", false);
            return gated(
                    config,
                    32_768,
                    keyValueHeads(config, 32),
                    config.mentions("head_dim") ? config.size("head_dim", 0) : 128,
                    block -> block.queryKeyValueBias(bias).projectionBias(bias).queryKeyNorm(true),
                    qwenWindows(config));
        }
    },
    GPT2("gpt2", Set.of("GPT2LMHeadModel", "GPT2Model")) {
        @Override
        Decoder read(Config config) throws IOException {
            config.require("scale_attn_weights", true);
            config.require("scale_attn_by_inverse_layer_idx", false);
            int width = config.size("n_embd");
            int positions = config.size("n_positions");
            double epsilon = config.number("layer_norm_epsilon", 1e-5);
            int heads = heads(config, "n_head", width);
            int layers = config.size("n_layer");
            int hidden = config.size("n_inner", 4 * width);
            FeedForward feedForward = config.choice("activation_function", "gelu_new", PLAIN);
            return new Decoder(
                    config.size("vocab_size"),
                    width,
                    positions,
                    positions,
                    config.flag("tie_word_embeddings", true),
                    Norm.LAYER_NORM,
                    epsilon,
                    blocks(layers, i -> DecoderBlock.builder()
                            .width(width)
                            .heads(heads)
                            .hidden(hidden)
                            .norm(Norm.LAYER_NORM, epsilon)
                            .feedForward(feedForward)));
        }
    },
    GPT_NEOX("gpt_neox", Set.of("GPTNeoXForCausalLM", "GPTNeoXModel")) {
        @Override
        Decoder read(Config config) throws IOException {
            int width = config.size("hidden_size");
            int heads = heads(config, "num_attention_heads", width);
            int layers = config.size("num_hidden_layers");
            int hidden = config.size("intermediate_size");
            double epsilon = config.number("layer_norm_eps", 1e-5);
            boolean bias = config.flag("attention_bias", true);
            boolean parallel = config.flag("use_parallel_residual", true);
            FeedForward feedForward = config.choice("hidden_act", "gelu", PLAIN);
            Rotary top = new Rotary(
                    config.agreed(Double.NaN, "rotary_emb_base", "rope_theta"),
                    config.agreed(Double.NaN, "rotary_pct", "partial_rotary_factor"));
            RotaryPositions rotary = rotary(config, top, 0.25, width / heads);
            return new Decoder(
                    config.size("vocab_size"),
                    width,
                    context(config, 2048),
                    0,
                    config.flag("tie_word_embeddings", false),
                    Norm.LAYER_NORM,
                    epsilon,
                    blocks(layers, i -> DecoderBlock.builder()
                            .width(width)
                            .heads(heads)
                            .hidden(hidden)
                            .norm(Norm.LAYER_NORM, epsilon)
                            .feedForward(feedForward)
                            .rotary(rotary)
                            .queryKeyValueBias(bias)
                            .projectionBias(bias)
                            .parallelResidual(parallel)));
        }
    };

    private static final Map<String, FeedForward> PLAIN = Map.of(
            "gelu",
            FeedForward.GELU,
            "gelu_new",
            FeedForward.GELU_TANH,
            "gelu_fast",
            FeedForward.GELU_TANH,
            "gelu_pytorch_tanh",
            FeedForward.GELU_TANH,
            "relu",
            FeedForward.RELU);

    private static final Map<String, FeedForward> GATED =
            Map.of("silu", FeedForward.SWIGLU, "swish", FeedForward.SWIGLU);

    private final String modelType;
    private final Set<String> classes;

    Architecture(String modelType, Set<String> classes) {
        this.modelType = modelType;
        this.classes = classes;
    }

    abstract Decoder read(Config config) throws IOException;

    /** {@return the architecture of a config.json} */
    static Architecture of(Config config) throws IOException {
        String type = config.text("model_type", "none");
        List<String> known = new ArrayList<>();
        for (Architecture architecture : values()) {
            known.add(architecture.modelType);
            if (architecture.modelType.equals(type)) {
                architecture.requireClass(config);
                return architecture;
            }
        }
        throw config.refused("model_type", "one of " + String.join(", ", known), '"' + type + '"');
    }

    private void requireClass(Config config) throws IOException {
        for (JsonNode name : config.node("architectures")) {
            if (!classes.contains(name.asText())) {
                throw config.refused(
                        "architectures",
                        "one of " + String.join(", ", classes.stream().sorted().toList()),
                        name);
            }
        }
    }

    /** {@return the decoder of a config.json, every key of which is understood} */
    static Decoder decoder(Config config) throws IOException {
        Decoder decoder;
        try {
            config.require("add_cross_attention", false);
            config.require("is_encoder_decoder", false);
            config.require("is_causal", true);
            config.require("use_causal_mask", true);
            decoder = of(config).read(config);
        } catch (IllegalArgumentException | IllegalStateException e) {
            throw new IOException("config.json: " + e.getMessage(), e);
        }
        config.requireAllRead();
        return decoder;
    }

    /** Sets what one architecture has and others don't. */
    @FunctionalInterface
    private interface Options {
        void set(DecoderBlock.Builder block) throws IOException;
    }

    @FunctionalInterface
    private interface Blocks {
        DecoderBlock.Builder get(int index) throws IOException;
    }

    /** Settings of rotary positions on config.json's top level; NaN for none. */
    private record Rotary(double base, double part) {}

    private static List<DecoderBlock> blocks(int count, Blocks blocks) throws IOException {
        List<DecoderBlock> made = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            made.add(blocks.get(i).name("block" + i).build());
        }
        return made;
    }

    /** Llama and what came from it. */
    private static Decoder gated(
            Config config, int context, int keyValueHeads, int givenHeadSize, Options options, int[] windows)
            throws IOException {
        int width = config.size("hidden_size");
        int heads =
                givenHeadSize > 0 ? config.size("num_attention_heads") : heads(config, "num_attention_heads", width);
        int headSize = givenHeadSize > 0 ? givenHeadSize : width / heads;
        if (heads % keyValueHeads != 0) {
            throw config.refused("num_key_value_heads", "a number that divides " + heads + " heads", keyValueHeads);
        }
        int hidden = config.size("intermediate_size");
        double epsilon = config.number("rms_norm_eps", 1e-6);
        FeedForward feedForward = config.choice("hidden_act", "silu", GATED);
        Rotary top =
                new Rotary(config.number("rope_theta", Double.NaN), config.number("partial_rotary_factor", Double.NaN));
        RotaryPositions rotary = rotary(config, top, 1, headSize);
        if (rotary.dimensionsOf(headSize) != headSize) {
            throw config.refused("partial_rotary_factor", "1", (double) rotary.dimensionsOf(headSize) / headSize);
        }
        return new Decoder(
                config.size("vocab_size"),
                width,
                context(config, context),
                0,
                config.flag("tie_word_embeddings", false),
                Norm.RMS_NORM,
                epsilon,
                blocks(windows.length, i -> {
                    DecoderBlock.Builder block = DecoderBlock.builder()
                            .width(width)
                            .heads(heads)
                            .keyValueHeads(keyValueHeads)
                            .headSize(headSize)
                            .hidden(hidden)
                            .norm(Norm.RMS_NORM, epsilon)
                            .feedForward(feedForward)
                            .rotary(rotary)
                            .biases(false)
                            .window(windows[i]);
                    options.set(block);
                    return block;
                }));
    }

    /** Beside the key that counts, an older name of it changes nothing. */
    private static int context(Config config, int missing) throws IOException {
        if (config.has("max_position_embeddings")) {
            config.node("max_sequence_length");
        }
        return config.size("max_position_embeddings", missing);
    }

    private static int heads(Config config, String key, int width) throws IOException {
        int heads = config.size(key);
        if (width % heads != 0) {
            throw config.refused(key, "a number that divides the width of " + width, heads);
        }
        return heads;
    }

    /** A missing key means another number than null. */
    private static int keyValueHeads(Config config, int missing) throws IOException {
        int heads = config.size("num_attention_heads");
        return config.mentions("num_key_value_heads") ? config.size("num_key_value_heads", heads) : missing;
    }

    private static int[] windows(Config config, int window) throws IOException {
        int[] windows = new int[config.size("num_hidden_layers")];
        java.util.Arrays.fill(windows, window);
        return windows;
    }

    /** Layers from max_window_layers on have the window, or those that layer_types names. */
    private static int[] qwenWindows(Config config) throws IOException {
        boolean used = config.flag("use_sliding_window", false);
        boolean none = config.mentions("sliding_window") && !config.has("sliding_window");
        int given = none ? Integer.MAX_VALUE : config.size("sliding_window", 4096);
        int window = used ? given : Integer.MAX_VALUE;
        int[] windows = windows(config, Integer.MAX_VALUE);
        // 0 is a number here: all layers have the window.
        JsonNode first = config.node("max_window_layers");
        int from = first.isIntegralNumber() ? first.asInt() : 28;
        JsonNode types = config.node("layer_types");
        if (types.isArray() && types.size() != windows.length) {
            throw config.refused("layer_types", windows.length + " of them", types.size());
        }
        for (int i = 0; i < windows.length; i++) {
            String type = types.isArray() ? types.get(i).asText() : i < from ? FULL : SLIDING;
            if (!type.equals(FULL) && !type.equals(SLIDING)) {
                throw config.refused("layer_types", FULL + " or " + SLIDING, '"' + type + '"');
            }
            if (types.isArray() && type.equals(SLIDING) && window == Integer.MAX_VALUE) {
                throw config.refused("layer_types", "a sliding_window in use for " + SLIDING, "none");
            }
            windows[i] = type.equals(SLIDING) ? window : Integer.MAX_VALUE;
        }
        return windows;
    }

    private static final String FULL = "full_attention";
    private static final String SLIDING = "sliding_attention";

    private static RotaryPositions rotary(Config config, Rotary top, double missingPart, int headSize)
            throws IOException {
        Config old = config.object("rope_scaling");
        Config scaling = config.object("rope_parameters");
        if (scaling.isEmpty()) {
            scaling = old;
        } else if (!old.isEmpty() && !config.node("rope_scaling").equals(config.node("rope_parameters"))) {
            throw config.refused(
                    "rope_scaling", "none beside rope_parameters, or the same", config.node("rope_scaling"));
        }
        double base = either(scaling, "rope_theta", top.base(), 10_000);
        double part = either(scaling, "partial_rotary_factor", top.part(), missingPart);
        RotaryPositions rotary = RotaryPositions.base(base);
        int dimensions = (int) (headSize * part);
        if (dimensions < 2 || dimensions > headSize || dimensions % 2 != 0) {
            throw config.refused(
                    "rope",
                    "an even number of rotary dimensions from 2 to a head's " + headSize + " numbers",
                    dimensions);
        }
        if (dimensions != headSize) {
            rotary = rotary.dimensions(dimensions);
        }
        String type = scaling.text("rope_type", scaling.text("type", "default"));
        scaling.text("type", "");
        switch (type) {
            case "default" -> scaling.node("original_max_position_embeddings");
            case "linear" -> {
                rotary = rotary.linear(required(scaling, "factor"));
                scaling.node("original_max_position_embeddings");
            }
            case "llama3" -> rotary = rotary.llama3(
                    required(scaling, "factor"),
                    required(scaling, "low_freq_factor"),
                    required(scaling, "high_freq_factor"),
                    scaling.size("original_max_position_embeddings"));
            default -> throw scaling.refused("rope_type", "one of default, linear, llama3", '"' + type + '"');
        }
        scaling.requireAllRead();
        return rotary;
    }

    private static double required(Config scaling, String key) throws IOException {
        if (!scaling.has(key)) {
            throw scaling.refused(key, "a number above 0", "none");
        }
        return scaling.number(key, 0);
    }

    private static double either(Config scaling, String key, double top, double missing) throws IOException {
        double inner = scaling.number(key, Double.NaN);
        if (!Double.isNaN(inner) && !Double.isNaN(top) && inner != top) {
            throw scaling.refused(key, String.valueOf(top) + ", as outside", inner);
        }
        return !Double.isNaN(inner) ? inner : !Double.isNaN(top) ? top : missing;
    }
}
