package io.github.dl4jretention.lm.huggingface;

import java.io.IOException;
import java.util.Arrays;
import java.util.HashSet;
import java.util.Iterator;
import java.util.Map;
import java.util.Set;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.node.ObjectNode;

/**
 * A config.json, or an object within it. It knows which keys were read, and refuses all others but those that leave the
 * numbers as they are: nothing is guessed.
 */
final class Config {

    /** About training, generation, other tasks, storage and history; they don't change what the network computes. */
    private static final Set<String> HARMLESS = Set.of(
            "architectures",
            "bos_token",
            "bos_token_id",
            "chunk_size_feed_forward",
            "classifier_bias",
            "classifier_dropout",
            "decoder_start_token_id",
            "dtype",
            "eos_token",
            "eos_token_id",
            "finetuning_task",
            "forced_bos_token_id",
            "forced_eos_token_id",
            "gradient_checkpointing",
            "hidden_dropout",
            "hidden_dropout_prob",
            "attention_dropout",
            "attention_probs_dropout_prob",
            "attn_pdrop",
            "embd_pdrop",
            "resid_pdrop",
            "id2label",
            "initializer_range",
            "is_decoder",
            "is_llama_config",
            "label2id",
            "mlp_dropout",
            "model_type",
            "n_ctx",
            "n_special",
            "name_or_path",
            "num_labels",
            "output_attentions",
            "output_hidden_states",
            "output_past",
            "pad_token_id",
            "predict_special_tokens",
            "prefix",
            "pretraining_tp",
            "problem_type",
            "reorder_and_upcast_attn",
            "return_dict",
            "return_dict_in_generate",
            "sep_token_id",
            "task_specific_params",
            "tf_legacy_loss",
            "tokenizer_class",
            "torch_dtype",
            "torchscript",
            "transformers.js_config",
            "transformers_version",
            "unk_token_id",
            "unsloth_fixed",
            "unsloth_version",
            "use_bfloat16",
            "use_cache",
            "vocab_size");

    /** Switches that this library has off, too; of any other, "false" may mean another computation. */
    private static final Set<String> OFF = Set.of(
            "attention_bias",
            "cross_attention",
            "mlp_bias",
            "output_router_logits",
            "rope_interleaved",
            "tie_encoder_decoder",
            "use_bidirectional_attention",
            "use_dynamic_ntk",
            "use_flash_attn",
            "use_logn_attn",
            "use_mrope",
            "use_qk_norm",
            "use_sliding_window");

    /** Settings of generation, which old files have here rather than in generation_config.json. */
    private static final Set<String> GENERATION = Set.of(
            "bad_words_ids",
            "begin_suppress_tokens",
            "diversity_penalty",
            "do_sample",
            "early_stopping",
            "encoder_no_repeat_ngram_size",
            "exponential_decay_length_penalty",
            "length_penalty",
            "max_length",
            "min_length",
            "no_repeat_ngram_size",
            "num_beam_groups",
            "num_beams",
            "num_return_sequences",
            "output_scores",
            "remove_invalid_values",
            "repetition_penalty",
            "suppress_tokens",
            "temperature",
            "top_k",
            "top_p",
            "typical_p");

    private final ObjectNode json;
    private final String file;
    private final String path;
    private final Set<String> read = new HashSet<>();

    Config(ObjectNode json, String file) {
        this(json, file, "");
    }

    private Config(ObjectNode json, String file, String path) {
        this.json = json;
        this.file = file;
        this.path = path;
    }

    /** Null and a missing key are the same. */
    boolean has(String key) {
        read.add(key);
        return json.hasNonNull(key);
    }

    /** Whether it's there, be it null. */
    boolean mentions(String key) {
        read.add(key);
        return json.has(key);
    }

    int size(String key) throws IOException {
        if (!has(key)) {
            throw refused(key, "a whole number above 0", "none");
        }
        return size(key, 0);
    }

