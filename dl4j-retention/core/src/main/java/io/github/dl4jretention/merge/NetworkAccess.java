package io.github.dl4jretention.merge;

import io.github.dl4jretention.internal.Configurations;
import io.github.dl4jretention.loss.RetentionOutputLayer;
import java.util.function.BiFunction;
import java.util.function.Function;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.LayerVertex;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

/**
 * DL4J's networks in memory, which have all parameters in one vector.
 *
 * @param architecture of a network
 * @param copy         a network like the given one with the given parameters, without updater
 */
record NetworkAccess<N extends Model>(Function<N, ModelArchitecture> architecture, BiFunction<N, INDArray, N> copy)
        implements ModelAccess<N> {

    static final NetworkAccess<MultiLayerNetwork> NETWORKS = new NetworkAccess<>(
            network -> ModelArchitecture.of(network.getLayerWiseConfigurations()), (network, params) -> {
                MultiLayerConfiguration configuration = Configurations.copy(network.getLayerWiseConfigurations());
                configuration.getConfs().forEach(NetworkAccess::removeProvenance);
                MultiLayerNetwork copy = new MultiLayerNetwork(configuration);
                copy.init(params, false);
                return copy;
            });

    static final NetworkAccess<ComputationGraph> GRAPHS =
            new NetworkAccess<>(graph -> ModelArchitecture.of(graph.getConfiguration()), (graph, params) -> {
                ComputationGraphConfiguration configuration = Configurations.copy(graph.getConfiguration());
                configuration.getVertices().values().forEach(vertex -> {
                    if (vertex instanceof LayerVertex layer) {
                        removeProvenance(layer.getLayerConf());
                    }
                });
                ComputationGraph copy = new ComputationGraph(configuration);
                copy.init(params, false);
                return copy;
            });

    /** A run made the model, but not what it is merged to. */
    private static void removeProvenance(NeuralNetConfiguration configuration) {
        if (configuration.getLayer() instanceof RetentionOutputLayer head) {
            head.setProvenance(null);
        }
    }

    @Override
    public ParameterSource open(N network) {
        ModelArchitecture found = architecture.apply(network);
        INDArray params = network.params();
        if (params == null || params.length() != found.length()) {
            throw new IllegalArgumentException("model: expected an initialised network of " + found.length()
                    + " parameters, got one of " + (params == null ? 0 : params.length()));
        }
        INDArray flat = params.reshape(params.length());
        return new ParameterSource() {
            private int parameter;
            private long offset;

            @Override
            public ModelArchitecture architecture() {
                return found;
            }

            @Override
            public double[] next() {
                long from = offset;
                offset += found.parameters().get(parameter++).length();
                // Of a view ND4J would leave a copy to the garbage collector.
                try (INDArray part =
                        flat.get(NDArrayIndex.interval(from, offset)).dup()) {
                    return part.toDoubleVector();
                }
            }
        };
    }

    @Override
    public ParameterSink<N> create(N like) {
        INDArray params = Nd4j.create(like.params().dataType(), like.params().length());
        return new ParameterSink<>() {
            private long offset;

            @Override
            public void write(double[] values) {
                try (INDArray numbers = Nd4j.createFromArray(values);
                        INDArray typed = numbers.castTo(params.dataType())) {
                    params.get(NDArrayIndex.interval(offset, offset + values.length))
                            .assign(typed);
                }
                offset += values.length;
            }

            @Override
            public N finish() {
                return copy.apply(like, params);
            }
        };
    }
}
