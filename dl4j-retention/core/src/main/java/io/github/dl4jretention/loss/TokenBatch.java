package io.github.dl4jretention.loss;

import java.util.Arrays;
import java.util.function.IntToDoubleFunction;
import java.util.stream.DoubleStream;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

/**
 * One minibatch of an output layer: its labels and weights, whose shapes fit the layer's input, and, once a
 * {@link LossPath} has run, the loss of every token. Tokens lie in the order time, then batch.
 *
 * <p>A token whose distribution is all zero is padding: its weight is 0, as if the label mask had a 0 there. What a
 * weight of 0 takes out may hold anything, NaN too, and is never looked at.
 */
public final class TokenBatch {

    /** The divergence's factor {@code lambda T^2}. */
    public final double factor;

    /** The cross-entropy of each token in nats, to be filled. */
    public final double[] crossEntropy;

    /** The divergence of each token in nats, without the factor, to be filled; null without a teacher. */
    public final double @Nullable [] divergence;

    /**
     * 1 where student and teacher hold the same class most probable, else 0, to be filled; null if nobody asks for it.
     */
    public final double @Nullable [] agreement;

    private final LabelLayout layout;
    private final INDArray labels;
    private final int examples;
    private final double[] weights;
    private final double[] divergenceWeights;
    /** Beside the weights of the cross-entropy; 1 where nothing weighs it. */
    private final double[] tokenWeights;

    private boolean weighed;
    private double @Nullable [] ofPairs;
    private final TokenRows rows;

    /**
     * @param input      of the layer, {@code [batch, nIn]}, {@code [batch, nIn, time]} or {@code [batch, time, nIn]}
     * @param given      labels, plain or packed; kept, not copied
     * @param mask       weights of tokens; null for none
     * @param vocabulary V
     * @param classAxis  of arrays of rank 3: 1 or 2
     * @param factor     {@code lambda T^2}
     * @param agreement  whether it's measured
     * @throws IllegalArgumentException if shapes don't fit or a weight is negative or not finite; the message names the
     *     argument and says what was found and expected
     */
    public TokenBatch(
            INDArray input,
            INDArray given,
            @Nullable INDArray mask,
            long vocabulary,
            int classAxis,
            double factor,
            boolean agreement) {
        String shapes = "labels of shape " + Arrays.toString(given.shape()) + " for input of shape "
                + Arrays.toString(input.shape());
        boolean fits = given.rank() == input.rank();
        for (int axis = 0; fits && axis < input.rank(); axis++) {
            fits = axis == classAxis || given.size(axis) == input.size(axis);
        }
        if (!fits) {
            throw new IllegalArgumentException(
                    "labels: expected the batch size and sequence length of the input, got " + shapes);
        }
        this.factor = factor;
        labels = LabelLayout.timeFirst(given, classAxis);
        examples = (int) labels.size(1);
        weights = weights(mask, shapes);
        layout = LabelLayout.of(labels, weights, Math.toIntExact(vocabulary), shapes);
        divergenceWeights = layout.hasWeight() ? LabelLayout.flat(part(layout.weightAt(), 1)) : weights;
        LabelLayout.requireWeights(divergenceWeights, "divergence weights", shapes);
        double[] ids = layout.isClassId() ? LabelLayout.flat(part(0, 1)) : new double[0];
        takePaddingOut(ids);
        rows = new TokenRows(labels, layout, ids, weights, divergenceWeights, shapes);
        crossEntropy = new double[size()];
        tokenWeights = new double[size()];
        Arrays.fill(tokenWeights, 1);
        divergence = layout.hasTeacher() ? new double[size()] : null;
        this.agreement = layout.hasTeacher() && agreement ? new double[size()] : null;
    }

    private INDArray part(long from, long size) {
        return labels.get(NDArrayIndex.all(), NDArrayIndex.all(), NDArrayIndex.interval(from, from + size));
    }

    private double[] weights(@Nullable INDArray mask, String shapes) {
        long time = labels.size(0);
        if (mask == null) {
            return DoubleStream.generate(() -> 1).limit(time * examples).toArray();
        }
        boolean fits = mask.length() == time * examples
                && (mask.rank() == 2 && mask.size(0) == examples || mask.rank() == 1 && time == 1);
        if (!fits) {
            throw new IllegalArgumentException("labels mask: expected shape [" + examples + ", " + time
                    + "], a weight for every token, got " + Arrays.toString(mask.shape()));
        }
        double[] found = LabelLayout.flat(mask.rank() == 2 ? mask.permute(1, 0) : mask);
        LabelLayout.requireWeights(found, "labels mask", shapes);
        return found;
    }

