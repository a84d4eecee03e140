package io.github.dl4jretention.lm.huggingface;

import static java.util.Objects.requireNonNull;

import io.github.dl4jretention.internal.Configurations;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.indexing.NDArrayIndex;

/** The parameters of a network by layer and name, views of one array, which may be in half precision. */
public final class NetworkParameters {

    private final List<Map<String, INDArray>> layers = new ArrayList<>();
    private final long count;

    /**
     * Parameters of a network.
     *
     * @param network its configuration
     * @param all     its parameters
     */
    public NetworkParameters(MultiLayerConfiguration network, INDArray all) {
        INDArray line = all.reshape(all.length());
        long from = 0;
        for (NeuralNetConfiguration conf : Configurations.copy(network).getConfs()) {
            long to = from + conf.getLayer().initializer().numParams(conf);
            layers.add(
                    to == from
                            ? Map.of()
                            : conf.getLayer()
                                    .initializer()
                                    .init(conf, line.get(NDArrayIndex.interval(from, to)), false));
            from = to;
        }
        count = from;
    }

    /**
     * Parameters of a network.
     *
     * @param network with parameters of its own
     */
    public NetworkParameters(MultiLayerNetwork network) {
        this(network.getLayerWiseConfigurations(), network.params());
    }

    INDArray get(int layer, String name) {
        return requireNonNull(layers.get(layer).get(name), name);
    }

    int layers() {
        return layers.size();
    }

    long count() {
        return count;
    }
}
