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
import io.github.dl4jretention.sweep.task.Pruning;
import java.io.IOException;
import java.io.Writer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Consumer;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Keeps what a sweep finds, in memory and on the disk. A candidate has ended once {@code sweep.json} names it. If it's on
 * the Pareto front its model is written before that, and models that have left the front are deleted after.
 */
final class SweepJournal implements FinetuneObserver {

    private static final Logger LOG = LoggerFactory.getLogger(SweepJournal.class);

    private final SweepFolder folder;
    private final FinetuneModel model;
    private final @Nullable SuccessiveHalving pruning;
    private final int window;
    private final List<SweepListener> listeners;
    private final SweepOutcome start;
    private final Set<Integer> lost;
    private final Object writing = new Object();
    private final Map<Integer, CandidateOutcome> outcomes = new TreeMap<>();
    private final long started = System.nanoTime();
    private SweepOutcome now;
    private @Nullable Throwable failure;

    /**
     * @param start   what an earlier start has found, or a sweep without candidates
     * @param lost    candidates of an earlier start whose model is gone: they keep their results, and run again
     * @param pruning null for none
     * @param window  see {@link CandidateQueue}
     */
    SweepJournal(
            SweepFolder folder,
            FinetuneModel model,
            SweepOutcome start,
            Set<Integer> lost,
            @Nullable SuccessiveHalving pruning,
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

    synchronized @Nullable CandidateOutcome outcome(int candidate) {
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

    /** Ends the sweep: nothing later is kept, and {@link #finish} throws the first error. */
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

    /** Writes what there is, in case an earlier start was killed while it wrote. */
    synchronized void open() throws IOException {
        write(now);
        tell(listener -> listener.onStart(now));
    }

    /** Compares it with the candidates that had ended when it was drawn, which doesn't depend on which thread is faster. */
    @Override
    public synchronized Pruning pruning(int candidate) {
        return pruning == null
                ? Pruning.NONE
                : pruning.against(outcomes.values().stream()
                        .filter(other -> other.index() <= candidate - window)
                        .flatMap(other -> other.rungs().stream())
                        .toList());
    }

    @Override
    public synchronized void onStep(int candidate, int step, int steps, TokenLoss loss) {
        tell(listener -> listener.onStep(candidate, step, steps, loss));
    }

    @Override
    public void onResult(
            int candidate,
            FinetuneConfiguration configuration,
            FinetuneResult result,
            @Nullable Double score,
            @Nullable Object plain) {
        end(CandidateOutcome.of(candidate, configuration, result, score), plain);
    }

    @Override
    public void onFailure(int candidate, @Nullable FinetuneConfiguration configuration, Throwable reason) {
        if (!hasEnded(candidate)) {
            String text = reason.getMessage() == null ? reason.toString() : reason.getMessage();
            end(CandidateOutcome.failed(candidate, configuration, text), null);
        }
    }

    /** Writes one candidate at a time. The others go on training: the results are locked only once they're on the disk. */
    private void end(CandidateOutcome candidate, @Nullable Object plain) {
        synchronized (writing) {
            if (hasFailed()) {
                return;
            }
            SweepOutcome next = with(candidate);
            try {
                if (next.front().contains(candidate)) {
                    folder.write(SweepFolder.model(candidate.index()), file -> save(plain, file));
                }
                write(next);
            } catch (IOException | RuntimeException e) {
                stop(e);
                return;
            }
            keep(candidate, next);
        }
    }

    private void save(@Nullable Object plain, Path file) throws IOException {
        if (plain instanceof Path saved) {
            Files.copy(saved, file, StandardCopyOption.REPLACE_EXISTING);
        } else {
            model.save(Objects.requireNonNull(plain), file);
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
        log(candidate);
        tell(listener -> listener.onCandidate(next, candidate));
    }

    private void log(CandidateOutcome candidate) {
        if (!candidate.isComplete()) {
            LOG.info(
                    "candidate {}: {}",
                    candidate.index(),
                    candidate.reason() == null ? "pruned" : "failed, " + candidate.reason());
            return;
        }
        boolean best = now.recommended().filter(candidate::equals).isPresent();
        boolean feasible = now.isFeasible(candidate);
        LOG.info(
                "candidate {}: gain {}, forgetting {} nats per token{}",
                candidate.index(),
                String.format(Locale.ROOT, "%.4f", now.gain(candidate)),
                String.format(Locale.ROOT, "%.4f", now.forgetting(candidate)),
                best ? ", the best so far" : feasible ? "" : ", forgets too much");
    }

    /** What a listener throws doesn't harm the sweep. */
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
     * Measures the front on test text, and writes everything a last time.
     *
     * @throws IOException if something can't be written, or if that was the error that ended the sweep
     */
    synchronized SweepOutcome finish(FinetuneProblem problem) throws IOException {
        requireNoError();
        // A candidate may have come to the front because a lost one did worse the second time: the next start makes its
        // model.
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

    private @Nullable Losses test(CandidateOutcome candidate, FinetuneProblem problem) throws IOException {
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
