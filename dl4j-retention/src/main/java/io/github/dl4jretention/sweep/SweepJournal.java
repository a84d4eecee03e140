package io.github.dl4jretention.sweep;

import io.github.dl4jretention.loss.TokenLoss;
import io.github.dl4jretention.sweep.outcome.CandidateOutcome;
import io.github.dl4jretention.sweep.outcome.SweepOutcome;
import io.github.dl4jretention.sweep.report.HtmlReport;
import io.github.dl4jretention.sweep.report.Pictures;
import io.github.dl4jretention.sweep.space.FinetuneConfiguration;
import io.github.dl4jretention.sweep.task.FinetuneModel;
import io.github.dl4jretention.sweep.task.FinetuneObserver;
import io.github.dl4jretention.sweep.task.FinetuneProblem;
import io.github.dl4jretention.sweep.task.FinetuneResult;
import io.github.dl4jretention.sweep.task.Losses;
import io.github.dl4jretention.sweep.task.RungScore;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.io.Writer;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;

/**
 * Keeps what a sweep finds, in memory and on the disk. A candidate has ended when {@code sweep.json} names it: its model is
 * there before, if it is on the Pareto front, and models that have left the front go after.
 */
final class SweepJournal implements FinetuneObserver {

    private final SweepFolder folder;
    private final FinetuneModel model;
    private final SuccessiveHalving pruning;
    private final int window;
    private final List<SweepListener> listeners;
    private final SweepOutcome start;
    private final Map<Integer, CandidateOutcome> outcomes = new TreeMap<>();
    private final long started = System.nanoTime();
    private SweepOutcome now;
    private IOException failure;

    /**
     * @param start   what an earlier start has found, or a sweep without candidates
     * @param pruning null for none
     * @param window  see {@link CandidateQueue}
     */
    SweepJournal(
            SweepFolder folder,
            FinetuneModel model,
            SweepOutcome start,
            SuccessiveHalving pruning,
            int window,
            List<SweepListener> listeners) {
        this.folder = folder;
        this.model = model;
        this.start = start;
        this.pruning = pruning;
        this.window = window;
        this.listeners = listeners;
        this.now = start;
        start.candidates().forEach(candidate -> outcomes.put(candidate.index(), candidate));
    }

    synchronized CandidateOutcome outcome(int candidate) {
        return outcomes.get(candidate);
    }

    synchronized boolean hasEnded(int candidate) {
        return outcomes.containsKey(candidate);
    }

    /** Whether candidates 0 to last have all ended. */
    synchronized boolean haveEnded(int last) {
        for (int candidate = 0; candidate <= last; candidate++) {
            if (!outcomes.containsKey(candidate)) {
                return false;
            }
        }
        return true;
    }

    /** Seconds that the sweep has taken over all its starts. */
    double seconds() {
        return start.seconds() + (System.nanoTime() - started) / 1e9;
    }

    /** Whether something could not be written. */
    synchronized boolean hasFailed() {
        return failure != null;
    }

    /** Writes what there is, in case an earlier start was killed in the midst of it. */
    synchronized void open() throws IOException {
        write(now);
        listeners.forEach(listener -> listener.onStart(now));
    }

    @Override
    public boolean isRung(int step, int steps) {
        return pruning != null && pruning.isRung(step);
    }

    /** Compared with candidates that had ended when it was drawn: which these are does not depend on time. */
    @Override
    public synchronized boolean isHopeless(int candidate, RungScore rung) {
        double[] others = outcomes.values().stream()
                .filter(other -> other.index() <= candidate - window)
                .flatMap(other -> other.rungs().stream())
                .filter(other -> other.step() == rung.step())
                .mapToDouble(RungScore::score)
                .toArray();
        return !pruning.goesOn(rung.score(), others);
    }

    @Override
    public synchronized void onStep(int candidate, int step, int steps, TokenLoss loss) {
        listeners.forEach(listener -> listener.onStep(candidate, step, steps, loss));
    }

    @Override
    public synchronized void onResult(
            int candidate, FinetuneConfiguration configuration, FinetuneResult result, Double score, Object plain) {
        end(CandidateOutcome.of(candidate, configuration, result, score), plain);
    }

    @Override
    public synchronized void onFailure(int candidate, FinetuneConfiguration configuration, Throwable reason) {
        if (failure == null && !outcomes.containsKey(candidate)) {
            String text = reason.getMessage() == null ? reason.toString() : reason.getMessage();
            end(CandidateOutcome.failed(candidate, configuration, text), null);
        }
    }

    private void end(CandidateOutcome candidate, Object plain) {
        if (failure != null) {
            return;
        }
        outcomes.put(candidate.index(), candidate);
        SweepOutcome next = with(now.baseTest(), false);
        try {
            if (next.front().contains(candidate)) {
                folder.write(SweepFolder.model(candidate.index()), file -> model.save(plain, file));
            }
            write(next);
        } catch (IOException e) {
            outcomes.remove(candidate.index());
            failure = e;
            throw new UncheckedIOException(e);
        }
        now = next;
        listeners.forEach(listener -> listener.onCandidate(next, candidate));
    }

    /** Measures what is on the front on test text, and writes the last of everything. */
    synchronized SweepOutcome finish(FinetuneProblem problem) throws IOException {
        if (failure != null) {
            throw failure;
        }
        Losses baseTest = now.baseTest() == null ? problem.baseTestLosses() : now.baseTest();
        List<CandidateOutcome> front = now.front();
        for (CandidateOutcome candidate : now.candidates()) {
            outcomes.put(
                    candidate.index(), candidate.withTest(front.contains(candidate) ? test(candidate, problem) : null));
        }
        now = with(baseTest, true);
        folder.write("tradeoff.png", file -> Files.write(file, Pictures.tradeOff(now)));
        folder.write("cross-entropy.png", file -> Files.write(file, Pictures.crossEntropy(now)));
        folder.write("divergence.png", file -> Files.write(file, Pictures.divergence(now)));
        write(now);
        listeners.forEach(listener -> listener.onFinish(now));
        return now;
    }

    private Losses test(CandidateOutcome candidate, FinetuneProblem problem) throws IOException {
        return candidate.test() != null
                ? candidate.test()
                : problem.test(model.load(folder.resolve(SweepFolder.model(candidate.index()))));
    }

    private SweepOutcome with(Losses baseTest, boolean finished) {
        return new SweepOutcome(
                start.configuration(),
                start.score(),
                start.base(),
                baseTest,
                start.budget(),
                seconds(),
                finished,
                new ArrayList<>(outcomes.values()));
    }

    private void write(SweepOutcome sweep) throws IOException {
        folder.write(sweep);
        folder.write("candidates.csv", file -> {
            try (Writer writer = Files.newBufferedWriter(file)) {
                CandidateTable.write(sweep, writer);
            }
        });
        folder.write("report.html", HtmlReport.of(sweep));
        folder.keepModels(sweep.front().stream()
                .map(candidate -> SweepFolder.model(candidate.index()))
                .collect(Collectors.toSet()));
    }
}
