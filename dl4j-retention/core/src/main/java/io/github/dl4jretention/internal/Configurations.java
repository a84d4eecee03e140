package io.github.dl4jretention.internal;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.ObjectInputStream;
import java.io.ObjectOutputStream;
import java.io.ObjectStreamClass;
import java.io.Serializable;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;

/**
 * Deep copies of network configurations. DL4J's own {@code clone()} shares updaters and dropout with the original, and
 * JSON loses what DL4J M2.1 can't read back, such as a RampSchedule; Java serialization copies all of it.
 */
public final class Configurations {

    private Configurations() {}

    /**
     * {@return a copy that shares nothing with the original, and whose layers share nothing with each other}
     *
     * @param configuration of a network
     */
    public static MultiLayerConfiguration copy(MultiLayerConfiguration configuration) {
        MultiLayerConfiguration copy = serialized(configuration);
        copy.getConfs().replaceAll(Configurations::serialized);
        return copy;
    }

    /**
     * {@return a copy that shares nothing with the original, and whose vertices share nothing with each other}
     *
     * @param configuration of a graph
     */
    public static ComputationGraphConfiguration copy(ComputationGraphConfiguration configuration) {
        ComputationGraphConfiguration copy = serialized(configuration);
        copy.getVertices().replaceAll((name, vertex) -> serialized(vertex));
        return copy;
    }

    @SuppressWarnings("unchecked")
    private static <T extends Serializable> T serialized(T original) {
        try {
            ByteArrayOutputStream bytes = new ByteArrayOutputStream();
            try (ObjectOutputStream out = new ObjectOutputStream(bytes)) {
                out.writeObject(original);
            }
            try (ObjectInputStream in = new LoadedClasses(new ByteArrayInputStream(bytes.toByteArray()))) {
                return (T) in.readObject();
            }
        } catch (IOException | ClassNotFoundException e) {
            throw new IllegalArgumentException(
                    "network: expected a configuration that Java can serialize, got one it can't: " + e
                            + "; make the fields of your own layers serializable",
                    e);
        }
    }

    /** Finds layers that a user's class loader knows, and this library's doesn't. */
    private static final class LoadedClasses extends ObjectInputStream {

        LoadedClasses(InputStream in) throws IOException {
            super(in);
        }

        @Override
        protected Class<?> resolveClass(ObjectStreamClass description) throws IOException, ClassNotFoundException {
            try {
                return Class.forName(
                        description.getName(), false, Thread.currentThread().getContextClassLoader());
            } catch (ClassNotFoundException e) {
                return super.resolveClass(description);
            }
        }
    }
}
