package io.github.dl4jretention.lm;

import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;

/** The models in src/test/resources/models, and what they compute outside of DL4J. */
public final class ModelFiles {

    private ModelFiles() {}

    public static Path path(String file) {
        try {
            return Path.of(ModelFiles.class.getResource("/models/" + file).toURI());
        } catch (URISyntaxException e) {
            throw new IllegalStateException(e);
        }
    }

    public static JsonNode json(String file) throws IOException {
        return new ObjectMapper().readTree(path(file).toFile());
    }

    /** Nested lists of numbers. */
    public static INDArray array(JsonNode lists, DataType type) {
        List<Long> shape = new ArrayList<>();
        for (JsonNode axis = lists; axis.isArray(); axis = axis.get(0)) {
            shape.add((long) axis.size());
        }
        List<Double> numbers = new ArrayList<>();
        flatten(lists, numbers);
        return Nd4j.createFromArray(numbers.toArray(Double[]::new))
                .castTo(type)
                .reshape(shape.stream().mapToLong(Long::longValue).toArray());
    }

    private static void flatten(JsonNode node, List<Double> numbers) {
        if (node.isArray()) {
            node.forEach(element -> flatten(element, numbers));
        } else {
            numbers.add(node.asDouble());
        }
    }
}
