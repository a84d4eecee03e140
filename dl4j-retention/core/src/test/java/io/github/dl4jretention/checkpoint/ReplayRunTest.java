package io.github.dl4jretention.checkpoint;

import static io.github.dl4jretention.Networks.assertClose;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.baseline.ReplayIterator;
import io.github.dl4jretention.baseline.ReplayMultiDataSetIterator;
import io.github.dl4jretention.baseline.ReplayPart;
import io.github.dl4jretention.baseline.ReplayUnit;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;

/** Runs over three epochs of replay, no two of which are alike. */
class ReplayRunTest {

    private static final int EPOCHS = 3;
    private static final int STOP = 7;

    @TempDir
    private Path folder;

    private static ReplayIterator replay(ReplayUnit unit) {
        List<DataSet> all = Networks.batches(DataType.FLOAT, 11, true);
        DataSetIterator target = new ExistingDataSetIterator(all.subList(0, 4));
        DataSetIterator source = new ExistingDataSetIterator(all.subList(4, 11));
        return new ReplayIterator(target, source, 0.3, unit, 4);
    }

    private FinetuningRun.Builder<?> builder(String name, ReplayIterator replay) {
        return Kind.MULTI_LAYER_NETWORK
                .builder(folder.resolve(name))
                .iterator(replay)
                .divergenceMask(replay.divergenceOn(ReplayPart.TARGET))
                .every(1000)
                .epochs(EPOCHS);
    }

    @ParameterizedTest
    @EnumSource(ReplayUnit.class)
    void a_run_that_is_stopped_in_its_second_epoch_ends_like_one_that_is_not(ReplayUnit unit) throws IOException {
        INDArray expected =
                Kind.everything(builder("whole", replay(unit)).build().run());
        FinetuningRunTest.runUntil(builder("part", replay(unit)), STOP);
        Path checkpoint = FinetuningRunTest.newest(folder.resolve("part"));
        RunState state = Json.read(Kind.entry(checkpoint, RunState.ENTRY), RunState.class, checkpoint);
        assertEquals(1, state.epoch());
        assertTrue(state.position() > 0, "in the middle of an epoch");
        INDArray inAnother =
                Kind.everything(builder("part", replay(unit)).build().run());
        assertClose(expected, inAnother, 0);

        ReplayIterator one = replay(unit);
        FinetuningRunTest.runUntil(builder("same", one), STOP);
        assertClose(expected, Kind.everything(builder("same", one).build().run()), 0);
    }

    @Test
    void batches_of_graphs_are_restarted_too() throws IOException {
        INDArray expected = Kind.everything(graph("whole").build().run());
        FinetuningRunTest.runUntil(graph("part"), Kind.BATCHES);
        assertClose(expected, Kind.everything(graph("part").build().run()), 0);
        FinetuningRun.Builder<?> alone = Kind.COMPUTATION_GRAPH.builder(folder.resolve("alone"));
        assertFalse(expected.equals(Kind.everything(alone.epochs(EPOCHS).build().run())));
    }

    private FinetuningRun.Builder<?> graph(String name) {
        Kind kind = Kind.COMPUTATION_GRAPH;
        return kind.builder(folder.resolve(name))
                .iterator(new ReplayMultiDataSetIterator(
                        kind.iterator(0), kind.iterator(50), 0.3, ReplayUnit.EXAMPLES, 4))
                .every(1000)
                .epochs(EPOCHS);
    }
}
