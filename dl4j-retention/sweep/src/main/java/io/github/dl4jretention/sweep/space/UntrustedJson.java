package io.github.dl4jretention.sweep.space;

import java.io.IOException;
import java.util.List;
import org.deeplearning4j.arbiter.optimize.api.saving.ResultSaver;
import org.deeplearning4j.arbiter.optimize.parameter.FixedValue;
import org.deeplearning4j.arbiter.optimize.serde.jackson.JsonMapper;
import org.jspecify.annotations.Nullable;
import org.nd4j.shade.jackson.annotation.JsonTypeInfo;
import org.nd4j.shade.jackson.core.JsonParser;
import org.nd4j.shade.jackson.core.JsonProcessingException;
import org.nd4j.shade.jackson.databind.DeserializationContext;
import org.nd4j.shade.jackson.databind.JsonDeserializer;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;
import org.nd4j.shade.jackson.databind.annotation.JsonDeserialize;
import org.nd4j.shade.jackson.databind.jsontype.BasicPolymorphicTypeValidator;
import org.nd4j.shade.jackson.databind.jsontype.PolymorphicTypeValidator;
import org.nd4j.shade.jackson.databind.module.SimpleModule;

/**
 * Reads spaces and search configurations from people you don't know. Don't read those with Arbiter's own mapper: such
 * JSON names the classes to make, and a FixedValue in it can hold a Java-serialised object, which runs its author's
 * code while it's read. Here a FixedValue holds a number, text, enum or truth value, classes come from DL4J, ND4J and
 * this library only, naming a class doesn't initialise it, and a "resultSaver", which writes where its author likes, is
 * refused.
 */
public final class UntrustedJson {

    private static final List<String> PACKAGES =
            List.of("org.deeplearning4j.", "org.nd4j.linalg.", "io.github.dl4jretention.");
    private static final ObjectMapper MAPPER = JsonMapper.getMapper()
            .copy()
            .addMixIn(FixedValue.class, PlainFixedValue.class)
            .addMixIn(ResultSaver.class, NoResultSaver.class)
            .registerModule(new SimpleModule().addDeserializer(Class.class, new NamedClassDeserializer()))
            .setPolymorphicTypeValidator(validator());

    private static PolymorphicTypeValidator validator() {
        BasicPolymorphicTypeValidator.Builder builder = BasicPolymorphicTypeValidator.builder();
        PACKAGES.forEach(builder::allowIfSubType);
        return builder.build();
    }

    /** A class of the allowed packages, which nothing has initialised; null if there is none of that name. */
    private static @Nullable Class<?> named(String name) {
        try {
            return PACKAGES.stream().anyMatch(name::startsWith)
                    ? Class.forName(name, false, FixedValue.class.getClassLoader())
                    : null;
        } catch (ClassNotFoundException | LinkageError e) {
            return null;
        }
    }

    private UntrustedJson() {}

    /**
     * {@return an object that is read from JSON}
     *
     * @param <T>  the type
     * @param json as Arbiter writes it
     * @param type of the object, such as OptimizationConfiguration or {@link RetentionSpace}
     * @throws IOException if it is not readable as such, or holds what is not read from elsewhere; the message says
     *     what
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
            Class<?> named = named(name);
            if (named == null || !named.isEnum()) {
                throw context.weirdStringException(
                        name, FixedValue.class, "neither one of " + CLASSES + " nor an enum of " + PACKAGES);
            }
            return new FixedValue<>(parser.getCodec().treeToValue(node.get("value"), named));
        }
    }

    /** Jackson's own initialises any class that is named. */
    @SuppressWarnings("rawtypes")
    private static final class NamedClassDeserializer extends JsonDeserializer<Class> {

        @Override
        public Class<?> deserialize(JsonParser parser, DeserializationContext context) throws IOException {
            String name = parser.getValueAsString("");
            Class<?> named = named(name);
            if (named == null) {
                throw context.weirdStringException(name, Class.class, "no class of " + PACKAGES);
            }
            return named;
        }
    }

    @JsonTypeInfo(use = JsonTypeInfo.Id.NONE)
    @JsonDeserialize(using = NoResultSaverDeserializer.class)
    private interface NoResultSaver {}

    private static final class NoResultSaverDeserializer extends JsonDeserializer<ResultSaver> {

        @Override
        public ResultSaver deserialize(JsonParser parser, DeserializationContext context) throws IOException {
            throw context.weirdStringException(
                    "resultSaver", ResultSaver.class, "says where to write, which is not read from elsewhere");
        }
    }
}
