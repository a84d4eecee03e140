package io.github.dl4jretention.lm;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.Retention;
import io.github.dl4jretention.lm.huggingface.ReferenceModels;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;

class LanguageModelTest {

    private static final ObjectMapper MAPPER = new ObjectMapper();

    @TempDir
    Path temporary;

    static Stream<String> models() {
        return ReferenceModels.names().stream();
    }

    static DataSet batch(int vocabulary, long seed) {
        Random random = new Random(seed);
        INDArray ids = Nd4j.create(DataType.FLOAT, 2, 1, 6);
        INDArray labels = Nd4j.create(DataType.FLOAT, 2, 1, 6);
        for (int i = 0; i < ids.length(); i++) {
            ids.putScalar(i, random.nextInt(vocabulary));
            labels.putScalar(i, random.nextInt(vocabulary));
        }
        return new DataSet(ids, labels);
    }

    /** A student after two steps, and its teacher's network. */
    static MultiLayerNetwork student(LanguageModel model) {
        MultiLayerNetwork pretrained = Retention.withUpdater(model.network(), new Adam(1e-2));
        MultiLayerNetwork student = Retention.attach(
                pretrained, RetentionConfiguration.builder().coefficient(0.5).build());
        DataSet batch = batch(model.vocabulary(), 3);
        student.fit(new TeacherIterator(new ExistingDataSetIterator(List.of(batch)), Teacher.of(pretrained)), 2);
        return student;
    }

    @ParameterizedTest
    @MethodSource("models")
    void a_student_is_saved_as_a_folder_that_loads_with_its_weights(String name) throws IOException {
        LanguageModel model = LanguageModel.load(ReferenceModels.folder(name));
        MultiLayerNetwork student = student(model);
        Path out = temporary.resolve("tuned");
        model.withNetwork(student)
                .withCard(new ModelCard("my | data", 0.5, 0.125))
                .save(out, DataType.FLOAT);
        LanguageModel again = LanguageModel.load(out);
        assertEquals(student.params(), again.network().params());
        Networks.assertMoved(model.network().params(), again.network().params(), 0);
        INDArray ids = batch(model.vocabulary(), 4).getFeatures();
        assertEquals(Retention.detach(student).output(ids), again.network().output(ids));
        String card = Files.readString(out.resolve("README.md"));
        assertTrue(card.contains("base_model: \"" + name + "\""), card);
        assertTrue(card.contains("| data | my \\| data |"), card);
        assertTrue(card.contains("| coefficient | 0.5 |"), card);
        assertTrue(card.contains("| gain | 0.5 nats per token |\n| forgetting | 0.125 nats per token |"), card);
        JsonNode provenance = provenance(out);
        assertEquals(name, provenance.path("base").asText());
        assertEquals(2, provenance.path("provenance").path("iteration").asInt());
        assertEquals(
                0.5,
                provenance
                        .path("provenance")
                        .path("losses")
                        .path("output")
                        .path("coefficient")
                        .asDouble());
    }

