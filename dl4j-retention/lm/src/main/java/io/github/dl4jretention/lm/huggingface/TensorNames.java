package io.github.dl4jretention.lm.huggingface;

import io.github.dl4jretention.lm.huggingface.TensorLayout.Piece;
import io.github.dl4jretention.lm.layers.DecoderBlock;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;

/** The tensors of each architecture's files, and the parameters that they hold. */
final class TensorNames {

    private static final String WEIGHT = ".weight";
    private static final String BIAS = ".bias";

    private final Architecture architecture;
    private final Decoder decoder;
    private final List<TensorLayout> layouts = new ArrayList<>();

    private TensorNames(Architecture architecture, Decoder decoder) {
        this.architecture = architecture;
        this.decoder = decoder;
    }

    /** How names begin but those of the output layer; files of the bare model have them without. */
    static String prefix(Architecture architecture) {
        return switch (architecture) {
            case GPT2 -> "transformer.";
            case GPT_NEOX -> "gpt_neox.";
            default -> "model.";
        };
    }

    static String output(Architecture architecture) {
        return architecture == Architecture.GPT_NEOX ? "embed_out.weight" : "lm_head.weight";
    }

    /** Names, without prefix, of what isn't a weight: masks and tables that follow from config.json. */
    private static Pattern buffers(Architecture architecture) {
        return Pattern.compile(
                switch (architecture) {
                    case GPT2 -> "h\\.\\d+\\.attn\\.(bias|masked_bias)";
                    case GPT_NEOX -> "layers\\.\\d+\\.attention\\.(bias|masked_bias|rotary_emb\\.inv_freq)";
                    default -> "(layers\\.\\d+\\.self_attn\\.)?rotary_emb\\.inv_freq";
                });
    }

    /** {@return whether a tensor is a buffer} Names come with and without prefix. */
    static boolean isBuffer(Architecture architecture, String name) {
        String prefix = prefix(architecture);
        String bare = name.startsWith(prefix) ? name.substring(prefix.length()) : name;
        return buffers(architecture).matcher(bare).matches();
    }

    /** {@return the tensors that a model's files must have, without prefix; the output layer's last, if it has one} */
    static List<TensorLayout> layouts(Architecture architecture, Decoder decoder) {
        TensorNames names = new TensorNames(architecture, decoder);
        names.add();
        return names.layouts;
    }

    private void add() {
        boolean gpt2 = architecture == Architecture.GPT2;
        String embedding = embedding(architecture);
        matrix(embedding, 0, "W", decoder.vocabulary(), decoder.width());
        if (decoder.positions() > 0) {
            matrix("wpe.weight", 0, "positions", decoder.positions(), decoder.width());
        }
        for (int i = 0; i < decoder.blocks().size(); i++) {
            DecoderBlock block = decoder.blocks().get(i);
            String name = (gpt2 ? "h." : "layers.") + i + ".";
            switch (architecture) {
                case GPT2 -> gpt2(name, i + 1, block);
                case GPT_NEOX -> neox(name, i + 1, block);
                default -> llama(name, i + 1, block);
            }
        }
        switch (architecture) {
            case GPT2 -> layerNorm("ln_f", decoder.normLayer(), "gain", "bias");
            case GPT_NEOX -> layerNorm("final_layer_norm", decoder.normLayer(), "gain", "bias");
            default -> vector("norm.weight", decoder.normLayer(), "gain", decoder.width());
        }
        if (!decoder.tied()) {
            matrix(output(architecture), decoder.outputLayer(), "W", decoder.vocabulary(), decoder.width());
        }
    }

    static String embedding(Architecture architecture) {
        return switch (architecture) {
            case GPT2 -> "wte.weight";
            case GPT_NEOX -> "embed_in.weight";
            default -> "embed_tokens.weight";
        };
    }

