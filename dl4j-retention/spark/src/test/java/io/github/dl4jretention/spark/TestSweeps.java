package io.github.dl4jretention.spark;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.sweep.Sweep;
import io.github.dl4jretention.sweep.outcome.CandidateOutcome;
import io.github.dl4jretention.sweep.outcome.SweepOutcome;
import io.github.dl4jretention.sweep.space.RetentionSpace;
import io.github.dl4jretention.sweep.space.Search;
import io.github.dl4jretention.sweep.task.Batches;
import io.github.dl4jretention.sweep.task.FinetuneModel;
import io.github.dl4jretention.sweep.task.FinetuneSpace;
import io.github.dl4jretention.sweep.task.SweepData;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;

/** Small sweeps that a driver in this JVM or in another can run. */
final class TestSweeps {

    static final DataType TYPE = DataType.FLOAT;

    private TestSweeps() {}

    /** Four candidates of a grid, two at once. */
    static Sweep.Builder grid(Path folder) {
        return Sweep.builder()
                .model(FinetuneModel.of(Networks.lstm(TYPE, 1)))
                .data(data())
                .space(space(6))
                .search(Search.grid(4))
                .parallelism(2)
                .folder(folder);
    }

    static FinetuneSpace space(int steps) {
        return FinetuneSpace.builder()
                .retention(RetentionSpace.builder().coefficient(0.1, 10).build())
                .learningRates(0.01)
                .steps(steps)
                .build();
    }

    static SweepData data() {
        return new SweepData(text(4, 10, 0), text(2, 20, 0), text(2, 30, 2), text(2, 40, 0), text(2, 50, 2));
    }

    static Batches text(int batches, long seed, int shift) {
        List<DataSet> text = batches(batches, seed, shift);
        return Batches.of(() -> new ExistingDataSetIterator(text));
    }

    /** The class is the largest input, plus a shift. */
    static List<DataSet> batches(int batches, long seed, int shift) {
        List<DataSet> text = new ArrayList<>();
        for (int i = 0; i < batches; i++) {
            INDArray features = Networks.sequences(TYPE, 3, 100 * seed + i).getFeatures();
            INDArray classes = Nd4j.argMax(features, 1);
            INDArray labels = Nd4j.zeros(TYPE, 3, Networks.VOCABULARY, Networks.TIME);
            for (int b = 0; b < 3; b++) {
                for (int t = 0; t < Networks.TIME; t++) {
                    labels.putScalar(b, classes.getInt(b, t) + shift, t, 1);
                }
            }
            text.add(new DataSet(features, labels));
        }
        return text;
    }

    /** What two sweeps must have in common to be the same: everything but times. */
    static List<String> essence(SweepOutcome sweep) {
        List<String> lines = new ArrayList<>(List.of(sweep.base() + " " + sweep.baseTest()));
        sweep.candidates()
                .forEach(c -> lines.add(c.index() + " " + c.status() + " " + c.configuration() + " " + c.reason() + " "
                        + c.score() + " " + c.validation() + " " + c.test() + " " + c.steps() + " " + c.curve() + " "
                        + c.rungs()));
        lines.add("front " + sweep.front().stream().map(CandidateOutcome::index).toList());
        lines.add("recommended " + sweep.recommended().map(CandidateOutcome::index));
        return lines;
    }
}
