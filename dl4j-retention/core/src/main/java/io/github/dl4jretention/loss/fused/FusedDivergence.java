package io.github.dl4jretention.loss.fused;

import io.github.dl4jretention.loss.Divergence;
import io.github.dl4jretention.loss.RetentionConfiguration;

/**
 * The divergence of one token from its teacher and its gradient with respect to the student's logits. FLOAT, with sums
 * in double. One thread at a time.
 *
 * <p>With {@code s = (z - max z) / T} and {@code e = exp s} of the student, {@code s0} and {@code e0} of the teacher:
 * {@code KL(p0 || p) = sum p0 (s0 - s) + log sum e - log sum e0}, and likewise the other way round; no logarithm of a
 * single class is taken but in Jensen-Shannon.
 */
final class FusedDivergence {

    /** In: the teacher's logits or log-probabilities. */
    final float[] teacher;

    private final Divergence divergence;
    private final double beta;
    private final float temperature;
    private final int vocabulary;
    private final float[] teacherExponentials;
    private final float[] ownLogits;
    private final float[] ownExponentials;
    private final float[] scratch;

    private float[] logits;
    private float[] exponentials;
    private float max;
    private float teacherMax;
    private double sum;
    private double teacherSum;
    private double mean;

    FusedDivergence(RetentionConfiguration configuration, int vocabulary) {
        this.divergence = configuration.getDivergence();
        this.beta = configuration.getBeta();
        this.temperature = (float) configuration.getTemperature();
        this.vocabulary = vocabulary;
        teacher = new float[vocabulary];
        teacherExponentials = new float[vocabulary];
        ownLogits = temperature == 1 ? null : new float[vocabulary];
        ownExponentials = temperature == 1 ? null : new float[vocabulary];
        scratch = new float[vocabulary];
    }

    /** Whether the teacher's row has no NaN, no +infinity and at least one possible class. */
    boolean isTeacherValid() {
        float largest = FusedLoops.max(teacher, vocabulary);
        double total = FusedLoops.sum(teacher, vocabulary);
        return largest > Float.NEGATIVE_INFINITY && largest < Float.POSITIVE_INFINITY && !Double.isNaN(total);
    }

    /** In nats, without {@code T^2}; the teacher's row is spent. */
    double of(FusedRow student) {
        FusedLoops.clip(teacher, FusedRow.BOUND, vocabulary);
        if (temperature == 1) {
            logits = student.logits;
            exponentials = student.exponentials();
            max = student.max();
            sum = student.sum();
        } else {
            FusedLoops.scale(1 / temperature, teacher, teacher, vocabulary);
            FusedLoops.scale(1 / temperature, student.logits, ownLogits, vocabulary);
            logits = ownLogits;
            exponentials = ownExponentials;
            max = FusedLoops.max(logits, vocabulary);
            sum = FusedExponential.apply(logits, max, scratch, exponentials, vocabulary);
        }
        teacherMax = FusedLoops.max(teacher, vocabulary);
        teacherSum = FusedExponential.apply(teacher, teacherMax, scratch, teacherExponentials, vocabulary);
        return switch (divergence) {
            case FORWARD_KL -> FusedLoops.weightedDifference(
                                    teacherExponentials, teacher, teacherMax, logits, max, vocabulary)
                            / teacherSum
                    + Math.log(sum)
                    - Math.log(teacherSum);
            case REVERSE_KL -> {
                mean = FusedLoops.weightedDifference(exponentials, logits, max, teacher, teacherMax, vocabulary) / sum;
                yield mean - Math.log(sum) + Math.log(teacherSum);
            }
            case JENSEN_SHANNON -> jensenShannon();
        };
    }

    /** Leaves {@code log p - log m} in the scratch and {@code KL(p || m)} in the mean. */
    private double jensenShannon() {
        double logSum = Math.log(sum) + max;
        double teacherLogSum = Math.log(teacherSum) + teacherMax;
        double logBeta = Math.log(beta);
        double logRest = Math.log1p(-beta);
        double ofTeacher = 0;
        double ofStudent = 0;
        for (int i = 0; i < vocabulary; i++) {
            double p = logits[i] - logSum;
            double p0 = teacher[i] - teacherLogSum;
            double a = p0 + logBeta;
            double b = p + logRest;
            double mixture = Math.max(a, b) + Math.log(1 + Math.exp(-Math.abs(a - b)));
            ofTeacher += teacherExponentials[i] * (p0 - mixture);
            ofStudent += exponentials[i] * (p - mixture);
            scratch[i] = (float) (p - mixture);
        }
        mean = ofStudent / sum;
        return beta * ofTeacher / teacherSum + (1 - beta) * mean;
    }

    /** Adds {@code weight} times the gradient of what {@link #of} gave. */
    void addGradient(double weight, float[] gradient) {
        double factor = weight / temperature;
        switch (divergence) {
            case FORWARD_KL -> {
                FusedLoops.add((float) (factor / sum), exponentials, gradient, vocabulary);
                FusedLoops.add((float) (-factor / teacherSum), teacherExponentials, gradient, vocabulary);
            }
            case REVERSE_KL -> FusedLoops.addWeightedDifference(
                    (float) (factor / sum),
                    exponentials,
                    logits,
                    max,
                    teacher,
                    teacherMax,
                    (float) mean,
                    gradient,
                    vocabulary);
            case JENSEN_SHANNON -> {
                float scale = (float) (factor * (1 - beta) / sum);
                for (int i = 0; i < vocabulary; i++) {
                    gradient[i] += scale * exponentials[i] * (scratch[i] - (float) mean);
                }
            }
        }
    }
}
