package io.github.dl4jretention.loss.samediff;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.TreeSet;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.autodiff.samediff.VariableType;
import org.nd4j.autodiff.samediff.internal.SameDiffOp;
import org.nd4j.linalg.api.ops.impl.shape.Gather;
import org.nd4j.linalg.api.ops.impl.shape.GatherNd;

/** Trainable variables that a SameDiff looks rows up in by gather, whose gradient is wrong in M2.1 where ids repeat. */
public final class GatheredTables {

    private GatheredTables() {}

    /**
     * {@return the variables, in the order of their names}
     *
     * @param variable what depends on them
     */
    public static Set<String> of(SameDiff sd, String variable) {
        Set<String> tables = new TreeSet<>();
        for (SameDiffOp operation : operations(sd, variable)) {
            if (operation.getOp() instanceof Gather || operation.getOp() instanceof GatherNd) {
                String table = operation.getInputsToOp().get(0);
                addTrainable(sd, table, tables);
                for (SameDiffOp before : operations(sd, table)) {
                    before.getInputsToOp().forEach(name -> addTrainable(sd, name, tables));
                }
            }
        }
        return tables;
    }

    private static void addTrainable(SameDiff sd, String name, Set<String> tables) {
        if (sd.getVariable(name).getVariableType() == VariableType.VARIABLE) {
            tables.add(name);
        }
    }

    /** All that a variable is computed by. */
    private static List<SameDiffOp> operations(SameDiff sd, String variable) {
        Set<String> found = new TreeSet<>();
        Deque<String> open = new ArrayDeque<>(List.of(variable));
        while (!open.isEmpty()) {
            String operation =
                    Objects.requireNonNull(sd.getVariables().get(open.remove())).getOutputOfOp();
            if (operation != null && found.add(operation)) {
                open.addAll(Objects.requireNonNull(sd.getOps().get(operation)).getInputsToOp());
            }
        }
        return found.stream().map(sd.getOps()::get).toList();
    }
}
