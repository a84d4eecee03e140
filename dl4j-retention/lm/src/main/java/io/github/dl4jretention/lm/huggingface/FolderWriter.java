package io.github.dl4jretention.lm.huggingface;

import io.github.dl4jretention.lm.huggingface.ModelFolder.Saved;
import io.github.dl4jretention.lm.huggingface.ModelFolder.Shard;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.UUID;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.nd4j.shade.jackson.databind.node.ArrayNode;
import org.nd4j.shade.jackson.databind.node.ObjectNode;

/**
 * Writes a model folder like the one that was read: the same files, and in them the same tensors in the same order. If
 * the weights are those that were read, the files are the same to the byte. The folder appears at once, complete and
 * forced to the disk, or not at all.
 */
public final class FolderWriter {

    /** Where the header of a file of weights says what made them. */
    public static final String PROVENANCE = "dl4j-retention";

    private static final int ALIGNMENT = 8;

    private final ModelFolder source;
    private final NetworkParameters parameters;
    private final Weights weights;
    private final @Nullable TensorType type;
    private final String provenance;
    private final String card;

    /**
     * Writes nothing yet.
     *
     * @param source     the folder that was read
     * @param parameters the network's weights, which are written
     * @param type       F32, F16 or BF16 for all weights; null for what each was
     * @param provenance what made the weights, for the files' headers, if they aren't those of the source
     * @param card       the README.md in this case
     */
    public FolderWriter(
            ModelFolder source, NetworkParameters parameters, @Nullable String type, String provenance, String card) {
        this.source = source;
        this.parameters = parameters;
        this.weights = new Weights(parameters);
        this.type = type == null ? null : TensorType.valueOf(type);
        this.provenance = provenance;
        this.card = card;
    }

    /**
     * Writes the folder.
     *
     * @param folder not there yet, or empty
     * @throws IOException if it has files, if it can't be written, or if a weight isn't finite or too large for its
     *     type; nothing is left behind
     */
    public void write(Path folder) throws IOException {
        requireFree(folder);
        requireFits();
        writeWhole(folder, part -> {
            if (isSame()) {
                writeSmall(part, source.files());
                for (Shard shard : source.shards()) {
                    writeShard(part, shard, shard.header(), false);
                }
            } else {
                writeChanged(part);
            }
        });
    }

    /** Writes the files of a folder. */
    interface Contents {
        void write(Path folder) throws IOException;
    }

    /**
     * Writes a folder that appears at once and complete, or not at all.
     *
     * @param folder not there yet, or empty
     * @param files  writes into a folder that becomes this one
     */
    static void writeWhole(Path folder, Contents files) throws IOException {
        requireFree(folder);
        // A link stays; what it points to is replaced.
        Path whole = Files.exists(folder)
                ? folder.toRealPath()
                : folder.toAbsolutePath().normalize();
        Path parent = Objects.requireNonNull(whole.getParent(), "folder");
        List<Path> created = missing(parent);
        // Not a temporary directory, which nobody else may read.
        Path part = parent.resolve("." + whole.getFileName() + ".part" + UUID.randomUUID());
        boolean written = false;
        try {
            Files.createDirectories(parent);
            Files.createDirectory(part);
            files.write(part);
            force(part);
            Files.deleteIfExists(whole);
            Files.move(part, whole, StandardCopyOption.ATOMIC_MOVE);
            force(parent);
            written = true;
        } catch (UncheckedIOException e) {
            throw e.getCause();
        } finally {
            delete(part);
            if (!written) {
                deleteEmpty(created);
            }
        }
    }

    private static void deleteEmpty(List<Path> folders) {
        try {
            for (Path path : folders) {
                Files.deleteIfExists(path);
            }
        } catch (IOException e) {
            // Somebody else has put something there: it stays, and what went wrong before is told.
            return;
        }
    }

