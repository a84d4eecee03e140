package io.github.dl4jretention.loss;

import org.deeplearning4j.nn.api.ParamInitializer;
import org.deeplearning4j.nn.params.EmptyParamInitializer;

/**
 * A softmax output layer that shares the weights of the network's embedding: {@code z = h W^T}, where W
 * {@code [vocabulary, nIn]} is the parameter of a {@code TokenEmbedding} before it. It has no parameter, no gradient and
 * no updater of its own; the embedding's gradient is the sum of both. Input {@code [batch, nIn, time]}, output
 * {@code [batch, vocabulary, time]}, loss MCXENT; labels one-hot, or class ids as in {@link RetentionOutputLayer}, whose
 * arithmetic it uses.
 *
 * <p>Source: Press and Wolf, "Using the Output Embedding to Improve Language Models", https://arxiv.org/abs/1608.05859.
 */
public final class TiedOutputLayer extends UnbiasedOutputLayer {

    private static final long serialVersionUID = 1L;

    /** For JSON. */
    TiedOutputLayer() {}

    /** @param vocabulary number of token ids, the embedding's */
    public TiedOutputLayer(int vocabulary) {
        super(vocabulary);
    }

    @Override
    public ParamInitializer initializer() {
        return EmptyParamInitializer.getInstance();
    }
}
