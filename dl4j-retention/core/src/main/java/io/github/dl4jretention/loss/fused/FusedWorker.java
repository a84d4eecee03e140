package io.github.dl4jretention.loss.fused;

import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.loss.TokenRows;
import java.util.Arrays;

/** One thread's work on the tokens of a {@link FusedLoss}. */
final class FusedWorker {

    private final int vocabulary;
    private final FusedRow row;
    private final FusedDivergence divergence;
    private final float[] label = new float[1];
    private final float[] target;
    private final float[] biasGradient;
    private boolean sawTeacher;

    FusedWorker(RetentionConfiguration configuration, int vocabulary) {
        this.vocabulary = vocabulary;
        row = new FusedRow(configuration, vocabulary);
        divergence = new FusedDivergence(configuration, vocabulary);
        target = new float[vocabulary];
        biasGradient = new float[vocabulary];
    }

    /** Before the first token of a minibatch. */
    void start() {
        sawTeacher = false;
        Arrays.fill(biasGradient, 0);
    }

    /** Sum of the gradients of this worker's tokens, if there is a bias. */
    float[] biasGradient() {
        return biasGradient;
    }

    /** Whether it has met an unmasked token whose labels are not one-hot over the whole class axis. */
    boolean sawTeacher() {
        return sawTeacher;
    }

    /**
     * Computes the tokens from one to another of a chunk.
     *
     * @param start of the chunk
     * @throws IllegalArgumentException if an unmasked label is none
     */
    void run(FusedBatch batch, FusedProjection projection, float[] bias, int start, int from, int to) {
        TokenRows rows = batch.rows();
        for (int token = from; token < to; token++) {
            double weight = rows.weights()[token];
            double divergenceWeight = rows.kind().hasTeacher() ? rows.divergenceWeights()[token] : 0;
            if (weight > 0 || divergenceWeight > 0) {
                softmax(projection, bias, token - start);
                crossEntropy(batch, token, weight);
                divergence(batch, token, divergenceWeight);
                row.clearBounded();
            } else {
                Arrays.fill(row.gradient, 0);
            }
            if (batch.gradient()) {
                projection.put(token - start, row.gradient);
                if (bias != null) {
                    FusedLoops.add(1, row.gradient, biasGradient, vocabulary);
                }
            }
        }
    }

    private void softmax(FusedProjection projection, float[] bias, int token) {
        projection.get(token, row.logits);
        if (bias != null) {
            FusedLoops.add(1, bias, row.logits, vocabulary);
        }
        row.softmax();
    }

    /** Writes the softmax of tokens of a chunk, or its logarithm, into rows {@code [tokens, V]}. */
    void activate(
            FloatMemory rows,
            boolean logarithm,
            FusedProjection projection,
            float[] bias,
            int start,
            int from,
            int to) {
        for (int token = from; token < to; token++) {
            softmax(projection, bias, token - start);
            row.activation(logarithm);
            rows.put((long) token * vocabulary, row.gradient, 0, vocabulary);
        }
    }

    private void crossEntropy(FusedBatch batch, int token, double weight) {
        TokenRows rows = batch.rows();
        if (weight == 0) {
            Arrays.fill(row.gradient, 0);
            return;
        }
        if (rows.kind().hasTeacher() && !sawTeacher) {
            float[] all = new float[(int) rows.labels().size(2)];
            batch.labels().get(token, 0, all, all.length);
            sawTeacher = !TokenRows.isOneHot(all);
        }
        if (rows.kind().isClassId()) {
            batch.labels().get(token, 0, label, 1);
            int id = rows.requireId(label[0]);
            batch.values().crossEntropy()[token] = row.crossEntropy(id);
            if (batch.gradient()) {
                row.gradient(id, weight);
            }
        } else {
            batch.labels().get(token, 0, target, vocabulary);
            rows.requireDistribution(FusedLoops.min(target, vocabulary), FusedLoops.sum(target, vocabulary));
            batch.values().crossEntropy()[token] = row.crossEntropy(target);
            if (batch.gradient()) {
                row.gradient(target, weight);
            }
        }
    }

    private void divergence(FusedBatch batch, int token, double weight) {
        if (weight == 0) {
            return;
        }
        TokenRows rows = batch.rows();
        batch.labels().get(token, (int) rows.kind().targetSize(vocabulary), divergence.teacher, vocabulary);
        if (!divergence.isTeacherValid()) {
            throw rows.noTeacher();
        }
        if (batch.values().agreement() != null) {
            boolean same = FusedLoops.indexOfMax(row.logits, vocabulary)
                    == FusedLoops.indexOfMax(divergence.teacher, vocabulary);
            batch.values().agreement()[token] = same ? 1 : 0;
        }
        batch.values().divergence()[token] = divergence.of(row);
        if (batch.gradient()) {
            divergence.addGradient(weight * batch.factor(), row.gradient);
        }
    }
}