    /** {@return folders above that aren't there yet, the deepest first} */
    private static List<Path> missing(Path parent) {
        List<Path> missing = new ArrayList<>();
        for (Path path = parent; path != null && !Files.exists(path); path = path.getParent()) {
            missing.add(path);
        }
        return missing;
    }

    private static void requireFree(Path folder) throws IOException {
        if (!Files.exists(folder, LinkOption.NOFOLLOW_LINKS)) {
            return;
        }
        if (Files.isDirectory(folder)) {
            try (Stream<Path> files = Files.list(folder)) {
                if (files.findAny().isEmpty()) {
                    return;
                }
            }
        }
        throw new IOException(
                "folder: expected a new or an empty one, got " + folder + "; name another, or remove it first");
    }

    /** Before anything is written: all parameters are there. */
    private void requireFits() {
        if (parameters.layers() != source.decoder().outputLayer() + 1
                || parameters.count() != source.decoder().parameters()) {
            throw new IllegalArgumentException("network: expected the layers of the loaded model, "
                    + source.decoder().parameters() + " parameters in "
                    + (source.decoder().outputLayer() + 1) + " layers, got " + parameters.count() + " in "
                    + parameters.layers());
        }
    }

    private boolean isSame() throws IOException {
        for (Shard shard : source.shards()) {
            for (Saved saved : shard.tensors()) {
                if (saved.layout() != null
                        && (typeOf(saved) != saved.tensor().type()
                                || weights.checksum(
                                                saved.layout(), saved.tensor().type())
                                        != saved.checksum())) {
                    return false;
                }
            }
        }
        return true;
    }

    private TensorType typeOf(Saved saved) {
        return type == null || saved.layout() == null ? saved.tensor().type() : type;
    }

    private void writeChanged(Path part) throws IOException {
        Map<String, byte[]> files = new LinkedHashMap<>(source.files());
        files.put(ModelFolder.CARD, card.getBytes(StandardCharsets.UTF_8));
        if (type != null) {
            files.put(ModelFolder.CONFIG, config());
        }
        long total = 0;
        for (Shard shard : source.shards()) {
            writeShard(part, shard, header(shard), true);
            for (Saved saved : shard.tensors()) {
                total += bytes(saved);
            }
        }
        if (type != null && files.containsKey(ModelFolder.INDEX)) {
            ObjectNode index = JsonFile.object(files.get(ModelFolder.INDEX), ModelFolder.INDEX);
            ObjectNode metadata = index.get("metadata") instanceof ObjectNode old ? old : index.putObject("metadata");
            metadata.put("total_size", total);
            files.put(
                    ModelFolder.INDEX,
                    JsonFile.MAPPER.writerWithDefaultPrettyPrinter().writeValueAsBytes(index));
        }
        writeSmall(part, files);
    }

    private byte[] config() throws IOException {
        ObjectNode config = JsonFile.object(
                Objects.requireNonNull(source.files().get(ModelFolder.CONFIG), ModelFolder.CONFIG), ModelFolder.CONFIG);
        String name =
                switch (type) {
                    case F16 -> "float16";
                    case BF16 -> "bfloat16";
                    default -> "float32";
                };
        config.put(config.has("dtype") ? "dtype" : "torch_dtype", name);
        return JsonFile.MAPPER.writerWithDefaultPrettyPrinter().writeValueAsBytes(config);
    }

    static void writeSmall(Path part, Map<String, byte[]> files) throws IOException {
        for (Map.Entry<String, byte[]> file : files.entrySet()) {
            writeLarge(part.resolve(file.getKey()), sink -> sink.accept(ByteBuffer.wrap(file.getValue())));
        }
    }

    /** Gives a file's bytes from the first to the last, a part at a time. */
    interface Parts {
        void writeTo(Weights.Sink sink) throws IOException;
    }

    /** Writes a file that may be larger than memory, and forces it to the disk. */
    static void writeLarge(Path file, Parts parts) throws IOException {
        try (FileChannel channel = open(file)) {
            parts.writeTo(bytes -> write(file, channel, bytes));
            channel.force(true);
        }
    }