    private void llama(String name, int layer, DecoderBlock block) {
        long query = (long) block.getHeads() * block.getHeadSize();
        long keyValue = (long) block.getKeyValueHeads() * block.getHeadSize();
        long hidden = block.getHidden();
        String attention = name + "self_attn.";
        vector(name + "input_layernorm.weight", layer, "attentionNorm", decoder.width());
        linear(attention + "q_proj", layer, "query", query, decoder.width(), block.isQueryKeyValueBias());
        linear(attention + "k_proj", layer, "key", keyValue, decoder.width(), block.isQueryKeyValueBias());
        linear(attention + "v_proj", layer, "value", keyValue, decoder.width(), block.isQueryKeyValueBias());
        linear(attention + "o_proj", layer, "projection", decoder.width(), query, block.isProjectionBias());
        if (block.isQueryKeyNorm()) {
            vector(attention + "q_norm.weight", layer, "queryNorm", block.getHeadSize());
            vector(attention + "k_norm.weight", layer, "keyNorm", block.getHeadSize());
        }
        vector(name + "post_attention_layernorm.weight", layer, "feedForwardNorm", decoder.width());
        linear(name + "mlp.gate_proj", layer, "gate", hidden, decoder.width(), block.isFeedForwardBias());
        linear(name + "mlp.up_proj", layer, "up", hidden, decoder.width(), block.isFeedForwardBias());
        linear(name + "mlp.down_proj", layer, "down", decoder.width(), hidden, block.isFeedForwardBias());
    }

    private void gpt2(String name, int layer, DecoderBlock block) {
        int width = decoder.width();
        layerNorm(name + "ln_1", layer, "attentionNorm", "attentionNormBias");
        List<Piece> weights = new ArrayList<>();
        List<Piece> biases = new ArrayList<>();
        for (String parameter : List.of("query", "key", "value")) {
            weights.add(new Piece(layer, parameter, 0, width));
            biases.add(new Piece(layer, parameter + "Bias", 0, width));
        }
        layouts.add(new TensorLayout(name + "attn.c_attn.weight", List.of((long) width, 3L * width), true, weights));
        layouts.add(new TensorLayout(name + "attn.c_attn.bias", List.of(3L * width), false, biases));
        convolution(name + "attn.c_proj", layer, "projection", width, width);
        layerNorm(name + "ln_2", layer, "feedForwardNorm", "feedForwardNormBias");
        convolution(name + "mlp.c_fc", layer, "up", width, block.getHidden());
        convolution(name + "mlp.c_proj", layer, "down", block.getHidden(), width);
    }

    /** Query, key and value of a head lie together, head after head. */
    private void neox(String name, int layer, DecoderBlock block) {
        int width = decoder.width();
        int size = block.getHeadSize();
        layerNorm(name + "input_layernorm", layer, "attentionNorm", "attentionNormBias");
        layerNorm(name + "post_attention_layernorm", layer, "feedForwardNorm", "feedForwardNormBias");
        List<Piece> weights = new ArrayList<>();
        List<Piece> biases = new ArrayList<>();
        for (int head = 0; head < block.getHeads(); head++) {
            for (String parameter : List.of("query", "key", "value")) {
                weights.add(new Piece(layer, parameter, (long) head * size, size));
                biases.add(new Piece(layer, parameter + "Bias", (long) head * size, size));
            }
        }
        String together = name + "attention.query_key_value";
        layouts.add(new TensorLayout(together + WEIGHT, List.of(3L * width, (long) width), false, weights));
        if (block.isQueryKeyValueBias()) {
            layouts.add(new TensorLayout(together + BIAS, List.of(3L * width), false, biases));
        }
        linear(name + "attention.dense", layer, "projection", width, width, block.isProjectionBias());
        linear(name + "mlp.dense_h_to_4h", layer, "up", block.getHidden(), width, true);
        linear(name + "mlp.dense_4h_to_h", layer, "down", width, block.getHidden(), true);
    }

    private void linear(String name, int layer, String parameter, long out, long in, boolean bias) {
        matrix(name + WEIGHT, layer, parameter, out, in);
        if (bias) {
            vector(name + BIAS, layer, parameter + "Bias", out);
        }
    }

    /** GPT-2's Conv1D: a linear layer whose weight is {@code [in, out]}. */
    private void convolution(String name, int layer, String parameter, long in, long out) {
        layouts.add(
                new TensorLayout(name + WEIGHT, List.of(in, out), true, List.of(new Piece(layer, parameter, 0, out))));
        vector(name + BIAS, layer, parameter + "Bias", out);
    }

    private void layerNorm(String name, int layer, String gain, String bias) {
        vector(name + WEIGHT, layer, gain, decoder.width());
        vector(name + BIAS, layer, bias, decoder.width());
    }

    private void matrix(String name, int layer, String parameter, long rows, long columns) {
        layouts.add(TensorLayout.matrix(name, layer, parameter, rows, columns));
    }

    private void vector(String name, int layer, String parameter, long length) {
        layouts.add(TensorLayout.vector(name, layer, parameter, length));
    }
}
