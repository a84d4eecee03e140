package io.github.dl4jretention.loss;

/**
 * The loss of every token of a minibatch, in nats, without weights, in the order time, then batch. What a weight of 0 takes
 * out may be anything.
 *
 * @param crossEntropy of each token
 * @param divergence   from the teacher, without {@code lambda T^2}; null without a teacher
 * @param agreement    1 where student and teacher hold the same class most probable, else 0; null if not measured
 */
record TokenValues(double[] crossEntropy, double[] divergence, double[] agreement) {}
