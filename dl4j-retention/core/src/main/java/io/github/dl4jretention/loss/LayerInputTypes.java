package io.github.dl4jretention.loss;

import org.deeplearning4j.nn.conf.InputPreProcessor;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.InputTypeUtil;
import org.deeplearning4j.nn.conf.preprocessor.CnnToFeedForwardPreProcessor;

/** What an output layer makes of a network's input type, as the stock output layers do. */
final class LayerInputTypes {

    private LayerInputTypes() {}

    /** @param nOut size of the output */
    static InputType output(InputType input, long nOut) {
        return input instanceof InputType.InputTypeRecurrent sequence
                ? InputType.recurrent(nOut, sequence.getTimeSeriesLength(), sequence.getFormat())
                : InputType.feedForward(nOut);
    }

    /** What stands between the layer and its input; null for nothing. */
    static InputPreProcessor preProcessor(InputType input, RNNFormat dataFormat, String layerName) {
        if (dataFormat != null || input instanceof InputType.InputTypeRecurrent) {
            return InputTypeUtil.getPreprocessorForInputTypeRnnLayers(input, dataFormat, layerName);
        }
        return input instanceof InputType.InputTypeConvolutional image
                ? new CnnToFeedForwardPreProcessor(
                        image.getHeight(), image.getWidth(), image.getChannels(), image.getFormat())
                : null;
    }
}
