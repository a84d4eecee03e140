package io.github.dl4jretention.lm.huggingface;

import io.github.dl4jretention.lm.layers.DecoderBlock;
import io.github.dl4jretention.lm.layers.Norm;
import io.github.dl4jretention.lm.layers.NormLayer;
import io.github.dl4jretention.lm.layers.TokenEmbedding;
import io.github.dl4jretention.loss.TiedOutputLayer;
import io.github.dl4jretention.loss.UnbiasedOutputLayer;
import java.util.List;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.learning.config.Adam;

/**
 * What a config.json says about the network.
 *
 * @param vocabulary number of token ids
 * @param width      numbers of a token
 * @param context    the longest sequence that the model was made for
 * @param positions  number of learned positions; 0 for rotary ones
 * @param tied       whether the output layer shares the embedding's weights
 * @param norm       kind of the last norm
 * @param epsilon    of the last norm
 * @param blocks     between embedding and last norm
 */
record Decoder(
        int vocabulary,
        int width,
        int context,
        int positions,
        boolean tied,
        Norm norm,
        double epsilon,
        List<DecoderBlock> blocks) {

    /** A small step: what the model knows is at stake. */
    private static final double LEARNING_RATE = 1e-5;

    private static final long SEED = 1;

    Decoder {
        blocks = List.copyOf(blocks);
    }

    int normLayer() {
        return blocks.size() + 1;
    }

    int outputLayer() {
        return blocks.size() + 2;
    }

    /** Numbers of all parameters. */
    long parameters() {
        long tokens = (long) vocabulary * width;
        long norms = norm == Norm.LAYER_NORM ? 2L * width : width;
        long sum = tokens + (long) positions * width + norms + (tied ? 0 : tokens);
        for (DecoderBlock block : blocks) {
            sum += block.initializer().numParams(block);
        }
        return sum;
    }

    MultiLayerConfiguration configuration(DataType type) {
        NeuralNetConfiguration.ListBuilder layers = new NeuralNetConfiguration.Builder()
                .seed(SEED)
                .dataType(type)
                .updater(new Adam(LEARNING_RATE))
                .list()
                .layer(TokenEmbedding.builder()
                        .name("embedding")
                        .vocabulary(vocabulary)
                        .width(width)
                        .positions(positions)
                        .build());
        blocks.forEach(layers::layer);
        layers.layer(NormLayer.builder()
                .name("norm")
                .width(width)
                .norm(norm, epsilon)
                .build());
        return layers.layer(output())
                .setInputType(InputType.recurrent(vocabulary))
                .build();
    }

    private UnbiasedOutputLayer output() {
        UnbiasedOutputLayer output = tied ? new TiedOutputLayer(vocabulary) : new UnbiasedOutputLayer(vocabulary);
        output.setNIn(width);
        output.setLayerName("output");
        return output;
    }
}
