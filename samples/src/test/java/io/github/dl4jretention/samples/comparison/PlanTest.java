package io.github.dl4jretention.samples.comparison;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.samples.model.Checkpoint;
import io.github.dl4jretention.samples.model.TextModel;
import io.github.dl4jretention.samples.text.Corpus;
import io.github.dl4jretention.samples.text.Domain;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

/** What plans allow, and what their trials are trained on. */
class PlanTest {

    @TempDir
    private Path folder;

    private Plan plan(String methods) throws IOException {
        return Plan.read(Files.writeString(folder.resolve("plan.json"), ComparisonTest.PLAN.formatted(methods)));
    }

    @Test
    void plans_that_make_no_sense_are_refused() throws IOException {
        String plain = "{\"method\": \"PLAIN\"}";
        assertEquals(1, plan(plain).trials().size());
        assertEquals(
                List.of(0.001, 0.1, 0.2),
                plan(plain + ", {\"method\": \"LORA\", \"strengths\": [2], \"learningRates\": [0.1, 0.2]}")
                        .trials()
                        .stream()
                        .map(Trial::learningRate)
                        .toList());
        List<String> bad = new ArrayList<>(List.of(
                "{\"method\": \"RETENTION\", \"strengths\": [1]}",
                plain + ", {\"method\": \"RETENTION\"}",
                plain + ", {\"method\": \"OTHER\"}",
                "{\"method\": \"PLAIN\", \"strengths\": [1]}",
                "{\"method\": \"PLAIN\", \"merges\": [{\"merge\": \"TIES\"}]}",
                "{\"method\": \"PLAIN\", \"merges\": [{\"merge\": \"WISE_FT\", \"strengths\": [1.2]}]}",
                "{\"method\": \"PLAIN\", \"stops\": [2]}",
                plain + ", {\"method\": \"REPLAY\", \"strengths\": [0.01]}",
                plain + ", {\"method\": \"REPLAY\", \"strengths\": [1]}",
                plain + ", {\"method\": \"RETENTION\", \"strengths\": [-1]}",
                plain + ", {\"method\": \"RETENTION\", \"strengths\": [null]}",
                plain + ", {\"method\": \"LORA\", \"strengths\": [2.5]}",
                plain + ", {\"method\": \"LORA\", \"strengths\": [2], \"learningRates\": [0]}",
                plain + ", {\"method\": \"LORA\", \"strengths\": [2], \"learningRates\": [null]}",
                plain + ", " + plain,
                "{\"method\": \"PLAIN\", \"learningRates\": [0.1, 0.1]}",
                "{\"method\": \"PLAIN\", \"stops\": [1, 1]}",
                "{\"method\": \"PLAIN\", \"stops\": [null]}",
                "{\"method\": \"PLAIN\", \"merges\": [{\"merge\": \"EXPO\", \"strengths\": [1]}, "
                        + "{\"merge\": \"EXPO\", \"strengths\": [2]}]}",
                plain + ", {\"method\": \"RETENTION\", \"strengths\": [1, 2]}, "
                        + "{\"method\": \"RETENTION\", \"strengths\": [2]}",
                plain + ", {\"method\": \"REPLAY\", \"strengths\": [0.25, 0.26]}",
                plain + ", {\"method\": \"EAFT\", \"strengths\": [1.5]}",
                plain + ", {\"method\": \"DFT\", \"strengths\": [1]}",
                plain + ", {\"method\": \"SELECTIVE\", \"strengths\": [1.5]}",
                plain + ", {\"method\": \"RETENTION\", \"strengths\": [1], \"tokenWeight\": \"dft\"}",
                plain + ", {\"method\": \"L2_SP\", \"strengths\": [1], \"tokenWeight\": \"dft()\"}",
                plain + ", {\"method\": \"RETENTION\", \"strengths\": [1], \"written\": {\"count\": 4}}",
                plain + ", {\"method\": \"SELF_REPLAY\", \"strengths\": [1], \"written\": {\"temperature\": 0}}",
                plain + ", {\"method\": \"SELF_REPLAY\", \"strengths\": [1], \"written\": {\"share\": 0.9}}",
                plain + ", {\"method\": \"SELF_REPLAY\", \"strengths\": [1], \"written\": {\"count\": -1}}",
                plain + ", {\"method\": \"SELF_REPLAY\", \"strengths\": [1], \"written\": {\"length\": -1}}",
                plain + ", {\"method\": \"DPO\", \"strengths\": [0]}",
                plain + ", {\"method\": \"RETENTION\", \"strengths\": [1], \"beside\": true}",
                "{\"method\": \"PLAIN\", \"warmUps\": [-1]}"));
        for (String methods : bad) {
            String message = assertThrows(IOException.class, () -> plan(methods), methods)
                    .getMessage();
            assertTrue(message.contains("plan.json"), message);
        }
        Path same = Files.writeString(
                folder.resolve("same.json"),
                ComparisonTest.PLAN.formatted(plain).replace("[\"PROSE\"]", "[\"KOTLIN\"]"));
        assertThrows(IOException.class, () -> Plan.read(same));
        Path twice = Files.writeString(
                folder.resolve("twice.json"),
                ComparisonTest.PLAN
                        .formatted(plain)
                        .replace("[{", "[{\"target\": \"KOTLIN\", \"sources\": [\"JAVA\"]}, {"));
        assertThrows(IOException.class, () -> Plan.read(twice));
        try (Stream<Path> shipped = Files.list(Path.of("comparisons"))) {
            for (Path file : shipped.toList()) {
                assertFalse(Plan.read(file).trials().isEmpty(), file.toString());
            }
        }
    }

