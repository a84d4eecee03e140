package io.github.dl4jretention.lm.huggingface;

import static java.util.Objects.requireNonNull;

import io.github.dl4jretention.internal.LowRank;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.node.ArrayNode;
import org.nd4j.shade.jackson.databind.node.ObjectNode;

/**
 * An adapter_config.json. Ranks and alphas of single modules stand in rank_pattern and alpha_pattern; a key of these is a
 * regular expression that the end of the module's name fits. Source:
 * https://huggingface.co/docs/peft/package_reference/lora.
 */
final class AdapterConfig {

    /** They change nothing of what's computed from the tensors. */
    private static final Set<String> HARMLESS = Set.of(
            "auto_mapping",
            "base_model_name_or_path",
            "corda_config",
            "ensure_weight_tying",
            "eva_config",
            "exclude_modules",
            "fan_in_fan_out",
            "inference_mode",
            "layers_pattern",
            "layers_to_transform",
            "loftq_config",
            "lora_ga_config",
            "megatron_config",
            "megatron_core",
            "peft_version",
            "qalora_group_size",
            "revision",
            "runtime_config",
            "target_modules",
            "task_type");

    private static final Set<String> READ = Set.of(
            "peft_type",
            "r",
            "lora_alpha",
            "lora_dropout",
            "use_rslora",
            "rank_pattern",
            "alpha_pattern",
            "bias",
            "init_lora_weights");

    /** Others start from changed weights of the base, without which the adapter means something else. */
    private static final Set<String> STARTS = Set.of("true", "false", "gaussian", "eva", "orthogonal", "lora_ga");

    private final ObjectNode json;
    private final String where;

    private AdapterConfig(ObjectNode json, String where) {
        this.json = json;
        this.where = where;
    }

    static AdapterConfig read(Path file) throws IOException {
        AdapterConfig config = new AdapterConfig(JsonFile.object(file), "file " + file);
        config.require();
        return config;
    }

    private void require() throws IOException {
        if (!json.path("peft_type").asText().equals("LORA")) {
            throw refused("peft_type", "\"LORA\"");
        }
        if (json.hasNonNull("bias") && !json.path("bias").asText().equals("none")) {
            throw refused("bias", "\"none\"");
        }
        if (json.hasNonNull("init_lora_weights")
                && !STARTS.contains(json.path("init_lora_weights").asText())) {
            throw refused(
                    "init_lora_weights", "one of " + STARTS.stream().sorted().toList());
        }
        for (Iterator<Map.Entry<String, JsonNode>> fields = json.fields(); fields.hasNext(); ) {
            Map.Entry<String, JsonNode> field = fields.next();
            boolean known = READ.contains(field.getKey()) || HARMLESS.contains(field.getKey());
            if (!known && !isOff(field.getValue())) {
                throw refused(field.getKey(), "nothing, because this library doesn't compute it");
            }
        }
    }

    private static boolean isOff(JsonNode value) {
        return value.isNull() || value.isBoolean() && !value.asBoolean() || value.isContainerNode() && value.isEmpty();
    }

    private IOException refused(String key, String expected) {
        return new IOException(where + ": key \"" + key + "\": expected " + expected + ", got " + json.path(key));
    }

    /** The settings of a module's adapter. */
    LowRank settings(String module) throws IOException {
        JsonNode rank = pattern("rank_pattern", module, json.path("r"));
        JsonNode alpha = pattern("alpha_pattern", module, json.path("lora_alpha"));
        if (!rank.isIntegralNumber()) {
            throw refused("r", "a whole number");
        }
        if (!alpha.isNumber()) {
            throw refused("lora_alpha", "a number");
        }
        try {
            return new LowRank(
                    rank.asInt(),
                    alpha.asDouble(),
                    json.path("use_rslora").asBoolean(false),
                    json.path("lora_dropout").asDouble(0));
        } catch (IllegalArgumentException e) {
            throw new IOException(where + ": " + e.getMessage(), e);
        }
    }

    private JsonNode pattern(String key, String module, JsonNode otherwise) throws IOException {
        JsonNode patterns = json.path(key);
        if (patterns.has(module)) {
            return patterns.get(module);
        }
        for (Iterator<Map.Entry<String, JsonNode>> fields = patterns.fields(); fields.hasNext(); ) {
            Map.Entry<String, JsonNode> field = fields.next();
            try {
                if (Pattern.compile("(.*\\.)?(" + field.getKey() + ")")
                        .matcher(module)
                        .matches()) {
                    return field.getValue();
                }
            } catch (PatternSyntaxException e) {
                throw new IOException(
                        where + ": key \"" + key + "\": expected regular expressions, got \"" + field.getKey() + "\"",
                        e);
            }
        }
        return otherwise;
    }

    /**
     * A configuration to be written.
     *
     * @param modules     settings by module, at least one
     * @param targets     names of modules, or how they end
     * @param base        what the base is called; empty if nobody knows
     * @param fanInFanOut whether the base's weights are {@code [in, out]}, as GPT-2's are
     */
    static AdapterConfig of(Map<String, LowRank> modules, List<String> targets, String base, boolean fanInFanOut) {
        LowRank first = modules.values().iterator().next();
        ObjectNode json = JsonFile.MAPPER.createObjectNode();
        json.put("peft_type", "LORA");
        json.put("task_type", "CAUSAL_LM");
        json.put("base_model_name_or_path", base);
        json.put("r", first.rank());
        put(json, "lora_alpha", first.alpha());
        json.put("lora_dropout", first.dropout());
        json.put("use_rslora", first.isRankStabilized());
        json.put("use_dora", false);
        json.put("bias", "none");
        json.put("fan_in_fan_out", fanInFanOut);
        json.put("inference_mode", true);
        json.put("init_lora_weights", true);
        ArrayNode names = json.putArray("target_modules");
        targets.forEach(names::add);
        json.putNull("modules_to_save");
        ObjectNode ranks = json.putObject("rank_pattern");
        ObjectNode alphas = json.putObject("alpha_pattern");
        for (Map.Entry<String, LowRank> module : modules.entrySet()) {
            LowRank settings = module.getValue();
            if (settings.rank() != first.rank()) {
                ranks.put(module.getKey(), settings.rank());
            }
            // The scale is what counts; how it's written follows the first module.
            double alpha = settings.scale() * (first.isRankStabilized() ? Math.sqrt(settings.rank()) : settings.rank());
            if (settings.isRankStabilized() == first.isRankStabilized()) {
                alpha = settings.alpha();
            }
            if (alpha != first.alpha()) {
                put(alphas, module.getKey(), alpha);
            }
        }
        return new AdapterConfig(json, "");
    }

    /** PEFT expects whole numbers where they are whole. */
    private static void put(ObjectNode json, String key, double number) {
        if (number == Math.rint(number) && Math.abs(number) < Integer.MAX_VALUE) {
            json.put(key, (int) number);
        } else {
            json.put(key, number);
        }
    }

    byte[] bytes() throws IOException {
        return JsonFile.MAPPER.writerWithDefaultPrettyPrinter().writeValueAsBytes(requireNonNull(json));
    }
}
