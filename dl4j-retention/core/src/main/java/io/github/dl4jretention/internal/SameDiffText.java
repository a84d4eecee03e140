package io.github.dl4jretention.internal;

import java.nio.BufferUnderflowException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Optional;
import java.util.zip.CRC32;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.autodiff.samediff.serde.FlatBuffersMapper;
import org.nd4j.graph.FlatGraph;
import org.nd4j.graph.FlatVariable;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/**
 * Texts that a SameDiff model keeps as constants of bytes, UTF-8 and its CRC-32, and that are saved with it: M2.1 saves
 * no constant of strings.
 */
public final class SameDiffText {

    /** Name of what made the graph, as JSON of a Provenance; empty where it is not known. */
    public static final String PROVENANCE = "retentionProvenance";

    private SameDiffText() {}

    /**
     * Sets a text, in place of the one of that name if there is one.
     *
     * @param sd   changed: the text is a constant of it
     * @param name of the constant
     * @param text kept as UTF-8, not null
     */
    public static void write(SameDiff sd, String name, String text) {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        INDArray array = Nd4j.createFromArray(ByteBuffer.allocate(bytes.length + Integer.BYTES)
                .put(bytes)
                .putInt(checksum(bytes))
                .array());
        if (sd.hasVariable(name)) {
            sd.setArrayForVariable(name, array);
        } else {
            sd.constant(name, array);
        }
    }

    /**
     * {@return the text of that name; empty if the graph has none, or one of no characters}
     *
     * @param sd   a graph with its arrays
     * @param name of the constant
     * @throws IllegalArgumentException if it is damaged
     */
    public static Optional<String> read(SameDiff sd, String name) {
        if (!sd.hasVariable(name)) {
            return Optional.empty();
        }
        INDArray array = sd.getVariable(name).getArr();
        byte[] bytes = new byte[(int) array.length()];
        for (int i = 0; i < bytes.length; i++) {
            bytes[i] = (byte) array.getInt(i);
        }
        return Optional.of(text(ByteBuffer.wrap(bytes), name)).filter(text -> !text.isEmpty());
    }

    /**
     * {@return the text of that name in a graph as it was saved, without making arrays of it; empty
     * if there is none, or one of no characters}
     *
     * @param saved the graph as FlatBuffers
     * @param name  of the constant
     * @throws RuntimeException of some kind, if the bytes are no graph, or the text is damaged
     */
    public static Optional<String> read(FlatGraph saved, String name) {
        return bytes(saved, name).map(bytes -> text(bytes, name)).filter(text -> !text.isEmpty());
    }

    /** What a saved graph has as the values of a variable, in their byte order. */
    public static Optional<ByteBuffer> bytes(FlatGraph saved, String name) {
        for (int i = 0; i < saved.variablesLength(); i++) {
            FlatVariable variable = saved.variables(i);
            if (name.equals(variable.name()) && variable.ndarray() != null) {
                ByteOrder order =
                        FlatBuffersMapper.getOrderFromByte(variable.ndarray().byteOrder());
                return Optional.ofNullable(variable.ndarray().bufferAsByteBuffer())
                        .map(bytes -> bytes.slice().order(order));
            }
        }
        return Optional.empty();
    }

    private static String text(ByteBuffer buffer, String name) {
        try {
            byte[] bytes = new byte[Math.max(0, buffer.remaining() - Integer.BYTES)];
            buffer.get(bytes);
            if (buffer.order(ByteOrder.BIG_ENDIAN).getInt() == checksum(bytes)) {
                return new String(bytes, StandardCharsets.UTF_8);
            }
        } catch (BufferUnderflowException e) {
            throw new IllegalArgumentException(message(name), e);
        }
        throw new IllegalArgumentException(message(name));
    }

    private static String message(String name) {
        return "sd: expected a text with its checksum in \"" + name + "\", it is damaged";
    }

    private static int checksum(byte[] bytes) {
        CRC32 checksum = new CRC32();
        checksum.update(bytes);
        return (int) checksum.getValue();
    }
}
