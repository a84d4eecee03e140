package io.github.dl4jretention.loss;

import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;

/**
 * The loss of every token as a SameDiff graph over rows {@code [tokens, vocabulary]}, in log space throughout.
 *
 * <p>Logits and teacher values outside {@code [-1e9, 1e9]} are held at the bound, so that a class of probability 0
 * ({@code -inf}) gives a finite loss; a logit at the bound gets no gradient.
 */
final class TokenLossGraph {

    private static final double BOUND = 1e9;

    private TokenLossGraph() {}

    /** {@code log softmax(logits)}, bounded. M2.1's own logSoftmax gives -inf where logits are 100 apart. */
    static SDVariable logProbabilities(SameDiff sd, SDVariable logits) {
        SDVariable bounded = sd.math.clipByValue(logits, -BOUND, BOUND);
        SDVariable shifted = bounded.sub(bounded.max(true, 1));
        return shifted.sub(sd.math.log(sd.math.exp(shifted).sum(true, 1)));
    }

    /** {@code -sum_v target(v) log p(v)}, {@code [tokens, 1]}. */
    static SDVariable crossEntropy(SDVariable target, SDVariable logProbabilities) {
        return target.mul(logProbabilities).sum(true, 1).neg();
    }

    /**
     * The divergence without lambda and {@code T^2}, {@code [tokens, 1]}.
     *
     * @param teacher the teacher's logits or log-probabilities: a constant added to a row changes nothing
     */
    static SDVariable divergence(
            SameDiff sd, SDVariable logits, SDVariable teacher, Divergence divergence, double temperature) {
        SDVariable student = logProbabilities(sd, temperature == 1 ? logits : logits.div(temperature));
        SDVariable anchor = logProbabilities(sd, temperature == 1 ? teacher : teacher.div(temperature));
        SDVariable terms =
                switch (divergence) {
                    case FORWARD_KL -> sd.math.exp(anchor).mul(anchor.sub(student));
                    case REVERSE_KL -> sd.math.exp(student).mul(student.sub(anchor));
                };
        return terms.sum(true, 1);
    }
}
