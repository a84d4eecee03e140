package io.github.dl4jretention.checkpoint;

import io.github.dl4jretention.loss.RetentionOutputLayer;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Supplier;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.autodiff.samediff.TrainingConfig;
import org.nd4j.autodiff.samediff.VariableType;
import org.nd4j.shade.jackson.core.JsonProcessingException;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;
import org.nd4j.shade.jackson.databind.node.ObjectNode;

/**
 * How a student is trained: its configuration without what training changes. A checkpoint has those that its run began
 * with, for a listener may change a learning rate on the way.
 */
final class StudentSettings {

    static final String ENTRY = "student.json";

    /** Training changes counters; the seed of a network initialises weights, which are there already. */
    private static final List<String> VOLATILE = List.of("iterationCount", "epochCount", "seed");

    private static final List<String> VOLATILE_OF_HEAD =
            List.of("teacher", "adaptedCoefficient", "taughtMinibatches", "startIteration", "startEpoch", "provenance");
    /** What a block keeps for the way back, and computes once more: it's the same training in other memory. */
    private static final String RECOMPUTE = "recompute";

    private static final int SHOWN = 100;
    private static final Pattern SHA256 = Pattern.compile("[0-9a-f]{64}");
    private static final ObjectMapper MAPPER = new ObjectMapper();

    private StudentSettings() {}

    /** @param configuration of a network, as DL4J reads and writes it */
    static String ofNetwork(String configuration) {
        return without(read(configuration)).toString();
    }

    /** The training configuration, and which variables are trained. */
    static String ofSameDiff(SameDiff model) {
        ObjectNode settings = MAPPER.createObjectNode();
        String json = model.getTrainingConfig().toJson();
        String training = readBack(() -> TrainingConfig.fromJson(json).toJson());
        settings.set("training", without(read(training)));
        ObjectNode variables = settings.putObject("variables");
        model.variables().stream()
                .filter(variable -> variable.getVariableType() == VariableType.VARIABLE)
                .forEach(variable -> variables.put(
                        variable.name(),
                        variable.dataType() + Arrays.toString(variable.getArr().shape())));
        return settings.toString();
    }

    /**
     * {@return what a reader gives of a configuration's JSON}
     *
     * @throws IllegalArgumentException if DL4J can't read what it wrote; a checkpoint would be lost
     */
    static String readBack(Supplier<String> reader) {
        try {
            return reader.get();
        } catch (RuntimeException e) {
            Throwable cause = e;
            while (cause.getCause() != null) {
                cause = cause.getCause();
            }
            String message =
                    cause instanceof JsonProcessingException json ? json.getOriginalMessage() : cause.toString();
            throw new IllegalArgumentException(
                    "student: expected a configuration that DL4J can read back from JSON, as checkpoints need it, got: "
                            + message + "; give the values of a RampSchedule as a MapSchedule, or train without a "
                            + "FinetuningRun",
                    e);
        }
    }

    /** {@return SHA-256 of the networks beside whose weights a student's adapters are; none for a student without} */
    static Set<String> bases(String settings) {
        Set<String> bases = new TreeSet<>();
        for (JsonNode base : read(settings).findValues("base")) {
            if (SHA256.matcher(base.asText()).matches()) {
                bases.add(base.asText());
            }
        }
        return bases;
    }

    private static JsonNode without(JsonNode node) {
        if (node instanceof ObjectNode object) {
            object.remove(VOLATILE);
            object.remove(RECOMPUTE);
            if (object.path("@class").asText().equals(RetentionOutputLayer.class.getName())) {
                object.remove(VOLATILE_OF_HEAD);
            }
        }
        node.forEach(StudentSettings::without);
        return node;
    }

    /** {@return a network's configuration with what another says of memory alone, layer by layer} */
    static String withMemoryOf(String configuration, String other) {
        JsonNode node = read(configuration);
        takeMemory(node, read(other));
        return node.toString();
    }

    private static void takeMemory(JsonNode node, JsonNode other) {
        if (node instanceof ObjectNode object) {
            if (object.has(RECOMPUTE) && other.has(RECOMPUTE)) {
                object.set(RECOMPUTE, other.get(RECOMPUTE));
            }
            object.fieldNames().forEachRemaining(name -> takeMemory(object.get(name), other.path(name)));
        } else {
            for (int i = 0; i < node.size(); i++) {
                takeMemory(node.get(i), other.path(i));
            }
        }
    }

    /**
     * The first difference of settings, as words; empty if there is none. An older version may have known fewer settings,
     * or others.
     *
     * @param expected  as they were written
     * @param completed the same of the student that was read, with the settings that this version has
     * @param found     of the student that's there
     */
    static Optional<String> difference(String expected, String completed, String found) {
        return difference("", without(read(expected)), read(completed), read(found));
    }

    private static Optional<String> difference(String path, JsonNode written, JsonNode completed, JsonNode found) {
        JsonNode expected = written.isMissingNode() ? completed : written;
        if (expected.equals(found) || completed.isMissingNode() && found.isMissingNode()) {
            return Optional.empty();
        }
        if (expected.isObject() && found.isObject()) {
            Set<String> names = new TreeSet<>();
            expected.fieldNames().forEachRemaining(names::add);
            found.fieldNames().forEachRemaining(names::add);
            return names.stream()
                    .flatMap(name ->
                            difference(path + "/" + name, expected.path(name), completed.path(name), found.path(name))
                                    .stream())
                    .findFirst();
        }
        if (expected.isArray() && found.isArray() && expected.size() == found.size()) {
            return IntStream.range(0, found.size())
                    .mapToObj(i -> difference(path + "/" + i, expected.get(i), completed.path(i), found.get(i)))
                    .flatMap(Optional::stream)
                    .findFirst();
        }
        return Optional.of(path + " " + shown(expected) + ", got " + shown(found));
    }

    private static String shown(JsonNode node) {
        String text = node.isMissingNode() ? "none" : node.toString();
        return text.length() <= SHOWN ? text : text.substring(0, SHOWN) + "...";
    }

    private static JsonNode read(String json) {
        try {
            return MAPPER.readTree(json);
        } catch (JsonProcessingException e) {
            throw new IllegalStateException("DL4J wrote a configuration that is not JSON", e);
        }
    }
}
