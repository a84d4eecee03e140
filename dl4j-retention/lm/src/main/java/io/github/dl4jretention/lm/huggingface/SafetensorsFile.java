package io.github.dl4jretention.lm.huggingface;

import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.node.ObjectNode;

/**
 * A safetensors file: 8 bytes with the length of the header, little-endian; the header, a JSON object that says type,
 * shape and place of each tensor; and the tensors' bytes, without a gap, to the file's end. Everything is checked before
 * a tensor is read. Source: https://huggingface.co/docs/safetensors.
 */
final class SafetensorsFile implements Closeable {

    static final String METADATA = "__metadata__";

    /** Of the reference implementation. */
    private static final long LONGEST_HEADER = 100_000_000;

    private static final int LENGTH_BYTES = 8;

    private final Path file;
    private final FileChannel channel;
    private final byte[] header;
    private final List<Tensor> tensors;
    private final Map<String, String> metadata = new LinkedHashMap<>();

    private SafetensorsFile(Path file, FileChannel channel) throws IOException {
        this.file = file;
        this.channel = channel;
        header = readHeader();
        ObjectNode json = JsonFile.object(header, "file " + file + ": header");
        if (header[0] != '{') {
            throw damaged("a header that begins with {", "byte " + header[0]);
        }
        tensors = tensors(json);
        requireWhole();
    }

    /** @throws IOException if the file isn't there or is damaged; the message names it */
    static SafetensorsFile open(Path file) throws IOException {
        if (!Files.isRegularFile(file) || !Files.isReadable(file)) {
            throw new IOException("file: expected a readable file, got " + file);
        }
        FileChannel channel = FileChannel.open(file, StandardOpenOption.READ);
        try {
            return new SafetensorsFile(file, channel);
        } catch (IOException | RuntimeException e) {
            channel.close();
            throw e;
        }
    }

    private byte[] readHeader() throws IOException {
        long size = channel.size();
        ByteBuffer length = ByteBuffer.allocate(LENGTH_BYTES).order(ByteOrder.LITTLE_ENDIAN);
        if (size < LENGTH_BYTES) {
            throw damaged("at least 8 bytes", size + " bytes");
        }
        fill(length, 0);
        long bytes = length.getLong(0);
        long most = Math.min(size - LENGTH_BYTES, LONGEST_HEADER);
        if (bytes < 2 || bytes > most) {
            throw damaged(
                    "a header of 2 to " + most + " bytes in a file of " + size,
                    "header size " + Long.toUnsignedString(bytes));
        }
        ByteBuffer buffer = ByteBuffer.allocate(Math.toIntExact(bytes));
        fill(buffer, LENGTH_BYTES);
        return buffer.array();
    }

    private void fill(ByteBuffer buffer, long position) throws IOException {
        while (buffer.hasRemaining()) {
            if (channel.read(buffer, position + buffer.position()) < 0) {
                throw damaged("more bytes", "the end of the file");
            }
        }
    }

    private List<Tensor> tensors(ObjectNode json) throws IOException {
        List<Tensor> found = new ArrayList<>();
        for (Iterator<Map.Entry<String, JsonNode>> fields = json.fields(); fields.hasNext(); ) {
            Map.Entry<String, JsonNode> field = fields.next();
            if (field.getKey().equals(METADATA)) {
                readMetadata(field.getValue());
            } else {
                found.add(tensor(field.getKey(), field.getValue()));
            }
        }
        return Collections.unmodifiableList(found);
    }

    private void readMetadata(JsonNode node) throws IOException {
        if (node.isNull()) {
            return;
        }
        if (!node.isObject()) {
            throw damaged(
                    METADATA + " to be an object of texts", node.getNodeType().toString());
        }
        for (Iterator<Map.Entry<String, JsonNode>> fields = node.fields(); fields.hasNext(); ) {
            Map.Entry<String, JsonNode> field = fields.next();
            if (!field.getValue().isTextual()) {
                throw damaged(METADATA + " \"" + field.getKey() + "\" to be a text", "another value");
            }
            metadata.put(field.getKey(), field.getValue().asText());
        }
    }

