package io.github.dl4jretention.merge;

import io.github.dl4jretention.loss.RetentionOutputLayer;
import org.nd4j.shade.jackson.core.JsonProcessingException;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;
import org.nd4j.shade.jackson.databind.node.ObjectNode;

/** Takes what made a model out of its configuration: a run made it, but not what it is merged to. */
final class ProvenanceRemoval {

    private static final String PROVENANCE = "provenance";

    private ProvenanceRemoval() {}

    /** A network's configuration without provenance; the same text if it has none. */
    static String from(String configuration) {
        ObjectMapper mapper = new ObjectMapper();
        try {
            JsonNode network = mapper.readTree(configuration);
            boolean removed = false;
            for (JsonNode node : network.findParents(PROVENANCE)) {
                if (node.path("@class").asText().equals(RetentionOutputLayer.class.getName())
                        && !node.get(PROVENANCE).isNull()) {
                    ((ObjectNode) node).remove(PROVENANCE);
                    removed = true;
                }
            }
            return removed ? mapper.writeValueAsString(network) : configuration;
        } catch (JsonProcessingException e) {
            throw new IllegalStateException("DL4J wrote a configuration that is not JSON", e);
        }
    }
}
