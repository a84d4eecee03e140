package io.github.dl4jretention.eval;

import io.github.dl4jretention.loss.LabelArrays;
import io.github.dl4jretention.loss.LabelLayout;
import java.io.Serializable;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;
import org.nd4j.evaluation.BaseEvaluation;
import org.nd4j.evaluation.IMetric;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * How well a language model predicts a text and how near it stays to its teacher, for DL4J's {@code doEvaluation}:
 *
 * <pre>{@code
 * RetentionEvaluation evaluation = new RetentionEvaluation();
 * student.doEvaluation(new TeacherIterator(testIterator, teacher), evaluation);
 * log.info(evaluation.stats());
 * }</pre>
 *
 * Plain iterators work too: labels may have every {@link LabelLayout}, and without a teacher in them the divergence and
 * the agreement are NaN. Means are over tokens times their mask; a token whose one-hot label is all zeros is padding
 * and counts nowhere, mask or not. You can merge the evaluations of parts of a text.
 *
 * <p><b>Bound.</b> {@code doEvaluation} hands over probabilities, not logits. One below 1e-38 counts as 1e-38, so a
 * token's cross-entropy ends at 87.5 nats; those of HALF networks are 0 below 6e-8 already. {@link TokenEvaluation}
 * works on logits and has no such end.
 */
public final class RetentionEvaluation extends BaseEvaluation<RetentionEvaluation> {

    private static final long serialVersionUID = 1L;
    private static final double SMALLEST = 1e-38;

    /** Far above the rounding of a softmax in FLOAT, far below what is none. */
    private static final double SUM_TOLERANCE = 0.01;

    /** 1, or 2 for sequences in NWC layout; 0 to find out from each batch. */
    private int classAxis;

    /** Mean length of a token in bytes of text. */
    private double bytesPerToken;

    /** In nats, each token's times its mask. */
    private double crossEntropySum;

    /** Sum of masks. */
    private double tokens;

    /** In nats, each token's times its divergence's weight. */
    private double divergenceSum;

    /** Sum of the divergence's weights of tokens on which student and teacher agree. */
    private double agreements;

    /** Sum of the divergence's weights. */
    private double divergenceTokens;

    /** Finds the class axis from the shapes and the sums of the probabilities; counts a byte for each token. */
    public RetentionEvaluation() {
        this(0, 1);
    }

    /**
     * @param classAxis     axis of the classes: 1, or 2 for sequences in NWC layout; 0 finds out
     * @param bytesPerToken mean length of a token in bytes of text, above 0; {@link #bitsPerByte()} is wrong without it
     * @throws IllegalArgumentException if a number is out of range
     */
    public RetentionEvaluation(int classAxis, double bytesPerToken) {
        if (classAxis < 0 || classAxis > 2) {
            throw new IllegalArgumentException("classAxis: expected 0, 1 or 2, got " + classAxis);
        }
        if (!(bytesPerToken > 0) || Double.isInfinite(bytesPerToken)) {
            throw new IllegalArgumentException("bytesPerToken: expected a finite number above 0, got " + bytesPerToken);
        }
        this.classAxis = classAxis;
        this.bytesPerToken = bytesPerToken;
    }

    /**
     * Adds a minibatch, all of it or nothing.
     *
     * @param labels      plain or packed, see {@link LabelLayout}, shape of the predictions except for the axis of the classes
     * @param predictions probabilities, {@code [batch, classes]}, {@code [batch, classes, time]} or
     *     {@code [batch, time, classes]}
     * @param mask weights of tokens, finite and at least 0: {@code [batch, time]} of sequences, else {@code [batch]} or
     *     {@code [batch, 1]}; null: all 1
     * @throws IllegalArgumentException if a shape, weight, class id or teacher value doesn't fit, or a token's
     *     predictions are below 0 or, in FLOAT and DOUBLE, sum to neither 1 nor its weight within 1 %; values of tokens
     *     of weight 0 aren't looked at
     */
    @Override
    public void eval(
            INDArray labels, INDArray predictions, INDArray mask, List<? extends Serializable> recordMetaData) {
        int axis = classAxisOf(labels, predictions, mask);
        requireSameTokens(labels, predictions, axis);
        Tokens probabilities = new Tokens(predictions, axis);
        Tokens ofLabels = new Tokens(labels, axis);
        LabelLayout layout = LabelLayout.of(labels, axis, probabilities.classes());
        if (layout.sampledAt() != 0) {
            throw new IllegalArgumentException(
                    "labels: expected the teacher's whole distributions, got samples, from which every network is far; "
                            + "evaluate with the teacher itself");
        }
        double[] weights = Tokens.weights(mask, predictions, axis);
        boolean coarse = predictions.dataType() == DataType.FLOAT16 || predictions.dataType() == DataType.BFLOAT16;
        RetentionEvaluation part = newInstance();
        for (int token = 0; token < weights.length; token++) {
            double[] label = ofLabels.of(token);
            double weight = layout.isPadding(label) ? 0 : weights[token];
            double divergenceWeight = layout.hasWeight()
                    ? Tokens.requireWeight(label[layout.weightAt()], "labels: divergence mask")
                    : weight;
            if (weight > 0 || divergenceWeight > 0) {
                double[] values = distribution(probabilities.of(token), weights[token], coarse, axis);
                part.token(label, labels.dataType(), logarithms(values), weight, divergenceWeight, layout);
            }
        }
        merge(part);
        LabelArrays.used(labels);
    }

