package io.github.dl4jretention.baseline;

import io.github.dl4jretention.storage.AtomicFile;
import java.io.BufferedInputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/**
 * How much each parameter of a model matters to what it has learned, at least 0; estimated by an
 * {@link ImportanceEstimator}. It can be written beside a model, so that the source text is needed once only. Immutable.
 */
public final class Importance {

    private final Map<String, INDArray> arrays;

    Importance(Map<String, INDArray> arrays) {
        this.arrays = Map.copyOf(arrays);
    }

    /** By name: "params" of a network, the variables of a SameDiff graph. Not to be changed. */
    Map<String, INDArray> arrays() {
        return arrays;
    }

    /**
     * {@return a copy of the values: one vector in the order of a network's {@code params()}, or a variable's array;
     * DOUBLE for a DOUBLE model, else FLOAT}
     *
     * @param name "params" for a network, or the name of a SameDiff graph's variable
     * @throws IllegalArgumentException if there is none of the name
     */
    public INDArray values(String name) {
        INDArray found = arrays.get(name);
        if (found == null) {
            throw new IllegalArgumentException("name: expected one of " + arrays.keySet() + ", got \"" + name + "\"");
        }
        return found.dup();
    }

    /**
     * {@return {@code decay F + G}: the running importance of online EWC (Schwarz et al., Progress and Compress, arXiv
     * 1805.06370), this being F of the tasks before and {@code latest} G of the latest}
     *
     * @param decay  gamma, in [0, 1]
     * @param latest G, of the same architecture; left as it is
     * @throws IllegalArgumentException if it is of another architecture, or the decay outside of its range
     */
    public Importance decayedPlus(double decay, Importance latest) {
        if (!(decay >= 0 && decay <= 1)) {
            throw new IllegalArgumentException("decay: expected a number in [0, 1], got " + decay);
        }
        ParameterArrays.requireSame(arrays, latest.arrays, "latest");
        Map<String, INDArray> sum = new TreeMap<>();
        arrays.forEach((name, array) -> sum.put(name, array.mul(decay).addi(latest.arrays.get(name))));
        return new Importance(sum);
    }

    /**
     * Writes a file, complete and at once.
     *
     * @param file to write, in a folder that is there; replaced if it is there
     * @throws IOException if it cannot be written; the message names the file
     */
    public void save(Path file) throws IOException {
        AtomicFile.write(file, stream -> {
            DataOutputStream out = new DataOutputStream(stream);
            out.writeInt(arrays.size());
            for (Map.Entry<String, INDArray> entry : new TreeMap<>(arrays).entrySet()) {
                out.writeUTF(entry.getKey());
                Nd4j.write(entry.getValue(), out);
            }
            out.flush();
        });
    }

    /**
     * {@return the importance in a file that {@link #save} wrote}
     *
     * @param file to read
     * @throws IOException if it cannot be read as one
     */
    public static Importance load(Path file) throws IOException {
        Map<String, INDArray> arrays = new TreeMap<>();
        try (DataInputStream in = new DataInputStream(new BufferedInputStream(Files.newInputStream(file)))) {
            for (int left = in.readInt(); left > 0; left--) {
                arrays.put(in.readUTF(), Nd4j.read(in));
            }
        } catch (IOException | RuntimeException e) {
            throw new IOException("file: expected a saved Importance, got " + file, e);
        }
        return new Importance(arrays);
    }
}
