package io.github.dl4jretention.lm.huggingface;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import org.nd4j.shade.jackson.databind.node.ObjectNode;

/** The few and small tensors of an adapter, on the way to a safetensors file and back. */
final class AdapterTensors {

    private static final int ALIGNMENT = 8;

    /** Numbers that are written at once. */
    private static final int CHUNK = 1 << 16;

    private final TensorType type;
    private final Map<String, double[]> values = new LinkedHashMap<>();
    private final ObjectNode header = JsonFile.MAPPER.createObjectNode();
    private long bytes;

    /** @param type F32 or F64 */
    AdapterTensors(TensorType type) {
        this.type = type;
        header.putObject(SafetensorsFile.METADATA);
    }

    void add(String name, int rows, int columns, double[] numbers) {
        ObjectNode node = header.putObject(name);
        node.put("dtype", type.name());
        node.putArray("shape").add(rows).add(columns);
        long end = bytes + (long) numbers.length * type.bytes();
        node.putArray("data_offsets").add(bytes).add(end);
        bytes = end;
        values.put(name, numbers);
    }

    /**
     * Writes a folder with a file of these tensors, and others.
     *
     * @param folder   not there yet, or empty
     * @param metadata of the file of tensors
     * @param others   beside it
     */
    void write(Path folder, String name, Map<String, String> metadata, Map<String, byte[]> others) throws IOException {
        FolderWriter.writeWhole(folder, part -> {
            FolderWriter.writeSmall(part, others);
            FolderWriter.writeLarge(part.resolve(name), sink -> writeTo(metadata, sink));
        });
    }

    /** Gives the file's bytes, which may be more than an array holds. */
    void writeTo(Map<String, String> metadata, Weights.Sink sink) throws IOException {
        ObjectNode noted = (ObjectNode) header.get(SafetensorsFile.METADATA);
        noted.put("format", "pt");
        metadata.forEach(noted::put);
        StringBuilder text = new StringBuilder(JsonFile.MAPPER.writeValueAsString(header));
        int length = text.toString().getBytes(StandardCharsets.UTF_8).length;
        text.append(" ".repeat(Math.floorMod(-length, ALIGNMENT)));
        FolderWriter.writeHeader(text.toString().getBytes(StandardCharsets.UTF_8), sink);
        for (Map.Entry<String, double[]> tensor : values.entrySet()) {
            double[] numbers = tensor.getValue();
            for (int from = 0; from < numbers.length; from += CHUNK) {
                int to = Math.min(from + CHUNK, numbers.length);
                sink.accept(bytes(tensor.getKey(), numbers, from, to));
            }
        }
    }

    private ByteBuffer bytes(String name, double[] numbers, int from, int to) throws IOException {
        ByteBuffer bytes = ByteBuffer.allocate((to - from) * type.bytes()).order(ByteOrder.LITTLE_ENDIAN);
        for (int i = from; i < to; i++) {
            if (!Double.isFinite(numbers[i])) {
                throw new IOException(
                        "adapted: expected finite adapters, got NaN or an infinite number in tensor \"" + name + "\"");
            }
            if (type == TensorType.F64) {
                bytes.putDouble(numbers[i]);
            } else {
                bytes.putFloat((float) numbers[i]);
            }
        }
        return bytes.flip();
    }

    /** {@return a tensor's numbers} */
    static double[] read(SafetensorsFile tensors, Tensor tensor, Path file) throws IOException {
        if (!tensor.type().isWeight() && tensor.type() != TensorType.F64) {
            throw new IOException("file " + file + ": expected tensor \"" + tensor.name()
                    + "\" of type F64, F32, F16 or BF16, got " + tensor.type());
        }
        ByteBuffer bytes = tensors.map(tensor, 0, Math.toIntExact(tensor.bytes()));
        double[] values =
                new double[Math.toIntExact(tensor.bytes() / tensor.type().bytes())];
        boolean finite = true;
        if (tensor.type() == TensorType.F64) {
            for (int i = 0; i < values.length; i++) {
                values[i] = bytes.getDouble();
                finite &= Double.isFinite(values[i]);
            }
        } else {
            float[] numbers = new float[values.length];
            finite = tensor.type().read(bytes, numbers, numbers.length);
            for (int i = 0; i < values.length; i++) {
                values[i] = numbers[i];
            }
        }
        if (!finite) {
            throw new IOException("file " + file + ": tensor \"" + tensor.name()
                    + "\": expected finite numbers, got NaN or an infinite one");
        }
        return values;
    }
}
