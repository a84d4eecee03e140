package io.github.dl4jretention.loss;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Optional;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.graph.FlatGraph;
import org.nd4j.graph.FlatVariable;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/** Texts that a SameDiff graph keeps as constants of bytes, and that are saved with it: M2.1 saves no constant of strings. */
public final class GraphText {

    private GraphText() {}

    /** Sets a text, in place of the one of that name if there is one. */
    public static void write(SameDiff sd, String name, String text) {
        INDArray bytes = Nd4j.createFromArray(text.getBytes(StandardCharsets.UTF_8));
        if (sd.hasVariable(name)) {
            sd.setArrayForVariable(name, bytes);
        } else {
            sd.constant(name, bytes);
        }
    }

    /** The text of that name, if the graph has one. */
    public static Optional<String> read(SameDiff sd, String name) {
        if (!sd.hasVariable(name)) {
            return Optional.empty();
        }
        INDArray array = sd.getVariable(name).getArr();
        byte[] bytes = new byte[(int) array.length()];
        for (int i = 0; i < bytes.length; i++) {
            bytes[i] = (byte) array.getInt(i);
        }
        return Optional.of(new String(bytes, StandardCharsets.UTF_8));
    }

    /**
     * The text of that name in a graph as it was saved, without making arrays of it.
     *
     * @throws IndexOutOfBoundsException if the bytes are no graph; other exceptions are possible
     */
    public static Optional<String> read(FlatGraph saved, String name) {
        return bytes(saved, name)
                .map(bytes -> StandardCharsets.UTF_8.decode(bytes).toString());
    }

    /** What a saved graph has as the values of a variable. */
    static Optional<ByteBuffer> bytes(FlatGraph saved, String name) {
        for (int i = 0; i < saved.variablesLength(); i++) {
            FlatVariable variable = saved.variables(i);
            if (name.equals(variable.name()) && variable.ndarray() != null) {
                return Optional.ofNullable(variable.ndarray().bufferAsByteBuffer());
            }
        }
        return Optional.empty();
    }
}
