package io.github.dl4jretention.samples.benchmark;

import io.github.dl4jretention.samples.console.Console;
import io.github.dl4jretention.samples.model.ModelKind;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.nd4j.linalg.dataset.DataSet;

/** Trains one side and prints the most memory, in megabytes, that was resident in the whole process. */
final class StepMemory {

    private static final int DIFFERENT_BATCHES = 4;

    private StepMemory() {}

    /** @param args model, side, V, batch, time, steps, folder of the cache */
    public static void main(String[] args) throws IOException {
        Console.prepare(1);
        RandomTokens tokens =
                new RandomTokens(Integer.parseInt(args[2]), Integer.parseInt(args[3]), Integer.parseInt(args[4]));
        List<DataSet> batches = tokens.create(DIFFERENT_BATCHES, 1);
        Training training = TrainingSide.valueOf(args[1])
                .start(
                        BenchmarkModel.create(ModelKind.valueOf(args[0]), tokens.vocabulary(), tokens.time()),
                        batches,
                        Path.of(args[6]));
        int steps = Integer.parseInt(args[5]);
        for (int step = 0; step < steps; step++) {
            training.step();
        }
        training.pause();
        System.out.println(ProcessMemory.peak());
    }
}
