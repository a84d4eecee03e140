package io.github.dl4jretention.sweep.task;

import io.github.dl4jretention.loss.RetentionOutputLayerRuntime;
import io.github.dl4jretention.loss.TokenLoss;
import java.util.List;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.optimize.api.BaseTrainingListener;

/**
 * The loss of one step: of all outputs and, under truncated backpropagation, which makes an update for each segment, of
 * all segments.
 */
final class StepLoss extends BaseTrainingListener {

    private final List<RetentionOutputLayerRuntime> outputs;
    private TokenLoss loss;

    StepLoss(List<RetentionOutputLayerRuntime> outputs) {
        this.outputs = outputs;
    }

    @Override
    public void iterationDone(Model model, int iteration, int epoch) {
        for (RetentionOutputLayerRuntime output : outputs) {
            loss = loss == null ? output.lastTokenLoss() : sum(loss, output.lastTokenLoss());
        }
    }

    /** The loss since it was last taken. */
    TokenLoss take() {
        TokenLoss taken = loss;
        loss = null;
        return taken;
    }

    /** The coefficient of two segments may differ: the divergence is multiplied by the mean of both. */
    static TokenLoss sum(TokenLoss one, TokenLoss other) {
        double divergence = one.divergenceSum() + other.divergenceSum();
        double product = one.factor() * one.divergenceSum() + other.factor() * other.divergenceSum();
        return new TokenLoss(
                one.crossEntropySum() + other.crossEntropySum(),
                divergence,
                one.factor() == other.factor() || divergence == 0 ? other.factor() : product / divergence,
                one.tokens() + other.tokens(),
                one.divergenceTokens() + other.divergenceTokens(),
                one.agreements() + other.agreements());
    }
}
