package io.github.dl4jretention.lm.huggingface;

import io.github.dl4jretention.internal.Workers;
import java.io.Closeable;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.EnumSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.node.ObjectNode;

/**
 * The files of weights of a model folder, open: one, or the shards that the index names. Once they're open, each tensor is
 * one that config.json describes, of its shape, or a buffer, and none is missing.
 */
final class WeightFiles implements Closeable {

    /** Of a mask or table, which is kept in memory for saving. */
    private static final long LARGEST_BUFFER = 1L << 28;

    private final Path folder;
    private final Architecture architecture;
    private final Decoder decoder;
    private final Map<String, SafetensorsFile> files = new LinkedHashMap<>();
    private final Map<String, Placed> placed = new LinkedHashMap<>();
    private final Map<String, TensorLayout> layouts = new LinkedHashMap<>();

    /** A tensor in its file. */
    private record Placed(String shard, SafetensorsFile file, Tensor tensor) {}

    private WeightFiles(Path folder, Architecture architecture, Decoder decoder) {
        this.folder = folder;
        this.architecture = architecture;
        this.decoder = decoder;
    }

    /**
     * Opens and checks all files.
     *
     * @param small the folder's other files by name, from which an index that isn't in use is taken away
     * @throws IOException if one is missing or damaged, or doesn't fit the others
     */
    static WeightFiles open(Path folder, Architecture architecture, Decoder decoder, Map<String, byte[]> small)
            throws IOException {
        WeightFiles weights = new WeightFiles(folder, architecture, decoder);
        try {
            weights.openShards(small);
            weights.place();
            weights.describe();
            return weights;
        } catch (IOException | RuntimeException e) {
            weights.close();
            throw e;
        }
    }

    /** By name, in the index's order. */
    Map<String, SafetensorsFile> files() {
        return files;
    }

    /** Which parameters each tensor holds, by the names in the files; buffers aren't in it. */
    Map<String, TensorLayout> layouts() {
        return layouts;
    }

    private void openShards(Map<String, byte[]> small) throws IOException {
        if (Files.isRegularFile(folder.resolve(ModelFolder.WEIGHTS))) {
            small.remove(ModelFolder.INDEX);
            files.put(ModelFolder.WEIGHTS, SafetensorsFile.open(folder.resolve(ModelFolder.WEIGHTS)));
            return;
        }
        if (!small.containsKey(ModelFolder.INDEX)) {
            throw new IOException("folder " + folder + ": expected " + ModelFolder.WEIGHTS + " or " + ModelFolder.INDEX
                    + ", got neither; weights in other formats must be converted to safetensors first");
        }
        String where = "file " + folder.resolve(ModelFolder.INDEX);
        JsonNode map = JsonFile.object(small.get(ModelFolder.INDEX), where).path("weight_map");
        if (!(map instanceof ObjectNode) || map.isEmpty()) {
            throw new IOException(where + ": weight_map: expected an object of tensors and files, got none");
        }
        for (JsonNode name : map) {
            String text = name.asText();
            if (!name.isTextual() || !isPlain(text)) {
                throw new IOException(
                        where + ": weight_map: expected names of .safetensors files in the same folder, got " + name);
            }
            if (!files.containsKey(text)) {
                files.put(text, SafetensorsFile.open(folder.resolve(text)));
            }
        }
        requireIndexed(where, map);
    }

    /** A name that stays in the folder, on every system. */
    private static boolean isPlain(String name) {
        return name.endsWith(".safetensors")
                && name.chars().noneMatch(c -> c == '/' || c == '\\' || c == ':' || c < ' ');
    }

    /** Each weight is where the index says; buffers needn't be in it. */
    private void requireIndexed(String where, JsonNode map) throws IOException {
        int found = 0;
        for (Map.Entry<String, SafetensorsFile> file : files.entrySet()) {
            for (Tensor tensor : file.getValue().tensors()) {
                if (!map.has(tensor.name()) && TensorNames.isBuffer(architecture, tensor.name())) {
                    continue;
                }
                found++;
                String indexed = map.path(tensor.name()).asText("none");
                if (!indexed.equals(file.getKey())) {
                    throw new IOException(where + ": weight_map: expected tensor \"" + tensor.name() + "\" in "
                            + file.getKey() + ", where it is, got " + indexed);
                }
            }
        }
        if (found != map.size()) {
            throw new IOException(
                    where + ": weight_map: expected the " + found + " tensors of its files, got " + map.size());
        }
    }

    private void place() throws IOException {
        for (Map.Entry<String, SafetensorsFile> file : files.entrySet()) {
            for (Tensor tensor : file.getValue().tensors()) {
                Placed before = placed.put(tensor.name(), new Placed(file.getKey(), file.getValue(), tensor));
                if (before != null) {
                    throw new IOException("folder " + folder + ": expected tensor \"" + tensor.name()
                            + "\" once, got it in " + before.shard() + " and " + file.getKey());
                }
            }
        }
    }

