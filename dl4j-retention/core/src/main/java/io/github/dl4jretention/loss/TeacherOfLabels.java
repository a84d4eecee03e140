package io.github.dl4jretention.loss;

import io.github.dl4jretention.internal.BatchMemory;
import io.github.dl4jretention.loss.fused.FusedLoops;
import java.util.Arrays;

/**
 * What a minibatch's teacher says of its labels: {@code sum_v y(v) log p0(v)} of each token, at temperature 1. A class
 * that the teacher gives no probability at all counts as one of logit -1e9, as on other paths.
 */
final class TeacherOfLabels {

    private static final int CHUNK = 256;
    private static final double BOUND = 1e9;

    private final TokenBatch batch;
    private final TokenRows rows;
    private final LabelLayout layout;

    TeacherOfLabels(TokenBatch batch) {
        this.batch = batch;
        rows = batch.rows();
        layout = batch.layout();
    }

    /**
     * {@return in nats, for each token; 0 where its weight is 0}
     *
     * @throws IllegalArgumentException if a token that counts has no teacher, or no label
     */
    double[] logProbabilities() {
        double[] result = new double[batch.size()];
        if (!rows.isFloat()) {
            for (int token = 0; token < result.length; token++) {
                result[token] = batch.weight(token) > 0 ? ofDoubles(token) : 0;
            }
            return result;
        }
        float[] teacher = new float[layout.vocabulary()];
        float[] scratch = new float[Math.max(layout.teacherSize(), layout.vocabulary())];
        float[] values = new float[layout.vocabulary()];
        try (BatchMemory memory = new BatchMemory()) {
            for (int start = 0, end; start < result.length; start = end) {
                end = rows.chunkEnd(start, CHUNK);
                rows.prepare(start, end, memory);
                for (int token = start; token < end; token++) {
                    result[token] = batch.weight(token) > 0 ? ofFloats(token, teacher, scratch, values) : 0;
                }
            }
        } finally {
            rows.release();
        }
        return result;
    }

    private double ofFloats(int token, float[] teacher, float[] scratch, float[] values) {
        rows.teacher(token, teacher, scratch);
        double logSum = FusedLoops.logSumOfExponentials(teacher, scratch, values);
        if (!Double.isFinite(logSum)) {
            throw rows.noTeacher();
        }
        if (layout.isClassId()) {
            return logProbability(teacher[rows.classId(token)], logSum);
        }
        rows.distribution(token, values);
        double sum = 0;
        for (int v = 0; v < values.length; v++) {
            sum += TokenLoss.weighted(values[v], logProbability(teacher[v], logSum));
        }
        return sum;
    }

    private double ofDoubles(int token) {
        double[] row = rows.row(token);
        double[] teacher = layout.teacher(row);
        double max = Arrays.stream(teacher).max().orElseThrow();
        double logSum = max
                + Math.log(Arrays.stream(teacher).map(z -> Math.exp(z - max)).sum());
        if (!Double.isFinite(logSum)) {
            throw rows.noTeacher();
        }
        if (layout.isClassId()) {
            return logProbability(teacher[rows.classId(token)], logSum);
        }
        double sum = 0;
        for (int v = 0; v < teacher.length; v++) {
            sum += TokenLoss.weighted(row[v], logProbability(teacher[v], logSum));
        }
        return sum;
    }

    private static double logProbability(double logit, double logSum) {
        return Math.max(logit, -BOUND) - logSum;
    }
}
