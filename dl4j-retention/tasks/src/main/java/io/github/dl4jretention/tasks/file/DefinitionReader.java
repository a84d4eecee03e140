package io.github.dl4jretention.tasks.file;

import io.github.dl4jretention.tasks.file.TaskDefinition.Examples;
import io.github.dl4jretention.tasks.file.TaskDefinition.Prompting;
import io.github.dl4jretention.tasks.file.TaskDefinition.Scoring;
import io.github.dl4jretention.tasks.file.TaskDefinition.Writing;
import io.github.dl4jretention.tasks.metric.AnswerFilter;
import io.github.dl4jretention.tasks.metric.AnswerMatch;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Set;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;
import org.nd4j.shade.jackson.core.JsonParser;
import org.nd4j.shade.jackson.core.JsonProcessingException;
import org.nd4j.shade.jackson.core.JsonToken;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;
import org.nd4j.shade.jackson.dataformat.yaml.YAMLFactory;

/** Reads a task file, with the defaults of its format. */
final class DefinitionReader {

    private static final ObjectMapper YAML = new ObjectMapper(new YAMLFactory());

    private static final Set<String> KEYS = Set.of(
            "name",
            "format",
            "file",
            "role",
            "limit",
            "description",
            "prompt",
            "separator",
            "delimiter",
            "letters",
            "chat",
            "fewShot",
            "stop",
            "maxTokens",
            "temperature",
            "topP",
            "samples",
            "seed",
            "metric",
            "filters",
            "match",
            "passAt",
            "judgements");

    private static final Set<String> EXAMPLE_KEYS = Set.of("count", "file", "seed");

    private final Path file;
    private final String text;
    private final JsonNode root;

    DefinitionReader(Path file) throws IOException {
        this.file = file;
        text = Files.readString(file);
        try {
            root = YAML.readTree(text);
        } catch (JsonProcessingException e) {
            int line = e.getLocation() == null ? 1 : e.getLocation().getLineNr();
            throw new IOException(file + ":" + line + ": expected YAML, got " + e.getOriginalMessage(), e);
        }
        if (root == null || !root.isObject()) {
            throw new IOException(file + ":1: expected keys and values, such as format: mmlu, got none");
        }
    }

    private IOException error(String key, String message) throws IOException {
        return error(root, key, message);
    }

    /** @param node the root, or the examples */
    private IOException error(JsonNode node, String key, String message) throws IOException {
        return new IOException(place((node == root ? "/" : "/fewShot/") + key) + ": " + key + ": " + message);
    }

    /** {@return file and line of a key, such as {@code /fewShot/file}; the first line if it isn't there} */
    String place(String pointer) throws IOException {
        try (JsonParser parser = YAML.getFactory().createParser(text)) {
            for (JsonToken token = parser.nextToken(); token != null; token = parser.nextToken()) {
                if (token == JsonToken.FIELD_NAME
                        && pointer.equals(
                                parser.getParsingContext().pathAsPointer().toString())) {
                    return file + ":" + parser.getTokenLocation().getLineNr();
                }
            }
        }
        return file + ":1";
    }

    TaskDefinition read() throws IOException {
        requireKnown(root, KEYS);
        TaskFormat format = named("format", requiredText("format"), TaskFormat::of);
        TaskKind kind = format.kind();
        String fileName = String.valueOf(file.getFileName());
        requiredText("file");
        Path data = path(root, "file");
        String role = textOf(root, "role", "source");
        if (!role.equals("source") && !role.equals("target")) {
            throw error("role", "expected source or target, got " + role);
        }
        return new TaskDefinition(
                textOf(root, "name", fileName.replaceFirst("\\.[^.]*$", "")),
                file,
                format,
                role.equals("source"),
                data,
                count(root, "limit", 1, Integer.MAX_VALUE),
                prompting(format),
                kind == TaskKind.MULTIPLE_CHOICE || kind == TaskKind.PERPLEXITY ? null : writing(format),
                scoring(format));
    }

