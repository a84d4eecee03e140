package io.github.dl4jretention.sweep;

import io.github.dl4jretention.sweep.task.Pruning;
import io.github.dl4jretention.sweep.task.RungScore;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.List;

/**
 * Ends hopeless candidates early. Each candidate is scored on validation text after {@code minSteps eta^k} steps, k =
 * 0, 1, ..., and goes on only if it's among the best {@code 1 / eta} of all that were scored at that step. The first
 * eta - 1 always go on. Source: Li et al., A System for Massively Parallel Hyperparameter Tuning, arXiv 1810.05934, in
 * the variant that stops candidates.
 *
 * @param minSteps steps before the first score, at least 1
 * @param eta one in eta goes on; at least 2
 * @serial exclude
 */
public record SuccessiveHalving(int minSteps, int eta) implements Serializable {

    /**
     * Checks both numbers.
     *
     * @param minSteps steps before the first score, at least 1
     * @param eta      one in eta goes on; at least 2
     * @throws IllegalArgumentException if a number is outside of its range
     */
    public SuccessiveHalving {
        if (minSteps < 1) {
            throw new IllegalArgumentException("minSteps: expected at least 1, got " + minSteps);
        }
        if (eta < 2) {
            throw new IllegalArgumentException("eta: expected at least 2, got " + eta);
        }
    }

    /**
     * A candidate's part in it.
     *
     * @param others scores of the other candidates at all rungs
     */
    Pruning against(List<RungScore> others) {
        return new Rungs(this, new ArrayList<>(others));
    }

    private record Rungs(SuccessiveHalving halving, ArrayList<RungScore> others) implements Pruning {

        @Override
        public boolean isRung(int step) {
            return halving.isRung(step);
        }

        @Override
        public boolean isHopeless(RungScore rung) {
            double[] there = others.stream()
                    .filter(other -> other.step() == rung.step())
                    .mapToDouble(RungScore::score)
                    .toArray();
            return !halving.goesOn(rung.score(), there);
        }
    }

    /** Whether candidates are scored after a step. */
    boolean isRung(int step) {
        long rung = minSteps;
        while (rung < step) {
            rung *= eta;
        }
        return rung == step;
    }

    /**
     * Whether a score lets a candidate go on.
     *
     * @param others scores of the others at the same rung
     */
    boolean goesOn(double score, double[] others) {
        int better = 0;
        for (double other : others) {
            better += other < score ? 1 : 0;
        }
        int kept = (others.length + 1) / eta;
        return others.length + 1 < eta || better < Math.max(1, kept);
    }
}