    private Tensor tensor(String name, JsonNode node) throws IOException {
        if (!node.isObject() || node.size() != 3) {
            throw damaged("dtype, shape and data_offsets of tensor \"" + name + "\"", "something else");
        }
        List<Long> shape = longs(node.path("shape"), name, "shape");
        List<Long> offsets = longs(node.path("data_offsets"), name, "data_offsets");
        if (offsets.size() != 2) {
            throw damaged("two data_offsets of tensor \"" + name + "\"", String.valueOf(offsets.size()));
        }
        TensorType type = type(node.path("dtype").asText(), name);
        long begin = offsets.get(0);
        long end = offsets.get(1);
        long data = channel.size() - LENGTH_BYTES - header.length;
        if (begin > end || end > data) {
            throw damaged(
                    "data_offsets of tensor \"" + name + "\" within the " + data + " bytes behind the header",
                    begin + " to " + end);
        }
        long bytes = bytes(type, shape, name);
        if (bytes != end - begin) {
            throw damaged(
                    "tensor \"" + name + "\" of type " + type + " and shape " + shape + " to have " + bytes + " bytes",
                    String.valueOf(end - begin));
        }
        return new Tensor(name, type, shape, begin, end);
    }

    private TensorType type(String text, String name) throws IOException {
        try {
            return TensorType.valueOf(text);
        } catch (IllegalArgumentException e) {
            throw damaged("a known dtype of tensor \"" + name + "\"", '"' + text + '"');
        }
    }

    private long bytes(TensorType type, List<Long> shape, String name) throws IOException {
        try {
            long bytes = type.bytes();
            for (long axis : shape) {
                bytes = Math.multiplyExact(bytes, axis);
            }
            return bytes;
        } catch (ArithmeticException e) {
            throw damaged("tensor \"" + name + "\" to fit in the file", "shape " + shape);
        }
    }

    private List<Long> longs(JsonNode array, String name, String key) throws IOException {
        List<Long> values = new ArrayList<>();
        for (JsonNode value : array) {
            if (!value.canConvertToLong() || !value.isIntegralNumber() || value.asLong() < 0) {
                throw damaged(key + " of tensor \"" + name + "\" to be whole numbers of at least 0", value.toString());
            }
            values.add(value.asLong());
        }
        if (!array.isArray()) {
            throw damaged(
                    key + " of tensor \"" + name + "\" to be an array", array.isMissingNode() ? "none" : "no array");
        }
        return values;
    }

    /** Tensors lie one behind the other: none overlaps, and no byte is left over. */
    private void requireWhole() throws IOException {
        List<Tensor> sorted = new ArrayList<>(tensors);
        sorted.sort(Comparator.comparingLong(Tensor::begin).thenComparingLong(Tensor::end));
        long end = 0;
        for (Tensor tensor : sorted) {
            if (tensor.begin() != end) {
                throw damaged(
                        "tensor \"" + tensor.name() + "\" to begin at byte " + end + ", where the one before ends",
                        "byte " + tensor.begin());
            }
            end = tensor.end();
        }
        long data = channel.size() - LENGTH_BYTES - header.length;
        if (end != data) {
            throw damaged("tensors to fill the " + data + " bytes behind the header", end + " bytes");
        }
    }

    private IOException damaged(String expected, String got) {
        return new IOException("file " + file + ": expected " + expected + ", got " + got);
    }

    /** As they stand in the header. */
    List<Tensor> tensors() {
        return tensors;
    }

    /** What the header says beside the tensors. */
    Map<String, String> metadata() {
        return Collections.unmodifiableMap(metadata);
    }

    /** The header's bytes, padding and all. */
    byte[] header() {
        return header.clone();
    }

    /**
     * {@return bytes of a tensor, mapped from the file, little-endian}
     *
     * @param offset of the first, counted from the tensor's
     * @param length number of bytes
     */
    MappedByteBuffer map(Tensor tensor, long offset, int length) throws IOException {
        MappedByteBuffer buffer = channel.map(
                FileChannel.MapMode.READ_ONLY, LENGTH_BYTES + header.length + tensor.begin() + offset, length);
        buffer.order(ByteOrder.LITTLE_ENDIAN);
        return buffer;
    }

    @Override
    public void close() throws IOException {
        channel.close();
    }
}
