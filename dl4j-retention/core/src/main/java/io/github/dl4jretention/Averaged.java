package io.github.dl4jretention;

import java.util.List;

/**
 * What came out of an {@link Averaging}.
 *
 * @param model  the chosen average, without retention; if nothing was better the start, which is the caller's own
 *     where {@link Averaging#choose} was given it
 * @param chosen where it is on the curve
 * @param points all that was measured, the start first, in the order of steps, running averages and shares
 * @param <M>    the kind of model
 */
public record Averaged<M>(M model, Point chosen, List<Point> points) {

    /**
     * One candidate.
     *
     * @param step       after which it was measured; 0 for the start, and for a model that was trained elsewhere
     * @param decay      of the running average that stands in for the student's weights; 0 for these themselves
     * @param share      of the start in it, from 0 to 1
     * @param target     mean cross-entropy on target text, in nats per token
     * @param source     mean cross-entropy on source text, in nats per token
     * @param gain       how much smaller the target's is than that of the start
     * @param forgetting how much larger the source's is than that of the start
     */
    public record Point(
            int step, double decay, double share, double target, double source, double gain, double forgetting) {}
}
