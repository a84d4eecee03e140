package io.github.dl4jretention.lm.layers;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/** One thread's loops over rows of a {@link FloatDecoder}, between the products; it sums the gradients of biases and norms. */
final class FloatBlockWorker {

    final int number;
    final FloatAttention attention;

    private final DecoderBlock block;
    private final FloatNorm attentionNorm;
    private final FloatNorm feedForwardNorm;
    private final FloatNorm queryNorm;
    private final FloatNorm keyNorm;
    private final @Nullable FloatRotary rotary;
    private final FloatFeedForward feedForward;
    private final FloatDropout dropout;
    private final float[] row;
    private final float[] other;
    private final float[] queryKeyValue;
    private final float[] raw;
    private final float[] gate;
    private final float[] up;
    private final float[] hidden;
    private final float[] hiddenGradient;
    private final float[] queryKeyValueBias;
    private final float[] projectionBias;
    private final float[] upBias;
    private final float[] downBias;
    private final float[] queryKeyValueBiasGradient;
    private final float[] projectionBiasGradient;
    private final float[] upBiasGradient;
    private final float[] downBiasGradient;

    /** @param number of this worker among a decoder's */
    FloatBlockWorker(DecoderBlock block, @Nullable FloatRotary rotary, int number) {
        this.number = number;
        this.block = block;
        this.rotary = rotary;
        int width = block.getWidth();
        boolean centred = block.getNorm() == Norm.LAYER_NORM;
        attentionNorm = new FloatNorm(centred, block.getEpsilon(), width);
        feedForwardNorm = new FloatNorm(centred, block.getEpsilon(), width);
        queryNorm = new FloatNorm(false, block.getEpsilon(), block.getHeadSize());
        keyNorm = new FloatNorm(false, block.getEpsilon(), block.getHeadSize());
        attention = new FloatAttention(block.getHeadSize(), block.getWindow(), block.getAttentionDropout());
        feedForward = new FloatFeedForward(block.getFeedForward(), block.getHidden());
        dropout = new FloatDropout(block.getResidualDropout());
        row = new float[width];
        other = new float[width];
        queryKeyValue = new float[block.queryKeyValueWidth()];
        raw = new float[block.queryKeyValueWidth()];
        gate = new float[block.getHidden()];
        up = new float[block.getHidden()];
        hidden = new float[block.getHidden()];
        hiddenGradient = new float[block.getHidden()];
        queryKeyValueBias = new float[block.queryKeyValueWidth()];
        projectionBias = new float[width];
        upBias = new float[block.upWidth()];
        downBias = new float[width];
        queryKeyValueBiasGradient = new float[block.queryKeyValueWidth()];
        projectionBiasGradient = new float[width];
        upBiasGradient = new float[block.upWidth()];
        downBiasGradient = new float[width];
    }

    /** Reads what is short among the parameters. */
    void start(FloatBlockParameters parameters) {
        attentionNorm.start(parameters.attentionNorm, parameters.attentionNormBias);
        feedForwardNorm.start(parameters.feedForwardNorm, parameters.feedForwardNormBias);
        if (block.isQueryKeyNorm()) {
            queryNorm.start(parameters.queryNorm, null);
            keyNorm.start(parameters.keyNorm, null);
        }
        read(parameters.queryKeyValueBias, queryKeyValueBias);
        read(parameters.projectionBias, projectionBias);
        read(parameters.upBias, upBias);
        read(parameters.downBias, downBias);
    }

    /** Likewise, and forgets gradients. */
    void startBackward(FloatBlockParameters parameters) {
        start(parameters);
        for (float[] sum :
                new float[][] {queryKeyValueBiasGradient, projectionBiasGradient, upBiasGradient, downBiasGradient}) {
            Arrays.fill(sum, 0);
        }
    }

    private static void read(@Nullable FloatRows parameter, float[] to) {
        if (parameter != null) {
            parameter.get(0, to);
        }
    }

    /** Sets the gradients of biases and norms to the sums of some workers. */
    static void sumGradients(FloatBlockWorker[] workers, FloatBlockParameters gradients) {
        FloatBlockWorker first = workers[0];
        for (int i = 1; i < workers.length; i++) {
            first.add(workers[i]);
        }
        put(gradients.attentionNorm, first.attentionNorm.gainGradient());
        put(gradients.attentionNormBias, first.attentionNorm.biasGradient());
        put(gradients.feedForwardNorm, first.feedForwardNorm.gainGradient());
        put(gradients.feedForwardNormBias, first.feedForwardNorm.biasGradient());
        put(gradients.queryNorm, first.queryNorm.gainGradient());
        put(gradients.keyNorm, first.keyNorm.gainGradient());
        put(gradients.queryKeyValueBias, first.queryKeyValueBiasGradient);
        put(gradients.projectionBias, first.projectionBiasGradient);
        put(gradients.upBias, first.upBiasGradient);
        put(gradients.downBias, first.downBiasGradient);
    }

