package io.github.dl4jretention.lm;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import io.github.dl4jretention.lm.text.TextIterator;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.shade.jackson.databind.ObjectMapper;

/**
 * Tokens of the kind that Llama 2 has: a space before each text, which decoding takes away again, words with the space before
 * them, and bytes for what has no token. Ids are worked by hand from the vocabulary and the five merges.
 */
class SentencePieceTest {

    private static final int LINE_END = 3;
    private static final int FIRST_BYTE = 4;
    private static final int SECOND_BYTE = 5;
    private static final int SPACE = 6;
    private static final int C = 9;
    private static final int SPACE_A = 10;
    private static final int SPACE_B = 11;
    private static final int AB = 12;
    private static final int SPACE_AB = 13;
    private static final int SPACE_C = 14;
    private static final int BEGIN = 1;
    private static final int END = 2;

    private static Tokenizer tokenizer;

    @TempDir
    Path folder;

    @BeforeAll
    static void open() throws IOException {
        tokenizer = Tokenizer.of(SmallModels.tokenizerFolder().resolve("sentencepiece"));
    }

    @AfterAll
    static void close() {
        tokenizer.close();
    }

    @Test
    void a_text_begins_with_a_space_that_decoding_takes_away() {
        assertArrayEquals(new int[] {BEGIN, SPACE_AB, SPACE_AB, SPACE_C}, tokenizer.encode("ab ab c"));
        assertArrayEquals(new int[] {SPACE, SPACE_AB, C, AB}, tokenizer.encode(" abcab", false));
        assertArrayEquals(new int[] {SPACE_B, FIRST_BYTE, SECOND_BYTE, LINE_END}, tokenizer.encode("b\u00e4\n", false));
        assertEquals("ab ab c", tokenizer.decode(BEGIN, SPACE_AB, SPACE_AB, SPACE_C));
        assertEquals("ab", tokenizer.decode(SPACE_AB), "a token by itself has lost its space");
    }

    /** Writes the tokens that it's given, whatever the prompt, which is alone in its minibatch. */
    private static Generator writing(int prompt, int... tokens) {
        return Generator.of(
                        sequences -> {
                            float[] logits = new float[tokenizer.vocabulary()];
                            logits[tokens[sequences[0].length - prompt]] = 1;
                            return new float[][] {logits};
                        },
                        tokenizer,
                        100)
                .temperature(0);
    }

    @Test
    void text_that_grows_token_by_token_keeps_its_spaces() {
        int[] prompt = tokenizer.encode("ab");
        int[] tokens = {SPACE_AB, C, SPACE_B, FIRST_BYTE, SECOND_BYTE, LINE_END, SPACE, SPACE_A, AB, SPACE_C, END};
        List<String> pieces = new ArrayList<>();
        String text = writing(prompt.length, tokens)
                .onToken((number, id, piece) -> pieces.add(piece))
                .generate("ab");
        assertEquals(List.of(" ab", "c", " b", "", "\u00e4", "\n", " ", " a", "ab", " c"), pieces);
        assertEquals(" abc b\u00e4\n  aab c", text);
        int[] whole = Arrays.copyOf(prompt, prompt.length + tokens.length - 1);
        System.arraycopy(tokens, 0, whole, prompt.length, tokens.length - 1);
        assertEquals(tokenizer.decode(whole), "ab" + text, "as if all of it was decoded at once");
    }

    /** After a prompt that ends with a space the next word has none of its own. */
    @Test
    void what_is_written_joins_the_prompt() {
        int[] prompt = tokenizer.encode("ab ");
        assertArrayEquals(new int[] {BEGIN, SPACE_AB, SPACE}, prompt);
        assertEquals("ab", writing(prompt.length, AB, END).generate("ab "));
        assertEquals(" ab", writing(prompt.length, SPACE_AB, END).generate("ab "));
    }

