package io.github.dl4jretention.listener;

import java.io.Serializable;

/**
 * One training iteration of one retention layer, measured with the parameters before its update. Losses are means in
 * nats per token.
 *
 * @param iteration from 0
 * @param epoch from 0
 * @param output name of the layer: the graph's output, "output", or the loss of a SameDiff model, "retentionLoss"
 * @param tokens sum of the label mask, the number of tokens where it is 0 or 1
 * @param crossEntropy mean cross-entropy, without token weights; of pairs that of all answers; NaN if every token is masked
 * @param divergence mean divergence from the teacher; NaN if the labels carried none
 * @param coefficient lambda; 0 if the labels carried no teacher
 * @param total what's minimised, for each token: the cross-entropy times token weights, or pairs' losses in its place,
 *     {@code + lambda T^2 divergence} where there's a teacher
 * @param agreement share of tokens on which student and teacher hold the same class most probable; NaN if not measured
 * @param gradientNorm Euclidean norm of the network's gradient, divided by the examples of the minibatch
 * @serial exclude
 */
public record RetentionReport(
        int iteration,
        int epoch,
        String output,
        double tokens,
        double crossEntropy,
        double divergence,
        double coefficient,
        double total,
        double agreement,
        double gradientNorm)
        implements Serializable {}