    private void token(
            double[] label,
            DataType type,
            double[] logProbabilities,
            double weight,
            double divergenceWeight,
            LabelLayout layout) {
        if (weight > 0) {
            crossEntropySum += weight * crossEntropy(label, type, logProbabilities, layout);
            tokens += weight;
        }
        if (layout.hasTeacher() && divergenceWeight > 0) {
            double[] teacher = layout.teacher(label);
            divergenceSum += divergenceWeight * divergence(teacher, logProbabilities);
            agreements += argMax(teacher) == argMax(logProbabilities) ? divergenceWeight : 0;
            divergenceTokens += divergenceWeight;
        }
    }

    /**
     * DL4J multiplies what a recurrent output gives by its labels mask; this takes it back, and so for sums of HALF,
     * which may be off by a multiple where there are many classes. NaN passes: a diverged model is worth no more.
     */
    private static double[] distribution(double[] values, double weight, boolean coarse, int axis) {
        double sum = Arrays.stream(values).sum();
        double least = Arrays.stream(values).min().orElse(0);
        boolean multiplied = Math.abs(sum - 1) > SUM_TOLERANCE;
        boolean explained = coarse ? sum > 0 : weight > 0 && Math.abs(sum / weight - 1) <= SUM_TOLERANCE;
        if (least < 0 || multiplied && !explained) {
            throw new IllegalArgumentException("predictions: expected probabilities on axis " + axis
                    + ", got a token whose values sum to " + sum + ", the least " + least
                    + "; if classes are on the last axis use new RetentionEvaluation(2, bytesPerToken), if these are logits "
                    + "apply a softmax first, and give tokens that DL4J leaves out by a mask, as zeros, weight 0 in labels "
                    + "and divergence");
        }
        return multiplied ? Arrays.stream(values).map(p -> p / sum).toArray() : values;
    }

    /** 1 or 2: the axis that was given, or the one that shapes allow and on which the probabilities sum to 1. */
    private int classAxisOf(INDArray labels, INDArray predictions, @Nullable INDArray mask) {
        if (predictions.rank() != 3 || labels.rank() != 3) {
            return 1;
        }
        if (classAxis > 0) {
            return classAxis;
        }
        boolean first = fits(1, labels, predictions, mask);
        boolean last = fits(2, labels, predictions, mask);
        if (first && last) {
            return deviation(2, predictions, mask) < deviation(1, predictions, mask) ? 2 : 1;
        }
        return last ? 2 : 1;
    }

    private static boolean fits(int axis, INDArray labels, INDArray predictions, @Nullable INDArray mask) {
        int time = 3 - axis;
        return labels.size(time) == predictions.size(time)
                && (mask == null || mask.rank() != 2 || mask.size(1) == predictions.size(time));
    }

    /** How far from 1, or from its weight, a token's sum over this axis is on average. */
    private static double deviation(int axis, INDArray predictions, @Nullable INDArray mask) {
        double[] weights = mask == null ? null : Tokens.flat(mask);
        double total = 0;
        double count = 0;
        try (INDArray sums = predictions.sum(axis)) {
            double[] values = Tokens.flat(sums);
            for (int token = 0; token < values.length; token++) {
                double weight = weights == null || weights.length != values.length ? 1 : weights[token];
                if (weight > 0) {
                    total += Math.min(Math.abs(values[token] - 1), Math.abs(values[token] / weight - 1));
                    count++;
                }
            }
        }
        return count == 0 ? 0 : total / count;
    }

    private static void requireSameTokens(INDArray labels, INDArray predictions, int classAxis) {
        int rank = predictions.rank();
        boolean same = (rank == 2 || rank == 3) && labels.rank() == rank;
        for (int axis = 0; same && axis < rank; axis++) {
            same = axis == classAxis || labels.size(axis) == predictions.size(axis);
        }
        if (!same) {
            throw new IllegalArgumentException("labels: expected a label for every prediction, got labels of shape "
                    + Arrays.toString(labels.shape()) + " for predictions of shape "
                    + Arrays.toString(predictions.shape()));
        }
    }

