package io.github.dl4jretention.sweep;

import io.github.dl4jretention.loss.TokenLoss;
import io.github.dl4jretention.sweep.outcome.CandidateOutcome;
import io.github.dl4jretention.sweep.outcome.SweepOutcome;
import io.github.dl4jretention.sweep.plot.Plot;
import io.github.dl4jretention.sweep.report.HtmlReport;
import io.github.dl4jretention.sweep.report.SweepPlots;
import io.github.dl4jretention.sweep.space.FinetuneConfiguration;
import io.github.dl4jretention.sweep.task.FinetuneModel;
import io.github.dl4jretention.sweep.task.FinetuneObserver;
import io.github.dl4jretention.sweep.task.FinetuneProblem;
import io.github.dl4jretention.sweep.task.FinetuneResult;
import io.github.dl4jretention.sweep.task.Losses;
import io.github.dl4jretention.sweep.task.RungScore;
import java.io.IOException;
import java.io.Writer;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Consumer;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Keeps what a sweep finds, in memory and on the disk. A candidate has ended when {@code sweep.json} names it: its
 * model is there before, if it is on the Pareto front, and models that have left the front go after.
 */
final class SweepJournal implements FinetuneObserver {

    private static final Logger LOG = LoggerFactory.getLogger(SweepJournal.class);

    private final SweepFolder folder;
    private final FinetuneModel model;
    private final SuccessiveHalving pruning;
    private final int window;
    private final List<SweepListener> listeners;
    private final SweepOutcome start;
    private final Set<Integer> lost;
    private final Object writing = new Object();
    private final Map<Integer, CandidateOutcome> outcomes = new TreeMap<>();
    private final long started = System.nanoTime();
    private SweepOutcome now;
    private Throwable failure;

    /**
     * @param start   what an earlier start has found, or a sweep without candidates
     * @param lost    candidates of the start whose model is gone: what is known of them stays, and they run again
     * @param pruning null for none
     * @param window  see {@link CandidateQueue}
     */
    SweepJournal(
            SweepFolder folder,
            FinetuneModel model,
            SweepOutcome start,
            Set<Integer> lost,
            SuccessiveHalving pruning,
            int window,
            List<SweepListener> listeners) {
        this.folder = folder;
        this.model = model;
        this.start = start;
        this.lost = new HashSet<>(lost);
        this.pruning = pruning;
        this.window = window;
        this.listeners = listeners;
        this.now = start;
        start.candidates().forEach(candidate -> outcomes.put(candidate.index(), candidate));
    }

    synchronized CandidateOutcome outcome(int candidate) {
        return outcomes.get(candidate);
    }

    /** Whether there is nothing left to run of a candidate. */
    synchronized boolean hasEnded(int candidate) {
        return outcomes.containsKey(candidate) && !lost.contains(candidate);
    }

    /** Whether the outcomes of candidates 0 to last are all known. */
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

    /** Ends the sweep: nothing that comes later is kept, and {@link #finish} throws it. The first error counts. */
    synchronized void stop(Throwable error) {
        failure = failure == null ? error : failure;
    }

    @Override
    public void onError(int candidate, Throwable error) {
        stop(error);
    }

    /** Whether an error has ended the sweep. */
    synchronized boolean hasFailed() {
        return failure != null;
    }

    /** Writes what there is, in case an earlier start was killed in the midst of it. */
    synchronized void open() throws IOException {
        write(now);
        tell(listener -> listener.onStart(now));
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
        tell(listener -> listener.onStep(candidate, step, steps, loss));
    }

    @Override
    public void onResult(
            int candidate, FinetuneConfiguration configuration, FinetuneResult result, Double score, Object plain) {
        end(CandidateOutcome.of(candidate, configuration, result, score), plain);
    }

    @Override
    public void onFailure(int candidate, FinetuneConfiguration configuration, Throwable reason) {
        if (!hasEnded(candidate)) {
            String text = reason.getMessage() == null ? reason.toString() : reason.getMessage();
            end(CandidateOutcome.failed(candidate, configuration, text), null);
        }
    }

