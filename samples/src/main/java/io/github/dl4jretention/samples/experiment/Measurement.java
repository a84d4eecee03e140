package io.github.dl4jretention.samples.experiment;

import io.github.dl4jretention.eval.TokenEvaluation;
import io.github.dl4jretention.samples.model.TextModel;
import io.github.dl4jretention.teacher.Teacher;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;

/**
 * A model on held-out text, in nats per token.
 *
 * @param target       cross-entropy on the target text
 * @param source       mean of the cross-entropies on the source texts
 * @param targetDivergence forward KL from the base model on the target text
 * @param sourceDivergence mean of the forward KL from the base model on the source texts
 */
public record Measurement(double target, double source, double targetDivergence, double sourceDivergence) {

    private static final int BATCH = 16;
    private static final int BATCHES = 16;

    /** Measures a plain network of a model's tokens. */
    public static Measurement of(TextModel model, MultiLayerNetwork network, Teacher base, Task task) {
        TokenEvaluation target = evaluate(model, network, base, task.target());
        double source = 0;
        double divergence = 0;
        for (int[] text : task.sources()) {
            TokenEvaluation evaluation = evaluate(model, network, base, text);
            source += evaluation.crossEntropy() / task.sources().size();
            divergence += evaluation.divergence() / task.sources().size();
        }
        return new Measurement(target.crossEntropy(), source, target.divergence(), divergence);
    }

    private static TokenEvaluation evaluate(TextModel model, MultiLayerNetwork network, Teacher base, int[] text) {
        return TokenEvaluation.of(network, base, model.evaluation(BATCH, BATCHES, text));
    }
}