    private void add(FloatBlockWorker that) {
        attentionNorm.add(that.attentionNorm);
        feedForwardNorm.add(that.feedForwardNorm);
        queryNorm.add(that.queryNorm);
        keyNorm.add(that.keyNorm);
        FloatVectors.add(that.queryKeyValueBiasGradient, queryKeyValueBiasGradient, queryKeyValueBiasGradient.length);
        FloatVectors.add(that.projectionBiasGradient, projectionBiasGradient, projectionBiasGradient.length);
        FloatVectors.add(that.upBiasGradient, upBiasGradient, upBiasGradient.length);
        FloatVectors.add(that.downBiasGradient, downBiasGradient, downBiasGradient.length);
    }

    private static void put(@Nullable FloatRows gradient, float[] sum) {
        if (gradient != null) {
            gradient.put(0, sum);
        }
    }

    /** {@code normal = norm(x)}, the attention's. */
    void attentionNorm(FloatRows x, FloatRows normal, int from, int to) {
        norm(attentionNorm, x, normal, from, to);
    }

    /** {@code normal = norm(x)}, the feed-forward part's. */
    void feedForwardNorm(FloatRows x, FloatRows normal, int from, int to) {
        norm(feedForwardNorm, x, normal, from, to);
    }

    private void norm(FloatNorm norm, FloatRows x, FloatRows normal, int from, int to) {
        for (int r = from; r < to; r++) {
            x.get(r, row);
            norm.forward(row, row, 0);
            normal.put(r, row);
        }
    }

    /**
     * Biases, norms and rotations of queries and keys, in place.
     *
     * @param rawQueryKey to be set to queries and keys before their norm; null if nobody needs them
     */
    void queryKeyValue(Sequences sequences, FloatRows rows, @Nullable FloatRows rawQueryKey, int from, int to) {
        if (!block.isQueryKeyValueBias() && !block.isQueryKeyNorm() && rotary == null) {
            return;
        }
        for (int r = from; r < to; r++) {
            rows.get(r, queryKeyValue);
            FloatVectors.add(queryKeyValueBias, queryKeyValue, queryKeyValue.length);
            if (rawQueryKey != null) {
                rawQueryKey.put(r, queryKeyValue);
            }
            int position = sequences.past() + r % sequences.time();
            for (int head = 0; head < block.getHeads() + block.getKeyValueHeads(); head++) {
                int offset = head * block.getHeadSize();
                if (block.isQueryKeyNorm()) {
                    norm(head).forward(queryKeyValue, queryKeyValue, offset);
                }
                if (rotary != null) {
                    rotary.turn(queryKeyValue, offset, position, 1);
                }
            }
            rows.put(r, queryKeyValue);
        }
    }

    private FloatNorm norm(int head) {
        return head < block.getHeads() ? queryNorm : keyNorm;
    }

    /** From gradients of queries, keys and values those of the product that made them, in place. */
    void queryKeyValueBackward(
            Sequences sequences, FloatRows gradients, @Nullable FloatRows rawQueryKey, int from, int to) {
        if (!block.isQueryKeyValueBias() && rawQueryKey == null && rotary == null) {
            return;
        }
        for (int r = from; r < to; r++) {
            gradients.get(r, queryKeyValue);
            if (rawQueryKey != null) {
                rawQueryKey.get(r, raw);
            }
            int position = sequences.past() + r % sequences.time();
            for (int head = 0; head < block.getHeads() + block.getKeyValueHeads(); head++) {
                int offset = head * block.getHeadSize();
                if (rotary != null) {
                    rotary.turn(queryKeyValue, offset, position, -1);
                }
                if (rawQueryKey != null) {
                    norm(head).backward(raw, queryKeyValue, offset);
                }
            }
            FloatVectors.add(queryKeyValue, queryKeyValueBiasGradient, queryKeyValue.length);
            gradients.put(r, queryKeyValue);
        }
    }

    /** {@code sum = x + dropout(product + projection bias)}. */
    void addAttention(Sequences sequences, FloatRows x, FloatRows product, FloatRows sum, int from, int to) {
        addBranch(sequences, x, product, projectionBias, 0, sum, from, to);
    }

    /** {@code sum = x + dropout(product + down bias)}; sum may be product. */
    void addFeedForward(Sequences sequences, FloatRows x, FloatRows product, FloatRows sum, int from, int to) {
        addBranch(sequences, x, product, downBias, 1, sum, from, to);
    }

    private void addBranch(
            Sequences sequences,
            FloatRows x,
            FloatRows product,
            float[] bias,
            int branch,
            FloatRows sum,
            int from,
            int to) {
        for (int r = from; r < to; r++) {
            product.get(r, row);
            FloatVectors.add(bias, row, row.length);
            drop(sequences, branch, r);
            x.get(r, other);
            FloatVectors.add(other, row, row.length);
            sum.put(r, row);
        }
    }

