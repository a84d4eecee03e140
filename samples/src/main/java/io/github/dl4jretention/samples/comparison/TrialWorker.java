package io.github.dl4jretention.samples.comparison;

import io.github.dl4jretention.samples.text.Corpus;
import java.io.IOException;
import java.io.Serializable;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import java.util.Queue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ConcurrentMap;

/**
 * Runs trials of a plan in another process than the comparison's, such as an executor of a cluster. Several may run at once;
 * what they need is loaded when it's first asked for, and kept.
 *
 * @param plan        what is compared
 * @param corpus      folder of the texts, which that process sees
 * @param checkpoints folder of the sample models, which that process sees
 */
public record TrialWorker(Plan plan, String corpus, String checkpoints) implements Serializable {

    /** By worker and name of the model. */
    private static final ConcurrentMap<List<Object>, Queue<TrialRunner>> IDLE = new ConcurrentHashMap<>();

    /**
     * Trains and measures.
     *
     * @param trial of the plan
     * @return its rows
     * @throws IOException if a text or a model can't be read
     */
    public Result[] run(Trial trial) throws IOException {
        Queue<TrialRunner> idle =
                IDLE.computeIfAbsent(List.of(this, trial.model()), key -> new ConcurrentLinkedQueue<>());
        TrialRunner runner = idle.poll();
        if (runner == null) {
            ComparisonRun.Base base = Objects.requireNonNull(
                    ComparisonRun.samples(plan, Path.of(checkpoints)).get(trial.model()), trial.model());
            runner = new TrialRunner(plan, Corpus.read(Path.of(corpus)), trial.model(), base.load(), null);
        }
        Result[] results = runner.run(trial).toArray(Result[]::new);
        idle.add(runner);
        return results;
    }
}
