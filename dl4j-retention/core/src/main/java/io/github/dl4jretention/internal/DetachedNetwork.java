package io.github.dl4jretention.internal;

import io.github.dl4jretention.loss.RetentionOutputLayer;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;

/** Students as the networks that they are without retention. */
public final class DetachedNetwork {

    private DetachedNetwork() {}

    /**
     * {@return a student's configuration with the output layer that the pretrained network had}
     *
     * @param student a network with retention attached
     * @throws IllegalArgumentException if the last layer is another one
     */
    public static MultiLayerConfiguration configuration(MultiLayerNetwork student) {
        RetentionLayers.of(student);
        MultiLayerConfiguration conf = Configurations.copy(student.getLayerWiseConfigurations());
        NeuralNetConfiguration last = conf.getConf(student.getnLayers() - 1);
        last.setLayer(((RetentionOutputLayer) last.getLayer()).toStockLayer());
        HeldBatchNormalization.release(conf);
        return conf;
    }

    /**
     * {@return a detached network with the student's own parameters, not a copy, and without an updater's state}
     *
     * @param student a network with retention attached
     * @throws IllegalArgumentException if the last layer is another one
     */
    public static MultiLayerNetwork sharing(MultiLayerNetwork student) {
        MultiLayerNetwork network = new MultiLayerNetwork(configuration(student));
        network.init(student.params(), false);
        return network;
    }
}
