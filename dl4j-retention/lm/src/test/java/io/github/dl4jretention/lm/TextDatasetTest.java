package io.github.dl4jretention.lm;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Retention;
import io.github.dl4jretention.lm.huggingface.ReferenceModels;
import io.github.dl4jretention.lm.layers.DecoderBlock;
import io.github.dl4jretention.lm.text.TextIterator;
import io.github.dl4jretention.loss.Preference;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.teacher.DivergenceMask;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.linalg.learning.config.Adam;

class TextDatasetTest {

    private static Tokenizer tokenizer;

    @TempDir
    Path folder;

    @BeforeAll
    static void open() throws IOException {
        tokenizer = Tokenizer.of(SmallModels.tokenizerFolder());
    }

    @AfterAll
    static void close() {
        tokenizer.close();
    }

    static Stream<String> models() {
        return ReferenceModels.names().stream();
    }

    private Path lines(String... lines) throws IOException {
        return Files.write(folder.resolve("a.jsonl"), List.of(lines));
    }

    private static int[] ints(INDArray array) {
        assertEquals(DataType.INT32, array.dataType());
        return array.dup('c').data().asInt();
    }

    private static int[] mask(INDArray array) {
        return array.castTo(DataType.INT32).dup('c').data().asInt();
    }

    /** Numbers of documents from 1 on. */
    private static int[] documents(INDArray array) {
        return Arrays.stream(mask(array))
                .map(number -> number == 0 ? 0 : number - DecoderBlock.FIRST_DOCUMENT + 1)
                .toArray();
    }

    /** Worked by hand: {@code <s> a b' </s>} with ab = 8, c = 4, d = 5. */
    @Test
    void packs_documents_behind_each_other() throws IOException {
        Path file = lines("{\"text\":\"ab\"}", "{\"text\":\"cd\"}", "{\"text\":\"ccccc\"}");
        TextIterator iterator = TextDataset.builder(tokenizer)
                .file(file)
                .sequenceLength(6)
                .batch(2)
                .shuffled(false)
                .build()
                .iterator();
        DataSet data = iterator.next();
        assertArrayEquals(new long[] {2, 1, 6}, data.getFeatures().shape());
        assertArrayEquals(new int[] {0, 8, 0, 4, 5, 0, 4, 4, 4, 4, 4, 0}, ints(data.getFeatures()));
        assertArrayEquals(new int[] {8, 1, 4, 5, 1, 4, 4, 4, 4, 4, 1, 0}, ints(data.getLabels()));
        assertArrayEquals(new int[] {1, 1, 2, 2, 2, 3, 1, 1, 1, 1, 1, 0}, documents(data.getFeaturesMaskArray()));
        assertArrayEquals(new int[] {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0}, mask(data.getLabelsMaskArray()));
        assertFalse(iterator.hasNext());
    }

    @Test
    void learns_answers_only_or_everything() throws IOException {
        Path file = lines(
                "{\"prompt\":\"ab\",\"completion\":\"cd\"}",
                "{\"prompt\":\"ab\",\"chosen\":\"c\",\"rejected\":\"ee\"}",
                "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":\"b\"}]}");
        TextDataset.Builder builder = TextDataset.builder(tokenizer)
                .file(file)
                .sequenceLength(9)
                .batch(3)
                .packed(false)
                .shuffled(false);
        DataSet data = builder.build().iterator().next();
        assertArrayEquals(new long[] {3, 1, 7}, data.getFeatures().shape());
        // <s> ab c d </s> | <s> ab c </s> | <|user|> a </s> \n <|assistant|> b </s> \n
        assertArrayEquals(
                new int[] {0, 8, 4, 5, 0, 0, 0, 0, 8, 4, 0, 0, 0, 0, 16, 2, 1, 15, 17, 3, 1}, ints(data.getFeatures()));
        assertArrayEquals(
                new int[] {0, 1, 1, 1, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1},
                mask(data.getLabelsMaskArray()));
        assertArrayEquals(
                new int[] {1, 1, 1, 1, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1},
                mask(data.getFeaturesMaskArray()));
        DataSet all = builder.answersOnly(false).build().iterator().next();
        assertEquals(all.getFeaturesMaskArray(), all.getLabelsMaskArray());
        DataSet rejected = builder.rejected(true).build().iterator().next();
        assertArrayEquals(
                new int[] {0, 8, 6, 6},
                ints(rejected.getFeatures()
                        .get(NDArrayIndex.point(1), NDArrayIndex.point(0), NDArrayIndex.interval(0, 4))));
    }

