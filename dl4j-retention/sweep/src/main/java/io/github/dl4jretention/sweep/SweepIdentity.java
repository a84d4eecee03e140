package io.github.dl4jretention.sweep;

import io.github.dl4jretention.sweep.task.FinetuneProblem;
import io.github.dl4jretention.sweep.task.FinetuneSpace;
import java.util.LinkedHashMap;
import java.util.Map;
import org.deeplearning4j.arbiter.optimize.serde.jackson.JsonMapper;
import org.nd4j.shade.jackson.core.JsonProcessingException;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.node.ObjectNode;

/** What tells one sweep from another when it's started again: equal texts mean the same sweep. */
final class SweepIdentity {

    private SweepIdentity() {}

    /** What all candidates share, by name. */
    static Map<String, String> of(FinetuneProblem problem) {
        Map<String, String> map = new LinkedHashMap<>();
        map.put("model", problem.model().sha256());
        map.put("modelSettings", problem.model().settings());
        map.put("outputs", problem.model().outputs());
        map.put("teacher", problem.teacher().sha256());
        map.put("teacherEncoding", problem.teacher().encoding());
        map.put("updater", json(problem.updater()).toString());
        map.put("seed", String.valueOf(problem.seed()));
        map.putAll(problem.data().identities());
        return map;
    }

    /** A space without the numbers that a generator gives its leaves while it searches. */
    static String of(FinetuneSpace space) {
        return withoutIndices(json(space)).toString();
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