    private void drop(Sequences sequences, int branch, int r) {
        if (sequences.training()) {
            dropout.apply(row, 0, row.length, sequences.seed() + 1 + branch, (long) r * row.length);
        }
    }

    /** {@code gradient = dropout'(dL/dsum)}, the attention's; sums the gradient of its bias. */
    void attentionBranchBackward(Sequences sequences, FloatRows sumGradient, FloatRows gradient, int from, int to) {
        branchBackward(sequences, sumGradient, 0, projectionBiasGradient, gradient, from, to);
    }

    /** {@code gradient = dropout'(dL/dsum)}, the feed-forward part's; sums the gradient of its bias. */
    void feedForwardBranchBackward(Sequences sequences, FloatRows sumGradient, FloatRows gradient, int from, int to) {
        branchBackward(sequences, sumGradient, 1, downBiasGradient, gradient, from, to);
    }

    private void branchBackward(
            Sequences sequences,
            FloatRows sumGradient,
            int branch,
            float[] bias,
            FloatRows gradient,
            int from,
            int to) {
        for (int r = from; r < to; r++) {
            sumGradient.get(r, row);
            drop(sequences, branch, r);
            FloatVectors.add(row, bias, row.length);
            gradient.put(r, row);
        }
    }

    /** Adds the bias to the first product's rows, and gives those of the second. */
    void feedForward(FloatRows wide, FloatRows result, int from, int to) {
        for (int r = from; r < to; r++) {
            getWide(wide, r);
            if (block.isFeedForwardBias()) {
                addUpBias();
                putWide(wide, r);
            }
            feedForward.forward(gate, up, hidden);
            result.put(r, hidden);
        }
    }

    /**
     * The rows of the second product once more, and from their gradients those of the first product's rows.
     *
     * @param gradient     of the second product's rows
     * @param wideGradient to be set; may be {@code gradient} where there is no gate
     */
    void feedForwardBackward(
            FloatRows wide, FloatRows gradient, FloatRows result, FloatRows wideGradient, int from, int to) {
        for (int r = from; r < to; r++) {
            getWide(wide, r);
            gradient.get(r, hiddenGradient);
            feedForward.backward(gate, up, hiddenGradient, hidden);
            result.put(r, hidden);
            putWide(wideGradient, r);
            for (int i = 0; i < gate.length; i++) {
                upBiasGradient[i] += gate[i];
            }
            if (block.getFeedForward().isGated()) {
                for (int i = 0; i < up.length; i++) {
                    upBiasGradient[gate.length + i] += up[i];
                }
            }
        }
    }

    private void getWide(FloatRows wide, int r) {
        wide.get(r, 0, gate, 0, gate.length);
        if (block.getFeedForward().isGated()) {
            wide.get(r, gate.length, up, 0, up.length);
        }
    }

    private void putWide(FloatRows wide, int r) {
        wide.put(r, 0, gate, 0, gate.length);
        if (block.getFeedForward().isGated()) {
            wide.put(r, gate.length, up, 0, up.length);
        }
    }

    private void addUpBias() {
        for (int i = 0; i < gate.length; i++) {
            gate[i] += upBias[i];
        }
        if (block.getFeedForward().isGated()) {
            for (int i = 0; i < up.length; i++) {
                up[i] += upBias[gate.length + i];
            }
        }
    }

    /**
     * {@code sum = residual + norm'(normalGradient)}, of the attention's norm, and its result once more.
     *
     * @param x      what was normalised
     * @param normal to be set to {@code norm(x)}; may be {@code normalGradient}
     */
    void attentionNormBackward(
            FloatRows x,
            FloatRows normalGradient,
            FloatRows residual,
            FloatRows sum,
            FloatRows normal,
            int from,
            int to) {
        normBackward(attentionNorm, x, normalGradient, residual, sum, normal, from, to);
    }

    /** Likewise of the feed-forward part's norm. */
    void feedForwardNormBackward(
            FloatRows x,
            FloatRows normalGradient,
            FloatRows residual,
            FloatRows sum,
            FloatRows normal,
            int from,
            int to) {
        normBackward(feedForwardNorm, x, normalGradient, residual, sum, normal, from, to);
    }

    private void normBackward(
            FloatNorm norm,
            FloatRows x,
            FloatRows normalGradient,
            FloatRows residual,
            FloatRows sum,
            FloatRows normal,
            int from,
            int to) {
        for (int r = from; r < to; r++) {
            x.get(r, row);
            normalGradient.get(r, other);
            norm.backward(row, other, 0);
            norm.forward(row, row, 0);
            normal.put(r, row);
            residual.get(r, row);
            FloatVectors.add(row, other, row.length);
            sum.put(r, other);
        }
    }
}