    private List<DataSet> documents(String... lines) throws IOException {
        Path file = Files.write(folder.resolve("a.jsonl"), List.of(lines));
        TextIterator iterator = TextDataset.builder(tokenizer)
                .file(file)
                .sequenceLength(64)
                .batch(1)
                .packed(false)
                .shuffled(false)
                .build()
                .iterator();
        List<DataSet> documents = new ArrayList<>();
        iterator.forEachRemaining(documents::add);
        return documents;
    }

    private static int[] ints(INDArray array) {
        return array.reshape(array.length()).toIntVector();
    }

    /** The tokens of a document, its first one among them. */
    private static int[] tokens(DataSet document) {
        int[] labels = ints(document.getLabels());
        int[] tokens = new int[labels.length + 1];
        tokens[0] = ints(document.getFeatures())[0];
        System.arraycopy(labels, 0, tokens, 1, labels.length);
        return tokens;
    }

    /** An answer's first word keeps its space; a token across the seam is the answer's. */
    @Test
    void a_prompt_and_its_answer_are_encoded_as_the_joined_text() throws IOException {
        List<DataSet> documents = documents(
                "{\"prompt\":\"ab\",\"completion\":\" ab c\"}",
                "{\"prompt\":\"a\",\"completion\":\"b c\"}",
                "{\"prompt\":\"ab \",\"completion\":\"c\"}",
                "{\"prompt\":\"ab\",\"chosen\":\" b\",\"rejected\":\" c\"}");
        assertArrayEquals(new int[] {BEGIN, SPACE_AB, SPACE_AB, SPACE_C, END}, tokens(documents.get(0)));
        assertArrayEquals(new int[] {0, 1, 1, 1}, ints(documents.get(0).getLabelsMaskArray()));
        assertArrayEquals(new int[] {BEGIN, SPACE_AB, SPACE_C, END}, tokens(documents.get(1)));
        assertArrayEquals(new int[] {1, 1, 1}, ints(documents.get(1).getLabelsMaskArray()));
        assertArrayEquals(new int[] {BEGIN, SPACE_AB, SPACE_C, END}, tokens(documents.get(2)));
        assertArrayEquals(new int[] {0, 1, 1}, ints(documents.get(2).getLabelsMaskArray()));
        assertArrayEquals(new int[] {BEGIN, SPACE_AB, SPACE_B, END}, tokens(documents.get(3)));
        assertArrayEquals(new int[] {0, 1, 1}, ints(documents.get(3).getLabelsMaskArray()));
        assertFalse(
                Arrays.equals(new int[] {SPACE_AB, SPACE_C}, tokenizer.encode(" ab c", false)),
                "by itself an answer has a space too many");
    }

    @Test
    void any_seam_leaves_the_joined_text() throws IOException {
        Random random = new Random(7);
        ObjectMapper mapper = new ObjectMapper();
        List<String> texts = new ArrayList<>();
        List<String> lines = new ArrayList<>();
        for (int i = 0; i < 200; i++) {
            String prompt = text(random, random.nextInt(8));
            String answer = text(random, 1 + random.nextInt(8));
            texts.add(prompt + answer);
            lines.add(mapper.writeValueAsString(
                    mapper.createObjectNode().put("prompt", prompt).put("completion", answer)));
        }
        List<DataSet> documents = documents(lines.toArray(String[]::new));
        assertEquals(texts.size(), documents.size());
        for (int i = 0; i < texts.size(); i++) {
            int[] tokens = tokens(documents.get(i));
            int[] expected = tokenizer.encode(texts.get(i));
            assertArrayEquals(expected, Arrays.copyOf(tokens, tokens.length - 1), lines.get(i));
            assertEquals(texts.get(i), tokenizer.decode(tokens), lines.get(i));
            assertNotEquals(
                    0,
                    Arrays.stream(ints(documents.get(i).getLabelsMaskArray())).sum(),
                    lines.get(i));
        }
    }

    private static String text(Random random, int length) {
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < length; i++) {
            text.append("abc \n\u00e4".charAt(random.nextInt(6)));
        }
        return text.toString();
    }
}