    /** The template writes the last answer with what the model thought, and answers before it without. */
    @Test
    void learns_answers_that_are_written_otherwise_before_a_question() throws IOException {
        Path model = SmallModels.folder("llama", folder.resolve("model"));
        Files.copy(SmallModels.tokenizerFolder().resolve("thinking.jinja"), model.resolve("chat_template.jinja"));
        Path file = lines("{\"messages\":[{\"role\":\"user\",\"content\":\"a\"},"
                + "{\"role\":\"assistant\",\"content\":\"cdc\"},{\"role\":\"user\",\"content\":\"b\"},"
                + "{\"role\":\"assistant\",\"content\":\"eee\"}]}");
        try (Tokenizer thinking = Tokenizer.of(model)) {
            DataSet data = TextDataset.builder(thinking)
                    .file(file)
                    .sequenceLength(300)
                    .build()
                    .iterator()
                    .next();
            int[] labels = ints(data.getLabels());
            int[] mask = mask(data.getLabelsMaskArray());
            List<Integer> learned = new ArrayList<>();
            for (int i = 0; i < labels.length; i++) {
                if (mask[i] != 0) {
                    learned.add(labels[i]);
                }
            }
            List<Integer> expected = new ArrayList<>();
            for (String answer : List.of("cdc<|im_end|>\n", "<think>\n\n</think>\n\neee<|im_end|>\n")) {
                for (int id : thinking.encode(answer, false)) {
                    expected.add(id);
                }
            }
            assertEquals(expected, learned);
        }
    }

    @Test
    void refuses_answers_whose_end_the_template_hides() throws IOException {
        Path model = SmallModels.folder("llama", folder.resolve("model"));
        Files.writeString(
                model.resolve("chat_template.jinja"),
                "{% for m in messages %}{% if m.role == 'user' %}b{{ m.content }}{% else %}c"
                        + "{{ 'h' + m.content if loop.last else 'gf' }}{% endif %}{% endfor %}"
                        + "{% if add_generation_prompt %}c{% endif %}");
        Path file = lines("{\"messages\":[{\"role\":\"user\",\"content\":\"a\"},"
                + "{\"role\":\"assistant\",\"content\":\"cd\"},{\"role\":\"user\",\"content\":\"b\"},"
                + "{\"role\":\"assistant\",\"content\":\"e\"}]}");
        try (Tokenizer hidden = Tokenizer.of(model)) {
            String message = assertThrows(
                            IOException.class,
                            () -> TextDataset.builder(hidden).file(file).build())
                    .getMessage();
            assertTrue(message.contains("line 1: expected a chat template that writes message 2"), message);
        }
    }

    @Test
    void texts_of_one_token_are_refused_before_training() throws IOException {
        Path text = Files.writeString(folder.resolve("a.txt"), "a");
        for (Path file : List.of(text, lines("{\"text\":\"a\"}"))) {
            String message = assertThrows(IOException.class, () -> TextDataset.builder(Tokenizer.bytes())
                            .file(file)
                            .build())
                    .getMessage();
            assertTrue(message.contains("line 1: expected a text of at least two tokens"), message);
        }
    }

    @Test
    void sequences_beyond_the_models_context_are_refused() throws IOException {
        LanguageModel model = LanguageModel.load(SmallModels.folder("llama", folder.resolve("model")));
        TextDataset.Builder builder =
                TextDataset.builder(model).file(lines("{\"text\":\"ab\"}")).sequenceLength(33);
        String message =
                assertThrows(IllegalArgumentException.class, builder::build).getMessage();
        assertEquals("sequenceLength: expected a number of at most 32, the model's context, got 33", message);
        assertEquals(1, builder.sequenceLength(32).build().documents());
    }

    @Test
    void blank_lines_at_the_end_are_no_documents() throws IOException {
        Path file = lines("{\"text\":\"ab\"}", "{\"text\":\"cd\"}", "", " ", "");
        assertEquals(2, TextDataset.builder(tokenizer).file(file).build().documents());
        String message = assertThrows(
                        IOException.class,
                        () -> TextDataset.builder(tokenizer).file(lines("", "")).build())
                .getMessage();
        assertTrue(message.contains("at least one document"), message);
    }

