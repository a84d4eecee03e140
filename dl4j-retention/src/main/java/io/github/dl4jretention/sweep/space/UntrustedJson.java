package io.github.dl4jretention.sweep.space;

import java.io.IOException;
import java.util.List;
import org.deeplearning4j.arbiter.optimize.parameter.FixedValue;
import org.deeplearning4j.arbiter.optimize.serde.jackson.JsonMapper;
import org.nd4j.shade.jackson.core.JsonParser;
import org.nd4j.shade.jackson.core.JsonProcessingException;
import org.nd4j.shade.jackson.databind.DeserializationContext;
import org.nd4j.shade.jackson.databind.JsonDeserializer;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;
import org.nd4j.shade.jackson.databind.annotation.JsonDeserialize;
import org.nd4j.shade.jackson.databind.jsontype.BasicPolymorphicTypeValidator;

/**
 * Reads spaces and search configurations that come from elsewhere. Arbiter's own mapper must not read them: the JSON names
 * the classes to make, and a FixedValue in it can hold a Java-serialised object, which runs code of its author's choice
 * while it is read. Here a FixedValue holds a number, a text or a truth value, and classes come from DL4J, ND4J and
 * this library only.
 */
public final class UntrustedJson {

    private static final ObjectMapper MAPPER = JsonMapper.getMapper()
            .copy()
            .addMixIn(FixedValue.class, PlainFixedValue.class)
            .setPolymorphicTypeValidator(BasicPolymorphicTypeValidator.builder()
                    .allowIfSubType("org.deeplearning4j.")
                    .allowIfSubType("org.nd4j.linalg.")
                    .allowIfSubType("io.github.dl4jretention.")
                    .build());

    private UntrustedJson() {}

    /**
     * {@return an object that is read from JSON}
     *
     * @param <T>  the type
     * @param json as Arbiter writes it
     * @param type of the object, such as OptimizationConfiguration or {@link RetentionSpace}
     * @throws IOException if it is not readable as such, or holds what is not read from elsewhere; the message says what
     */
    public static <T> T read(String json, Class<T> type) throws IOException {
        try {
            return MAPPER.readValue(json, type);
        } catch (JsonProcessingException e) {
            throw new IOException("json: expected a " + type.getSimpleName() + ", got: " + e.getOriginalMessage(), e);
        }
    }

    @JsonDeserialize(using = PlainFixedValueDeserializer.class)
    private interface PlainFixedValue {}

    private static final class PlainFixedValueDeserializer extends JsonDeserializer<FixedValue<?>> {

        private static final List<Class<?>> CLASSES = List.of(
                Double.class,
                Float.class,
                Integer.class,
                Long.class,
                Short.class,
                Byte.class,
                String.class,
                Boolean.class);
        private static final List<String> ENUMS =
                List.of("org.deeplearning4j.", "org.nd4j.linalg.", "io.github.dl4jretention.");

        @Override
        public FixedValue<?> deserialize(JsonParser parser, DeserializationContext context) throws IOException {
            JsonNode node = parser.getCodec().readTree(parser);
            if (node.has("data")) {
                throw context.weirdStringException(
                        node.path("@valueclass").asText(),
                        FixedValue.class,
                        "holds a Java-serialised object, which is not read from elsewhere");
            }
            String name = node.path("@valueclass").asText();
            for (Class<?> type : CLASSES) {
                if (type.getName().equals(name)) {
                    return new FixedValue<>(parser.getCodec().treeToValue(node.get("value"), type));
                }
            }
            if (ENUMS.stream().anyMatch(name::startsWith)) {
                return new FixedValue<>(parser.getCodec().treeToValue(node.get("value"), enumClass(name, context)));
            }
            throw context.weirdStringException(name, FixedValue.class, "expected one of " + CLASSES);
        }

        private static Class<?> enumClass(String name, DeserializationContext context) throws IOException {
            try {
                Class<?> type = Class.forName(name, false, FixedValue.class.getClassLoader());
                if (type.isEnum()) {
                    return type;
                }
            } catch (ClassNotFoundException e) {
                throw context.weirdStringException(name, FixedValue.class, "no such class");
            }
            throw context.weirdStringException(name, FixedValue.class, "expected an enum");
        }
    }
}