    private Prompting prompting(TaskFormat format) throws IOException {
        boolean mmlu = format == TaskFormat.MMLU;
        String template =
                switch (format) {
                    case MMLU -> "{question}\n{choices}\nAnswer:";
                    case ARC, GSM8K, CHOICES, ANSWERS -> "Question: {question}\nAnswer:";
                    case TRIVIAQA -> "Question: {question}?\nAnswer:";
                    case MATH -> "Problem: {question}\nAnswer:";
                    case HELLASWAG, HUMANEVAL, ALPACA, TEXT -> "{question}";
                };
        String description =
                mmlu ? "The following are multiple choice questions (with answers) about {subject}.\n\n" : "";
        boolean chat = flag("chat", false);
        String space = chat || format == TaskFormat.HUMANEVAL ? "" : " ";
        String prompt = textOf(root, "prompt", template);
        if (!prompt.contains("{question}")) {
            throw error("prompt", "expected {question} in it, got " + prompt);
        }
        return new Prompting(
                textOf(root, "description", description),
                prompt,
                textOf(root, "separator", "\n\n"),
                textOf(root, "delimiter", space),
                flag("letters", mmlu),
                chat,
                examples());
    }

    private Examples examples() throws IOException {
        JsonNode examples = root.get("fewShot");
        if (examples == null) {
            return new Examples(0, null, null);
        }
        if (!examples.isObject()) {
            throw error("fewShot", "expected {count: 5, file: FILE, seed: 1}, got " + examples);
        }
        requireKnown(examples, EXAMPLE_KEYS);
        JsonNode from = examples.get("file");
        requireSeed(examples);
        JsonNode seed = examples.get("seed");
        return new Examples(
                count(examples, "count", 0, 5),
                from == null ? null : path(examples, "file"),
                seed == null ? null : seed.asLong());
    }

    private void requireSeed(JsonNode node) throws IOException {
        JsonNode seed = node.get("seed");
        if (seed != null && !seed.isIntegralNumber()) {
            throw error(node, "seed", "expected a whole number, got " + seed);
        }
    }

    private Writing writing(TaskFormat format) throws IOException {
        requireSeed(root);
        List<String> stops =
                switch (format) {
                    case TRIVIAQA -> List.of("\n", ".", ",");
                    case MATH -> List.of("Problem:");
                    case GSM8K -> List.of("Question:", "</s>", "<|im_end|>");
                    case HUMANEVAL -> List.of("\nclass", "\ndef", "\n#", "\nif", "\nprint");
                    case ANSWERS -> List.of("\n\n", "Question:");
                    default -> List.of();
                };
        int tokens = format == TaskFormat.HUMANEVAL || format == TaskFormat.ALPACA ? 1024 : 256;
        List<String> given = texts("stop", stops);
        if (given.contains("")) {
            throw error("stop", "expected texts of at least one character, got an empty one");
        }
        int samples = count(root, "samples", 1, 1);
        double temperature = number("temperature", 0, 0, Double.MAX_VALUE);
        if (samples > 1 && format != TaskFormat.HUMANEVAL) {
            throw error("samples", "expected 1, as only code is tried more than once, got " + samples);
        }
        if (samples > 1 && temperature == 0) {
            throw error("samples", "expected 1 at temperature 0, where all samples are the same, got " + samples);
        }
        return new Writing(
                given,
                count(root, "maxTokens", 1, tokens),
                temperature,
                number("topP", 1, Double.MIN_VALUE, 1),
                samples,
                root.path("seed").asLong(1));
    }

