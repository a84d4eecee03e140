package io.github.dl4jretention.sweep.task;

import io.github.dl4jretention.teacher.NetworkIdentity;
import java.util.ArrayList;
import java.util.List;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.autodiff.samediff.VariableType;
import org.nd4j.shade.jackson.core.JsonProcessingException;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;
import org.nd4j.shade.jackson.databind.node.ObjectNode;

/** SHA-256 of how a model trains, which the identity of what it computes leaves out. */
final class ModelSettings {

    private static final List<String> COUNTS = List.of("iterationCount", "epochCount");

    private ModelSettings() {}

    /** @param configuration of a network or graph as DL4J writes it, with an updater that is the same for all models */
    static String ofNetwork(String configuration) {
        try {
            return NetworkIdentity.sha256(
                    List.of(without(new ObjectMapper().readTree(configuration)).toString()));
        } catch (JsonProcessingException e) {
            throw new IllegalStateException("DL4J wrote a configuration that is not JSON", e);
        }
    }

    private static JsonNode without(JsonNode node) {
        if (node instanceof ObjectNode object) {
            object.remove(COUNTS);
        }
        node.forEach(ModelSettings::without);
        return node;
    }

    /** Dropout, which a teacher is rid of, and what is trained: variables, not constants. */
    static String ofGraph(SameDiff graph, String logits) {
        List<String> parts = new ArrayList<>(List.of(NetworkIdentity.sha256(graph, logits)));
        for (SDVariable variable : graph.variables()) {
            if (variable.getVariableType() != VariableType.ARRAY) {
                parts.add(variable.name() + " " + variable.getVariableType());
            }
        }
        return NetworkIdentity.sha256(parts);
    }
}