    @Test
    void epochs_follow_from_the_seed_and_every_document_comes_once() throws IOException {
        List<String> lines = new ArrayList<>();
        for (int i = 0; i < 40; i++) {
            lines.add("{\"text\":\"" + "abcdefgh".charAt(i % 8) + "d".repeat(i % 5 + 1) + "\"}");
        }
        Path file = lines(lines.toArray(String[]::new));
        TextDataset data = TextDataset.builder(tokenizer)
                .file(file)
                .sequenceLength(7)
                .batch(3)
                .validation(0.25)
                .seed(9)
                .build();
        assertEquals(30, data.documents());
        assertEquals(10, data.validationDocuments());
        TextIterator first = data.iterator();
        List<DataSet> one = all(first);
        first.reset();
        List<DataSet> two = all(first);
        TextIterator other = data.iterator();
        other.next();
        other.restart(1);
        assertEquals(two, all(other));
        other.restart(0);
        assertEquals(one, all(other));
        assertNotEquals(one, two);
        assertEquals(tokens(one), tokens(two));
        assertEquals(all(data.validation()), all(data.validation()));
        int held = tokens(all(data.validation())).size();
        assertEquals(40 * 2 + 8 * (1 + 2 + 3 + 4 + 5), held + tokens(one).size());
    }

    private static List<DataSet> all(TextIterator iterator) {
        List<DataSet> all = new ArrayList<>();
        while (iterator.hasNext()) {
            all.add(iterator.next());
        }
        return all;
    }

    /** All labels, sorted. */
    private static List<Integer> tokens(List<DataSet> data) {
        List<Integer> tokens = new ArrayList<>();
        for (DataSet batch : data) {
            int[] labels = ints(batch.getLabels());
            int[] mask = mask(batch.getLabelsMaskArray());
            for (int i = 0; i < labels.length; i++) {
                if (mask[i] != 0) {
                    tokens.add(labels[i]);
                }
            }
        }
        return tokens.stream().sorted().toList();
    }

