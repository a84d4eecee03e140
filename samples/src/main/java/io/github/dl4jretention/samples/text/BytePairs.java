package io.github.dl4jretention.samples.text;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.nd4j.shade.jackson.databind.ObjectMapper;
import org.nd4j.shade.jackson.databind.node.ArrayNode;
import org.nd4j.shade.jackson.databind.node.ObjectNode;

/**
 * Byte pair encoding learned from a text, as a tokenizer.json: first the token {@code <|endoftext|>}, then the 256 bytes,
 * then the pairs of tokens that stand side by side most often, merged one after the other.
 *
 * <p>Source: Sennrich et al., "Neural Machine Translation of Rare Words with Subword Units",
 * https://arxiv.org/abs/1508.07909, on bytes as in GPT-2.
 */
public final class BytePairs {

    /** The token that ends a text, id 0. */
    public static final String END = "<|endoftext|>";

    /** As in GPT-2: no pair goes over the end of a word, and the space before a word belongs to it. */
    private static final Pattern WORD =
            Pattern.compile("'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+");

    private static final ObjectMapper MAPPER = new ObjectMapper();

    private BytePairs() {}

    /**
     * Writes tokenizer.json and tokenizer_config.json.
     *
     * @param folder     that is there
     * @param text       to learn from, some 100 KB
     * @param vocabulary number of tokens, at least 257
     * @return how many there are: fewer if the text has too few pairs
     * @throws IOException if they can't be written
     */
    public static int write(Path folder, String text, int vocabulary) throws IOException {
        Map<String, Integer> ids = new LinkedHashMap<>();
        ids.put(END, 0);
        for (int b = 0; b < 256; b++) {
            ids.put(name(b), b + 1);
        }
        Map<List<String>, Integer> words = words(text);
        ArrayNode merges = MAPPER.createArrayNode();
        while (ids.size() < vocabulary) {
            Map<List<String>, Integer> pairs = pairs(words);
            // The first of several in the order of the alphabet, so that one text gives one tokenizer.
            List<String> best = pairs.entrySet().stream()
                    .filter(pair -> pair.getValue() > 1 && !ids.containsKey(String.join("", pair.getKey())))
                    .min(Comparator.comparing((Map.Entry<List<String>, Integer> pair) -> -pair.getValue())
                            .thenComparing(pair -> String.join(" ", pair.getKey())))
                    .map(Map.Entry::getKey)
                    .orElse(null);
            if (best == null) {
                break;
            }
            ids.put(String.join("", best), ids.size());
            merges.add(String.join(" ", best));
            words = merged(words, best);
        }
        Files.writeString(folder.resolve("tokenizer.json"), MAPPER.writeValueAsString(json(ids, merges)) + "\n");
        Files.writeString(
                folder.resolve("tokenizer_config.json"),
                MAPPER.writeValueAsString(
                                MAPPER.createObjectNode().put("bos_token", END).put("eos_token", END))
                        + "\n");
        return ids.size();
    }

    /** Words as their bytes' names, with how often they occur. */
    private static Map<List<String>, Integer> words(String text) {
        Map<List<String>, Integer> words = new LinkedHashMap<>();
        for (Matcher word = WORD.matcher(text); word.find(); ) {
            List<String> names = new ArrayList<>();
            for (byte b : word.group().getBytes(StandardCharsets.UTF_8)) {
                names.add(name(Byte.toUnsignedInt(b)));
            }
            words.merge(names, 1, Integer::sum);
        }
        return words;
    }

    private static Map<List<String>, Integer> pairs(Map<List<String>, Integer> words) {
        Map<List<String>, Integer> pairs = new HashMap<>();
        words.forEach((word, count) -> {
            for (int i = 0; i + 1 < word.size(); i++) {
                pairs.merge(List.of(word.get(i), word.get(i + 1)), count, Integer::sum);
            }
        });
        return pairs;
    }

    private static Map<List<String>, Integer> merged(Map<List<String>, Integer> words, List<String> pair) {
        Map<List<String>, Integer> merged = new LinkedHashMap<>();
        words.forEach((word, count) -> {
            List<String> tokens = new ArrayList<>();
            for (int i = 0; i < word.size(); i++) {
                boolean both = i + 1 < word.size() && word.subList(i, i + 2).equals(pair);
                tokens.add(both ? String.join("", pair) : word.get(i));
                i += both ? 1 : 0;
            }
            merged.merge(tokens, count, Integer::sum);
        });
        return merged;
    }

    /** The character that stands for a byte, as in GPT-2: itself if it can be seen, or else one from 256 on. */
    private static String name(int b) {
        if (isVisible(b)) {
            return String.valueOf((char) b);
        }
        int hidden = 0;
        for (int other = 0; other < b; other++) {
            hidden += isVisible(other) ? 0 : 1;
        }
        return String.valueOf((char) (256 + hidden));
    }

    private static boolean isVisible(int b) {
        return b >= '!' && b <= '~' || b >= 0xA1 && b <= 0xAC || b >= 0xAE;
    }

    private static ObjectNode json(Map<String, Integer> ids, ArrayNode merges) {
        ObjectNode json = MAPPER.createObjectNode().put("version", "1.0");
        json.putArray("added_tokens")
                .addObject()
                .put("id", 0)
                .put("content", END)
                .put("single_word", false)
                .put("lstrip", false)
                .put("rstrip", false)
                .put("normalized", false)
                .put("special", true);
        json.putNull("normalizer");
        json.set("pre_tokenizer", byteLevel());
        json.putNull("post_processor");
        json.set("decoder", byteLevel());
        ObjectNode model = json.putObject("model").put("type", "BPE");
        model.set("vocab", MAPPER.valueToTree(ids));
        model.set("merges", merges);
        return json;
    }

    private static ObjectNode byteLevel() {
        return MAPPER.createObjectNode()
                .put("type", "ByteLevel")
                .put("add_prefix_space", false)
                .put("trim_offsets", true)
                .put("use_regex", true);
    }
}
