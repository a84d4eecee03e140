package io.github.dl4jretention.loss.fused;

import io.github.dl4jretention.internal.TopClasses;
import io.github.dl4jretention.loss.Divergence;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.loss.TokenBatch;
import io.github.dl4jretention.loss.TokenWeight;
import java.util.Arrays;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * One thread's work on one token after another: softmax, cross-entropy, divergence and the gradient with respect to the
 * logits. FLOAT, with sums in double.
 *
 * <p>With {@code s = (z - max z) / T} and {@code e = exp s} of the student, {@code s0} and {@code e0} of the teacher:
 * {@code KL(p0 || p) = sum p0 (s0 - s) + log sum e - log sum e0}, and likewise the other way round; no logarithm of a
 * single class is taken but in Jensen-Shannon.
 */
final class FusedToken {

    /** Logits beyond it are held at it, and get no gradient. */
    private static final float BOUND = 1e9f;

    private final Divergence divergence;
    private final double beta;
    private final double smoothing;
    private final float temperature;
    private final @Nullable TokenWeight weighing;
    private final @Nullable TopClasses top;
    private final int vocabulary;

    private final Distribution student;
    private final Distribution heated;
    private final Distribution teacher;
    private final float[] gradient;
    private final float[] biasGradient;
    private final float[] scratch;
    private float[] read = new float[1];

    private boolean bounded;
    private boolean infinite;

    /** {@code softmax(z)} as {@code exp(z - max) / sum}. */
    private static final class Distribution {
        private final float[] logits;
        private final float[] exponentials;
        private float max;
        private double sum;

        Distribution(int vocabulary) {
            logits = new float[vocabulary];
            exponentials = new float[vocabulary];
        }

        void normalise(float largest, float[] scratch) {
            max = largest;
            sum = FusedLoops.exponentials(logits, max, scratch, exponentials, logits.length);
        }

        double logSum() {
            return Math.log(sum) + max;
        }
    }

    FusedToken(RetentionConfiguration configuration, int vocabulary) {
        this.vocabulary = vocabulary;
        divergence = configuration.getDivergence();
        beta = configuration.getBeta();
        smoothing = configuration.getLabelSmoothing();
        temperature = (float) configuration.getTemperature();
        weighing = configuration.getTokenWeight();
        top = weighing != null && weighing.kind() == TokenWeight.Kind.EAFT
                ? new TopClasses((int) Math.min(weighing.parameter(), vocabulary))
                : null;
        student = new Distribution(vocabulary);
        heated = temperature == 1 ? student : new Distribution(vocabulary);
        teacher = new Distribution(vocabulary);
        gradient = new float[vocabulary];
        biasGradient = new float[vocabulary];
        scratch = new float[vocabulary];
    }

    /** Before the first token of a minibatch. */
    void start() {
        Arrays.fill(biasGradient, 0);
    }

    /** Sum of the gradients of this thread's tokens, if there is a bias. */
    float[] biasGradient() {
        return biasGradient;
    }

    /** Where the token's logits go, without the bias, before each of the others is called. */
    float[] logits() {
        return student.logits;
    }

    /**
     * Computes the losses of a token; of one that doesn't count nothing is read.
     *
     * @param bias     null for none
     * @param backward whether the gradient is asked for
     * @return the gradient with respect to the logits, until the next token
     * @throws IllegalArgumentException if a label or teacher that counts is none
     */
    float[] losses(TokenBatch batch, int token, float @Nullable [] bias, boolean backward) {
        if (read.length < batch.layout().teacherSize()) {
            read = new float[batch.layout().teacherSize()];
        }
        Arrays.fill(gradient, 0);
        if (batch.counts(token)) {
            softmax(bias);
            if (batch.weight(token) > 0) {
                crossEntropy(batch, token, backward);
            }
            if (batch.divergenceWeight(token) > 0) {
                divergence(batch, token, backward);
            }
            clearBounded();
        }
        if (backward && bias != null) {
            FusedLoops.add(1, gradient, biasGradient, vocabulary);
        }
        return gradient;
    }