    private static double crossEntropy(double[] label, DataType type, double[] logProbabilities, LabelLayout layout) {
        return layout.isClassId()
                ? -logProbabilities[Tokens.classId(label[0], type, logProbabilities.length)]
                : Tokens.crossEntropy(label, logProbabilities);
    }

    private static double divergence(double[] teacher, double[] student) {
        double max = Arrays.stream(teacher).max().orElse(0);
        if (!Double.isFinite(max)) {
            throw new IllegalArgumentException(
                    "labels: expected teacher values that are finite or, but not all, -Infinity, got " + max);
        }
        double scale = max
                + Math.log(Arrays.stream(teacher).map(z -> Math.exp(z - max)).sum());
        return Tokens.divergence(teacher, scale, student);
    }

    private static double[] logarithms(double[] probabilities) {
        return Arrays.stream(probabilities)
                .map(p -> Math.log(Math.max(p, SMALLEST)))
                .toArray();
    }

    private static int argMax(double[] values) {
        int best = 0;
        for (int v = 1; v < values.length; v++) {
            best = values[v] > values[best] ? v : best;
        }
        return best;
    }

    /** {@return mean cross-entropy in nats per token; NaN before the first} */
    public double crossEntropy() {
        return crossEntropySum / tokens;
    }

    /** {@return {@code exp(crossEntropy)}; NaN before the first token} */
    public double perplexity() {
        return Math.exp(crossEntropy());
    }

    /** {@return {@code crossEntropy / (log 2 * bytesPerToken)}, in bits; NaN before the first token} */
    public double bitsPerByte() {
        return crossEntropy() / (Math.log(2) * bytesPerToken);
    }

    /** {@return mean {@code KL(p0 || p)} in nats per token, at temperature 1; NaN without a teacher} */
    public double divergence() {
        return divergenceSum / divergenceTokens;
    }

    /**
     * {@return share of tokens on which student and teacher hold the same class most probable; NaN without a teacher}
     */
    public double agreement() {
        return agreements / divergenceTokens;
    }

    /** {@return number of tokens, each times its mask} */
    public double tokens() {
        return tokens;
    }

    /** @throws IllegalArgumentException if the other one counts other {@code bytesPerToken} */
    @Override
    public void merge(RetentionEvaluation other) {
        if (other.bytesPerToken != bytesPerToken) {
            throw new IllegalArgumentException(
                    "other: expected " + bytesPerToken + " bytes per token, got " + other.bytesPerToken);
        }
        crossEntropySum += other.crossEntropySum;
        tokens += other.tokens;
        divergenceSum += other.divergenceSum;
        agreements += other.agreements;
        divergenceTokens += other.divergenceTokens;
    }

    @Override
    public void reset() {
        crossEntropySum = 0;
        tokens = 0;
        divergenceSum = 0;
        agreements = 0;
        divergenceTokens = 0;
    }

    @Override
    public String stats() {
        String text = String.format(
                Locale.ROOT,
                "tokens %.0f, cross-entropy %.4f nats per token, perplexity %.3f, %.4f bits per byte (%s bytes per token)",
                tokens,
                crossEntropy(),
                perplexity(),
                bitsPerByte(),
                bytesPerToken);
        return divergenceTokens == 0
                ? text + ", no teacher in the labels"
                : text
                        + String.format(
                                Locale.ROOT,
                                ", KL to the teacher %.4f nats per token, agreement %.1f %%",
                                divergence(),
                                100 * agreement());
    }

    @Override
    public double getValue(IMetric metric) {
        if (!(metric instanceof RetentionMetric wanted)) {
            throw new IllegalArgumentException("metric: expected a RetentionMetric, got " + metric);
        }
        return switch (wanted) {
            case CROSS_ENTROPY -> crossEntropy();
            case PERPLEXITY -> perplexity();
            case BITS_PER_BYTE -> bitsPerByte();
            case DIVERGENCE -> divergence();
            case AGREEMENT -> agreement();
        };
    }

    private List<Number> numbers() {
        return List.of(classAxis, bytesPerToken, crossEntropySum, tokens, divergenceSum, agreements, divergenceTokens);
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof RetentionEvaluation evaluation && numbers().equals(evaluation.numbers());
    }

    @Override
    public int hashCode() {
        return numbers().hashCode();
    }

    @Override
    public RetentionEvaluation newInstance() {
        return new RetentionEvaluation(classAxis, bytesPerToken);
    }
}
