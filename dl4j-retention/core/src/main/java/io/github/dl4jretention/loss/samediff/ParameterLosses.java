package io.github.dl4jretention.loss.samediff;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashSet;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.autodiff.samediff.VariableType;

/** A model's loss variables that follow from its parameters alone, as a penalty on weights does. */
public final class ParameterLosses {

    private ParameterLosses() {}

    /** Their names; what a placeholder has a part in is a loss of the batch and left out. */
    public static List<String> of(SameDiff sd) {
        return sd.getLossVariables().stream()
                .filter(loss -> !dependsOnPlaceholder(sd, loss))
                .toList();
    }

    private static boolean dependsOnPlaceholder(SameDiff sd, String variable) {
        Set<String> seen = new HashSet<>(Set.of(variable));
        Deque<String> open = new ArrayDeque<>(seen);
        while (!open.isEmpty()) {
            String name = open.remove();
            if (sd.getVariable(name).getVariableType() == VariableType.PLACEHOLDER) {
                return true;
            }
            String operation =
                    Objects.requireNonNull(sd.getVariables().get(name)).getOutputOfOp();
            if (operation != null) {
                Objects.requireNonNull(sd.getOps().get(operation)).getInputsToOp().stream()
                        .filter(seen::add)
                        .forEach(open::add);
            }
        }
        return false;
    }
}
