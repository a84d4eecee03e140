package io.github.dl4jretention.lm.huggingface;

import io.github.dl4jretention.internal.Workers;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.node.ObjectNode;

/**
 * A model folder as the Python world has it, read: the settings, the small files beside the weights, and how the weights
 * are laid out in their files. {@link #load} makes the network; {@link FolderWriter} writes such a folder.
 */
public final class ModelFolder {

    static final String CONFIG = "config.json";
    static final String WEIGHTS = "model.safetensors";
    static final String INDEX = "model.safetensors.index.json";
    static final String CARD = "README.md";

    /** Of a mask or table, which is kept in memory for saving. */
    private static final long LARGEST_BUFFER = 1L << 28;

    /** What a copy of the model needs beside the weights; a folder has some of them. */
    private static final List<String> SMALL_FILES = List.of(
            CONFIG,
            INDEX,
            "generation_config.json",
            "tokenizer.json",
            "tokenizer_config.json",
            "special_tokens_map.json",
            "added_tokens.json",
            "vocab.json",
            "merges.txt",
            "tokenizer.model",
            "chat_template.jinja",
            "chat_template.json",
            CARD,
            "LICENSE",
            "LICENSE.txt",
            "NOTICE");

    /**
     * A tensor as it was in a file.
     *
     * @param layout   its parameters; null for a buffer
     * @param checksum of its bytes
     * @param buffer   its bytes if it is none of the weights; else null
     */
    record Saved(Tensor tensor, TensorLayout layout, long checksum, byte[] buffer) {}

    /** A file of weights as it was: its header, and its tensors in the header's order. */
    record Shard(String name, byte[] header, Map<String, String> metadata, List<Saved> tensors) {}

    private final Path folder;
    private final Decoder decoder;
    private final Map<String, byte[]> files;
    private final TokenizerFiles tokens;
    private final List<Shard> shards;

    private ModelFolder(
            Path folder, Decoder decoder, Map<String, byte[]> files, TokenizerFiles tokens, List<Shard> shards) {
        this.folder = folder;
        this.decoder = decoder;
        this.files = files;
        this.tokens = tokens;
        this.shards = shards;
    }

    /** What a loaded folder gives.
     *
     * @param folder  for saving
     * @param network with the folder's weights
     */
    public record Loaded(ModelFolder folder, MultiLayerNetwork network) {}

    /**
     * Loads a folder: all of it, or nothing.
     *
     * @param folder with config.json, and model.safetensors or its shards
     * @param type   FLOAT or DOUBLE: of the network's numbers
     * @return the network, and what saving needs
     * @throws IOException if a file is missing, damaged or doesn't fit, or if config.json asks for what this library
     *     doesn't compute; one line that names the file
     */
    public static Loaded load(Path folder, DataType type) throws IOException {
        if (!Files.isDirectory(folder)) {
            throw new IOException("folder: expected a folder with config.json and model.safetensors, got " + folder);
        }
        Config config = new Config(
                JsonFile.object(folder.resolve(CONFIG)), folder.resolve(CONFIG).toString());
        Architecture architecture = Architecture.of(config);
        Decoder decoder = Architecture.decoder(config);
        Map<String, byte[]> files = smallFiles(folder);
        TokenizerFiles tokens = tokens(files, folder, decoder);
        Map<String, SafetensorsFile> open = new LinkedHashMap<>();
        try {
            openShards(folder, architecture, files, open);
            Map<String, Placed> placed = place(folder, open);
            Map<String, TensorLayout> layouts = layouts(folder, architecture, decoder, placed);
            return load(folder, type, decoder, files, tokens, open, placed, layouts, architecture);
        } catch (UncheckedIOException e) {
            throw e.getCause();
        } finally {
            for (SafetensorsFile file : open.values()) {
                file.close();
            }
        }
    }

    private static Map<String, byte[]> smallFiles(Path folder) throws IOException {
        Map<String, byte[]> files = new LinkedHashMap<>();
        for (String name : SMALL_FILES) {
            if (Files.isRegularFile(folder.resolve(name))) {
                files.put(name, JsonFile.bytes(folder.resolve(name)));
            }
        }
        return files;
    }