    private Scoring scoring(TaskFormat format) throws IOException {
        List<String> filters =
                switch (format) {
                    case TRIVIAQA, ANSWERS -> List.of("trim");
                    case GSM8K -> List.of("strict", "last-number");
                    case MATH -> List.of("dollars", "boxed");
                    default -> List.of("none");
                };
        String match =
                switch (format) {
                    case TRIVIAQA, ANSWERS -> "triviaqa";
                    case GSM8K -> "gsm8k";
                    case MATH -> "math";
                    default -> "exact";
                };
        List<AnswerFilter> chosen = new ArrayList<>();
        for (String filter : texts("filters", filters)) {
            chosen.add(named("filters", filter, AnswerFilter::of));
        }
        if (chosen.isEmpty()) {
            throw error("filters", "expected at least one, got none");
        }
        List<Integer> tries = new ArrayList<>();
        int samples = count(root, "samples", 1, 1);
        JsonNode passAt = root.path("passAt");
        for (JsonNode k : passAt.isValueNode() ? YAML.createArrayNode().add(passAt) : passAt) {
            if (!k.canConvertToInt() || k.asInt() < 1 || k.asInt() > samples) {
                throw error("passAt", "expected numbers from 1 to the " + samples + " samples, got " + k);
            }
            tries.add(k.asInt());
        }
        tries = tries.isEmpty() ? List.of(1) : tries;
        List<String> metrics =
                switch (format.kind()) {
                    case MULTIPLE_CHOICE -> List.of("acc", "acc_norm", "acc_bytes");
                    case EXACT_MATCH -> chosen.stream()
                            .map(filter -> "exact_match/" + filter.label())
                            .toList();
                    case PERPLEXITY -> List.of("word_perplexity", "byte_perplexity", "token_perplexity");
                    case CODE -> tries.stream().map(k -> "pass@" + k).toList();
                    case WIN_RATE -> List.of("win_rate", "length_controlled_win_rate");
                };
        boolean normalised = format == TaskFormat.ARC || format == TaskFormat.HELLASWAG;
        String metric = textOf(root, "metric", metrics.get(normalised ? 1 : 0));
        if (!metrics.contains(metric)) {
            throw error("metric", "expected one of " + String.join(", ", metrics) + ", got " + metric);
        }
        JsonNode judgements = root.get("judgements");
        return new Scoring(
                metric,
                chosen,
                named("match", textOf(root, "match", match), AnswerMatch::of),
                tries,
                judgements == null
                        ? null
                        : file.resolveSibling(textOf(root, "judgements", "")).normalize());
    }

    private void requireKnown(JsonNode node, Set<String> keys) throws IOException {
        for (Iterator<String> names = node.fieldNames(); names.hasNext(); ) {
            String name = names.next();
            if (!keys.contains(name)) {
                throw error(
                        node,
                        name,
                        "expected one of the keys " + keys.stream().sorted().toList() + ", got " + name);
            }
        }
    }

    private String requiredText(String key) throws IOException {
        if (!root.has(key)) {
            throw error(key, "expected a value, got none");
        }
        return textOf(root, key, "");
    }

    private String textOf(JsonNode node, String key, String otherwise) throws IOException {
        JsonNode value = node.get(key);
        if (value == null) {
            return otherwise;
        }
        if (!value.isValueNode() || value.isNull()) {
            throw error(node, key, "expected a text, got " + value);
        }
        return value.asText();
    }

    private List<String> texts(String key, List<String> otherwise) throws IOException {
        JsonNode value = root.get(key);
        if (value == null) {
            return otherwise;
        }
        List<String> texts = new ArrayList<>();
        for (JsonNode item : value.isArray() ? value : YAML.createArrayNode().add(value)) {
            if (!item.isTextual()) {
                throw error(key, "expected texts, got " + item);
            }
            texts.add(item.asText());
        }
        return texts;
    }

    private int count(JsonNode node, String key, int least, int otherwise) throws IOException {
        JsonNode value = node.get(key);
        if (value == null) {
            return otherwise;
        }
        if (!value.isIntegralNumber() || !value.canConvertToInt() || value.asInt() < least) {
            throw error(node, key, "expected a whole number of at least " + least + ", got " + value);
        }
        return value.asInt();
    }

    private double number(String key, double otherwise, double least, double most) throws IOException {
        JsonNode value = root.get(key);
        if (value == null) {
            return otherwise;
        }
        if (!value.isNumber() || !(value.asDouble() >= least && value.asDouble() <= most)) {
            throw error(
                    key,
                    "expected a number " + (most == 1 ? "in (0, 1]" : "of at least " + (int) least) + ", got " + value);
        }
        return value.asDouble();
    }

    private boolean flag(String key, boolean otherwise) throws IOException {
        JsonNode value = root.get(key);
        if (value != null && !value.isBoolean()) {
            throw error(key, "expected true or false, got " + value);
        }
        return value == null ? otherwise : value.asBoolean();
    }

    private <T> T named(String key, @Nullable String value, Function<String, T> names) throws IOException {
        try {
            return names.apply(String.valueOf(value));
        } catch (IllegalArgumentException e) {
            throw error(key, String.valueOf(e.getMessage()));
        }
    }

    private Path path(JsonNode node, String key) throws IOException {
        Path path = file.resolveSibling(textOf(node, key, "")).normalize();
        if (!Files.isReadable(path)) {
            throw error(node, key, "expected a readable file, got " + path);
        }
        return path;
    }
}
