package io.github.dl4jretention.baseline;

import io.github.dl4jretention.internal.ArrayStream;
import io.github.dl4jretention.internal.ChecksummedFile;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.LongStream;
import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * How much each parameter of a model matters to what it has learned, at least 0; estimated by an
 * {@link ImportanceEstimator}. Save it with a model, and you need the source text only once. Immutable.
 */
public final class Importance {

    private static final String FORMAT = "dl4j-retention Importance 2";

    private final Map<String, INDArray> arrays;

    /** @throws IllegalArgumentException if a value is not finite or below 0 */
    Importance(Map<String, INDArray> arrays) {
        this.arrays = Map.copyOf(arrays);
        arrays.forEach(Importance::requireSound);
    }

    private static void requireSound(String name, INDArray array) {
        if (array.isNaN().any() || array.isInfinite().any() || array.lt(0).any()) {
            INDArray values = array.reshape(array.length());
            double bad = LongStream.range(0, array.length())
                    .mapToDouble(values::getDouble)
                    .filter(value -> !(value >= 0 && value < Double.POSITIVE_INFINITY))
                    .findFirst()
                    .orElseThrow();
            throw new IllegalArgumentException(
                    "importance: expected finite values of at least 0, got " + bad + " in \"" + name + "\"");
        }
    }

    /** By name: "params" of a network, the variables of a SameDiff model. Not to be changed. */
    Map<String, INDArray> arrays() {
        return arrays;
    }

    /**
     * {@return a copy of the values: one vector in the order of a network's {@code params()}, or a variable's array;
     * DOUBLE for a DOUBLE model, else FLOAT}
     *
     * @param name "params" for a network, or the name of a SameDiff model's variable
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
     * 1805.06370), where F is this importance, of the tasks so far, and G that of the latest task} The paper weighs the
     * penalty of the next task by {@code gamma} times that; to follow it to the letter, multiply the strength by gamma.
     *
     * @param decay gamma, in [0, 1]
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
     * Writes a file with a CRC-32 of its content. It appears complete or not at all.
     *
     * @param file to write, in a folder that is there; replaced if it is there
     * @throws IOException if it cannot be written; the message names the file
     */
    public void save(Path file) throws IOException {
        ChecksummedFile.write(file, out -> {
            out.writeUTF(FORMAT);
            out.writeInt(arrays.size());
            for (Map.Entry<String, INDArray> entry : new TreeMap<>(arrays).entrySet()) {
                out.writeUTF(entry.getKey());
                ArrayStream.write(entry.getValue(), out);
            }
        });
    }

    /**
     * {@return the importance in a file that {@link #save} wrote} The file doesn't say which model it belongs to.
     * {@link QuadraticPenalty#weighted} compares names and shapes of the parameters, so another model of the same
     * architecture goes unnoticed.
     *
     * @param file to read
     * @throws IOException if it cannot be read as one, is damaged, or a value is not finite or below 0; the message
     *     names the file
     */
    public static Importance load(Path file) throws IOException {
        return ChecksummedFile.read(file, "a saved Importance", in -> {
            String format = in.readUTF();
            if (!format.equals(FORMAT)) {
                throw new IOException("of another format");
            }
            Map<String, INDArray> arrays = new TreeMap<>();
            for (int left = in.readInt(); left > 0; left--) {
                arrays.put(in.readUTF(), ArrayStream.readArray(in, Files.size(file)));
            }
            return new Importance(arrays);
        });
    }
}