    private void takePaddingOut(double[] ids) {
        if (layout.isClassId() && !layout.hasTeacher()) {
            return;
        }
        INDArray label = part(0, layout.labelSize());
        double[] signs = layout.isClassId()
                ? ids
                : LabelLayout.flat((label.dataType().isFPType() ? label : label.castTo(DataType.FLOAT)).norm1(2));
        double padding = layout.isClassId() ? LabelLayout.PADDING : 0;
        for (int token = 0; token < weights.length; token++) {
            if (signs[token] == padding) {
                weights[token] = 0;
            }
        }
    }

    /** {@return number of tokens} */
    public int size() {
        return weights.length;
    }

    /** {@return what lies where on the labels' class axis} */
    public LabelLayout layout() {
        return layout;
    }

    /** {@return whether the labels carry a teacher} */
    public boolean hasTeacher() {
        return layout.hasTeacher();
    }

    /**
     * {@return the weight of a token's cross-entropy}
     *
     * @param token its place, time first
     */
    public double weight(int token) {
        return weights[token];
    }

    /**
     * Weighs tokens once what weighs them is known.
     *
     * @param weight of a token's cross-entropy, beside its weight
     */
    void weigh(IntToDoubleFunction weight) {
        Arrays.setAll(tokenWeights, weight);
        weighed = true;
    }

    /**
     * Takes pairs' losses in the place of the cross-entropies.
     *
     * @param losses of each sequence, its pair's
     */
    void setPairLosses(double[] losses) {
        ofPairs = losses;
    }

    /** {@return the number of sequences} */
    int examples() {
        return examples;
    }

    /** {@return what the labels say of each token} */
    public TokenRows rows() {
        return rows;
    }

    /**
     * {@return what a token's cross-entropy is multiplied by beside its weight}
     *
     * @param token its place, time first
     */
    public double tokenWeight(int token) {
        return tokenWeights[token];
    }

    /**
     * Sets what a token's cross-entropy is multiplied by beside its weight.
     *
     * @param token  its place, time first
     * @param weight by the student's prediction
     */
    public void setTokenWeight(int token, double weight) {
        tokenWeights[token] = weight;
    }

    /**
     * {@return the weight of a token's divergence; 0 without a teacher}
     *
     * @param token its place, time first
     */
    public double divergenceWeight(int token) {
        return layout.hasTeacher() ? divergenceWeights[token] : 0;
    }

    /**
     * {@return whether a token counts in anything}
     *
     * @param token its place, time first
     */
    public boolean counts(int token) {
        return weight(token) > 0 || divergenceWeight(token) > 0;
    }

    /**
     * {@return the weights of the cross-entropy, those by the teacher included, as a column {@code [tokens, 1]}}
     *
     * @param type of the array
     */
    public INDArray weights(DataType type) {
        return column(weighed ? weightsOfObjective() : weights, type);
    }

    private double[] weightsOfObjective() {
        double[] products = new double[size()];
        Arrays.setAll(products, token -> TokenLoss.weighted(weights[token], tokenWeights[token]));
        return products;
    }

    /**
     * {@return the weights of the divergence as a column {@code [tokens, 1]}}
     *
     * @param type of the array
     */
    public INDArray divergenceWeights(DataType type) {
        return column(divergenceWeights, type);
    }

    private static INDArray column(double[] values, DataType type) {
        return Nd4j.createFromArray(values).castTo(type).reshape(values.length, 1);
    }

    /** {@return the weighted sums over all tokens} */
    TokenLoss sums() {
        return TokenLoss.of(
                weights,
                crossEntropy,
                divergenceWeights,
                divergence,
                hasTeacher() ? factor : 0,
                agreement,
                ofPairs == null
                        ? TokenLoss.weightedSum(weightsOfObjective(), crossEntropy)
                        : Arrays.stream(ofPairs).sum());
    }

    /** {@return the loss of each example, summed over its tokens} */
    double[] ofExamples() {
        double[] sums = ofPairs == null ? new double[examples] : ofPairs.clone();
        double[] products = weightsOfObjective();
        for (int token = 0; token < size(); token++) {
            if (ofPairs == null) {
                sums[token % examples] += TokenLoss.weighted(products[token], crossEntropy[token]);
            }
            if (divergence != null) {
                sums[token % examples] += factor * TokenLoss.weighted(divergenceWeights[token], divergence[token]);
            }
        }
        return sums;
    }

    /**
     * {@return the input's rows {@code [tokens, nIn]} without what tokens that don't count hold there, if that isn't
     * finite: 0 times NaN would be NaN in the gradient}
     *
     * @param rows the same array, or a copy of it where something had to be taken out
     */
    INDArray finiteInput(INDArray rows) {
        INDArray result = rows;
        if (IntStream.range(0, size()).allMatch(this::counts)) {
            return result;
        }
        double[] sums = LabelLayout.flat(rows.castTo(DataType.DOUBLE).sum(1));
        for (int token = 0; token < sums.length; token++) {
            if (!counts(token) && !Double.isFinite(sums[token])) {
                result = result == rows ? rows.dup('c') : result;
                result.getRow(token).assign(0);
            }
        }
        return result;
    }
}
