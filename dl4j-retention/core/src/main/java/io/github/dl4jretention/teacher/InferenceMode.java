package io.github.dl4jretention.teacher;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.autodiff.samediff.internal.SameDiffOp;
import org.nd4j.autodiff.samediff.internal.Variable;
import org.nd4j.linalg.api.ops.random.BaseRandomOp;

/** Turns dropout off in a SameDiff graph: M2.1's operations drop values in {@code output()} as they do in training. */
public final class InferenceMode {

    private static final Set<String> DROPOUT = Set.of("dropout", "dropout_inverted", "alpha_dropout");

    private InferenceMode() {}

    /**
     * Lets every consumer of a dropout operation take the operation's input instead.
     *
     * @param graph  changed in place
     * @param logits what the graph is asked for
     * @throws IllegalArgumentException if the logits themselves are dropped out, or depend on another random operation
     */
    public static void enter(SameDiff graph, String logits) {
        for (SameDiffOp op : operationsOf(graph, logits)) {
            if (DROPOUT.contains(op.getOp().opName())) {
                String output = op.getOutputsOfOp().get(0);
                if (output.equals(logits)) {
                    throw new IllegalArgumentException(
                            "logits: expected no dropout on the logits themselves, got it on \"" + logits + "\"");
                }
                bypass(graph, op.getInputsToOp().get(0), output);
            } else if (op.getOp() instanceof BaseRandomOp) {
                throw new IllegalArgumentException(
                        "pretrained: expected a graph without random operations but dropout, got "
                                + op.getOp().opName() + " \"" + op.getName() + "\"");
            }
        }
    }

    /** The operations that a variable depends on. */
    private static Collection<SameDiffOp> operationsOf(SameDiff graph, String variable) {
        Map<String, SameDiffOp> operations = new LinkedHashMap<>();
        Deque<String> open = new ArrayDeque<>(List.of(variable));
        while (!open.isEmpty()) {
            String name = graph.getVariables().get(open.remove()).getOutputOfOp();
            SameDiffOp op = name == null ? null : graph.getOps().get(name);
            if (op != null && operations.put(name, op) == null && op.getInputsToOp() != null) {
                open.addAll(op.getInputsToOp());
            }
        }
        return operations.values();
    }

    private static void bypass(SameDiff graph, String input, String output) {
        Variable source = graph.getVariables().get(input);
        List<String> consumers = graph.getVariables().get(output).getInputsForOp();
        for (String consumer : consumers == null ? List.<String>of() : List.copyOf(consumers)) {
            SameDiffOp op = graph.getOps().get(consumer);
            List<String> inputs = new ArrayList<>(op.getInputsToOp());
            inputs.replaceAll(name -> name.equals(output) ? input : name);
            op.setInputsToOp(inputs);
            List<String> users = new ArrayList<>(source.getInputsForOp());
            users.add(consumer);
            source.setInputsForOp(users);
        }
        graph.getVariables().get(output).setInputsForOp(new ArrayList<>());
    }
}