    @Test
    void text_files_are_cut_at_empty_lines() throws IOException {
        Path file = folder.resolve("a.txt");
        Files.writeString(file, "ab\n".repeat(800) + "\ncd\n\n" + "e\n".repeat(1200) + "\r\n\nf");
        TextDataset data = TextDataset.builder(Tokenizer.bytes())
                .file(file)
                .sequenceLength(1000)
                .build();
        assertEquals(3, data.documents());
        Set<Integer> bytes = new HashSet<>(tokens(all(data.iterator())));
        assertTrue(bytes.containsAll(List.of((int) 'a', (int) 'd', (int) 'e')), bytes.toString());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "{\"text\":\"a\" | JSON",
                "nonsense | JSON",
                "[] | an object",
                "{} | an object",
                "{\"text\":\"\"} | empty",
                "{\"text\":3} | text",
                "{\"prompt\":\"a\"} | an object",
                "{\"prompt\":\"a\",\"completion\":\"\"} | empty",
                "{\"prompt\":\"a\",\"chosen\":\"b\"} | an object",
                "{\"text\":\"a\",\"messages\":[]} | several",
                "{\"messages\":[]} | at least one",
                "{\"messages\":[{\"role\":\"user\"}]} | content",
                "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]} | answer",
                "{\"messages\":[{\"role\":\"tool\",\"content\":\"a\"}]} | no tool",
                "{\"prompt\":\"aaaaaaaaaaaa\",\"completion\":\"b\"} | 2 to 11 tokens",
                "'' | empty line",
            })
    void refuses_lines_by_number(String line, String reason) throws IOException {
        Path file = lines("{\"text\":\"ab\"}", line, "{\"text\":\"ab\"}");
        String message = assertThrows(IOException.class, () -> TextDataset.builder(tokenizer)
                        .file(file)
                        .sequenceLength(10)
                        .build())
                .getMessage();
        assertTrue(message.contains("a.jsonl, line 2: expected") && message.contains(reason), message);
        assertEquals(1, message.lines().count(), message);
    }

    @Test
    void refuses_files_and_settings_that_do_not_fit() throws IOException {
        Path latin = Files.write(
                folder.resolve("l.jsonl"),
                "{\"text\":\"a\"}\n{\"text\":\"\u00e4\"}".getBytes(StandardCharsets.ISO_8859_1));
        for (Path file : List.of(
                latin,
                folder.resolve("none.txt"),
                Files.writeString(folder.resolve("a.csv"), "a"),
                Files.writeString(folder.resolve("empty.txt"), " \n\n"),
                Files.writeString(folder.resolve("empty.jsonl"), ""))) {
            String message = assertThrows(
                            IOException.class,
                            () -> TextDataset.builder(tokenizer).file(file).build())
                    .getMessage();
            assertTrue(message.contains(file.toString()), message);
        }
        TextDataset.Builder builder = TextDataset.builder(tokenizer).file(lines("{\"text\":\"ab\"}"));
        assertThrows(IllegalStateException.class, () -> builder.build().validation());
        assertThrows(
                IllegalArgumentException.class, () -> builder.validation(0.5).build());
        assertThrows(IllegalArgumentException.class, () -> TextDataset.builder(tokenizer)
                .build());
        assertThrows(
                IllegalArgumentException.class,
                () -> builder.validation(0).sequenceLength(0).build());
    }

    /** One packed sequence gives the output and the gradient of its documents one by one. */
    @ParameterizedTest
    @MethodSource("models")
    void documents_that_share_a_sequence_do_not_see_each_other(String name) throws IOException {
        MultiLayerNetwork network = LanguageModel.load(ReferenceModels.folder(name), DataType.DOUBLE)
                .network();
        Path file = lines("{\"text\":\"abcab\"}", "{\"text\":\"dd\"}", "{\"text\":\"e ab c\"}");
        TextDataset.Builder builder =
                TextDataset.builder(tokenizer).file(file).batch(3).shuffled(false);
        DataSet packed = builder.sequenceLength(14).build().iterator().next();
        DataSet single = builder.packed(false).build().iterator().next();
        assertEquals(1, packed.getFeatures().size(0));
        assertEquals(3, single.getFeatures().size(0));
        assertClose(gradient(network, single), gradient(network, packed));
        INDArray together = network.output(packed.getFeatures(), false, packed.getFeaturesMaskArray(), null);
        INDArray alone = network.output(single.getFeatures(), false, single.getFeaturesMaskArray(), null);
        int[] lengths = mask(single.getFeaturesMaskArray().sum(1));
        int at = 0;
        for (int document = 0; document < 3; document++) {
            INDArray expected = alone.get(
                    NDArrayIndex.point(document), NDArrayIndex.all(), NDArrayIndex.interval(0, lengths[document]));
            INDArray got = together.get(
                    NDArrayIndex.point(0), NDArrayIndex.all(), NDArrayIndex.interval(at, at + lengths[document]));
            assertClose(flat(expected), flat(got));
            at += lengths[document];
        }
    }

    private static double[] gradient(MultiLayerNetwork network, DataSet data) {
        network.setLayerMaskArrays(data.getFeaturesMaskArray(), data.getLabelsMaskArray());
        network.setInput(data.getFeatures());
        network.setLabels(data.getLabels());
        network.computeGradientAndScore();
        network.clearLayerMaskArrays();
        return flat(network.getFlattenedGradients());
    }

    private static double[] flat(INDArray array) {
        return array.castTo(DataType.DOUBLE).dup('c').data().asDouble();
    }

    private static void assertClose(double[] expected, double[] got) {
        assertEquals(expected.length, got.length);
        for (int i = 0; i < expected.length; i++) {
            assertEquals(expected[i], got[i], 1e-7 * Math.max(1, Math.abs(expected[i])), "at " + i);
        }
    }

    @Test
    void a_student_equal_to_its_teacher_has_no_divergence_on_packed_answers() throws IOException {
        LanguageModel model = LanguageModel.load(ReferenceModels.folder("gpt2"));
        Path file = lines(
                "{\"prompt\":\"ab\",\"completion\":\"cd\"}",
                "{\"prompt\":\"ab\",\"completion\":\"c\"}",
                "{\"text\":\"abcde\"}");
        TextDataset data =
                TextDataset.builder(tokenizer).file(file).sequenceLength(12).build();
        double[] scores = new double[2];
        for (int i = 0; i < 2; i++) {
            MultiLayerNetwork student = Retention.attach(
                    model.network(),
                    RetentionConfiguration.builder().coefficient(100.0 * i).build());
            TeacherIterator taught =
                    new TeacherIterator(data.iterator(), Teacher.of(model.network()), DivergenceMask.ALL_TOKENS);
            scores[i] = student.score(taught.next());
        }
        assertEquals(scores[0], scores[1], 1e-4);
    }

    private static final String PAIR = "{\"prompt\":\"ab\",\"chosen\":\"c\",\"rejected\":\"ee\"}";

    @Test
    void pairs_lie_in_turn_and_a_model_learns_to_prefer() throws IOException {
        Path file = lines(PAIR, "{\"prompt\":\"d\",\"chosen\":\"e\",\"rejected\":\"c\"}");
        TextDataset data = TextDataset.builder(tokenizer)
                .file(file)
                .sequenceLength(9)
                .batch(4)
                .pairs(true)
                .shuffled(false)
                .build();
        DataSet batch = data.iterator().next();
        // <s> ab c </s> | <s> ab e e </s> | <s> d e </s> | <s> d c </s>
        assertArrayEquals(new long[] {4, 1, 4}, batch.getFeatures().shape());
        assertArrayEquals(new int[] {0, 8, 4, 0, 0, 8, 6, 6, 0, 5, 6, 0, 0, 5, 4, 0}, ints(batch.getFeatures()));
        assertArrayEquals(new int[] {0, 1, 1, 0, 0, 1, 1, 1, 0, 1, 1, 0, 0, 1, 1, 0}, mask(batch.getLabelsMaskArray()));
        assertArrayEquals(
                new int[] {1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 0}, mask(batch.getFeaturesMaskArray()));
        MultiLayerNetwork network =
                LanguageModel.load(ReferenceModels.folder("gpt2")).network();
        Teacher teacher = Teacher.of(network);
        MultiLayerNetwork student = Retention.attach(
                Retention.withUpdater(network, new Adam(1e-3)),
                RetentionConfiguration.builder().preference(Preference.dpo(0.5)).build(),
                teacher);
        student.fit(new TeacherIterator(data.iterator(), teacher, DivergenceMask.PROMPTS), 1);
        assertEquals(Math.log(2), student.score(), 1e-4);
        student.fit(new TeacherIterator(data.iterator(), teacher, DivergenceMask.PROMPTS), 20);
        assertTrue(student.score() < 0.9 * Math.log(2), "" + student.score());
    }

    @Test
    void what_is_no_pair_is_refused_by_line() throws IOException {
        for (String bad : List.of(
                "{\"text\":\"ab\"}",
                "{\"prompt\":\"ab\",\"completion\":\"c\"}",
                "{\"prompt\":\"ab\",\"chosen\":\"c\",\"rejected\":\"c\"}",
                "{\"prompt\":\"ab\",\"chosen\":\"c\",\"rejected\":\"\"}",
                "{\"prompt\":\"ab\",\"chosen\":\"c\",\"rejected\":\"cdcdcdcdcdcd\"}")) {
            Path file = lines(PAIR, bad);
            TextDataset.Builder builder =
                    TextDataset.builder(tokenizer).file(file).sequenceLength(9).pairs(true);
            String message = assertThrows(IOException.class, builder::build).getMessage();
            assertTrue(message.contains("a.jsonl, line 2: expected"), message);
        }
        for (TextDataset.Builder builder : List.of(
                TextDataset.builder(tokenizer).batch(3),
                TextDataset.builder(tokenizer).rejected(true),
                TextDataset.builder(tokenizer).answersOnly(false))) {
            TextDataset.Builder pairs = builder.file(lines(PAIR)).pairs(true);
            assertThrows(IllegalArgumentException.class, pairs::build);
        }
    }

    @Test
    void divergence_counts_each_token_of_every_document_once() throws IOException {
        DataSet packed = TextDataset.builder(tokenizer)
                .file(lines("{\"text\":\"abc\"}", "{\"text\":\"d\"}"))
                .sequenceLength(9)
                .build()
                .iterator()
                .next();
        INDArray weights = DivergenceMask.ALL_TOKENS.of(packed.toMultiDataSet(), null, 1, 9);
        assertEquals(Nd4j.createFromArray(new float[][] {{1, 1, 1, 1, 1, 0, 0, 0, 0}}), weights);
    }
}
