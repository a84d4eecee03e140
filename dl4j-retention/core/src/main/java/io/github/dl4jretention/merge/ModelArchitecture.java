package io.github.dl4jretention.merge;

import io.github.dl4jretention.internal.ThawedLayer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Objects;
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
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.graph.util.GraphIndices;
import org.deeplearning4j.nn.params.BatchNormalizationParamInitializer;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.autodiff.samediff.VariableType;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/**
 * What models must have in common to be merged.
 *
 * @param layers     descriptions of all layers or vertices, in order
 * @param parameters in the order in which they lie in the model
 * @param dataType   of the parameters; of a SameDiff model that of the first
 */
record ModelArchitecture(List<LayerDescription> layers, List<Parameter> parameters, DataType dataType) {

    private static final Set<String> STATISTICS = Set.of(
            BatchNormalizationParamInitializer.GLOBAL_MEAN,
            BatchNormalizationParamInitializer.GLOBAL_VAR,
            BatchNormalizationParamInitializer.GLOBAL_LOG_STD);

    /**
     * @param name             unique in the model
     * @param shape            of its array
     * @param runningStatistic whether it is a mean or deviation that batch normalisation has gathered
     */
    record Parameter(String name, List<Long> shape, boolean runningStatistic) {

        Parameter(String name, long... shape) {
            this(name, Arrays.stream(shape).boxed().toList(), false);
        }

        @Override
        public String toString() {
            return name + " " + shape;
        }

        int length() {
            return Math.toIntExact(shape.stream().mapToLong(Long::longValue).reduce(1, Math::multiplyExact));
        }
    }

    // Read from configurations, with memory for one layer's parameters at most.

    static ModelArchitecture of(MultiLayerConfiguration conf) {
        ModelArchitecture found = new ModelArchitecture(new ArrayList<>(), new ArrayList<>(), conf.getDataType());
        for (int i = 0; i < conf.getConfs().size(); i++) {
            String name = String.valueOf(i);
            found.layers.add(LayerDescription.of(name, conf.getConf(i).getLayer(), conf.getInputPreProcess(i)));
            found.add(name, conf.getConf(i));
        }
        return found;
    }

    static ModelArchitecture of(ComputationGraphConfiguration conf) {
        ModelArchitecture found = new ModelArchitecture(new ArrayList<>(), new ArrayList<>(), conf.getDataType());
        GraphIndices indices = new ComputationGraph(conf).calculateIndices();
        for (int index : indices.getTopologicalSortOrder()) {
            String name = Objects.requireNonNull(indices.getIdxToName().get(index));
            GraphVertex vertex = conf.getVertices().get(name);
            if (vertex != null) {
                found.add(name, vertex, conf.getVertexInputs().getOrDefault(name, List.of()));
            }
        }
        return found;
    }

    static ModelArchitecture of(SameDiff model) {
        List<SDVariable> variables = variables(model);
        if (variables.isEmpty()) {
            throw new IllegalArgumentException(
                    "model: expected a SameDiff model with variables, got one with none; imported weights are constants until "
                            + "they are made variables");
        }
        return new ModelArchitecture(
                List.of(),
                variables.stream()
                        .map(variable -> new Parameter(
                                variable.name() + " " + variable.dataType(),
                                variable.getArr().shape()))
                        .toList(),
                variables.get(0).dataType());
    }

    /** Floating-point variables, in the order of names. */
    static List<SDVariable> variables(SameDiff model) {
        return model.variables().stream()
                .filter(variable -> variable.getVariableType() == VariableType.VARIABLE
                        && variable.dataType().isFPType())
                .sorted(Comparator.comparing(SDVariable::name))
                .toList();
    }

    private void add(String name, GraphVertex vertex, List<String> inputs) {
        if (vertex instanceof FrozenVertex frozen) {
            add(name, frozen.getUnderlying(), inputs);
        } else if (vertex instanceof LayerVertex layer) {
            Layer computed = layer.getLayerConf().getLayer();
            layers.add(LayerDescription.of(name + " of " + inputs, computed, layer.getPreProcessor()));
            add(name, layer.getLayerConf());
        } else {
            layers.add(LayerDescription.of(name + " of " + inputs, vertex));
            if (vertex instanceof SameDiffVertex sameDiff) {
                SDVertexParams params = sameDiff.getVertexParams();
                params.getParameterKeys()
                        .forEach(key -> parameters.add(new Parameter(
                                name + "_" + key,
                                Objects.requireNonNull(params.getParamShapes().get(key)))));
            } else if (vertex.numParams(false) > 0) {
                parameters.add(new Parameter(name, vertex.numParams(false)));
            }
        }
    }

    private void add(String name, NeuralNetConfiguration conf) {
        long length = conf.getLayer().initializer().numParams(conf);
        if (length == 0) {
            return;
        }
        INDArray all = Nd4j.create(dataType, 1, length);
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
            boolean normalisation = ThawedLayer.innermost(conf.getLayer()) instanceof BatchNormalization;
            views.forEach(view -> parameters.add(new Parameter(
                    name + "_" + view.getKey(),
                    Arrays.stream(view.getValue().shape()).boxed().toList(),
                    normalisation && STATISTICS.contains(view.getKey()))));
        } else {
            parameters.add(new Parameter(name, length));
        }
    }

    long length() {
        return parameters.stream().mapToLong(Parameter::length).sum();
    }

    /**
     * @param first what the other is called in the message, as is {@code second}
     * @throws IllegalArgumentException if the other model is of another architecture; the message says where
     */
    void requireSame(ModelArchitecture other, String first, String second) {
        requireSame("data type", List.of(dataType), List.of(other.dataType), first, second);
        requireSame("parameter", parameters, other.parameters, first, second);
        for (int i = 0; i < Math.max(layers.size(), other.layers.size()); i++) {
            LayerDescription mine = i < layers.size() ? layers.get(i) : LayerDescription.NONE;
            LayerDescription others = i < other.layers.size() ? other.layers.get(i) : LayerDescription.NONE;
            if (!mine.equals(others)) {
                throw refused("layer " + i, mine.apartFrom(others), others.apartFrom(mine), first, second);
            }
        }
    }

    private static void requireSame(String what, List<?> mine, List<?> others, String first, String second) {
        for (int i = 0; i < Math.max(mine.size(), others.size()); i++) {
            Object expected = i < mine.size() ? mine.get(i) : "none";
            Object found = i < others.size() ? others.get(i) : "none";
            if (!expected.equals(found)) {
                throw refused(what + " " + i, expected, found, first, second);
            }
        }
    }

    private static IllegalArgumentException refused(
            String what, Object expected, Object found, String first, String second) {
        return new IllegalArgumentException("models: expected one architecture, got " + what + " " + expected + " in "
                + first + " and " + found + " in " + second);
    }
}
