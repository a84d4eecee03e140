package io.github.dl4jretention.loss;

import java.util.Arrays;

/**
 * What takes the place of the plain cross-entropy in a {@link RetentionConfiguration}: a {@link TokenWeight} or a
 * {@link Preference}. Checks that a minibatch has what it needs, and weighs its tokens.
 */
public final class Objective {

    private final RetentionConfiguration configuration;

    Objective(RetentionConfiguration configuration) {
        this.configuration = configuration;
    }

    /**
     * Checks that the labels carry a teacher if it's needed, before a step.
     *
     * @param layer for the message
     * @throws IllegalArgumentException if they don't
     */
    void requireTeacher(TokenBatch batch, String layer) {
        Object needing = configuration.needsTeacherOfLabels();
        if (needing != null && !batch.hasTeacher()) {
            throw new IllegalArgumentException(configuration.nameOfObjective()
                    + ": expected labels that carry a teacher, for " + needing + ", got plain labels " + layer
                    + "; wrap the iterator in a TeacherIterator or TeacherMultiDataSetIterator");
        }
    }

    /**
     * Checks a minibatch, and weighs its tokens as far as the teacher says it, before a {@link LossPath} runs.
     *
     * @throws IllegalArgumentException if the teacher's values don't serve this loss, one that counts is missing, there
     *     are too few classes, or the sequences are no pairs
     */
    void prepare(TokenBatch batch) {
        if (batch.hasTeacher()) {
            configuration.requireServedBy(
                    batch.layout().sampledAt(), batch.layout().everyClass());
        }
        TokenWeight weight = configuration.getTokenWeight();
        if (weight != null) {
            weight.requireVocabulary(batch.layout().vocabulary());
            weighByTeacher(batch, weight);
        }
        if (hasPairs(batch)) {
            requirePairs(batch);
        }
    }

    /** Whether a minibatch's loss is that of pairs; without a teacher that's needed a score is the cross-entropy. */
    private boolean hasPairs(TokenBatch batch) {
        Preference preference = configuration.getPreference();
        return preference != null && (batch.hasTeacher() || !preference.needsTeacher());
    }

    /**
     * Weighs tokens by what the teacher says of their labels, if it's there to say it, and if the weight needs it. All
     * other weights follow from the student, and a {@link LossPath} sets them.
     *
     * @param batch  whose tokens are weighed
     * @param weight of its tokens
     * @throws IllegalArgumentException if the teacher has no value for a token that counts
     */
    public static void weighByTeacher(TokenBatch batch, TokenWeight weight) {
        if (!weight.needsTeacher() || !batch.hasTeacher()) {
            return;
        }
        double[] labels = new TeacherOfLabels(batch).logProbabilities();
        if (weight.kind() == TokenWeight.Kind.FLOW) {
            double[] means = ofSequences(batch, labels);
            batch.weigh(token -> weight.at(means[token % means.length]));
        } else {
            batch.weigh(token -> weight.at(labels[token]));
        }
    }

    /** Means over the tokens of each sequence, weighted as the cross-entropy is; 0 where none counts. */
    private static double[] ofSequences(TokenBatch batch, double[] values) {
        double[] sums = new double[batch.examples()];
        double[] totals = new double[sums.length];
        for (int token = 0; token < batch.size(); token++) {
            sums[token % sums.length] += TokenLoss.weighted(batch.weight(token), values[token]);
            totals[token % sums.length] += batch.weight(token);
        }
        Arrays.setAll(sums, example -> totals[example] == 0 ? 0 : sums[example] / totals[example]);
        return sums;
    }

    private static void requirePairs(TokenBatch batch) {
        int examples = batch.examples();
        Preference.requirePairs(examples, batch.size() / examples, new Preference.Sequences() {
            @Override
            public double weight(int example, int time) {
                return batch.weight(time * examples + example);
            }

            @Override
            public double[] label(int example, int time) {
                return batch.rows().label(time * examples + example);
            }
        });
    }

    /**
     * Takes pairs' losses in the place of the cross-entropies, which a {@link LossPath} has filled, and weighs each
     * token's cross-entropy so that its gradient is theirs. Does nothing without pairs.
     *
     * @throws IllegalArgumentException if the teacher has no value for a token that counts
     */
    void weighByPairs(TokenBatch batch) {
        Preference preference = configuration.getPreference();
        if (preference == null || !hasPairs(batch)) {
            return;
        }
        double[] logs = new double[batch.size()];
        double[] anchor = preference.needsTeacher() ? new TeacherOfLabels(batch).logProbabilities() : logs.clone();
        Arrays.setAll(logs, token -> -batch.crossEntropy[token] - anchor[token]);
        int examples = batch.examples();
        double[] tokens = new double[examples];
        double[] sums = new double[examples];
        for (int token = 0; token < logs.length; token++) {
            tokens[token % examples] += batch.weight(token);
            sums[token % examples] += TokenLoss.weighted(batch.weight(token), logs[token]);
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
        batch.weigh(token -> factors[token % examples]);
        batch.setPairLosses(losses);
    }
}
