package io.github.dl4jretention.baseline;

import java.util.Arrays;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.function.UnaryOperator;
import org.deeplearning4j.nn.api.Model;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.autodiff.samediff.VariableType;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * Arrays of a model's parameters by name: one vector of a DL4J network, the trainable variables of a SameDiff model.
 */
final class ParameterArrays {

    /** The name of a network's vector. */
    static final String PARAMS = "params";

    private ParameterArrays() {}

    /** The model's own arrays. */
    static Map<String, INDArray> of(Model network) {
        if (network.params() == null || network.params().isEmpty()) {
            throw new IllegalArgumentException("model: expected an initialised network, got one without parameters");
        }
        return Map.of(PARAMS, network.params().reshape(network.params().length()));
    }

    /**
     * The model's own arrays.
     *
     * @throws IllegalArgumentException if it has none
     */
    static Map<String, INDArray> of(SameDiff model) {
        Map<String, INDArray> arrays = new TreeMap<>();
        for (SDVariable variable : model.variables()) {
            if (variable.getVariableType() == VariableType.VARIABLE
                    && variable.dataType().isFPType()) {
                arrays.put(variable.name(), variable.getArr());
            }
        }
        if (arrays.isEmpty()) {
            throw new IllegalArgumentException(
                    "model: expected a SameDiff model with variables, got one with none; imported weights are constants until "
                            + "they are made variables");
        }
        return arrays;
    }

    /** The array of a name that is known to be there. */
    static INDArray get(Map<String, INDArray> arrays, String name) {
        return Objects.requireNonNull(arrays.get(name), name);
    }

    static Map<String, INDArray> map(Map<String, INDArray> arrays, UnaryOperator<INDArray> function) {
        Map<String, INDArray> result = new TreeMap<>();
        arrays.forEach((name, array) -> result.put(name, function.apply(array)));
        return result;
    }

    /** Penalties are computed in FLOAT where the model has fewer bits. */
    static DataType wide(DataType type) {
        return type == DataType.DOUBLE ? DataType.DOUBLE : DataType.FLOAT;
    }

    /**
     * @param argument what the second arrays are, for the message
     * @throws IllegalArgumentException if names or shapes differ
     */
    static void requireSame(Map<String, INDArray> expected, Map<String, INDArray> found, String argument) {
        if (!expected.keySet().equals(found.keySet())) {
            throw new IllegalArgumentException(
                    argument + ": expected parameters " + expected.keySet() + ", got " + found.keySet());
        }
        expected.forEach((name, array) -> {
            long[] shape = get(found, name).shape();
            if (!Arrays.equals(array.shape(), shape)) {
                throw new IllegalArgumentException(argument + ": expected shape " + Arrays.toString(array.shape())
                        + " of parameter \"" + name + "\", got " + Arrays.toString(shape));
            }
        });
    }
}