    private static TokenizerFiles tokens(Map<String, byte[]> files, Path folder, Decoder decoder) throws IOException {
        if (!files.containsKey("tokenizer.json")) {
            return TokenizerFiles.NONE;
        }
        TokenizerFiles tokens = TokenizerFiles.of(files, folder);
        if (tokens.vocabulary() > decoder.vocabulary()) {
            throw new IOException(
                    "file " + folder.resolve("tokenizer.json") + ": expected ids below the model's vocabulary of "
                            + decoder.vocabulary() + ", got " + (tokens.vocabulary() - 1));
        }
        return tokens;
    }

    private static void openShards(
            Path folder, Architecture architecture, Map<String, byte[]> files, Map<String, SafetensorsFile> open)
            throws IOException {
        if (Files.isRegularFile(folder.resolve(WEIGHTS))) {
            files.remove(INDEX);
            open.put(WEIGHTS, SafetensorsFile.open(folder.resolve(WEIGHTS)));
            return;
        }
        if (!files.containsKey(INDEX)) {
            throw new IOException("folder " + folder + ": expected " + WEIGHTS + " or " + INDEX
                    + ", got neither; weights in other formats must be converted to safetensors first");
        }
        String where = "file " + folder.resolve(INDEX);
        JsonNode map = JsonFile.object(files.get(INDEX), where).path("weight_map");
        if (!(map instanceof ObjectNode) || map.isEmpty()) {
            throw new IOException(where + ": weight_map: expected an object of tensors and files, got none");
        }
        for (JsonNode name : map) {
            String text = name.asText();
            if (!name.isTextual() || !isPlain(text)) {
                throw new IOException(
                        where + ": weight_map: expected names of .safetensors files in the same folder, got " + name);
            }
            if (!open.containsKey(text)) {
                open.put(text, SafetensorsFile.open(folder.resolve(text)));
            }
        }
        requireIndexed(where, architecture, map, open);
    }

    /** A name that stays in the folder, on every system. */
    private static boolean isPlain(String name) {
        return name.endsWith(".safetensors")
                && name.chars().noneMatch(c -> c == '/' || c == '\\' || c == ':' || c < ' ');
    }

