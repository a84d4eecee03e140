package io.github.dl4jretention.teacher;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.autodiff.samediff.internal.SameDiffOp;
import org.nd4j.autodiff.samediff.internal.Variable;
import org.nd4j.linalg.api.ops.random.BaseRandomOp;

/** Turns dropout off in a SameDiff model: M2.1's operations drop values in {@code output()} as they do in training. */
public final class InferenceMode {

    private static final Set<String> DROPOUT = Set.of("dropout", "dropout_inverted", "alpha_dropout");

    private InferenceMode() {}

    /**
     * Lets every consumer of a dropout operation take the operation's input instead.
     *
     * @param model  changed in place
     * @param logits what the model is asked for
     * @throws IllegalArgumentException if the logits themselves are dropped out, or depend on another random operation
     */
    public static void enter(SameDiff model, String logits) {
        for (SameDiffOp op : operationsOf(model, logits)) {
            if (DROPOUT.contains(op.getOp().opName())) {
                String output = op.getOutputsOfOp().get(0);
                if (output.equals(logits)) {
                    throw new IllegalArgumentException(
                            "logits: expected no dropout on the logits themselves, got it on \"" + logits + "\"");
                }
                bypass(model, op.getInputsToOp().get(0), output);
            } else if (op.getOp() instanceof BaseRandomOp) {
                throw new IllegalArgumentException(
                        "pretrained: expected a model without random operations but dropout, got "
                                + op.getOp().opName() + " \"" + op.getName() + "\"");
            }
        }
    }

    /** The operations that a variable depends on. */
    private static Collection<SameDiffOp> operationsOf(SameDiff model, String variable) {
        Map<String, SameDiffOp> operations = new LinkedHashMap<>();
        Deque<String> open = new ArrayDeque<>(List.of(variable));
        while (!open.isEmpty()) {
            String name = variable(model, open.remove()).getOutputOfOp();
            SameDiffOp op = name == null ? null : model.getOps().get(name);
            if (op != null && operations.put(name, op) == null && op.getInputsToOp() != null) {
                open.addAll(op.getInputsToOp());
            }
        }
        return operations.values();
    }

    private static void bypass(SameDiff model, String input, String output) {
        Variable source = variable(model, input);
        List<String> consumers = variable(model, output).getInputsForOp();
        for (String consumer : consumers == null ? List.<String>of() : List.copyOf(consumers)) {
            SameDiffOp op = Objects.requireNonNull(model.getOps().get(consumer), consumer);
            List<String> inputs = new ArrayList<>(op.getInputsToOp());
            inputs.replaceAll(name -> name.equals(output) ? input : name);
            op.setInputsToOp(inputs);
            List<String> users = new ArrayList<>(source.getInputsForOp());
            users.add(consumer);
            source.setInputsForOp(users);
        }
        variable(model, output).setInputsForOp(new ArrayList<>());
    }

    private static Variable variable(SameDiff model, String name) {
        return Objects.requireNonNull(model.getVariables().get(name), name);
    }
}
