package io.github.dl4jretention.samples.text;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;

class BytePairsTest {

    @TempDir
    private Path folder;

    private JsonNode model(String text, int vocabulary) throws IOException {
        int tokens = BytePairs.write(folder, text, vocabulary);
        JsonNode model = new ObjectMapper()
                .readTree(Files.readString(folder.resolve("tokenizer.json")))
                .get("model");
        assertEquals(tokens, model.get("vocab").size());
        return model;
    }

    private static List<String> merges(JsonNode model) {
        List<String> merges = new ArrayList<>();
        model.get("merges").forEach(merge -> merges.add(merge.asText()));
        return merges;
    }

    /** By hand: "a b" occurs 5 times; then "ab ab" and "Ġ ab" twice each, in the order of the alphabet; then none twice. */
    @Test
    void pairs_are_merged_by_how_often_they_occur() throws IOException {
        JsonNode model = model("abab abab ab", 400);
        assertEquals(List.of("a b", "ab ab"), merges(model));
        assertEquals(257, model.get("vocab").get("ab").asInt());
        assertEquals(258, model.get("vocab").get("abab").asInt());
        assertEquals(List.of("a b"), merges(model("abab abab ab", 258)));
    }

    @Test
    void digits_and_ends_of_words_are_in_no_pair() throws IOException {
        JsonNode model = model("12 12 345 345 one two one two ".repeat(20), 400);
        assertFalse(merges(model).isEmpty());
        for (String merge : merges(model)) {
            assertFalse(merge.matches(".*\\d.*"), merge);
            assertFalse(merge.replace(" ", "").matches(".+Ġ.*"), merge);
        }
        assertEquals(1, model.get("vocab").get("!").asInt() - (int) '!', "bytes have their ids, one later");
    }
}