    int size(String key, int missing) throws IOException {
        if (!has(key)) {
            return missing;
        }
        JsonNode node = json.get(key);
        if (!node.isIntegralNumber() || !node.canConvertToInt() || node.asInt() <= 0) {
            throw refused(key, "a whole number above 0", node);
        }
        return node.asInt();
    }

    double number(String key, double missing) throws IOException {
        if (!has(key)) {
            return missing;
        }
        JsonNode node = json.get(key);
        if (!node.isNumber() || !(node.asDouble() > 0) || Double.isInfinite(node.asDouble())) {
            throw refused(key, "a number above 0", node);
        }
        return node.asDouble();
    }

    boolean flag(String key, boolean missing) throws IOException {
        if (!has(key)) {
            return missing;
        }
        if (!json.get(key).isBoolean()) {
            throw refused(key, "true or false", json.get(key));
        }
        return json.get(key).asBoolean();
    }

    String text(String key, String missing) throws IOException {
        if (!has(key)) {
            return missing;
        }
        if (!json.get(key).isTextual()) {
            throw refused(key, "a text", json.get(key));
        }
        return json.get(key).asText();
    }

    /** Complains if the key has another value than the one that this library computes with. */
    void require(String key, boolean supported) throws IOException {
        if (flag(key, supported) != supported) {
            throw refused(key, String.valueOf(supported), json.get(key));
        }
    }

    JsonNode node(String key) {
        read.add(key);
        return json.path(key);
    }

    /** {@return an object within this; empty if there is none} */
    Config object(String key) throws IOException {
        if (!has(key)) {
            return new Config(json.objectNode(), file, path + key + ".");
        }
        if (!(json.get(key) instanceof ObjectNode object)) {
            throw refused(key, "an object", json.get(key));
        }
        return new Config(object, file, path + key + ".");
    }

    boolean isEmpty() {
        return json.isEmpty();
    }

    /** {@return what several names of one setting say} */
    double agreed(double missing, String... keys) throws IOException {
        double agreed = Double.NaN;
        String first = "";
        for (String key : keys) {
            double value = number(key, Double.NaN);
            if (!Double.isNaN(agreed) && !Double.isNaN(value) && value != agreed) {
                throw refused(key, first + " = " + agreed, json.get(key));
            }
            if (Double.isNaN(agreed)) {
                agreed = value;
                first = key;
            }
        }
        return Double.isNaN(agreed) ? missing : agreed;
    }

    /** Refuses every key that nobody read and that could change the numbers. */
    void requireAllRead() throws IOException {
        for (Iterator<Map.Entry<String, JsonNode>> fields = json.fields(); fields.hasNext(); ) {
            Map.Entry<String, JsonNode> field = fields.next();
            String key = field.getKey();
            JsonNode value = field.getValue();
            boolean off = value.isNull()
                    || value.isBoolean() && !value.asBoolean() && OFF.contains(key)
                    || value.isContainerNode() && value.isEmpty();
            boolean known = read.contains(key)
                    || path.isEmpty()
                            && (HARMLESS.contains(key)
                                    || GENERATION.contains(key)
                                    || key.startsWith("_")
                                    || key.startsWith("summary_"));
            if (!off && !known) {
                throw refused(
                        key, "no such key, because this library doesn't know whether it changes the numbers", value);
            }
        }
    }

    IOException refused(String key, String expected, Object got) {
        String text = String.valueOf(got);
        return new IOException("file " + file + ": " + path + key + ": expected " + expected + ", got "
                + (text.length() > 200 ? text.substring(0, 200) + "..." : text));
    }

    /** {@return one of some texts' meaning} */
    <T> T choice(String key, String missing, Map<String, T> meanings) throws IOException {
        String text = text(key, missing);
        T meaning = meanings.get(text);
        if (meaning == null) {
            String[] known = meanings.keySet().toArray(String[]::new);
            Arrays.sort(known);
            throw refused(key, "one of " + String.join(", ", known), '"' + text + '"');
        }
        return meaning;
    }
}