    /** One at a time is written; others train on meanwhile, for what is known is locked only when it is on the disk. */
    private void end(CandidateOutcome candidate, Object plain) {
        synchronized (writing) {
            if (hasFailed()) {
                return;
            }
            SweepOutcome next = with(candidate);
            try {
                if (next.front().contains(candidate)) {
                    folder.write(SweepFolder.model(candidate.index()), file -> model.save(plain, file));
                }
                write(next);
            } catch (IOException | RuntimeException e) {
                stop(e);
                return;
            }
            keep(candidate, next);
        }
    }

    private synchronized SweepOutcome with(CandidateOutcome candidate) {
        Map<Integer, CandidateOutcome> more = new TreeMap<>(outcomes);
        more.put(candidate.index(), candidate);
        return with(more, false);
    }

    private synchronized void keep(CandidateOutcome candidate, SweepOutcome next) {
        outcomes.put(candidate.index(), candidate);
        lost.remove(candidate.index());
        now = next;
        tell(listener -> listener.onCandidate(next, candidate));
    }

    /** What a listener throws does not harm the sweep. */
    private void tell(Consumer<SweepListener> event) {
        for (SweepListener listener : listeners) {
            try {
                event.accept(listener);
            } catch (RuntimeException e) {
                LOG.warn("{} has failed", listener, e);
            }
        }
    }

    /**
     * Measures what is on the front on test text, and writes the last of everything.
     *
     * @throws IOException if something cannot be written, or was the error that has ended the sweep
     */
    synchronized SweepOutcome finish(FinetuneProblem problem) throws IOException {
        requireNoError();
        // One that came to the front when a lost one ended worse the second time has no model: the next start makes it.
        lost.addAll(folder.lost(now));
        List<CandidateOutcome> front = now.front();
        for (CandidateOutcome candidate : now.candidates()) {
            outcomes.put(
                    candidate.index(), candidate.withTest(front.contains(candidate) ? test(candidate, problem) : null));
        }
        now = with(outcomes, true);
        write(now);
        SweepPlots plots = SweepPlots.large(now);
        writePicture(SweepFolder.TRADE_OFF, plots::tradeOff);
        writePicture(SweepFolder.CROSS_ENTROPY, plots::crossEntropy);
        writePicture(SweepFolder.DIVERGENCE, plots::divergence);
        tell(listener -> listener.onFinish(now));
        return now;
    }

    private void writePicture(String name, Supplier<Plot> plot) {
        try {
            folder.write(name, file -> Files.write(file, plot.get().png()));
        } catch (IOException | LinkageError | InternalError e) {
            // Java throws one of many where it finds no font, as in small containers; the sweep is on the disk.
            LOG.warn("{} can't be drawn", name, e);
        }
    }

    private void requireNoError() throws IOException {
        if (failure instanceof IOException exception) {
            throw exception;
        }
        if (failure instanceof RuntimeException exception) {
            throw exception;
        }
        if (failure instanceof Error error) {
            throw error;
        }
        if (failure != null) {
            throw new IOException("candidate: " + failure.getMessage(), failure);
        }
    }

    private Losses test(CandidateOutcome candidate, FinetuneProblem problem) throws IOException {
        return candidate.test() != null || lost.contains(candidate.index())
                ? candidate.test()
                : problem.test(model.load(folder.resolve(SweepFolder.model(candidate.index()))));
    }

    private SweepOutcome with(Map<Integer, CandidateOutcome> candidates, boolean finished) {
        return new SweepOutcome(
                start.configuration(),
                start.score(),
                start.base(),
                start.baseTest(),
                start.budget(),
                seconds(),
                finished,
                new ArrayList<>(candidates.values()));
    }

    private void write(SweepOutcome sweep) throws IOException {
        folder.write(sweep);
        folder.write(SweepFolder.TABLE, file -> {
            try (Writer writer = Files.newBufferedWriter(file)) {
                CandidateTable.write(sweep, writer);
            }
        });
        folder.write(SweepFolder.REPORT, HtmlReport.of(sweep));
        folder.keepModels(sweep.front().stream()
                .map(candidate -> SweepFolder.model(candidate.index()))
                .collect(Collectors.toSet()));
    }
}
