package io.github.dl4jretention.spark;

import io.github.dl4jretention.checkpoint.Versions;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.ObjectInputStream;
import java.io.ObjectOutputStream;
import java.io.ObjectStreamClass;
import java.io.Serializable;
import org.apache.spark.SparkEnv;
import org.apache.spark.api.java.function.Function;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Runs calls on an executor. What a call throws goes back to the driver as a text with the host's name, for another
 * executor would fare no better; but errors of the machine, as a lack of memory or a full disk, are Spark's to try
 * again.
 */
final class ParcelRunner implements Function<Parcel, Parcel> {

    private static final long serialVersionUID = 1L;
    private static final Logger LOG = LoggerFactory.getLogger(ParcelRunner.class);

    @Override
    public Parcel call(Parcel call) throws IOException, InterruptedException {
        return run(call, content -> ((ClusterCall<?>) content).call());
    }

    /** What is done with a call that was unpacked. */
    @FunctionalInterface
    interface Work {
        Serializable on(Object content) throws Exception;
    }

    static Parcel run(Parcel call, Work work) throws IOException, InterruptedException {
        String host = "executor " + SparkEnv.get().executorId() + " on host "
                + SparkEnv.get().blockManager().blockManagerId().host();
        String own;
        try {
            own = versions();
        } catch (RuntimeException | LinkageError e) {
            LOG.error("ND4J can't be loaded", e);
            return refusal(
                    "",
                    host,
                    "nd4j: expected a backend with its native library, such as nd4j-native for this"
                            + " operating system and processor, in the application's jar or in spark.jars; got "
                            + root(e));
        }
        if (!own.equals(call.versions())) {
            return refusal(own, host, "libraries: expected those of the driver, " + call.versions() + ", got " + own);
        }
        try {
            Serializable result = work.on(deserialized(call.content()));
            return new Parcel(own, host, "", serialized(result));
        } catch (IOException | InterruptedException e) {
            LOG.error("a call failed", e);
            throw e;
        } catch (ClassNotFoundException | LinkageError e) {
            LOG.error("a call can't be read", e);
            return refusal(
                    own,
                    host,
                    "classes: expected those of the driver, in the application's jar or in spark.jars;" + " got " + e);
        } catch (Exception e) {
            LOG.error("a call failed", e);
            return refusal(own, host, e.getMessage() == null ? e.toString() : e.getMessage());
        }
    }

    private static Parcel refusal(String own, String host, String reason) {
        // Some of DL4J's messages are as long as a configuration.
        return new Parcel(own, host, reason.lines().findFirst().orElse("an exception without a message"), new byte[0]);
    }

    private static Throwable root(Throwable thrown) {
        Throwable root = thrown;
        while (root.getCause() != null) {
            root = root.getCause();
        }
        return root;
    }

    /** What must be the same on the driver and on all executors, or scores would differ. */
    static String versions() {
        Versions versions = Versions.current();
        return "dl4j-retention " + versions.library() + ", DL4J " + versions.dl4j() + ", ND4J " + versions.nd4j()
                + " with " + versions.backend();
    }

    static byte[] serialized(Serializable object) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (ObjectOutputStream out = new ObjectOutputStream(bytes)) {
            out.writeObject(object);
        }
        return bytes.toByteArray();
    }

    static Object deserialized(byte[] bytes) throws IOException, ClassNotFoundException {
        try (ObjectInputStream in = new TaskObjects(new ByteArrayInputStream(bytes))) {
            return in.readObject();
        }
    }

    /** Spark's class loader of the application is that of the thread. */
    private static final class TaskObjects extends ObjectInputStream {

        TaskObjects(InputStream in) throws IOException {
            super(in);
        }

        @Override
        protected Class<?> resolveClass(ObjectStreamClass described) throws IOException, ClassNotFoundException {
            try {
                return Class.forName(
                        described.getName(), false, Thread.currentThread().getContextClassLoader());
            } catch (ClassNotFoundException e) {
                return super.resolveClass(described);
            }
        }
    }
}