    /** Every tensor is accounted for. */
    private void describe() throws IOException {
        String embedding = TensorNames.embedding(architecture);
        String prefix = placed.containsKey(embedding) ? "" : TensorNames.prefix(architecture);
        String output = TensorNames.output(architecture);
        for (TensorLayout layout : TensorNames.layouts(architecture, decoder)) {
            layouts.put(layout.name().equals(output) ? output : prefix + layout.name(), layout);
        }
        if (decoder.tied() && placed.containsKey(output)) {
            layouts.put(output, layouts.get(prefix + embedding));
        }
        for (Map.Entry<String, TensorLayout> layout : layouts.entrySet()) {
            require(layout.getKey(), layout.getValue(), placed.get(layout.getKey()));
        }
        for (Placed found : placed.values()) {
            String name = found.tensor().name();
            boolean buffer = name.startsWith(prefix) && TensorNames.isBuffer(architecture, name);
            if (buffer && found.tensor().bytes() > LARGEST_BUFFER) {
                throw new IOException("file " + folder.resolve(found.shard()) + ": expected tensor \"" + name
                        + "\", which isn't a weight, to have at most " + LARGEST_BUFFER + " bytes, got "
                        + found.tensor().bytes());
            }
            if (!layouts.containsKey(name) && !buffer) {
                throw new IOException("file " + folder.resolve(found.shard()) + ": expected the tensors that "
                        + "config.json describes, got \"" + name + "\" of shape "
                        + found.tensor().shape()
                        + " beside them");
            }
        }
    }

    private void require(String name, TensorLayout layout, @Nullable Placed found) throws IOException {
        if (found == null) {
            throw new IOException("folder " + folder + ": expected tensor \"" + name + "\" of shape " + layout.shape()
                    + ", as config.json describes, got none");
        }
        if (!found.tensor().shape().equals(layout.shape())) {
            throw new IOException("file " + folder.resolve(found.shard()) + ": tensor \"" + name + "\": expected shape "
                    + layout.shape() + ", as config.json describes, got "
                    + found.tensor().shape());
        }
        if (!found.tensor().type().isWeight()) {
            throw new IOException("file " + folder.resolve(found.shard()) + ": tensor \"" + name
                    + "\": expected dtype F32, F16 or BF16, got "
                    + found.tensor().type());
        }
    }

    /** {@return the type of all weights; null if they are of several} */
    @Nullable
    TensorType type() {
        Set<TensorType> types = EnumSet.noneOf(TensorType.class);
        layouts.keySet().forEach(name -> types.add(placed(name).tensor().type()));
        return types.size() == 1 ? types.iterator().next() : null;
    }

    /**
     * Copies all weights into a network.
     *
     * @return the checksum of each tensor's bytes
     * @throws IOException if a number isn't finite, or a tied output layer isn't the embedding
     */
    Map<String, Long> copyTo(NetworkParameters parameters) throws IOException {
        Weights weights = new Weights(parameters);
        List<String> names = List.copyOf(layouts.keySet());
        Map<String, Long> checksums = Collections.synchronizedMap(new LinkedHashMap<>());
        try {
            Workers.run(names.size(), part -> {
                String name = names.get(part);
                Placed tensor = placed(name);
                try {
                    String where = "file " + folder.resolve(tensor.shard());
                    checksums.put(
                            name,
                            weights.load(
                                    tensor.file(),
                                    tensor.tensor(),
                                    Objects.requireNonNull(layouts.get(name), name),
                                    where));
                } catch (IOException e) {
                    throw new UncheckedIOException(e);
                }
            });
        } catch (UncheckedIOException e) {
            throw e.getCause();
        }
        String output = TensorNames.output(architecture);
        if (decoder.tied() && layouts.containsKey(output)) {
            requireEqual(output);
        }
        return checksums;
    }

    private Placed placed(String name) {
        return Objects.requireNonNull(placed.get(name), name);
    }

    /** A tied output layer that is in the file too must be the embedding, or the file contradicts config.json. */
    private void requireEqual(String output) throws IOException {
        String embedding = layouts.entrySet().stream()
                .filter(e -> e.getValue() == layouts.get(output) && !e.getKey().equals(output))
                .findFirst()
                .orElseThrow()
                .getKey();
        Tensor first = placed(embedding).tensor();
        Tensor second = placed(output).tensor();
        if (first.type() != second.type() || !equal(placed(embedding), placed(output))) {
            throw new IOException("folder " + folder + ": tie_word_embeddings: expected tensors \"" + embedding
                    + "\" and \"" + output + "\" to be equal, got different ones");
        }
    }

    private static boolean equal(Placed first, Placed second) throws IOException {
        long length = first.tensor().bytes();
        int most = 1 << 30;
        for (long at = 0; at < length; at += most) {
            int part = (int) Math.min(most, length - at);
            if (first.file()
                            .map(first.tensor(), at, part)
                            .mismatch(second.file().map(second.tensor(), at, part))
                    >= 0) {
                return false;
            }
        }
        return length == second.tensor().bytes();
    }

    @Override
    public void close() throws IOException {
        for (SafetensorsFile file : files.values()) {
            file.close();
        }
    }
}
