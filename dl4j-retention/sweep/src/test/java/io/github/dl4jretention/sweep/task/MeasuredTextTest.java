package io.github.dl4jretention.sweep.task;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.sweep.Sweep;
import io.github.dl4jretention.sweep.SweepTexts;
import io.github.dl4jretention.sweep.outcome.CandidateOutcome;
import io.github.dl4jretention.sweep.outcome.SweepOutcome;
import io.github.dl4jretention.sweep.space.RetentionSpace;
import io.github.dl4jretention.sweep.space.Search;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.List;
import java.util.function.UnaryOperator;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.api.buffer.DataType;

/** Held-out texts on which networks are measured by something else than their loss. */
class MeasuredTextTest {

    private static final DataType TYPE = DataType.DOUBLE;

    /** Any number that a network's parameters give. */
    private static double measure(Object network) {
        return ((MultiLayerNetwork) network).params().norm2Number().doubleValue();
    }

    @Test
    void a_sweep_has_the_measure_in_place_of_the_loss(@TempDir Path folder) throws IOException {
        MultiLayerNetwork pretrained = Networks.lstm(TYPE, 1);
        SweepData texts = SweepTexts.data(TYPE);
        FinetuneModel model = FinetuneModel.of(pretrained);
        SweepOutcome outcome = Sweep.builder()
                .model(model)
                .data(new SweepData(
                        texts.training(),
                        texts.validationTarget(),
                        texts.validationSource().measuredBy("norm", MeasuredTextTest::measure),
                        texts.testTarget(),
                        texts.testSource().measuredBy("norm", MeasuredTextTest::measure)))
                .space(FinetuneSpace.builder()
                        .retention(RetentionSpace.builder().coefficient(0.1, 10).build())
                        .steps(3)
                        .build())
                .search(Search.grid(2))
                .folder(folder)
                .build()
                .run();
        Losses losses = model.losses(texts.validationTarget(), texts.validationSource());
        assertEquals(losses.target(), outcome.base().target(), 1e-12);
        assertNotEquals(losses.source(), outcome.base().source(), 1e-6);
        assertEquals(measure(pretrained), outcome.base().source(), 1e-12);
        assertEquals(2, outcome.complete().size());
        for (CandidateOutcome candidate : outcome.complete()) {
            assertNotEquals(measure(pretrained), candidate.validation().source(), 1e-9, "it was trained");
            assertEquals(
                    candidate.validation().source(),
                    candidate.test() == null ? Double.NaN : candidate.test().source(),
                    1e-12);
        }
    }

    private static Sweep sweep(Path folder, UnaryOperator<Batches> measured) throws IOException {
        SweepData texts = SweepTexts.data(TYPE);
        return Sweep.builder()
                .model(FinetuneModel.of(Networks.lstm(TYPE, 1)))
                .data(new SweepData(
                        texts.training(),
                        texts.validationTarget(),
                        measured.apply(texts.validationSource()),
                        texts.testTarget(),
                        measured.apply(texts.testSource())))
                .space(FinetuneSpace.builder()
                        .retention(RetentionSpace.builder().coefficient(0.1, 10).build())
                        .steps(1)
                        .build())
                .search(Search.grid(2))
                .folder(folder)
                .build();
    }

    @Test
    void a_folder_refuses_another_measure(@TempDir Path folder) throws IOException {
        sweep(folder, text -> text.measuredBy("norm", MeasuredTextTest::measure))
                .run();
        sweep(folder, text -> text.measuredBy("norm", MeasuredTextTest::measure))
                .run();
        for (UnaryOperator<Batches> other : List.<UnaryOperator<Batches>>of(
                text -> text, text -> text.measuredBy("half the norm", network -> measure(network) / 2))) {
            String message = assertThrows(IllegalStateException.class, () -> sweep(folder, other)
                            .run())
                    .getMessage();
            assertTrue(message.contains("validationSource") && message.contains("testSource"), message);
        }
        assertThrows(IllegalArgumentException.class, () -> sweep(folder, text -> text.measuredBy(" ", n -> 0)));
    }

    @Test
    void graphs_and_same_diff_models_are_measured_as_they_are() {
        Batches text = SweepTexts.target(TYPE, 1, 3);
        MultiLayerNetwork network = Networks.lstm(TYPE, 1);
        ComputationGraph graph = network.toComputationGraph();
        Losses losses = FinetuneModel.of(graph)
                .losses(
                        text.measuredBy("norm", given -> ((ComputationGraph) given)
                                .params()
                                .norm2Number()
                                .doubleValue()),
                        text.measuredBy("same", given -> given == graph ? 1 : 0));
        assertEquals(measure(network), losses.target(), 1e-12);
        assertEquals(0, losses.source(), "a copy");
        SameDiff sd = SweepTexts.graph(TYPE);
        double expected = sd.getVariable("w").getArr().norm2Number().doubleValue();
        Losses ofSameDiff = FinetuneModel.of(sd, "logits", "labels", "features")
                .losses(
                        text.measuredBy("norm", given -> ((SameDiff) given)
                                .getVariable("w")
                                .getArr()
                                .norm2Number()
                                .doubleValue()),
                        text.measuredBy("two", given -> 2));
        assertEquals(expected, ofSameDiff.target(), 1e-12);
    }

    @Test
    void a_measure_that_fails_says_why() {
        Batches text = SweepTexts.target(TYPE, 1, 3);
        FinetuneModel model = FinetuneModel.of(Networks.lstm(TYPE, 1));
        Batches failing = text.measuredBy("failing", network -> {
            throw new IOException("no such file");
        });
        UncheckedIOException e = assertThrows(UncheckedIOException.class, () -> model.losses(failing, text));
        assertTrue(e.getMessage().contains("no such file"), e.getMessage());
    }
}
