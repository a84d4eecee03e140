package io.github.dl4jretention.sweep;

import static io.github.dl4jretention.Networks.assertClose;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.loss.Divergence;
import io.github.dl4jretention.loss.TokenWeight;
import io.github.dl4jretention.sweep.outcome.CandidateOutcome;
import io.github.dl4jretention.sweep.outcome.SweepOutcome;
import io.github.dl4jretention.sweep.space.FinetuneMethod;
import io.github.dl4jretention.sweep.space.RetentionSpace;
import io.github.dl4jretention.sweep.space.Search;
import io.github.dl4jretention.sweep.task.FinetuneModel;
import io.github.dl4jretention.sweep.task.FinetuneSpace;
import io.github.dl4jretention.sweep.task.RetentionScore;
import io.github.dl4jretention.sweep.task.SweepData;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import javax.tools.ToolProvider;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

/** The report's lines of Java compile, and make the candidates' networks again. */
class JavaLineTest {

    private static final DataType TYPE = DataType.DOUBLE;

    @TempDir
    private Path folder;

    private static Sweep.Builder sweep(FinetuneModel model, Path to) {
        return Sweep.builder()
                .model(model)
                .data(SweepTexts.data(TYPE).withTrainingSource(SweepTexts.source(TYPE, 2, 60)))
                .space(FinetuneSpace.builder()
                        .methods(FinetuneMethod.PLAIN, FinetuneMethod.RETENTION, FinetuneMethod.L2_SP)
                        .retention(RetentionSpace.builder()
                                .coefficients(0.5)
                                .divergences(Divergence.JENSEN_SHANNON)
                                .temperatures(2)
                                .labelSmoothings(0.1)
                                .tokenWeights(TokenWeight.eaft(3))
                                .build())
                        .strengths(FinetuneMethod.L2_SP, 0.25)
                        .learningRates(0.01)
                        .epochs(2)
                        .frozenUpTo(-1, 0)
                        .warmUps(3)
                        .build())
                .search(Search.grid(2))
                .seed(3)
                .folder(to);
    }

    private Object run(String line, Sweep sweep) throws Exception {
        Path source = Files.writeString(
                folder.resolve("Line.java"),
                "import io.github.dl4jretention.loss.*;\nimport io.github.dl4jretention.sweep.*;\n"
                        + "import io.github.dl4jretention.sweep.space.*;\n"
                        + "public class Line { public static Object tuned(Sweep sweep) { " + line
                        + " return tuned; } }");
        assertEquals(
                0,
                ToolProvider.getSystemJavaCompiler()
                        .run(
                                null,
                                null,
                                null,
                                "-proc:none",
                                "-cp",
                                Path.of(Sweep.class
                                                .getProtectionDomain()
                                                .getCodeSource()
                                                .getLocation()
                                                .toURI())
                                        + System.getProperty("path.separator")
                                        + System.getProperty("java.class.path"),
                                source.toString()),
                line);
        try (URLClassLoader loader =
                new URLClassLoader(new URL[] {folder.toUri().toURL()})) {
            return loader.loadClass("Line").getMethod("tuned", Sweep.class).invoke(null, sweep);
        }
    }

    private static INDArray params(Object network) {
        return network instanceof MultiLayerNetwork layers ? layers.params() : ((ComputationGraph) network).params();
    }

    private void everyFrontModelIsMadeAgain(FinetuneModel model, Path to) throws Exception {
        Sweep sweep = sweep(model, to).build();
        SweepOutcome outcome = sweep.run();
        assertEquals(6, outcome.complete().size(), () -> outcome.failed().toString());
        for (CandidateOutcome candidate : outcome.front()) {
            Object saved = model.load(to.resolve(SweepFolder.model(candidate.index())));
            Object again = run(outcome.javaLine(candidate), sweep);
            assertEquals(TYPE, params(again).dataType());
            assertClose(params(saved), params(again), 0);
        }
        for (CandidateOutcome candidate : outcome.complete()) {
            run(outcome.javaLine(candidate), sweep);
        }
    }

    @Test
    void of_one_that_failed_while_it_was_generated_is_refused() {
        SweepOutcome outcome =
                new SweepOutcome(Map.of(), RetentionScore.weighted(1), null, null, 1, 0, false, List.of());
        CandidateOutcome failed = CandidateOutcome.failed(3, null, "generation");
        IllegalArgumentException e = assertThrows(IllegalArgumentException.class, () -> outcome.javaLine(failed));
        assertEquals(
                "candidate: expected one with a configuration, got 3, which failed while it was generated",
                e.getMessage());
    }

    @Test
    void of_a_samediff_graph() throws Exception {
        FinetuneModel model = FinetuneModel.of(SweepTexts.graph(TYPE), "logits", "labels", "features");
        SweepData ids = new SweepData(
                SweepTexts.ids(TYPE, 1),
                SweepTexts.ids(TYPE, 2),
                SweepTexts.ids(TYPE, 3),
                SweepTexts.ids(TYPE, 4),
                SweepTexts.ids(TYPE, 5));
        Path to = folder.resolve("samediff");
        Sweep sweep = Sweep.builder()
                .model(model)
                .data(ids)
                .space(FinetuneSpace.builder()
                        .retention(RetentionSpace.builder().coefficients(0.5, 2).build())
                        .learningRates(0.01)
                        .steps(3)
                        .build())
                .search(Search.grid(2))
                .score(RetentionScore.weighted(0))
                .folder(to)
                .build();
        SweepOutcome outcome = sweep.run();
        assertEquals(2, outcome.complete().size(), () -> outcome.failed().toString());
        for (CandidateOutcome candidate : outcome.front()) {
            SameDiff saved = (SameDiff) model.load(to.resolve(SweepFolder.model(candidate.index())));
            SameDiff again = (SameDiff) run(outcome.javaLine(candidate), sweep);
            assertClose(saved.getVariable("w").getArr(), again.getVariable("w").getArr(), 0);
        }
    }

    @Test
    void of_a_network() throws Exception {
        everyFrontModelIsMadeAgain(FinetuneModel.of(Networks.lstm(TYPE, 1)), folder.resolve("network"));
    }

    @Test
    void of_a_double_graph_which_stays_one_when_layers_are_frozen() throws Exception {
        everyFrontModelIsMadeAgain(
                FinetuneModel.of(Networks.lstm(TYPE, 1).toComputationGraph()), folder.resolve("graph"));
    }
}
