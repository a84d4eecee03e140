package io.github.dl4jretention.sweep;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.loss.TokenLoss;
import io.github.dl4jretention.sweep.outcome.CandidateOutcome;
import io.github.dl4jretention.sweep.outcome.SweepOutcome;
import io.github.dl4jretention.sweep.space.RetentionSpace;
import io.github.dl4jretention.sweep.space.Search;
import io.github.dl4jretention.sweep.task.Batches;
import io.github.dl4jretention.sweep.task.FinetuneModel;
import io.github.dl4jretention.sweep.task.FinetuneSpace;
import io.github.dl4jretention.sweep.task.SweepData;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.deeplearning4j.arbiter.optimize.api.ParameterSpace;
import org.deeplearning4j.arbiter.optimize.parameter.continuous.ContinuousParameterSpace;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.datasets.iterator.IteratorMultiDataSetIterator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

/** What is found out before anything is trained, and what a sweep shares with others. */
class SweepStartTest {

    private static final DataType TYPE = DataType.DOUBLE;

    @TempDir
    private Path folder;

    private static SweepData withTestSource(Batches text) {
        SweepData data = SweepTexts.data(TYPE);
        return new SweepData(
                data.training(), data.validationTarget(), data.validationSource(), data.testTarget(), text);
    }

    private static Batches one(DataSet batch) {
        return Batches.of(new ExistingDataSetIterator(List.of(batch)));
    }

    @Test
    void test_text_is_tried_before_anything_is_trained_and_repaired_text_goes_into_the_same_folder()
            throws IOException {
        DataSet narrow = new DataSet(
                Nd4j.ones(TYPE, 3, Networks.INPUTS - 1, Networks.TIME),
                Networks.sequences(TYPE, 3, 1).getLabels());
        DataSet masked = Networks.sequences(TYPE, 3, 1);
        masked.setLabelsMaskArray(Nd4j.zeros(TYPE, 3, Networks.TIME));
        List<Integer> trained = new ArrayList<>();
        SweepListener listener = new SweepListener() {
            @Override
            public void onStep(int candidate, int step, int steps, TokenLoss loss) {
                trained.add(candidate);
            }
        };
        for (DataSet broken : List.of(narrow, masked)) {
            Sweep sweep = SweepTest.sweep(folder)
                    .data(withTestSource(one(broken)))
                    .listener(listener)
                    .build();
            IllegalArgumentException e = assertThrows(IllegalArgumentException.class, sweep::run);
            assertTrue(e.getMessage().startsWith("testSource: "), e.getMessage());
        }
        assertEquals(List.of(), trained);
        SweepOutcome outcome = SweepTest.sweep(folder).candidates(1).build().run();
        assertEquals(1, outcome.candidates().size());
        SweepData data = SweepTexts.data(TYPE);
        FinetuneModel model = FinetuneModel.of(Networks.lstm(TYPE, 1));
        assertEquals(model.losses(data.testTarget(), data.testSource()), outcome.baseTest());
    }

    @Test
    void a_model_that_trains_in_another_way_is_another_sweep() throws IOException {
        SweepTest.sweep(folder).candidates(1).build().run();
        Sweep other = SweepTest.sweep(folder)
                .model(FinetuneModel.of(Networks.lstm(TYPE, 1, LossFunction.MCXENT, 0.5)))
                .build();
        IllegalStateException e = assertThrows(IllegalStateException.class, other::run);
        assertTrue(e.getMessage().contains("modelSettings: "), e.getMessage());
        assertFalse(e.getMessage().contains("model: "), e.getMessage());
    }

    private static Batches once() {
        List<MultiDataSet> text = new ArrayList<>();
        SweepTexts.target(TYPE, 4, 10).iterator().forEachRemaining(text::add);
        return Batches.ofMultiDataSets(() -> new IteratorMultiDataSetIterator(text.iterator(), 3));
    }

    private Sweep.Builder ofOnePass(FinetuneSpace.Builder space) {
        SweepData data = SweepTexts.data(TYPE);
        return SweepTest.sweep(folder)
                .data(new SweepData(
                        once(), data.validationTarget(), data.validationSource(), data.testTarget(), data.testSource()))
                .space(space.learningRates(0.01, 0.02).build());
    }

    @Test
    void batches_that_cannot_be_reset_serve_one_pass() throws IOException {
        for (FinetuneSpace.Builder longer : List.of(
                FinetuneSpace.builder().steps(4, 5), FinetuneSpace.builder().epochs(1, 2))) {
            IllegalArgumentException e = assertThrows(
                    IllegalArgumentException.class, () -> ofOnePass(longer).build());
            assertTrue(e.getMessage().startsWith("training: expected batches that can be reset"), e.getMessage());
        }
        ofOnePass(FinetuneSpace.builder().steps(4).epochs(2)).build();
        SweepOutcome outcome =
                ofOnePass(FinetuneSpace.builder()).candidates(1).build().run();
        assertEquals(4, outcome.complete().get(0).steps());
    }

    private Sweep.Builder random(String name, FinetuneSpace.Builder space) {
        return SweepTest.sweep(folder.resolve(name))
                .space(space.steps(1).build())
                .search(Search.random())
                .candidates(3);
    }

    private static List<Object> configurations(SweepOutcome sweep) {
        return sweep.candidates().stream()
                .<Object>map(CandidateOutcome::configuration)
                .toList();
    }

    @Test
    void sweeps_at_once_may_share_a_parameter_space() throws IOException {
        ParameterSpace<Double> shared = new ContinuousParameterSpace(0.001, 0.01);
        RetentionSpace coefficients =
                RetentionSpace.builder().coefficient(0.1, 10).build();
        FinetuneSpace.Builder[] spaces = {
            FinetuneSpace.builder().retention(coefficients).learningRate(shared),
            FinetuneSpace.builder()
                    .retention(RetentionSpace.builder().coefficients(1).build())
                    .learningRate(shared)
        };
        SweepOutcome alone = random("alone", spaces[0]).build().run();
        SweepOutcome disturbed = random("disturbed", spaces[0])
                .listener(new SweepListener() {
                    @Override
                    public void onCandidate(SweepOutcome sweep, CandidateOutcome candidate) {
                        if (candidate.index() > 0) {
                            return;
                        }
                        try {
                            random("other", spaces[1]).candidates(1).build().run();
                        } catch (IOException e) {
                            throw new UncheckedIOException(e);
                        }
                    }
                })
                .build()
                .run();
        assertEquals(configurations(alone), configurations(disturbed));
        assertTrue(Files.exists(folder.resolve("other").resolve("sweep.json")));
    }
}
