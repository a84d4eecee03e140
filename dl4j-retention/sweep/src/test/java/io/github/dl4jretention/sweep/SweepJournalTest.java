package io.github.dl4jretention.sweep;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.loss.TokenLoss;
import io.github.dl4jretention.sweep.outcome.SweepOutcome;
import io.github.dl4jretention.sweep.space.FinetuneConfiguration;
import io.github.dl4jretention.sweep.space.FinetuneMethod;
import io.github.dl4jretention.sweep.task.FinetuneModel;
import io.github.dl4jretention.sweep.task.FinetuneResult;
import io.github.dl4jretention.sweep.task.Losses;
import io.github.dl4jretention.sweep.task.RetentionScore;
import java.io.File;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.api.buffer.DataType;

class SweepJournalTest {

    private static final FinetuneConfiguration PLAIN =
            new FinetuneConfiguration(FinetuneMethod.PLAIN, null, 0.01, 1, 1, -1);

    @TempDir
    private Path folder;

    /** Waits while it is saved. */
    private static final class Waiting extends ComputationGraph {
        private static final long serialVersionUID = 1L;
        private final transient CountDownLatch saving = new CountDownLatch(1);
        private final transient CountDownLatch goOn = new CountDownLatch(1);

        Waiting(ComputationGraph graph) {
            super(graph.getConfiguration());
            init(graph.params(), false);
        }

        @Override
        public void save(File file, boolean saveUpdater) throws IOException {
            saving.countDown();
            try {
                goOn.await();
            } catch (InterruptedException e) {
                throw new IOException(e);
            }
            super.save(file, saveUpdater);
        }
    }

    @Test
    void others_train_on_while_a_candidate_is_written() throws Exception {
        ComputationGraph graph = Networks.lstm(DataType.DOUBLE, 1).toComputationGraph();
        Losses base = new Losses(2, 2);
        SweepOutcome start =
                new SweepOutcome(Map.of(), RetentionScore.weighted(1), base, base, null, 0, false, List.of());
        List<Integer> steps = new ArrayList<>();
        SweepListener listener = new SweepListener() {
            @Override
            public void onStep(int candidate, int step, int planned, TokenLoss loss) {
                steps.add(step);
            }
        };
        try (SweepFolder files = new SweepFolder(folder)) {
            SweepJournal journal = new SweepJournal(
                    files, FinetuneModel.of(graph), start, Set.of(), null, Integer.MAX_VALUE, List.of(listener));
            Waiting plain = new Waiting(graph);
            FinetuneResult result = new FinetuneResult(new Losses(1, 1), 1, 1, 0, 0, List.of(), List.of());
            Thread writer = new Thread(() -> journal.onResult(0, PLAIN, result, 2.0, plain));
            writer.start();
            plain.saving.await();
            assertTimeoutPreemptively(
                    Duration.ofMinutes(1), () -> journal.onStep(1, 7, 9, new TokenLoss(1, 0, 0, 1, 1, 0)));
            assertEquals(List.of(7), steps);
            assertFalse(journal.hasEnded(0), "it is not on the disk");
            plain.goOn.countDown();
            writer.join();
            assertTrue(journal.hasEnded(0));
        }
    }
}