    private static FileChannel open(Path file) throws IOException {
        return FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
    }

    private static List<Saved> inOrderOfData(Shard shard) {
        List<Saved> tensors = new ArrayList<>(shard.tensors());
        tensors.sort(Comparator.<Saved>comparingLong(saved -> saved.tensor().begin())
                .thenComparingLong(saved -> saved.tensor().end()));
        return tensors;
    }

    private long bytes(Saved saved) {
        return saved.tensor().bytes()
                / saved.tensor().type().bytes()
                * typeOf(saved).bytes();
    }

    /** The old header with the new types and places, and what made the weights. */
    private byte[] header(Shard shard) throws IOException {
        Map<String, Long> begins = new LinkedHashMap<>();
        long at = 0;
        for (Saved saved : inOrderOfData(shard)) {
            begins.put(saved.tensor().name(), at);
            at += bytes(saved);
        }
        ObjectNode json = JsonFile.MAPPER.createObjectNode();
        ObjectNode metadata = json.putObject(SafetensorsFile.METADATA);
        shard.metadata().forEach(metadata::put);
        metadata.put(PROVENANCE, provenance);
        for (Saved saved : shard.tensors()) {
            Tensor tensor = saved.tensor();
            ObjectNode node = json.putObject(tensor.name());
            node.put("dtype", typeOf(saved).name());
            ArrayNode shape = node.putArray("shape");
            tensor.shape().forEach(shape::add);
            long begin = Objects.requireNonNull(begins.get(tensor.name()), tensor.name());
            node.putArray("data_offsets").add(begin).add(begin + bytes(saved));
        }
        StringBuilder text = new StringBuilder(JsonFile.MAPPER.writeValueAsString(json));
        int length = text.toString().getBytes(StandardCharsets.UTF_8).length;
        text.append(" ".repeat(Math.floorMod(-length, ALIGNMENT)));
        return text.toString().getBytes(StandardCharsets.UTF_8);
    }

    private void writeShard(Path part, Shard shard, byte[] header, boolean changed) throws IOException {
        writeLarge(part.resolve(shard.name()), sink -> {
            writeHeader(header, sink);
            for (Saved saved : inOrderOfData(shard)) {
                if (saved.layout() == null) {
                    sink.accept(ByteBuffer.wrap(saved.buffer()));
                } else {
                    weights.save(
                            saved.layout(),
                            changed ? typeOf(saved) : saved.tensor().type(),
                            sink);
                }
            }
        });
    }

    /** Of a safetensors file. */
    static void writeHeader(byte[] header, Weights.Sink sink) throws IOException {
        ByteBuffer length = ByteBuffer.allocate(Long.BYTES).order(ByteOrder.LITTLE_ENDIAN);
        sink.accept(length.putLong(0, header.length));
        sink.accept(ByteBuffer.wrap(header));
    }

    /** Java's own message says what's wrong with the disk, but not where. */
    private static void write(Path file, FileChannel channel, ByteBuffer bytes) throws IOException {
        try {
            while (bytes.hasRemaining()) {
                channel.write(bytes);
            }
        } catch (IOException e) {
            throw new IOException(
                    "file " + file + ": expected room for " + bytes.remaining() + " more bytes, got: " + e.getMessage()
                            + "; what was written of its folder is removed",
                    e);
        }
    }

    private static void force(Path folder) {
        try (FileChannel channel = FileChannel.open(folder, StandardOpenOption.READ)) {
            channel.force(true);
        } catch (IOException e) {
            // Some systems know no folder by itself; the files in it are forced already.
            return;
        }
    }

    private static void delete(Path part) throws IOException {
        if (!Files.exists(part)) {
            return;
        }
        try (Stream<Path> files = Files.list(part)) {
            for (Path file : files.toList()) {
                Files.delete(file);
            }
        }
        Files.delete(part);
    }
}
