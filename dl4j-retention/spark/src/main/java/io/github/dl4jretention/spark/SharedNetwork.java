package io.github.dl4jretention.spark;

import io.github.dl4jretention.internal.AtomicFile;
import io.github.dl4jretention.teacher.NetworkIdentity;
import java.io.IOException;
import java.io.Serializable;
import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.spark.broadcast.Broadcast;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;

/**
 * A network as an executor finds it.
 *
 * @param id       under which it's shared
 * @param file     as DL4J saves it
 * @param graph    whether it's a ComputationGraph
 * @param identity of the network on the driver
 */
record SharedNetwork(String id, Broadcast<ByteChunks> file, boolean graph, String identity) implements Serializable {

    static SharedNetwork of(Cluster cluster, String id, MultiLayerNetwork network) throws IOException {
        Broadcast<ByteChunks> file = cluster.broadcast(bytes(part -> network.save(part.toFile(), true)));
        return new SharedNetwork(id, file, false, NetworkIdentity.sha256(network));
    }

    static SharedNetwork of(Cluster cluster, String id, ComputationGraph network) throws IOException {
        Broadcast<ByteChunks> file = cluster.broadcast(bytes(part -> network.save(part.toFile(), true)));
        return new SharedNetwork(id, file, true, NetworkIdentity.sha256(network));
    }

    /** Writes a file. */
    @FunctionalInterface
    private interface Saving {
        void to(Path file) throws IOException;
    }

    private static ByteChunks bytes(Saving saving) throws IOException {
        Path part = Files.createTempFile("network", AtomicFile.PART);
        try {
            saving.to(part);
            return ByteChunks.of(part);
        } finally {
            Files.delete(part);
        }
    }

    /**
     * A network of its own for each call.
     *
     * @throws IllegalStateException if it comes out otherwise than it was sent
     */
    MultiLayerNetwork network() throws IOException {
        MultiLayerNetwork network = load(part -> MultiLayerNetwork.load(part.toFile(), true));
        requireSame(NetworkIdentity.sha256(network));
        return network;
    }

    /** As {@link #network()}, of a graph. */
    ComputationGraph asGraph() throws IOException {
        ComputationGraph network = load(part -> ComputationGraph.load(part.toFile(), true));
        requireSame(NetworkIdentity.sha256(network));
        return network;
    }

    /** Reads a file. */
    @FunctionalInterface
    private interface Loading<T> {
        T from(Path file) throws IOException;
    }

    private <T> T load(Loading<T> loading) throws IOException {
        Path part = Files.createTempFile("network", AtomicFile.PART);
        try {
            file.value().writeTo(part);
            return loading.from(part);
        } catch (RuntimeException e) {
            throw new IllegalStateException("model: expected one that can be written and read again, got " + e, e);
        } finally {
            Files.delete(part);
        }
    }

    private void requireSame(String found) {
        if (!found.equals(identity)) {
            throw new IllegalStateException("model: expected what the driver has, " + identity + " (SHA-256), got "
                    + found + "; something of it is lost when it's written and read again");
        }
    }
}
