package io.github.dl4jretention.loss.fused;

import io.github.dl4jretention.loss.RetentionConfiguration;
import java.util.Arrays;

/**
 * The softmax cross-entropy of one token and its gradient with respect to the logits. FLOAT, with sums in double. One
 * thread at a time.
 */
final class FusedRow {

    /** Logits beyond it are held at it, and get no gradient. */
    static final float BOUND = 1e9f;

    /** In: the logits. */
    final float[] logits;

    /** Out: the gradient. */
    final float[] gradient;

    private final int vocabulary;
    private final double smoothing;
    private final float[] exponentials;

    private boolean bounded;
    private boolean infinite;
    private float max;
    private double sum;

    FusedRow(RetentionConfiguration configuration, int vocabulary) {
        this.vocabulary = vocabulary;
        smoothing = configuration.getLabelSmoothing();
        logits = new float[vocabulary];
        exponentials = new float[vocabulary];
        gradient = new float[vocabulary];
    }

    /** Bounds the logits and takes their exponentials; first of all for every token. */
    void softmax() {
        max = FusedLoops.max(logits, vocabulary);
        infinite = Float.isInfinite(max);
        bounded = max >= BOUND || FusedLoops.min(logits, vocabulary) <= -BOUND;
        if (bounded) {
            FusedLoops.clip(logits, BOUND, vocabulary);
            max = FusedLoops.max(logits, vocabulary);
        }
        // The gradient's array is free until then.
        sum = FusedExponential.apply(logits, max, gradient, exponentials, vocabulary);
    }

    /**
     * Puts {@code softmax} of the logits, or its logarithm, in the place of the gradient. A bound must not make a
     * distribution that there is not: NaN where the largest logit is infinite.
     */
    void activation(boolean logarithm) {
        if (infinite) {
            Arrays.fill(gradient, Float.NaN);
        } else if (logarithm) {
            FusedLoops.subtract(logits, max, (float) Math.log(sum), gradient, vocabulary);
        } else {
            FusedLoops.scale((float) (1 / sum), exponentials, gradient, vocabulary);
        }
    }

    float[] exponentials() {
        return exponentials;
    }

    float max() {
        return max;
    }

    double sum() {
        return sum;
    }

    /** Cross-entropy with a class id in nats. */
    double crossEntropy(int id) {
        return smoothed(logSum() - logits[id]);
    }

    /** Cross-entropy with a distribution in nats. */
    double crossEntropy(float[] target) {
        return smoothed(FusedLoops.weightedDistance(target, logSum(), logits, vocabulary));
    }

    private double logSum() {
        return Math.log(sum) + max;
    }

    private double smoothed(double crossEntropy) {
        return smoothing == 0
                ? crossEntropy
                : (1 - smoothing) * crossEntropy
                        + smoothing * (logSum() - FusedLoops.sum(logits, vocabulary) / vocabulary);
    }

    /** Sets the gradient to {@code weight} times that of the cross-entropy with a class id. */
    void gradient(int id, double weight) {
        FusedLoops.scale((float) (weight / sum), exponentials, gradient, vocabulary);
        gradient[id] -= (float) (weight * (1 - smoothing));
        subtractUniform(weight);
    }

    /** Sets the gradient to {@code weight} times that of the cross-entropy with a distribution. */
    void gradient(float[] target, double weight) {
        double total = FusedLoops.sum(target, vocabulary);
        double share = weight * ((1 - smoothing) * total + smoothing);
        FusedLoops.scale((float) (share / sum), exponentials, gradient, vocabulary);
        FusedLoops.add((float) (-weight * (1 - smoothing)), target, gradient, vocabulary);
        subtractUniform(weight);
    }

    private void subtractUniform(double weight) {
        if (smoothing > 0) {
            FusedLoops.add((float) (-weight * smoothing / vocabulary), gradient, vocabulary);
        }
    }

    /** Takes the gradient of bounded logits out; last of all. */
    void clearBounded() {
        for (int i = 0; bounded && i < vocabulary; i++) {
            if (Math.abs(logits[i]) >= BOUND) {
                gradient[i] = 0;
            }
        }
    }
}