    /**
     * {@return the softmax of a token, or its logarithm, until the next} A bound must not make a distribution that there
     * is not: NaN where the largest logit is infinite.
     *
     * @param bias null for none
     */
    float[] activations(float @Nullable [] bias, boolean logarithm) {
        softmax(bias);
        if (infinite) {
            Arrays.fill(gradient, Float.NaN);
        } else if (logarithm) {
            FusedLoops.subtract(student.logits, student.max, (float) Math.log(student.sum), gradient, vocabulary);
        } else {
            FusedLoops.scale((float) (1 / student.sum), student.exponentials, gradient, vocabulary);
        }
        return gradient;
    }

    private void softmax(float @Nullable [] bias) {
        float[] logits = student.logits;
        if (bias != null) {
            FusedLoops.add(1, bias, logits, vocabulary);
        }
        float largest = FusedLoops.maxAbove(-BOUND, logits, vocabulary);
        bounded = !(largest < BOUND);
        infinite = bounded && Float.isInfinite(FusedLoops.max(logits, vocabulary));
        if (bounded) {
            FusedLoops.clip(logits, BOUND, vocabulary);
            largest = FusedLoops.max(logits, vocabulary);
        }
        student.normalise(largest, scratch);
    }

    private void crossEntropy(TokenBatch batch, int token, boolean backward) {
        double logSum = student.logSum();
        double label;
        double weight;
        if (batch.layout().isClassId()) {
            int id = batch.rows().classId(token);
            label = logSum - student.logits[id];
            weight = batch.weight(token) * tokenWeight(batch, token, label);
            if (backward) {
                FusedLoops.scale((float) (weight / student.sum), student.exponentials, gradient, vocabulary);
                gradient[id] -= (float) (weight * (1 - smoothing));
            }
        } else {
            float[] given = teacher.exponentials;
            batch.rows().distribution(token, given);
            double total = FusedLoops.sum(given, vocabulary);
            batch.rows().requireDistribution(FusedLoops.min(given, vocabulary), total);
            label = FusedLoops.weightedDistance(given, logSum, student.logits, vocabulary);
            weight = batch.weight(token) * tokenWeight(batch, token, label);
            if (backward) {
                double share = weight * ((1 - smoothing) * total + smoothing);
                FusedLoops.scale((float) (share / student.sum), student.exponentials, gradient, vocabulary);
                FusedLoops.add((float) (-weight * (1 - smoothing)), given, gradient, vocabulary);
            }
        }
        if (smoothing > 0) {
            double uniform = logSum - FusedLoops.sum(student.logits, vocabulary) / vocabulary;
            label = (1 - smoothing) * label + smoothing * uniform;
            FusedLoops.add((float) (-weight * smoothing / vocabulary), gradient, vocabulary);
        }
        batch.crossEntropy[token] = label;
    }

    private double tokenWeight(TokenBatch batch, int token, double loss) {
        if (weighing != null && !weighing.needsTeacher()) {
            batch.setTokenWeight(token, top == null ? weighing.at(-loss) : entropy(top));
        }
        return batch.tokenWeight(token);
    }

    /** Of the likeliest classes, their probabilities made to sum to 1, over its maximum. */
    private double entropy(TopClasses likeliest) {
        likeliest.select(student.logits);
        double sum = 0;
        double mean = 0;
        for (int rank = 0; rank < likeliest.size(); rank++) {
            double distance = likeliest.value(rank) - likeliest.value(0);
            double exponential = Math.exp(distance);
            sum += exponential;
            mean += exponential * distance;
        }
        return (Math.log(sum) - mean / sum) / Math.log(likeliest.size());
    }