    private static JsonNode provenance(Path folder) throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            Path file = files.filter(path -> path.toString().endsWith(".safetensors"))
                    .findFirst()
                    .orElseThrow();
            byte[] bytes = Files.readAllBytes(file);
            int length = (bytes[0] & 0xFF) | (bytes[1] & 0xFF) << 8 | (bytes[2] & 0xFF) << 16;
            JsonNode header = MAPPER.readTree(new String(bytes, 8, length, StandardCharsets.UTF_8));
            return MAPPER.readTree(
                    header.path("__metadata__").path("dl4j-retention").asText());
        }
    }

    @Test
    void an_untrained_network_is_saved_without_a_card() throws IOException {
        LanguageModel model = LanguageModel.load(ReferenceModels.folder("gpt2"));
        MultiLayerNetwork untrained = Retention.detach(Retention.attach(
                model.network(), RetentionConfiguration.builder().build()));
        model.withNetwork(untrained).save(temporary.resolve("same"));
        assertEquals(
                -1,
                Files.mismatch(
                        ReferenceModels.folder("gpt2").resolve("model.safetensors"),
                        temporary.resolve("same/model.safetensors")));
        assertTrue(Files.notExists(temporary.resolve("same/README.md")));
        assertSame(model.network(), model.network());
        assertEquals(16, model.contextLength());
    }

    @Test
    void refuses_networks_of_other_layers() throws IOException {
        LanguageModel model = LanguageModel.load(ReferenceModels.folder("gpt2"));
        MultiLayerNetwork other =
                LanguageModel.load(ReferenceModels.folder("llama")).network();
        assertThrows(IllegalArgumentException.class, () -> model.withNetwork(other));
        assertThrows(
                IllegalArgumentException.class,
                () -> LanguageModel.load(ReferenceModels.folder("gpt2"), DataType.FLOAT16));
        assertThrows(IllegalArgumentException.class, () -> model.save(temporary.resolve("long"), DataType.INT64));
    }

    /** Runs where there is a Python with PyTorch: its own reader gives the logits of what this library saved. */
    @ParameterizedTest
    @MethodSource("models")
    void pytorch_reads_what_was_saved(String name) throws IOException, InterruptedException {
        assumeTrue(python() != null, "python3 with torch");
        LanguageModel model = LanguageModel.load(ReferenceModels.folder(name));
        Path out = temporary.resolve("tuned");
        model.withNetwork(student(model)).save(out);
        assertLogits(pytorch(out, 1, 5, 3, 0, 7, 2), LanguageModel.load(out), 1, 5, 3, 0, 7, 2);
    }

    /** Within 1e-4 of each logit, or of 1 if that is larger; NaN fails. */
    private static void assertLogits(double[][] expected, LanguageModel model, int... ids) {
        NetworkSteps steps = new NetworkSteps(model.network());
        for (int t = 0; t < ids.length; t++) {
            float[] logits = steps.next(new int[][] {{ids[t]}})[0];
            for (int i = 0; i < expected[t].length; i++) {
                assertEquals(expected[t][i], logits[i], 1e-4 * Math.max(1, Math.abs(expected[t][i])), t + " " + i);
            }
        }
    }

    /** {@return the first Python that has PyTorch; null for none} */
    private static String python() throws InterruptedException {
        for (String candidate : List.of("python3", "/usr/bin/python3")) {
            try {
                Process process = new ProcessBuilder(candidate, "-c", "import torch").start();
                if (process.waitFor() == 0) {
                    return candidate;
                }
            } catch (IOException e) {
                // There is none of this name.
                continue;
            }
        }
        return null;
    }

    private static double[][] pytorch(Path folder, int... ids) throws IOException, InterruptedException {
        String list = Arrays.toString(ids).replaceAll("[^0-9,]", "");
        Process process = new ProcessBuilder(
                        python(), ReferenceModels.script().toString(), "logits", folder.toString(), list)
                .redirectError(ProcessBuilder.Redirect.INHERIT)
                .start();
        String text = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(0, process.waitFor());
        return MAPPER.readValue(text, double[][].class);
    }

    /** {@code -Dstories260k=FOLDER}: a trained model and its expected.json, which are not part of this project. */
    @Test
    void a_trained_model_gives_its_encodings_and_its_logits() throws IOException {
        String property = System.getProperty("stories260k");
        assumeTrue(property != null, "-Dstories260k");
        LanguageModel model = LanguageModel.load(Path.of(property));
        JsonNode expected = MAPPER.readTree(Path.of(property, "expected.json").toFile());
        int texts = 0;
        for (JsonNode encoding : expected.get("encodings")) {
            int[] ids = MAPPER.convertValue(encoding.get("ids"), int[].class);
            assertArrayEquals(ids, model.tokenizer().encode(encoding.get("text").asText()), encoding.toString());
            texts++;
        }
        assertTrue(texts > 0);
        int[] ids = MAPPER.convertValue(expected.get("ids"), int[].class);
        assertLogits(MAPPER.convertValue(expected.get("logits"), double[][].class), model, ids);
    }

    /** The same model, tuned on a text with retention: PyTorch reads what it became. */
    @Test
    void a_trained_model_that_was_tuned_gives_the_logits_of_pytorch() throws IOException, InterruptedException {
        String property = System.getProperty("stories260k");
        assumeTrue(property != null && python() != null, "-Dstories260k, and python3 with torch");
        LanguageModel model = LanguageModel.load(Path.of(property));
        Path text =
                Files.writeString(temporary.resolve("text.txt"), "A cat sat on a mat. It was a red mat.\n".repeat(80));
        MultiLayerNetwork pretrained = Retention.withUpdater(model.network(), new Adam(1e-3));
        MultiLayerNetwork student = Retention.attach(
                pretrained, RetentionConfiguration.builder().coefficient(0.5).build());
        TextDataset data = TextDataset.builder(model)
                .file(text)
                .sequenceLength(64)
                .batch(2)
                .build();
        student.fit(new TeacherIterator(data.iterator(), Teacher.of(pretrained)), 3);
        Path out = temporary.resolve("tuned");
        model.withNetwork(student).save(out);
        int[] ids = model.tokenizer().encode("Once upon a time, a cat sat on a mat.");
        LanguageModel again = LanguageModel.load(out);
        Networks.assertMoved(model.network().params(), again.network().params(), 0);
        assertLogits(pytorch(out, ids), again, ids);
    }
}
