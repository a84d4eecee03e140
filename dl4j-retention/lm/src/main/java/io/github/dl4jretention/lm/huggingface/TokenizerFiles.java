package io.github.dl4jretention.lm.huggingface;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.HashSet;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.node.ObjectNode;

/** What a model folder says about its tokens: tokenizer.json, its settings, and which ids begin and end a text. */
public final class TokenizerFiles {

    /** Of byte-level models, which have none. */
    public static final TokenizerFiles NONE = new TokenizerFiles(null, 0, null, "", "", -1, -1, Set.of());

    private static final String TOKENIZER = "tokenizer.json";
    private static final String SETTINGS = "tokenizer_config.json";

    private final byte @Nullable [] json;
    private final int vocabulary;
    private final @Nullable String template;
    private final String beginning;
    private final String end;
    private final int beginningId;
    private final int endId;
    private final Set<Integer> ends;

    private TokenizerFiles(
            byte @Nullable [] json,
            int vocabulary,
            @Nullable String template,
            String beginning,
            String end,
            int beginningId,
            int endId,
            Set<Integer> ends) {
        this.json = json;
        this.vocabulary = vocabulary;
        this.template = template;
        this.beginning = beginning;
        this.end = end;
        this.beginningId = beginningId;
        this.endId = endId;
        this.ends = ends;
    }

    /**
     * {@return the files of a folder}
     *
     * @param folder with tokenizer.json
     * @throws IOException if it's missing, or one of the files isn't JSON
     */
    public static TokenizerFiles of(Path folder) throws IOException {
        Map<String, byte[]> files = new LinkedHashMap<>();
        files.put(TOKENIZER, JsonFile.bytes(folder.resolve(TOKENIZER)));
        for (String name : new String[] {
            SETTINGS, "generation_config.json", ModelFolder.CONFIG, "chat_template.jinja", "chat_template.json"
        }) {
            if (Files.isRegularFile(folder.resolve(name))) {
                files.put(name, JsonFile.bytes(folder.resolve(name)));
            }
        }
        return of(files, folder);
    }

    static TokenizerFiles of(Map<String, byte[]> files, Path folder) throws IOException {
        String where = "file " + folder.resolve(TOKENIZER);
        ObjectNode tokenizer = JsonFile.object(Objects.requireNonNull(files.get(TOKENIZER), TOKENIZER), where);
        Map<String, Integer> ids = new LinkedHashMap<>();
        JsonNode vocabulary = tokenizer.path("model").path("vocab");
        int next = 0;
        if (vocabulary.isArray()) {
            for (JsonNode entry : vocabulary) {
                ids.put(entry.path(0).asText(), next++);
            }
        }
        for (Iterator<Map.Entry<String, JsonNode>> fields = vocabulary.fields(); fields.hasNext(); ) {
            Map.Entry<String, JsonNode> field = fields.next();
            ids.put(field.getKey(), id(field.getValue(), where));
        }
        for (JsonNode added : tokenizer.path("added_tokens")) {
            ids.put(added.path("content").asText(), id(added.path("id"), where));
        }
        if (ids.isEmpty()) {
            throw new IOException(where + ": model.vocab: expected tokens and their ids, got none");
        }
        JsonNode settings = object(files, SETTINGS, folder);
        String beginning = token(settings.path("bos_token"));
        String end = token(settings.path("eos_token"));
        JsonNode generation = object(files, "generation_config.json", folder);
        JsonNode config = object(files, ModelFolder.CONFIG, folder);
        Set<Integer> ends = new HashSet<>();
        addIds(ends, generation.path("eos_token_id"));
        if (ends.isEmpty()) {
            addIds(ends, config.path("eos_token_id"));
        }
        if (ends.isEmpty() && ids.containsKey(end)) {
            ends.add(ids.get(end));
        }
        int beginningId =
                ids.getOrDefault(beginning, config.path("bos_token_id").asInt(-1));
        return new TokenizerFiles(
                files.get(TOKENIZER),
                Collections.max(ids.values()) + 1,
                template(files, settings, folder),
                // A token that is null on purpose is none for templates.
                settings.has("bos_token") ? beginning : name(ids, beginningId),
                !settings.has("eos_token") && ends.size() == 1
                        ? name(ids, ends.iterator().next())
                        : end,
                beginningId,
                ids.containsKey(end) ? ids.get(end) : ends.isEmpty() ? -1 : Collections.min(ends),
                Set.copyOf(ends));
    }

    private static int id(JsonNode node, String where) throws IOException {
        if (!node.isIntegralNumber() || !node.canConvertToInt() || node.asInt() < 0) {
            throw new IOException(where + ": expected token ids of at least 0, got " + node);
        }
        return node.asInt();
    }

    private static JsonNode object(Map<String, byte[]> files, String name, Path folder) throws IOException {
        return files.containsKey(name)
                ? JsonFile.object(files.get(name), "file " + folder.resolve(name))
                : JsonFile.MAPPER.createObjectNode();
    }

    /** A text, or an object with one. */
    private static String token(JsonNode node) {
        return node.isObject() ? node.path("content").asText("") : node.isTextual() ? node.asText() : "";
    }

    private static void addIds(Set<Integer> ids, JsonNode node) {
        if (node.isInt()) {
            ids.add(node.asInt());
        }
        for (JsonNode one : node) {
            if (one.isInt()) {
                ids.add(one.asInt());
            }
        }
    }

    private static String name(Map<String, Integer> ids, int id) {
        return ids.entrySet().stream()
                .filter(entry -> entry.getValue() == id)
                .map(Map.Entry::getKey)
                .findFirst()
                .orElse("");
    }

    /** One template, or the one of several that is called default. */
    private static @Nullable String template(Map<String, byte[]> files, JsonNode settings, Path folder)
            throws IOException {
        if (files.containsKey("chat_template.jinja")) {
            return JsonFile.text(files.get("chat_template.jinja"), "file " + folder.resolve("chat_template.jinja"));
        }
        JsonNode template = settings.path("chat_template");
        if (template.isMissingNode() || template.isNull()) {
            template = object(files, "chat_template.json", folder).path("chat_template");
        }
        for (JsonNode one : template) {
            if (one.path("name").asText().equals("default")) {
                template = one.path("template");
                break;
            }
        }
        return template.isTextual() ? template.asText() : null;
    }

    /**
     * {@return tokenizer.json}
     *
     * @throws IllegalStateException if there's none
     */
    public byte[] json() {
        if (json == null) {
            throw new IllegalStateException("tokenizer.json: expected a model that has one, got a byte-level model");
        }
        return json.clone();
    }

    /** {@return one more than the largest id} */
    public int vocabulary() {
        return vocabulary;
    }

    /** {@return the template of conversations; null for none} */
    public @Nullable String template() {
        return template;
    }

    /** {@return the token that begins a text; empty for none} */
    public String beginning() {
        return beginning;
    }

    /** {@return the token that ends a text; empty for none} */
    public String end() {
        return end;
    }

    /** {@return the id that begins a text; -1 for none} */
    public int beginningId() {
        return beginningId;
    }

    /** {@return the id to end a text with; -1 for none} */
    public int endId() {
        return endId;
    }

    /** {@return ids that end a text} */
    public Set<Integer> ends() {
        return ends;
    }
}
