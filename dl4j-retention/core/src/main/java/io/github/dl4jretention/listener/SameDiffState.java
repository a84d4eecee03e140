package io.github.dl4jretention.listener;

import java.util.HashMap;
import java.util.Map;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.autodiff.samediff.VariableType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.learning.GradientUpdater;

/** A copy of a SameDiff model's variables and of its updater's state. The arrays are made once and used again. */
final class SameDiffState {

    private final Map<String, INDArray> copies = new HashMap<>();

    void save(SameDiff sd) {
        arrays(sd).forEach((name, array) -> {
            INDArray copy = copies.get(name);
            if (copy == null) {
                copies.put(name, array.dup());
            } else {
                copy.assign(array);
            }
        });
    }

    void restore(SameDiff sd) {
        arrays(sd).forEach((name, array) -> array.assign(copies.get(name)));
    }

    @SuppressWarnings("rawtypes")
    private static Map<String, INDArray> arrays(SameDiff sd) {
        Map<String, INDArray> arrays = new HashMap<>();
        for (SDVariable variable : sd.variables()) {
            if (variable.getVariableType() == VariableType.VARIABLE) {
                arrays.put(variable.name(), variable.getArr());
            }
        }
        for (Map.Entry<String, GradientUpdater> entry : sd.getUpdaterMap().entrySet()) {
            GradientUpdater<?> updater = entry.getValue();
            updater.getState().forEach((key, array) -> arrays.put(entry.getKey() + " " + key, array));
        }
        return arrays;
    }
}
