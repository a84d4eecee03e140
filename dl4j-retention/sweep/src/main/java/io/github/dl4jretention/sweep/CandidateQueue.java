package io.github.dl4jretention.sweep;

import io.github.dl4jretention.sweep.space.FinetuneConfiguration;
import io.github.dl4jretention.sweep.space.Leaves;
import io.github.dl4jretention.sweep.space.Search;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.function.BooleanSupplier;
import org.deeplearning4j.arbiter.optimize.api.Candidate;
import org.deeplearning4j.arbiter.optimize.api.CandidateGenerator;
import org.deeplearning4j.arbiter.optimize.api.OptimizationResult;
import org.deeplearning4j.arbiter.optimize.api.ParameterSpace;
import org.jspecify.annotations.Nullable;
import org.nd4j.shade.jackson.annotation.JsonAutoDetect;
import org.nd4j.shade.jackson.annotation.JsonProperty;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One of Arbiter's generators, made fit for a sweep. It stops at the budget, skips candidates that ended in an earlier
 * start, hands out equal ones once, and turns a failure while generating into a candidate that fails when it runs, so
 * that it's counted and shown.
 *
 * <p>Where later candidates depend on earlier ones, candidate k is drawn when candidates 0 to k - window have ended and
 * the generator has been told of those alone, in their order. So the draws don't depend on which thread is faster.
 */
@SuppressWarnings({"rawtypes", "unchecked"})
@JsonAutoDetect(
        fieldVisibility = JsonAutoDetect.Visibility.NONE,
        getterVisibility = JsonAutoDetect.Visibility.NONE,
        isGetterVisibility = JsonAutoDetect.Visibility.NONE)
final class CandidateQueue implements CandidateGenerator {

    private static final Logger LOG = LoggerFactory.getLogger(CandidateQueue.class);
    private static final int MOST_REPEATS = 1000;
    private static final int MOST_COUNTED = 1000;

    @JsonProperty
    private final ParameterSpace<?> parameterSpace;

    private final CandidateGenerator generator;
    private final SweepJournal journal;
    private final int budget;
    private final int window;
    private final int mostRepeats;
    private final BooleanSupplier isOver;
    private final List<Candidate> drawn = new ArrayList<>();
    private final Set<FinetuneConfiguration> configurations = new HashSet<>();
    private int told;
    private @Nullable Candidate next;
    private boolean exhausted;

    /**
     * @param budget candidates at most
     * @param window see above; {@link Integer#MAX_VALUE} where candidates don't depend on each other
     * @param ends whether the generator ends by itself; if it doesn't, it counts as exhausted once it only repeats itself
     * @param isOver whether no further candidate is to be started
     */
    CandidateQueue(
            ParameterSpace<?> parameterSpace,
            CandidateGenerator generator,
            SweepJournal journal,
            int budget,
            int window,
            boolean ends,
            BooleanSupplier isOver) {
        this.parameterSpace = parameterSpace;
        this.generator = generator;
        this.journal = journal;
        this.budget = budget;
        this.window = window;
        this.mostRepeats = ends ? Integer.MAX_VALUE : MOST_REPEATS;
        this.isOver = isOver;
    }

    /** How many candidates may be in work at once where their draws depend on one another. */
    static int window(Search search, @Nullable SuccessiveHalving pruning, int parallelism) {
        return search.learns() || pruning != null ? parallelism : Integer.MAX_VALUE;
    }

    /**
     * How many candidates there are in all, equal ones counted once; null if that isn't known or above 1,000. A grid is
     * counted by drawing it.
     *
     * @param generator a new one, which is used up
     * @param budget    candidates at most; {@link Integer#MAX_VALUE} for no limit
     * @param ends      whether the generator ends by itself
     */
    static @Nullable Integer total(CandidateGenerator generator, int budget, boolean ends) {
        if (!ends) {
            return budget == Integer.MAX_VALUE ? null : budget;
        }
        Set<Object> different = new HashSet<>();
        int total = 0;
        while (total < budget && generator.hasMoreCandidates()) {
            if (total == MOST_COUNTED) {
                return budget == Integer.MAX_VALUE ? null : budget;
            }
            Candidate candidate = generator.getCandidate();
            if (candidate.getException() != null || different.add(candidate.getValue())) {
                total++;
            }
        }
        return total;
    }

    /** Whether there is a candidate now; there may be more once one in work has ended. */
    @Override
    public boolean hasMoreCandidates() {
        while (next == null && !exhausted && !isOver.getAsBoolean()) {
            int index = drawn.size();
            if (index >= budget || !generator.hasMoreCandidates()) {
                exhausted = true;
            } else if (index >= window && !journal.haveEnded(index - window)) {
                return false;
            } else {
                draw(index);
            }
        }
        return next != null;
    }

    private void draw(int index) {
        tell(window == Integer.MAX_VALUE ? 0 : index - window + 1);
        for (int repeats = 0; repeats < mostRepeats; repeats++) {
            if (!generator.hasMoreCandidates()) {
                exhausted = true;
                return;
            }
            Candidate candidate = generated();
            if (candidate.getException() != null || configurations.add((FinetuneConfiguration) candidate.getValue())) {
                drawn.add(candidate);
                next = journal.hasEnded(index) ? null : numbered(candidate, index);
                return;
            }
        }
        LOG.info("the search repeated earlier candidates {} times in a row: it has nothing new", MOST_REPEATS);
        exhausted = true;
    }

    /** Another generator may share leaves and have numbered them. */
    private Candidate generated() {
        return Leaves.exclusively(() -> {
            Leaves.setIndices(List.of(parameterSpace));
            return generator.getCandidate();
        });
    }

    /** Tells the generator of candidates that have ended, up to an index, in their order. */
    private void tell(int end) {
        for (; told < end; told++) {
            Double score = Objects.requireNonNull(journal.outcome(told)).score();
            if (score != null) {
                generator.reportResults(new OptimizationResult(drawn.get(told), score, told, null, null, null));
            }
        }
    }

    private static Candidate numbered(Candidate candidate, int index) {
        return candidate.getException() == null
                ? new Candidate(
                        candidate.getValue(), index, candidate.getFlatParameters(), candidate.getDataParameters(), null)
                : new Candidate(
                        () -> {
                            throw new IllegalStateException(
                                    "generation: " + candidate.getException().getMessage(), candidate.getException());
                        },
                        index,
                        candidate.getFlatParameters());
    }

    @Override
    public Candidate getCandidate() {
        if (!hasMoreCandidates()) {
            throw new IllegalStateException("candidates: expected one, there is none now");
        }
        Candidate candidate = Objects.requireNonNull(next);
        next = null;
        return candidate;
    }

    /** Nothing: results reach the generator from the journal, in their order. */
    @Override
    public void reportResults(OptimizationResult result) {}

    @Override
    public ParameterSpace<?> getParameterSpace() {
        return parameterSpace;
    }

    @Override
    public void setRngSeed(long rngSeed) {
        generator.setRngSeed(rngSeed);
    }

    @Override
    public Class<?> getCandidateType() {
        return FinetuneConfiguration.class;
    }

    @Override
    public String toString() {
        return "CandidateQueue(" + generator + ")";
    }
}