    private void divergence(TokenBatch batch, int token, boolean backward) {
        batch.rows().teacher(token, teacher.logits, read);
        float largest = FusedLoops.maxAbove(-BOUND, teacher.logits, vocabulary);
        boolean outside = !(largest < BOUND);
        if (outside && Float.isInfinite(FusedLoops.max(teacher.logits, vocabulary))) {
            throw batch.rows().noTeacher();
        }
        if (batch.agreement != null) {
            boolean same = FusedLoops.indexOfMax(student.logits, vocabulary)
                    == FusedLoops.indexOfMax(teacher.logits, vocabulary);
            batch.agreement[token] = same ? 1 : 0;
        }
        if (outside) {
            FusedLoops.clip(teacher.logits, BOUND, vocabulary);
            largest = FusedLoops.max(teacher.logits, vocabulary);
        }
        if (temperature != 1) {
            float scale = 1 / temperature;
            FusedLoops.scale(scale, teacher.logits, teacher.logits, vocabulary);
            FusedLoops.scale(scale, student.logits, heated.logits, vocabulary);
            // Rounding keeps the order, so the largest stays the largest.
            largest *= scale;
            heated.normalise(student.max * scale, scratch);
        }
        teacher.normalise(largest, scratch);
        if (Double.isNaN(teacher.sum)) {
            throw batch.rows().noTeacher();
        }
        double factor = backward ? batch.divergenceWeight(token) * batch.factor / temperature : 0;
        Objects.requireNonNull(batch.divergence)[token] = switch (divergence) {
            case FORWARD_KL -> forwardKl(factor);
            case REVERSE_KL -> reverseKl(factor);
            case JENSEN_SHANNON -> jensenShannon(factor);
        };
    }

    /** Adds {@code factor T} times its gradient; so do the others. */
    private double forwardKl(double factor) {
        if (factor != 0) {
            FusedLoops.add((float) (factor / heated.sum), heated.exponentials, gradient, vocabulary);
            FusedLoops.add((float) (-factor / teacher.sum), teacher.exponentials, gradient, vocabulary);
        }
        return meanDifference(teacher, heated) + Math.log(heated.sum) - Math.log(teacher.sum);
    }

    private double reverseKl(double factor) {
        double mean = meanDifference(heated, teacher);
        if (factor != 0) {
            FusedLoops.addWeightedDifference(
                    (float) (factor / heated.sum),
                    heated.exponentials,
                    heated.logits,
                    heated.max,
                    teacher.logits,
                    teacher.max,
                    (float) mean,
                    gradient,
                    vocabulary);
        }
        return mean - Math.log(heated.sum) + Math.log(teacher.sum);
    }

    /** {@code sum p (s - s')} of a distribution p from another. */
    private double meanDifference(Distribution of, Distribution from) {
        return FusedLoops.weightedDifference(
                        of.exponentials, of.logits, of.max, from.logits, from.max, scratch, vocabulary)
                / of.sum;
    }

    private double jensenShannon(double factor) {
        double logSum = heated.logSum();
        double teacherLogSum = teacher.logSum();
        double logBeta = Math.log(beta);
        double logRest = Math.log1p(-beta);
        double ofTeacher = 0;
        double ofStudent = 0;
        for (int i = 0; i < vocabulary; i++) {
            double p = heated.logits[i] - logSum;
            double p0 = teacher.logits[i] - teacherLogSum;
            double a = p0 + logBeta;
            double b = p + logRest;
            double mixture = Math.max(a, b) + Math.log(1 + Math.exp(-Math.abs(a - b)));
            ofTeacher += teacher.exponentials[i] * (p0 - mixture);
            ofStudent += heated.exponentials[i] * (p - mixture);
            scratch[i] = (float) (p - mixture);
        }
        double mean = ofStudent / heated.sum;
        float scale = (float) (factor * (1 - beta) / heated.sum);
        for (int i = 0; scale != 0 && i < vocabulary; i++) {
            gradient[i] += scale * heated.exponentials[i] * (scratch[i] - (float) mean);
        }
        return beta * ofTeacher / teacher.sum + (1 - beta) * mean;
    }

    private void clearBounded() {
        for (int i = 0; bounded && i < vocabulary; i++) {
            if (Math.abs(student.logits[i]) >= BOUND) {
                gradient[i] = 0;
            }
        }
    }
}
