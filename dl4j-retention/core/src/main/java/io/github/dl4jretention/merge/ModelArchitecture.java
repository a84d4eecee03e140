package io.github.dl4jretention.merge;

import java.util.Arrays;
import java.util.List;
import org.nd4j.linalg.api.buffer.DataType;

/**
 * What models must have in common to be merged.
 *
 * @param layers     descriptions of all layers or vertices, in order
 * @param parameters in the order in which they lie in the model
 * @param dataType   of the parameters; of a SameDiff graph that of the first
 */
record ModelArchitecture(List<LayerDescription> layers, List<Parameter> parameters, DataType dataType) {

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
