package io.github.dl4jretention.samples;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.loss.RetentionLoss;
import io.github.dl4jretention.samples.model.ModelSize;
import io.github.dl4jretention.samples.model.SameDiffLanguageModel;
import io.github.dl4jretention.samples.text.ByteWindowIterator;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.autodiff.samediff.VariableType;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.iterator.MultiDataSetIterator;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

class SameDiffModelTest {

    private static final ModelSize SMALL = new ModelSize(7, 5, 6, 2, 6);

    @TempDir
    Path folder;

    /** Ids that occur several times in a sequence, where a gathered table gets a wrong gradient. */
    private static final INDArray TOKENS = Nd4j.createFromArray(new long[][] {{1, 3, 1, 1, 6}, {0, 2, 2, 5, 3}});

    private static final INDArray LABELS = Nd4j.createFromArray(new long[][] {{3, 1, 1, 6, 4}, {2, 2, 5, 3, 3}});

    private static Map<String, INDArray> batch() {
        return Map.of("tokens", TOKENS.dup(), "labels", LABELS.dup());
    }

    private static double loss(SameDiff sd) {
        return sd.output(batch(), "loss").get("loss").getDouble(0);
    }

    @Test
    void the_gradient_of_every_kind_of_weight_is_that_of_central_differences() {
        SameDiff sd = SameDiffLanguageModel.create(DataType.DOUBLE, SMALL, 2, 3);
        List<String> names = sd.variables().stream()
                .filter(variable -> variable.getVariableType() == VariableType.VARIABLE)
                .map(SDVariable::name)
                .toList();
        assertTrue(names.contains("embedding") && names.contains("attention1Query"), names.toString());
        // Weights of the size that training gives them: at the start attention hardly matters.
        names.forEach(name -> sd.getVariable(name).getArr().muli(name.contains("orm") ? 1 : 20));
        Map<String, INDArray> gradients = sd.calculateGradients(batch(), names.toArray(String[]::new));
        double step = 1e-5;
        Random random = new Random(2);
        for (String name : names) {
            INDArray weights = sd.getVariable(name).getArr();
            for (int i = 0; i < 6; i++) {
                long at = random.nextInt((int) weights.length());
                double value = weights.getDouble(at);
                weights.putScalar(at, value + step);
                double above = loss(sd);
                weights.putScalar(at, value - step);
                double below = loss(sd);
                weights.putScalar(at, value);
                assertEquals((above - below) / (2 * step), gradients.get(name).getDouble(at), 1e-7, name + " at " + at);
            }
        }
    }

    @ParameterizedTest
    @CsvSource({"FLOAT, 1e-5", "DOUBLE, 1e-12"})
    void no_token_sees_a_later_one(DataType type, double tolerance) {
        SameDiff sd = SameDiffLanguageModel.create(type, SMALL, 3, 5);
        sd.getVariable("embedding").getArr().muli(20);
        INDArray changed = TOKENS.dup();
        changed.putScalar(0, 3, 2);
        INDArray before = sd.output(Map.of("tokens", TOKENS.dup()), "logits").get("logits");
        INDArray after = sd.output(Map.of("tokens", changed), "logits").get("logits");
        assertEquals(type, before.dataType());
        for (int time = 0; time < 5; time++) {
            INDArray here = before.get(NDArrayIndex.point(0), NDArrayIndex.point(time), NDArrayIndex.all());
            INDArray there = after.get(NDArrayIndex.point(0), NDArrayIndex.point(time), NDArrayIndex.all());
            double difference = Differences.largest(here, there);
            assertTrue(time < 3 ? difference <= tolerance : difference > 1e-3, time + ": " + difference);
        }
    }

    /** Weights of 0 make all tokens equally probable. */
    @Test
    void the_loss_is_in_nats_per_token() {
        SameDiff sd = SameDiffLanguageModel.create(DataType.DOUBLE, SMALL, 2, 3);
        sd.getVariable("embedding").getArr().assign(0);
        assertEquals(Math.log(7), loss(sd), 1e-12);
    }

    @Test
    void batches_hold_ids_of_bytes_and_of_the_bytes_after_them() {
        byte[] text = new byte[200];
        new Random(1).nextBytes(text);
        MultiDataSetIterator ids = SameDiffLanguageModel.batches(ByteWindowIterator.evaluation(1, 64, 1, text));
        org.nd4j.linalg.dataset.api.MultiDataSet batch = ids.next();
        for (int time = 0; time < 64; time++) {
            assertEquals(Byte.toUnsignedInt(text[time]), batch.getFeatures(0).getLong(0, time));
            assertEquals(Byte.toUnsignedInt(text[time + 1]), batch.getLabels(0).getLong(0, time));
        }
    }

    private record Ended(int code, String output, String error) {}

    private static Ended run(String... args) {
        PrintStream screen = System.out;
        PrintStream errors = System.err;
        ByteArrayOutputStream output = new ByteArrayOutputStream();
        ByteArrayOutputStream error = new ByteArrayOutputStream();
        System.setOut(new PrintStream(output, true, StandardCharsets.UTF_8));
        System.setErr(new PrintStream(error, true, StandardCharsets.UTF_8));
        try {
            int code = SameDiffModel.commandLine().execute(args);
            return new Ended(code, output.toString(StandardCharsets.UTF_8), error.toString(StandardCharsets.UTF_8));
        } finally {
            System.setOut(screen);
            System.setErr(errors);
        }
    }

    @Test
    void the_program_prints_what_was_learned_and_forgotten_and_saves_a_plain_model() {
        Ended ended = run(
                "--pretraining-steps", "4", "--steps", "3", "--corpus", "target/corpus", "--out", folder.toString());
        assertEquals(0, ended.code(), ended.error());
        List<String> lines = ended.output()
                .lines()
                .filter(line -> line.matches("(base|coefficient).*"))
                .toList();
        assertEquals(3, lines.size(), ended.output());
        assertTrue(lines.get(1).startsWith("coefficient 0.0: gain on Scala 0."), lines.get(1));
        SameDiff tuned = SameDiff.load(folder.resolve("tuned.fb").toFile(), false);
        assertFalse(tuned.hasVariable(RetentionLoss.LOSS));
        assertEquals(List.of("loss"), tuned.getLossVariables());
    }

    @Test
    void bad_options_end_in_one_line_that_names_them() {
        for (String[] bad : new String[][] {
            {"--steps", "0"},
            {"--pretraining-steps", "0"},
            {"--coefficient", "-1"},
            {"--learning-rate", "NaN"},
            {"--seed", "0"}
        }) {
            Ended ended = run(bad);
            assertEquals(2, ended.code());
            assertTrue(ended.error().startsWith("error: " + bad[0] + ": expected"), ended.error());
            assertFalse(Files.exists(folder.resolve("tuned.fb")));
        }
    }
}
