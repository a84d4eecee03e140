package io.github.dl4jretention.spark;

import java.io.Serializable;
import org.jspecify.annotations.Nullable;

/**
 * What workers have trained in a round: sums of parameters and updater states. Sums of FLOAT numbers are exact in double
 * precision unless their sizes differ by more than 2^29, so the order in which workers are added says nothing.
 *
 * @param workers      how many trained
 * @param steps        the most steps that one of them trained
 * @param params       sum; null if none trained
 * @param state        sum; null if none trained, or the updater has no state
 * @param crossEntropy sum over minibatches, in nats per token
 * @param divergence   sum over minibatches, in nats per token
 * @param minibatches  of all workers
 * @param taught       of these, those with the teacher's values
 * @param refusal      why a worker couldn't train; empty if all could
 */
record RoundSum(
        int workers,
        int steps,
        double @Nullable [] params,
        double @Nullable [] state,
        double crossEntropy,
        double divergence,
        int minibatches,
        long taught,
        String refusal)
        implements Serializable {

    private static final RoundSum NONE = new RoundSum(0, 0, null, null, 0, 0, 0, 0, "");

    static RoundSum none() {
        return NONE;
    }

    static RoundSum of(Parcel answer) throws Exception {
        return answer.refusal().isEmpty()
                ? (RoundSum) ParcelRunner.deserialized(answer.content())
                : new RoundSum(0, 0, null, null, 0, 0, 0, 0, answer.host() + ": " + answer.refusal());
    }

    RoundSum plus(RoundSum other) {
        return new RoundSum(
                workers + other.workers,
                Math.max(steps, other.steps),
                sum(params, other.params),
                sum(state, other.state),
                crossEntropy + other.crossEntropy,
                divergence + other.divergence,
                minibatches + other.minibatches,
                taught + other.taught,
                refusal.isEmpty() ? other.refusal : refusal);
    }

    private static double @Nullable [] sum(double @Nullable [] one, double @Nullable [] other) {
        if (one == null || other == null) {
            return one == null ? other : one;
        }
        double[] sum = one.clone();
        for (int i = 0; i < sum.length; i++) {
            sum[i] += other[i];
        }
        return sum;
    }
}
