package io.github.dl4jretention.loss;

import org.deeplearning4j.nn.conf.InputPreProcessor;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.BaseOutputLayer;
import org.deeplearning4j.nn.conf.layers.FeedForwardLayer;
import org.deeplearning4j.nn.conf.layers.InputTypeUtil;
import org.deeplearning4j.nn.conf.layers.LossLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnLossLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.preprocessor.CnnToFeedForwardPreProcessor;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

/** Exchanges stock output layers and retention layers, and does with input types as the stock ones do. */
final class StockLayers {

    private StockLayers() {}

    /** Gives a retention layer what the layer that it replaces has; dropout only where there are parameters. */
    static void copy(FeedForwardLayer stock, RetentionOutputLayer layer) {
        layer.dataFormat = format(stock);
        if (stock instanceof BaseOutputLayer output) {
            layer.nIn = output.getNIn();
            layer.nOut = output.getNOut();
            layer.hasParameters = true;
            layer.frozen = output instanceof AdaptedOutputLayer adapted ? adapted.frozen() : null;
            layer.tied = output instanceof TiedOutputLayer || layer.frozen != null && layer.frozen.isTied();
            layer.hasBias = output.hasBias() && !layer.tied && layer.frozen == null;
            layer.weightInitFn = output.getWeightInitFn();
            layer.biasInit = output.getBiasInit();
            layer.setIDropout(stock.getIDropout());
            layer.requireVocabulary();
        }
        layer.setLayerName(stock.getLayerName());
        layer.setConstraints(stock.getConstraints());
        layer.setRegularization(stock.getRegularization());
        layer.setRegularizationBias(stock.getRegularizationBias());
        layer.setUpdater(stock.getIUpdater());
        layer.setBiasUpdater(stock.getBiasUpdater());
        layer.setGradientNormalization(stock.getGradientNormalization());
        layer.setGradientNormalizationThreshold(stock.getGradientNormalizationThreshold());
    }

    /** @param replaced the layer that the retention layer stands in for; null for one that was built by hand */
    static FeedForwardLayer restore(RetentionOutputLayer layer, @Nullable FeedForwardLayer replaced) {
        FeedForwardLayer stock = replaced == null ? create(layer) : (FeedForwardLayer) replaced.clone();
        if (layer.hasParameters()) {
            stock.setIDropout(layer.getIDropout());
        }
        stock.setLayerName(layer.getLayerName());
        stock.setConstraints(layer.getConstraints());
        stock.setRegularization(layer.getRegularization());
        stock.setRegularizationBias(layer.getRegularizationBias());
        stock.setIUpdater(layer.getUpdater());
        stock.setBiasUpdater(layer.getBiasUpdater());
        stock.setGradientNormalization(layer.getGradientNormalization());
        stock.setGradientNormalizationThreshold(layer.getGradientNormalizationThreshold());
        return stock;
    }

    private static FeedForwardLayer create(RetentionOutputLayer layer) {
        if (layer.tied) {
            TiedOutputLayer stock = new TiedOutputLayer(Math.toIntExact(layer.getNOut()));
            stock.setNIn(layer.getNIn());
            return stock;
        }
        if (layer.getDataFormat() == RNNFormat.NCW && !layer.hasBias()) {
            UnbiasedOutputLayer stock = new UnbiasedOutputLayer(Math.toIntExact(layer.getNOut()));
            stock.setNIn(layer.getNIn());
            stock.setWeightInitFn(layer.weightInitFn);
            return stock;
        }
        BaseOutputLayer stock = layer.getDataFormat() == null
                ? new OutputLayer.Builder(LossFunction.MCXENT)
                        .activation(Activation.SOFTMAX)
                        .hasBias(layer.hasBias())
                        .build()
                : new RnnOutputLayer.Builder(LossFunction.MCXENT)
                        .activation(Activation.SOFTMAX)
                        .hasBias(layer.hasBias())
                        .dataFormat(layer.getDataFormat())
                        .build();
        stock.setNIn(layer.getNIn());
        stock.setNOut(layer.getNOut());
        stock.setWeightInitFn(layer.weightInitFn);
        stock.setBiasInit(layer.biasInit);
        return stock;
    }

    /** The layout of a stock layer's sequences; null for one of {@code [batch, nIn]}. */
    private static @Nullable RNNFormat format(FeedForwardLayer stock) {
        if (stock instanceof OutputLayer
                || stock instanceof LossLayer
                || stock instanceof AdaptedOutputLayer adapted && adapted.isFlat()) {
            return null;
        }
        RNNFormat format = stock instanceof RnnOutputLayer rnn
                ? rnn.getRnnDataFormat()
                : ((RnnLossLayer) stock).getRnnDataFormat();
        return format == null ? RNNFormat.NCW : format;
    }

    /** What a layer makes of a network's input type. */
    static InputType outputType(InputType input, long nOut) {
        return input instanceof InputType.InputTypeRecurrent sequence
                ? InputType.recurrent(nOut, sequence.getTimeSeriesLength(), sequence.getFormat())
                : InputType.feedForward(nOut);
    }

    /** What stands between the layer and its input; null for nothing. */
    static @Nullable InputPreProcessor preProcessor(InputType input, @Nullable RNNFormat dataFormat, String layerName) {
        if (dataFormat != null || input instanceof InputType.InputTypeRecurrent) {
            return InputTypeUtil.getPreprocessorForInputTypeRnnLayers(input, dataFormat, layerName);
        }
        return input instanceof InputType.InputTypeConvolutional image
                ? new CnnToFeedForwardPreProcessor(
                        image.getHeight(), image.getWidth(), image.getChannels(), image.getFormat())
                : null;
    }
}
