package io.github.dl4jretention.checkpoint;

import io.github.dl4jretention.internal.JsonFields;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.Objects;
import java.util.Properties;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.shade.jackson.annotation.JsonCreator;
import org.nd4j.shade.jackson.annotation.JsonProperty;

/**
 * The software that a model was trained with; "unknown" where that can't be found out.
 *
 * @param library version of this library
 * @param dl4j    version of DL4J
 * @param nd4j    version of ND4J
 * @param backend ND4J's backend
 * @param java    version of Java
 * @param system  operating system and processor
 */
@JsonFields
public record Versions(
        @JsonProperty("library") String library,
        @JsonProperty("dl4j") String dl4j,
        @JsonProperty("nd4j") String nd4j,
        @JsonProperty("backend") String backend,
        @JsonProperty("java") String java,
        @JsonProperty("system") String system) {

    private static final String UNKNOWN = "unknown";

    /**
     * Checks that nothing is null.
     *
     * @param library version of this library
     * @param dl4j    version of DL4J
     * @param nd4j    version of ND4J
     * @param backend ND4J's backend
     * @param java    version of Java
     * @param system  operating system and processor
     */
    @JsonCreator
    public Versions {
        Objects.requireNonNull(library, "library");
        Objects.requireNonNull(dl4j, "dl4j");
        Objects.requireNonNull(nd4j, "nd4j");
        Objects.requireNonNull(backend, "backend");
        Objects.requireNonNull(java, "java");
        Objects.requireNonNull(system, "system");
    }

    /** {@return the versions of this process; "unknown" for a library that is not a jar of Maven's} */
    public static Versions current() {
        return new Versions(
                version(Versions.class, "io.github.dl4jretention", "dl4j-retention"),
                version(Versions.class, "org.deeplearning4j", "deeplearning4j-nn"),
                version(Versions.class, "org.nd4j", "nd4j-api"),
                Nd4j.getBackend().getClass().getSimpleName(),
                System.getProperty("java.version"),
                System.getProperty("os.name") + " " + System.getProperty("os.arch"));
    }

    static Versions unknown() {
        return new Versions(UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN);
    }

    /** From what Maven leaves in a jar. */
    private static String version(Class<?> loader, String group, String artifact) {
        String file = "/META-INF/maven/" + group + "/" + artifact + "/pom.properties";
        try (InputStream in = loader.getResourceAsStream(file)) {
            Properties properties = new Properties();
            if (in != null) {
                properties.load(in);
            }
            return properties.getProperty("version", UNKNOWN);
        } catch (IOException e) {
            throw new UncheckedIOException(file + " cannot be read", e);
        }
    }
}
