package io.github.dl4jretention.eval;

import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.function.ToDoubleFunction;

/**
 * The candidates that no other betters in what they gained on the target (more is better) and what they forgot of the
 * source (less is better). A candidate betters another if it is no worse in both and better in one; of equal ones the
 * first stays. Candidates of which one number is NaN are left out, and those that are infinitely bad in one, as
 * training that diverged leaves them: of gain {@code -Infinity} or forgetting {@code Infinity}.
 *
 * @param <T> the candidates: runs, models, trials
 */
public final class ParetoFront<T> {

    private final List<T> points;
    private final ToDoubleFunction<? super T> gain;
    private final ToDoubleFunction<? super T> forgetting;

    private ParetoFront(List<T> points, ToDoubleFunction<? super T> gain, ToDoubleFunction<? super T> forgetting) {
        this.points = points;
        this.gain = gain;
        this.forgetting = forgetting;
    }

    /**
     * {@return the front of candidates}
     *
     * @param <T>        the candidates: runs, models, trials
     * @param candidates in any order; of equal ones the first stays
     * @param gain       of a candidate, more is better
     * @param forgetting of a candidate, less is better; below 0 where it is better than the base
     */
    public static <T> ParetoFront<T> of(
            Collection<? extends T> candidates,
            ToDoubleFunction<? super T> gain,
            ToDoubleFunction<? super T> forgetting) {
        List<T> sorted = new ArrayList<>();
        for (T candidate : candidates) {
            if (gain.applyAsDouble(candidate) > Double.NEGATIVE_INFINITY
                    && forgetting.applyAsDouble(candidate) < Double.POSITIVE_INFINITY) {
                sorted.add(candidate);
            }
        }
        sorted.sort(Comparator.<T>comparingDouble(forgetting::applyAsDouble)
                .thenComparing(
                        Comparator.<T>comparingDouble(gain::applyAsDouble).reversed()));
        List<T> front = new ArrayList<>();
        double best = Double.NEGATIVE_INFINITY;
        for (T candidate : sorted) {
            double value = gain.applyAsDouble(candidate);
            if (value > best) {
                front.add(candidate);
                best = value;
            }
        }
        return new ParetoFront<>(List.copyOf(front), gain, forgetting);
    }

    /** {@return the candidates of the front, from the least forgetting and gain to the most; unmodifiable} */
    public List<T> points() {
        return points;
    }

    /**
     * {@return the area between the front and a reference point, in units of gain times forgetting} It is that of all
     * pairs (g, f) with g above the reference's gain and f below its forgetting that some candidate is at least as good
     * as. Candidates that are worse than the reference in one number add nothing. Fronts are comparable at one
     * reference point only.
     *
     * @param referenceGain       0 for the base's
     * @param referenceForgetting the most forgetting that is of any interest
     */
    public double hypervolume(double referenceGain, double referenceForgetting) {
        double area = 0;
        double reached = referenceGain;
        for (T point : points) {
            double up = gain.applyAsDouble(point) - reached;
            double across = referenceForgetting - forgetting.applyAsDouble(point);
            if (up > 0 && across > 0) {
                area += up * across;
                reached += up;
            }
        }
        return area;
    }

    /**
     * {@return the candidate of most gain among those that forget no more than a limit; none if all forget more}
     *
     * @param mostForgetting the limit, itself allowed
     */
    public Optional<T> best(double mostForgetting) {
        return points.stream()
                .filter(point -> forgetting.applyAsDouble(point) <= mostForgetting)
                .reduce((first, second) -> second);
    }
}
