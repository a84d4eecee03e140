package io.github.dl4jretention.loss;

import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.layers.BaseOutputLayer;
import org.deeplearning4j.nn.conf.layers.FeedForwardLayer;
import org.deeplearning4j.nn.conf.layers.LossLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnLossLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

/** Exchanges stock output layers and retention layers, with all their training settings. */
final class StockLayers {

    private StockLayers() {}

    static RetentionOutputLayer replace(FeedForwardLayer stock, RetentionConfiguration retention) {
        RetentionOutputLayer.Builder builder = new RetentionOutputLayer.Builder(retention)
                .stockLayer((FeedForwardLayer) stock.clone())
                .dataFormat(format(stock));
        if (stock instanceof BaseOutputLayer output) {
            builder.nIn(output.getNIn())
                    .nOut(output.getNOut())
                    .hasBias(output.hasBias())
                    .tied(output instanceof TiedOutputLayer)
                    .weightInit(output.getWeightInitFn())
                    .biasInit(output.getBiasInit());
        } else {
            builder.withoutParameters();
        }
        RetentionOutputLayer layer = builder.build();
        layer.setLayerName(stock.getLayerName());
        layer.setIDropout(stock instanceof BaseOutputLayer ? stock.getIDropout() : null);
        layer.setConstraints(stock.getConstraints());
        layer.setRegularization(stock.getRegularization());
        layer.setRegularizationBias(stock.getRegularizationBias());
        layer.setUpdater(stock.getIUpdater());
        layer.setBiasUpdater(stock.getBiasUpdater());
        layer.setGradientNormalization(stock.getGradientNormalization());
        layer.setGradientNormalizationThreshold(stock.getGradientNormalizationThreshold());
        return layer;
    }

    /** @param replaced the layer that the retention layer stands in for; null for one that was built by hand */
    static FeedForwardLayer restore(RetentionOutputLayer layer, FeedForwardLayer replaced) {
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
        if (layer.isTied()) {
            TiedOutputLayer stock = new TiedOutputLayer(Math.toIntExact(layer.getNOut()));
            stock.setNIn(layer.getNIn());
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
        stock.setWeightInitFn(layer.weightInit());
        stock.setBiasInit(layer.biasInit());
        return stock;
    }

    private static RNNFormat format(FeedForwardLayer stock) {
        if (stock instanceof OutputLayer || stock instanceof LossLayer) {
            return null;
        }
        RNNFormat format = stock instanceof RnnOutputLayer rnn
                ? rnn.getRnnDataFormat()
                : ((RnnLossLayer) stock).getRnnDataFormat();
        return format == null ? RNNFormat.NCW : format;
    }
}
