package io.github.dl4jretention.loss;

import io.github.dl4jretention.internal.BatchMemory;
import io.github.dl4jretention.internal.WholeNumbers;
import io.github.dl4jretention.loss.fused.FusedLoops;
import java.util.Arrays;
import java.util.Objects;
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
    /** Of class ids, which FLOAT rounds from 2^24; empty for distributions. */
    private final double[] ids;

    private final String shapes;
    private final boolean inPlace;

    private @Nullable INDArray prepared;
    private int first;
    private long timeStride;
    private long exampleStride;

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
        shapes = "labels of shape " + Arrays.toString(given.shape()) + " for input of shape "
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
        weights = weights(mask);
        layout = LabelLayout.of(labels, weights, Math.toIntExact(vocabulary), shapes);
        divergenceWeights = layout.hasWeight() ? LabelLayout.flat(part(layout.weightAt(), 1)) : weights;
        LabelLayout.requireWeights(divergenceWeights, "divergence weights", shapes);
        ids = layout.isClassId() ? LabelLayout.flat(part(0, 1)) : new double[0];
        takePaddingOut();
        inPlace = labels.dataType() == DataType.FLOAT && (labels.stride(2) == 1 || labels.size(2) == 1);
        crossEntropy = new double[size()];
        tokenWeights = new double[size()];
        Arrays.fill(tokenWeights, 1);
        divergence = layout.hasTeacher() ? new double[size()] : null;
        this.agreement = layout.hasTeacher() && agreement ? new double[size()] : null;
    }

    private INDArray part(long from, long size) {
        return labels.get(NDArrayIndex.all(), NDArrayIndex.all(), NDArrayIndex.interval(from, from + size));
    }

    private double[] weights(@Nullable INDArray mask) {
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

    private void takePaddingOut() {
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
     * Weighs tokens by what the teacher says of their labels, if it's there to say it.
     *
     * @param weight that needs the teacher; all others follow from the student, and a {@link LossPath} sets them
     * @throws IllegalArgumentException if the teacher has no value for a token that counts
     */
    public void weighByTeacher(TokenWeight weight) {
        if (!hasTeacher()) {
            return;
        }
        double[] labels = new TeacherOfLabels(this).logProbabilities();
        weighed = true;
        if (weight.kind() == TokenWeight.Kind.FLOW) {
            double[] means = ofSequences(labels);
            Arrays.setAll(tokenWeights, token -> weight.at(means[token % examples]));
        } else {
            Arrays.setAll(tokenWeights, token -> weight.at(labels[token]));
        }
    }

    /**
     * Checks that the sequences are pairs.
     *
     * @throws IllegalArgumentException if they aren't, one has no answer, or both have the same
     */
    void requirePairs() {
        Preference.requirePairs(examples, size() / examples, new Preference.Sequences() {
            @Override
            public double weight(int example, int time) {
                return weights[time * examples + example];
            }

            @Override
            public double[] label(int example, int time) {
                int token = time * examples + example;
                return layout.isClassId() ? new double[] {ids[token]} : Arrays.copyOf(row(token), layout.vocabulary());
            }
        });
    }

    /**
     * Takes pairs' losses in the place of the cross-entropies, which a {@link LossPath} has filled, and weighs each
     * token's cross-entropy so that its gradient is theirs.
     *
     * @param preference the loss
     * @throws IllegalArgumentException if the teacher has no value for a token that counts
     */
    void weighByPairs(Preference preference) {
        double[] logs = new double[size()];
        double[] anchor = preference.needsTeacher() ? new TeacherOfLabels(this).logProbabilities() : new double[size()];
        Arrays.setAll(logs, token -> -crossEntropy[token] - anchor[token]);
        double[] tokens = new double[examples];
        double[] sums = new double[examples];
        for (int token = 0; token < size(); token++) {
            tokens[token % examples] += weights[token];
            sums[token % examples] += TokenLoss.weighted(weights[token], logs[token]);
        }
        double[] losses = new double[examples];
        double[] factors = new double[examples];
        for (int chosen = 0; chosen < examples; chosen += 2) {
            int rejected = chosen + 1;
            double ofChosen = preference.ofMeans() ? 1 / tokens[chosen] : 1;
            double ofRejected = preference.ofMeans() ? 1 / tokens[rejected] : 1;
            double difference = sums[chosen] * ofChosen - sums[rejected] * ofRejected;
            losses[chosen] = preference.loss(difference);
            losses[rejected] = losses[chosen];
            // Both sequences have the loss, and a cross-entropy is the log-probability's negative.
            double derivative = 2 * preference.derivative(difference);
            factors[chosen] = -derivative * ofChosen;
            factors[rejected] = derivative * ofRejected;
        }
        Arrays.setAll(tokenWeights, token -> factors[token % examples]);
        weighed = true;
        ofPairs = losses;
    }

    /** Means over the tokens of each sequence, weighted as the cross-entropy is; 0 where none counts. */
    private double[] ofSequences(double[] values) {
        double[] sums = new double[examples];
        double[] totals = new double[examples];
        for (int token = 0; token < size(); token++) {
            sums[token % examples] += TokenLoss.weighted(weights[token], values[token]);
            totals[token % examples] += weights[token];
        }
        Arrays.setAll(sums, example -> totals[example] == 0 ? 0 : sums[example] / totals[example]);
        return sums;
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

    // Row by row, for the fused path.

    /**
     * {@return the end of a chunk of tokens: whole time steps, or examples of one step}
     *
     * @param start   the chunk's first token
     * @param longest number of tokens
     */
    public int chunkEnd(int start, int longest) {
        int end = examples >= longest
                ? Math.min(start + longest, (start / examples + 1) * examples)
                : start + longest / examples * examples;
        return Math.min(end, size());
    }

    /**
     * Makes a chunk's rows readable: in place where a token's values lie side by side in FLOAT, as packed labels do,
     * else from a copy of the chunk.
     *
     * @param start  first token
     * @param end    of the chunk, as {@link #chunkEnd} says
     * @param memory lends the copy its memory until the next chunk is prepared, or {@link #release}
     */
    public void prepare(int start, int end, BatchMemory memory) {
        if (inPlace) {
            prepared = labels;
            timeStride = labels.stride(0);
            exampleStride = labels.stride(1);
            return;
        }
        int time = start / examples;
        boolean wholeSteps = start % examples == 0 && end % examples == 0;
        INDArray chunk = labels.get(
                NDArrayIndex.interval(time, wholeSteps ? end / examples : time + 1),
                wholeSteps ? NDArrayIndex.all() : NDArrayIndex.interval(start % examples, (end - 1) % examples + 1),
                NDArrayIndex.all());
        release();
        prepared = memory.array(DataType.FLOAT, chunk.shape()).assign(chunk);
        first = start;
        exampleStride = labels.size(2);
    }

    /** Gives back the memory of the last chunk's copy, if there is one. */
    public void release() {
        if (prepared != null && !inPlace) {
            RetentionLabels.release(prepared);
        }
        prepared = null;
    }

    private void read(int token, int from, float[] to, int length) {
        long row = inPlace
                ? token / examples * timeStride + token % examples * exampleStride
                : (token - first) * exampleStride;
        FusedLoops.get(Objects.requireNonNull(prepared, "prepare a chunk first"), row + from, to, 0, length);
    }

    /**
     * {@return the class id of a token that counts}
     *
     * @param token its place, time first
     * @throws IllegalArgumentException if it's no class id
     */
    public int classId(int token) {
        return layout.requireId(ids[token], labels.dataType(), shapes);
    }

    /**
     * Reads the distribution of a prepared token that counts.
     *
     * @param token its place, time first
     * @param to    V numbers, to be set; not checked
     */
    public void distribution(int token, float[] to) {
        read(token, 0, to, layout.vocabulary());
    }

    /** {@return whether rows can be read as floats and lose nothing} */
    boolean isFloat() {
        return FusedLoops.isAccessible(labels);
    }

    /** {@return a token's values on the class axis, a copy} */
    double[] row(int token) {
        return labels.get(
                        NDArrayIndex.point(token / examples), NDArrayIndex.point(token % examples), NDArrayIndex.all())
                .toDoubleVector();
    }

    /**
     * Reads the teacher's log-probabilities of a prepared token that counts; a sample is expanded.
     *
     * @param token   its place, time first
     * @param to      V numbers, to be set
     * @param scratch of length {@link LabelLayout#teacherSize()} at least
     * @throws IllegalArgumentException if a sample names no class
     */
    public void teacher(int token, float[] to, float[] scratch) {
        if (layout.entries() == 0) {
            read(token, layout.labelSize(), to, layout.vocabulary());
        } else {
            read(token, layout.labelSize(), scratch, layout.teacherSize());
            layout.expand(scratch, to, shapes);
        }
    }

    // All at once, for other paths.

    /**
     * {@return the labels as rows {@code [tokens, 1]} or {@code [tokens, V]}, a copy; 0 where they don't count}
     *
     * @param type of the array
     * @throws IllegalArgumentException if a value that counts is no class id or no probability
     */
    public INDArray labels(DataType type) {
        INDArray rows = rows(type, 0, layout.labelSize());
        clear(rows, weights);
        if (layout.isClassId()) {
            for (int token = 0; token < size(); token++) {
                if (weights[token] > 0) {
                    WholeNumbers.requireExact(classId(token), type, layout.vocabulary(), "labels", shapes);
                }
            }
        } else {
            requireDistribution(rows.minNumber().doubleValue(), rows.sumNumber().doubleValue());
        }
        return rows;
    }

    /**
     * {@return the teacher's log-probabilities as rows {@code [tokens, V]}, a copy; 0 where they don't count}
     *
     * @param type of the array
     * @throws IllegalArgumentException if a token that counts has none
     */
    public INDArray teacher(DataType type) {
        INDArray rows = rows(type, layout.labelSize(), layout.teacherSize());
        if (layout.entries() > 0) {
            INDArray samples = rows;
            rows = Nd4j.createUninitialized(type, size(), layout.vocabulary());
            float[] values = new float[layout.vocabulary()];
            for (int token = 0; token < size(); token++) {
                if (divergenceWeights[token] > 0) {
                    layout.expand(samples.getRow(token).toFloatVector(), values, shapes);
                    rows.putRow(token, Nd4j.createFromArray(values).castTo(type));
                }
            }
        }
        clear(rows, divergenceWeights);
        double sum = rows.sumNumber().doubleValue();
        double smallestBest = rows.max(1).minNumber().doubleValue();
        if (Double.isNaN(sum) || sum == Double.POSITIVE_INFINITY || smallestBest == Double.NEGATIVE_INFINITY) {
            throw noTeacher();
        }
        return rows;
    }

    private INDArray rows(DataType type, int from, int size) {
        INDArray part = part(from, size);
        return Nd4j.createUninitialized(type, part.shape()).assign(part).reshape(size(), size);
    }

    private static void clear(INDArray rows, double[] weights) {
        for (int row = 0; row < weights.length; row++) {
            if (weights[row] == 0) {
                rows.getRow(row).assign(0);
            }
        }
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

    /** {@return what to throw where a token that counts has no distribution of the teacher} */
    public IllegalArgumentException noTeacher() {
        return LabelLayout.noTeacher(shapes);
    }

    /**
     * Checks numbers of which the smallest and the sum are known.
     *
     * @param smallest of them
     * @param sum      of them
     * @throws IllegalArgumentException if they're no probabilities
     */
    public void requireDistribution(double smallest, double sum) {
        if (!(smallest >= 0) || !Double.isFinite(sum)) {
            throw new IllegalArgumentException("labels: expected finite probabilities of at least 0, got "
                    + (smallest < 0 ? smallest : sum) + " in " + shapes);
        }
    }
}