    @Test
    void every_method_is_trained_on_the_same_windows() throws IOException {
        Plan plan = plan(
                """
                {"method": "PLAIN"}, {"method": "RETENTION", "strengths": [1]},
                {"method": "RETENTION_REVERSE", "strengths": [1]}, {"method": "LABEL_SMOOTHING", "strengths": [0.1]},
                {"method": "L2_SP", "strengths": [1]}, {"method": "LORA", "strengths": [2]},
                {"method": "LORA_RETENTION", "strengths": [1]}, {"method": "EAFT", "strengths": [20]}, {"method": "DFT"},
                {"method": "RETENTION", "strengths": [1], "tokenWeight": "dft()"},
                {"method": "TALR", "strengths": [2]}, {"method": "REPLAY", "strengths": [0.25]},
                {"method": "REPLAY_RETENTION", "strengths": [1]}""");
        MultiLayerNetwork base =
                Checkpoint.load(Path.of("checkpoints", "transformer.zip")).network();
        Corpus corpus = Corpus.read(Path.of("target", "corpus"));
        INDArray plain = windows(plan.trials().get(0), plan, base, corpus);
        assertEquals(8, plain.size(0));
        for (Trial trial : plan.trials()) {
            INDArray windows = windows(trial, plan, base, corpus);
            if (trial.method().method().replays()) {
                // Three of four are the next of the target's windows, the fourth is of the source.
                for (int step = 0; step < 2; step++) {
                    assertEquals(rows(plain, 3 * step, 3), rows(windows, 4 * step, 3), trial.key());
                    String source = new String(bytes(windows.slice(4 * step + 3)), StandardCharsets.ISO_8859_1);
                    assertTrue(text(corpus, "PROSE").contains(source), trial.key());
                }
            } else {
                assertEquals(plain, windows, trial.key());
            }
        }
    }

    private static String text(Corpus corpus, String domain) {
        return new String(corpus.text(Domain.valueOf(domain), Corpus.Part.PRETRAIN), StandardCharsets.ISO_8859_1);
    }

    private static INDArray rows(INDArray windows, int from, int count) {
        return windows.get(NDArrayIndex.interval(from, from + count), NDArrayIndex.all(), NDArrayIndex.all())
                .dup();
    }

    /** Features of both steps, below each other. */
    private static INDArray windows(Trial trial, Plan plan, MultiLayerNetwork base, Corpus corpus) {
        TokenCorpus tokens = new TokenCorpus(corpus, TextModel.of(base));
        TrialSetup setup = new TrialSetup(base, trial, plan, tokens, () -> null, () -> null, () -> null, () -> null);
        DataSetIterator batches = trial.method().method().prepare(setup).batches();
        INDArray first = batches.next().getFeatures().dup();
        return Nd4j.concat(0, first, batches.next().getFeatures());
    }

    @Test
    void replayed_examples_take_places_of_the_targets_or_stand_beside_them() throws IOException {
        String method = ", {\"method\": \"SELF_REPLAY\", \"strengths\": [1], \"written\": {\"share\": 0.5}%s}";
        MethodPlan inPlace =
                plan("{\"method\": \"PLAIN\"}" + method.formatted("")).methods().get(1);
        assertEquals(8, inPlace.targetExamples(16, 1));
        assertEquals(8, inPlace.replayedExamples(16, 1));
        MethodPlan beside = plan("{\"method\": \"PLAIN\"}" + method.formatted(", \"beside\": true"))
                .methods()
                .get(1);
        assertEquals(16, beside.targetExamples(16, 1));
        assertEquals(16, beside.replayedExamples(16, 1));
        assertEquals("self_replay share 0.5, beside", beside.name());
    }

    @Test
    void sources_have_equal_shares() throws IOException {
        Plan plan = Plan.read(Files.writeString(
                folder.resolve("plan.json"),
                ComparisonTest.PLAN
                        .formatted("{\"method\": \"PLAIN\"}")
                        .replace("[\"PROSE\"]", "[\"PROSE\", \"JAVA\", \"SCALA\"]")));
        Corpus corpus = Corpus.read(Path.of("target", "corpus"));
        TextModel base = TextModel.of(
                Checkpoint.load(Path.of("checkpoints", "transformer.zip")).network());
        TokenCorpus tokens = new TokenCorpus(corpus, base);
        DataSetIterator windows = TrialSetup.sourceWindows(tokens, plan.pairs().get(0), 7, 1);
        int[] shares = new int[3];
        while (windows.hasNext()) {
            INDArray features = windows.next().getFeatures();
            for (int row = 0; row < features.size(0); row++) {
                String window = new String(bytes(features.slice(row)), StandardCharsets.ISO_8859_1);
                for (int i = 0; i < shares.length; i++) {
                    String text = new String(
                            corpus.text(plan.pairs().get(0).sources().get(i), Corpus.Part.PRETRAIN),
                            StandardCharsets.ISO_8859_1);
                    shares[i] += text.contains(window) ? 1 : 0;
                }
            }
        }
        assertArrayEquals(new int[] {3, 3, 3}, shares);
    }

    private static byte[] bytes(INDArray values) {
        INDArray flat = values.reshape(values.length());
        byte[] bytes = new byte[(int) flat.length()];
        for (int i = 0; i < bytes.length; i++) {
            bytes[i] = (byte) flat.getInt(i);
        }
        return bytes;
    }
}
