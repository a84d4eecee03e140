package io.github.dl4jretention.merge;

import io.github.dl4jretention.internal.ThawedLayer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.FrozenVertex;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.graph.LayerVertex;
import org.deeplearning4j.nn.conf.layers.BatchNormalization;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.samediff.SDVertexParams;
import org.deeplearning4j.nn.conf.layers.samediff.SameDiffVertex;
import org.deeplearning4j.nn.conf.layers.wrapper.BaseWrapperLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.graph.util.GraphIndices;
import org.deeplearning4j.nn.params.BatchNormalizationParamInitializer;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.autodiff.samediff.VariableType;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/** Reads architectures from configurations, with memory for one layer's parameters at most. */
final class Architectures {

    private static final Set<String> STATISTICS = Set.of(
            BatchNormalizationParamInitializer.GLOBAL_MEAN,
            BatchNormalizationParamInitializer.GLOBAL_VAR,
            BatchNormalizationParamInitializer.GLOBAL_LOG_STD);

    private final List<LayerDescription> layers = new ArrayList<>();
    private final List<ModelArchitecture.Parameter> parameters = new ArrayList<>();

    private Architectures() {}

    static ModelArchitecture of(MultiLayerConfiguration conf) {
        Architectures found = new Architectures();
        for (int i = 0; i < conf.getConfs().size(); i++) {
            String name = String.valueOf(i);
            found.layers.add(LayerDescription.of(name, conf.getConf(i).getLayer(), conf.getInputPreProcess(i)));
            found.add(name, conf.getConf(i), conf.getDataType());
        }
        return new ModelArchitecture(found.layers, found.parameters, conf.getDataType());
    }

    static ModelArchitecture of(ComputationGraphConfiguration conf) {
        Architectures found = new Architectures();
        GraphIndices indices = new ComputationGraph(conf).calculateIndices();
        for (int index : indices.getTopologicalSortOrder()) {
            String name = indices.getIdxToName().get(index);
            GraphVertex vertex = conf.getVertices().get(name);
            if (vertex != null) {
                found.add(name, vertex, conf.getVertexInputs().get(name), conf.getDataType());
            }
        }
        return new ModelArchitecture(found.layers, found.parameters, conf.getDataType());
    }

    static ModelArchitecture of(SameDiff graph) {
        List<SDVariable> variables = variables(graph);
        if (variables.isEmpty()) {
            throw new IllegalArgumentException(
                    "model: expected a graph with variables, got one with none; imported weights are constants until "
                            + "they are made variables");
        }
        return new ModelArchitecture(
                List.of(),
                variables.stream()
                        .map(variable -> new ModelArchitecture.Parameter(
                                variable.name() + " " + variable.dataType(),
                                variable.getArr().shape()))
                        .toList(),
                variables.get(0).dataType());
    }

    /** Floating-point variables, in the order of names. */
    static List<SDVariable> variables(SameDiff graph) {
        return graph.variables().stream()
                .filter(variable -> variable.getVariableType() == VariableType.VARIABLE
                        && variable.dataType().isFPType())
                .sorted(Comparator.comparing(SDVariable::name))
                .toList();
    }

    private void add(String name, GraphVertex vertex, List<String> inputs, DataType type) {
        if (vertex instanceof FrozenVertex frozen) {
            add(name, frozen.getUnderlying(), inputs, type);
        } else if (vertex instanceof LayerVertex layer) {
            Layer computed = layer.getLayerConf().getLayer();
            layers.add(LayerDescription.of(name + " of " + inputs, computed, layer.getPreProcessor()));
            add(name, layer.getLayerConf(), type);
        } else {
            layers.add(LayerDescription.of(name + " of " + inputs, vertex));
            if (vertex instanceof SameDiffVertex sameDiff) {
                SDVertexParams params = sameDiff.getVertexParams();
                params.getParameterKeys()
                        .forEach(key -> parameters.add(new ModelArchitecture.Parameter(
                                name + "_" + key, params.getParamShapes().get(key))));
            } else if (vertex.numParams(false) > 0) {
                parameters.add(new ModelArchitecture.Parameter(name, vertex.numParams(false)));
            }
        }
    }

    private void add(String name, NeuralNetConfiguration conf, DataType type) {
        long length = conf.getLayer().initializer().numParams(conf);
        if (length == 0) {
            return;
        }
        INDArray all = Nd4j.create(type, 1, length);
        List<Map.Entry<String, INDArray>> views =
                conf.getLayer().initializer().init(conf, all, false).entrySet().stream()
                        .sorted(Comparator.comparingLong(
                                entry -> entry.getValue().offset()))
                        .toList();
        long next = 0;
        boolean oneAfterAnother = true;
        for (Map.Entry<String, INDArray> view : views) {
            oneAfterAnother &= view.getValue().offset() == next;
            next += view.getValue().length();
        }
        if (oneAfterAnother && next == length) {
            boolean normalisation = innermost(conf.getLayer()) instanceof BatchNormalization;
            views.forEach(view -> parameters.add(new ModelArchitecture.Parameter(
                    name + "_" + view.getKey(),
                    Arrays.stream(view.getValue().shape()).boxed().toList(),
                    normalisation && STATISTICS.contains(view.getKey()))));
        } else {
            parameters.add(new ModelArchitecture.Parameter(name, length));
        }
    }

    private static Layer innermost(Layer layer) {
        Layer thawed = ThawedLayer.of(layer);
        return thawed instanceof BaseWrapperLayer wrapper ? innermost(wrapper.getUnderlying()) : thawed;
    }
}
