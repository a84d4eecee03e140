package io.github.dl4jretention.samples.text;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.nd4j.shade.jackson.databind.ObjectMapper;
import org.nd4j.shade.jackson.databind.node.ArrayNode;
import org.nd4j.shade.jackson.databind.node.ObjectNode;

/**
 * Byte pair encoding learned from a text, as a tokenizer.json: first the token {@code <|endoftext|>}, then the 256 bytes,
 * then the pairs of tokens that stand side by side most often, merged one after the other. Digits are tokens of their own,
 * so that numbers of any length are made of the same ten.
 *
 * <p>Source: Sennrich et al., "Neural Machine Translation of Rare Words with Subword Units",
 * https://arxiv.org/abs/1508.07909, on bytes as in GPT-2.
 */
public final class BytePairs {

    /** The token that ends a text, id 0. */
    public static final String END = "<|endoftext|>";

    /** As in GPT-2, but for digits: no pair goes over the end of a word, and the space before a word belongs to it. */
    private static final String WORD =
            "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

    private static final ObjectMapper MAPPER = new ObjectMapper();

    /** Of a pair of ids, as one number. */
    private static final int HALF = 32;

    private final List<String> names = new ArrayList<>();
    private final List<int[]> words = new ArrayList<>();
    private final List<Integer> counts = new ArrayList<>();
    private final Map<Long, Integer> pairs = new HashMap<>();

    /** Pairs that would be a token which other pairs have made already. */
    private final Set<Long> twice = new HashSet<>();

    private BytePairs(String text) {
        names.add(END);
        for (int b = 0; b < 256; b++) {
            names.add(name(b));
        }
        Map<String, Integer> found = new LinkedHashMap<>();
        for (Matcher word = Pattern.compile(WORD).matcher(text); word.find(); ) {
            found.merge(word.group(), 1, Integer::sum);
        }
        found.forEach((word, count) -> {
            byte[] bytes = word.getBytes(StandardCharsets.UTF_8);
            int[] ids = new int[bytes.length];
            Arrays.setAll(ids, i -> Byte.toUnsignedInt(bytes[i]) + 1);
            words.add(ids);
            counts.add(count);
            count(ids, count);
        });
    }

    /**
     * Writes tokenizer.json and tokenizer_config.json.
     *
     * @param folder     that is there
     * @param text       to learn from, some 100 KB or more
     * @param vocabulary number of tokens, at least 257
     * @return how many there are: fewer if the text has too few pairs
     * @throws IOException if they can't be written
     */
    public static int write(Path folder, String text, int vocabulary) throws IOException {
        BytePairs learned = new BytePairs(text);
        ArrayNode merges = MAPPER.createArrayNode();
        while (learned.names.size() < vocabulary && learned.merge(merges)) {
            // merge has done it
        }
        Files.writeString(
                folder.resolve("tokenizer.json"), MAPPER.writeValueAsString(json(learned.names, merges)) + "\n");
        Files.writeString(
                folder.resolve("tokenizer_config.json"),
                MAPPER.writeValueAsString(MAPPER.createObjectNode()
                                .put("tokenizer_class", "PreTrainedTokenizerFast")
                                .put("bos_token", END)
                                .put("eos_token", END))
                        + "\n");
        return learned.names.size();
    }

    private void count(int[] word, int count) {
        for (int i = 0; i + 1 < word.length; i++) {
            pairs.merge(pair(word[i], word[i + 1]), count, Integer::sum);
        }
    }

    private static long pair(int first, int second) {
        return ((long) first << HALF) | second;
    }

    private String first(long pair) {
        return names.get((int) (pair >> HALF));
    }

    private String second(long pair) {
        return names.get((int) pair);
    }

    /** Makes the most frequent pair a token, if one occurs twice. */
    private boolean merge(ArrayNode merges) {
        Optional<Long> best = best();
        while (best.isPresent() && names.contains(first(best.get()) + second(best.get()))) {
            twice.add(best.get());
            best = best();
        }
        if (best.isEmpty()) {
            return false;
        }
        long pair = best.get();
        merges.add(first(pair) + " " + second(pair));
        names.add(first(pair) + second(pair));
        for (int i = 0; i < words.size(); i++) {
            int[] word = words.get(i);
            int[] merged = merged(word, pair, names.size() - 1);
            if (merged.length < word.length) {
                count(word, -counts.get(i));
                count(merged, counts.get(i));
                words.set(i, merged);
            }
        }
        return true;
    }

    /** The most frequent pair; of several the first in the order of the alphabet, so that one text gives one tokenizer. */
    private Optional<Long> best() {
        int most = 1;
        String name = "";
        Long best = null;
        for (Map.Entry<Long, Integer> entry : pairs.entrySet()) {
            if (entry.getValue() > 1 && entry.getValue() >= most && !twice.contains(entry.getKey())) {
                String other = first(entry.getKey()) + " " + second(entry.getKey());
                if (best == null || entry.getValue() > most || other.compareTo(name) < 0) {
                    best = entry.getKey();
                    most = entry.getValue();
                    name = other;
                }
            }
        }
        return Optional.ofNullable(best);
    }

    private static int[] merged(int[] word, long pair, int id) {
        int[] merged = new int[word.length];
        int length = 0;
        for (int i = 0; i < word.length; i++) {
            boolean both = i + 1 < word.length && pair(word[i], word[i + 1]) == pair;
            merged[length++] = both ? id : word[i];
            i += both ? 1 : 0;
        }
        return length == word.length ? word : Arrays.copyOf(merged, length);
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

    private static ObjectNode json(List<String> names, ArrayNode merges) {
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
        ObjectNode words = json.putObject("pre_tokenizer").put("type", "Sequence");
        words.putArray("pretokenizers")
                .add(MAPPER.createObjectNode()
                        .put("type", "Split")
                        .put("behavior", "Isolated")
                        .put("invert", false)
                        .set("pattern", MAPPER.createObjectNode().put("Regex", WORD)))
                .add(byteLevel());
        json.putNull("post_processor");
        json.set("decoder", byteLevel());
        ObjectNode model = json.putObject("model").put("type", "BPE");
        ObjectNode ids = model.putObject("vocab");
        for (int id = 0; id < names.size(); id++) {
            ids.put(names.get(id), id);
        }
        model.set("merges", merges);
        return json;
    }

    private static ObjectNode byteLevel() {
        return MAPPER.createObjectNode()
                .put("type", "ByteLevel")
                .put("add_prefix_space", false)
                .put("trim_offsets", true)
                .put("use_regex", false);
    }
}
