package io.github.dl4jretention.samples.experiment;

import io.github.dl4jretention.lm.LanguageModel;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.jspecify.annotations.Nullable;

/**
 * One finetuned model.
 *
 * @param name        for tables and plots
 * @param coefficient lambda; NaN for plain finetuning
 * @param network     the tuned model with a stock output layer
 * @param folder      the same as a model folder, which knows what it was trained with; null if the base was none
 * @param measured    what it is worth on held-out text
 * @param stepSeconds median time of a step
 */
public record Run(
        String name,
        double coefficient,
        MultiLayerNetwork network,
        @Nullable LanguageModel folder,
        Measurement measured,
        double stepSeconds) {

    /** How much better than the base on target text, nats per token. */
    public double gain(Measurement base) {
        return base.target() - measured.target();
    }

    /** How much worse than the base on source text, nats per token. */
    public double forgetting(Measurement base) {
        return measured.source() - base.source();
    }
}
