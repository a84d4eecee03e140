package io.github.dl4jretention.sweep.task;

import org.deeplearning4j.arbiter.optimize.serde.jackson.JsonMapper;
import org.nd4j.shade.jackson.core.JsonProcessingException;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.node.ObjectNode;

/** Parts of what tells one sweep from another: equal texts mean the same. */
final class SweepIdentity {

    private SweepIdentity() {}

    /** JSON without the numbers that a generator gives the leaves of a space while it searches. */
    static String of(Object value) {
        return withoutIndices(json(value)).toString();
    }

    private static JsonNode withoutIndices(JsonNode node) {
        if (node instanceof ObjectNode object) {
            object.remove("index");
        }
        node.forEach(SweepIdentity::withoutIndices);
        return node;
    }

    private static JsonNode json(Object value) {
        try {
            return JsonMapper.getMapper().readTree(JsonMapper.getMapper().writeValueAsString(value));
        } catch (JsonProcessingException e) {
            throw new IllegalArgumentException("can't be written as JSON: " + value, e);
        }
    }
}