    /** Each weight is where the index says; buffers needn't be in it. */
    private static void requireIndexed(
            String where, Architecture architecture, JsonNode map, Map<String, SafetensorsFile> open)
            throws IOException {
        int found = 0;
        for (Map.Entry<String, SafetensorsFile> file : open.entrySet()) {
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

    /** A tensor in its file. */
    private record Placed(String shard, SafetensorsFile file, Tensor tensor) {}

    private static Map<String, Placed> place(Path folder, Map<String, SafetensorsFile> open) throws IOException {
        Map<String, Placed> placed = new LinkedHashMap<>();
        for (Map.Entry<String, SafetensorsFile> file : open.entrySet()) {
            for (Tensor tensor : file.getValue().tensors()) {
                Placed before = placed.put(tensor.name(), new Placed(file.getKey(), file.getValue(), tensor));
                if (before != null) {
                    throw new IOException("folder " + folder + ": expected tensor \"" + tensor.name()
                            + "\" once, got it in " + before.shard() + " and " + file.getKey());
                }
            }
        }
        return placed;
    }

    /** {@return by the names in the files, which parameters each tensor holds} Every tensor is accounted for. */
    private static Map<String, TensorLayout> layouts(
            Path folder, Architecture architecture, Decoder decoder, Map<String, Placed> placed) throws IOException {
        String embedding = TensorNames.embedding(architecture);
        String prefix = placed.containsKey(embedding) ? "" : TensorNames.prefix(architecture);
        String output = TensorNames.output(architecture);
        Map<String, TensorLayout> layouts = new LinkedHashMap<>();
        for (TensorLayout layout : TensorNames.layouts(architecture, decoder)) {
            layouts.put(layout.name().equals(output) ? output : prefix + layout.name(), layout);
        }
        if (decoder.tied() && placed.containsKey(output)) {
            layouts.put(output, layouts.get(prefix + embedding));
        }
        for (Map.Entry<String, TensorLayout> layout : layouts.entrySet()) {
            require(folder, layout.getKey(), layout.getValue(), placed.get(layout.getKey()));
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
        return layouts;
    }

    private static void require(Path folder, String name, TensorLayout layout, Placed found) throws IOException {
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

    private static Loaded load(
            Path folder,
            DataType type,
            Decoder decoder,
            Map<String, byte[]> files,
            TokenizerFiles tokens,
            Map<String, SafetensorsFile> open,
            Map<String, Placed> placed,
            Map<String, TensorLayout> layouts,
            Architecture architecture)
            throws IOException {
        MultiLayerNetwork network = new MultiLayerNetwork(decoder.configuration(type));
        INDArray parameters = Nd4j.createUninitialized(type, 1, decoder.parameters());
        try {
            network.init(parameters, false);
            Map<String, Long> checksums = copy(folder, network, placed, layouts, decoder, architecture);
            List<Shard> shards = new ArrayList<>();
            for (Map.Entry<String, SafetensorsFile> file : open.entrySet()) {
                List<Saved> tensors = new ArrayList<>();
                for (Tensor tensor : file.getValue().tensors()) {
                    TensorLayout layout = layouts.get(tensor.name());
                    byte[] buffer = layout == null ? bytes(file.getValue(), tensor) : null;
                    tensors.add(new Saved(tensor, layout, checksums.getOrDefault(tensor.name(), 0L), buffer));
                }
                shards.add(new Shard(
                        file.getKey(), file.getValue().header(), file.getValue().metadata(), tensors));
            }
            return new Loaded(new ModelFolder(folder, decoder, files, tokens, shards), network);
        } catch (IOException | RuntimeException e) {
            parameters.close();
            throw e;
        }
    }

    private static Map<String, Long> copy(
            Path folder,
            MultiLayerNetwork network,
            Map<String, Placed> placed,
            Map<String, TensorLayout> layouts,
            Decoder decoder,
            Architecture architecture)
            throws IOException {
        Weights weights = new Weights(network);
        List<String> names = List.copyOf(layouts.keySet());
        Map<String, Long> checksums = Collections.synchronizedMap(new LinkedHashMap<>());
        Workers.run(names.size(), part -> {
            String name = names.get(part);
            Placed tensor = placed.get(name);
            try {
                checksums.put(
                        name,
                        weights.load(
                                tensor.file(),
                                tensor.tensor(),
                                layouts.get(name),
                                "file " + folder.resolve(tensor.shard())));
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        });
        String output = TensorNames.output(architecture);
        if (decoder.tied() && layouts.containsKey(output)) {
            requireEqual(folder, placed, layouts, output);
        }
        return checksums;
    }

    /** A tied output layer that is in the file too must be the embedding, or the file contradicts config.json. */
    private static void requireEqual(
            Path folder, Map<String, Placed> placed, Map<String, TensorLayout> layouts, String output)
            throws IOException {
        String embedding = layouts.entrySet().stream()
                .filter(e -> e.getValue() == layouts.get(output) && !e.getKey().equals(output))
                .findFirst()
                .orElseThrow()
                .getKey();
        Tensor first = placed.get(embedding).tensor();
        Tensor second = placed.get(output).tensor();
        if (first.type() != second.type() || !equal(placed.get(embedding), placed.get(output))) {
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

    private static byte[] bytes(SafetensorsFile file, Tensor tensor) throws IOException {
        byte[] bytes = new byte[Math.toIntExact(tensor.bytes())];
        file.map(tensor, 0, bytes.length).get(bytes);
        return bytes;
    }

    /** {@return the longest sequence that the model was made for, in tokens} */
    public int contextLength() {
        return decoder.context();
    }

    /** {@return number of token ids} */
    public int vocabulary() {
        return decoder.vocabulary();
    }

    /** {@return what the model is called: as config.json says, or else as its folder} */
    public String name() throws IOException {
        JsonNode name = JsonFile.object(files.get(CONFIG), CONFIG).path("_name_or_path");
        return name.isTextual() && !name.asText().isBlank()
                ? name.asText()
                : String.valueOf(folder.toAbsolutePath().normalize().getFileName());
    }

    /** {@return what the folder says about tokens; {@link TokenizerFiles#NONE} if it has no tokenizer.json} */
    public TokenizerFiles tokens() {
        return tokens;
    }

    Decoder decoder() {
        return decoder;
    }

    Map<String, byte[]> files() {
        return files;
    }

    List<Shard> shards() {
        return shards;
    }
}
