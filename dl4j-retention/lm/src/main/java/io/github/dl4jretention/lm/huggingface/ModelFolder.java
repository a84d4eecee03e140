package io.github.dl4jretention.lm.huggingface;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.shade.jackson.databind.JsonNode;

/**
 * A model folder as the Python world has it, read: the settings, the small files beside the weights, and how the weights
 * are laid out in their files. {@link #load} makes the network; {@link FolderWriter} writes such a folder.
 */
public final class ModelFolder {

    static final String CONFIG = "config.json";
    static final String WEIGHTS = "model.safetensors";
    static final String INDEX = "model.safetensors.index.json";
    static final String CARD = "README.md";

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
    record Saved(Tensor tensor, @Nullable TensorLayout layout, long checksum, byte @Nullable [] buffer) {}

    /** A file of weights as it was: its header, and its tensors in the header's order. */
    record Shard(String name, byte[] header, Map<String, String> metadata, List<Saved> tensors) {}

    private final Path folder;
    private final Architecture architecture;
    private final Decoder decoder;
    private final Map<String, byte[]> files;
    private final TokenizerFiles tokens;
    private final List<Shard> shards;

    private ModelFolder(
            Path folder,
            Architecture architecture,
            Decoder decoder,
            Map<String, byte[]> files,
            TokenizerFiles tokens,
            List<Shard> shards) {
        this.folder = folder;
        this.architecture = architecture;
        this.decoder = decoder;
        this.files = files;
        this.tokens = tokens;
        this.shards = shards;
    }

    /**
     * What a loaded folder gives.
     *
     * @param folder  for saving
     * @param network with the folder's weights
     */
    public record Loaded(ModelFolder folder, MultiLayerNetwork network) {}

    /**
     * What a folder gives whose weights stay as they are.
     *
     * @param folder     for saving
     * @param network    the configuration of its network, of FLOAT
     * @param parameters the folder's weights, of the type that they have in its files
     */
    public record Held(ModelFolder folder, MultiLayerConfiguration network, INDArray parameters) {}

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
        Held held = read(folder, type, false);
        MultiLayerNetwork network = new MultiLayerNetwork(held.network());
        network.init(held.parameters(), false);
        return new Loaded(held.folder(), network);
    }

    /**
     * Loads a folder's weights as they are, if all of them are F16 or BF16; others become FLOAT.
     *
     * @param folder with config.json, and model.safetensors or its shards
     * @return the weights, and what saving needs
     * @throws IOException as {@link #load} does
     */
    public static Held hold(Path folder) throws IOException {
        return read(folder, DataType.FLOAT, true);
    }

    private static Held read(Path folder, DataType type, boolean halves) throws IOException {
        if (!Files.isDirectory(folder)) {
            throw new IOException("folder: expected a folder with config.json and model.safetensors, got " + folder);
        }
        Config config = new Config(
                JsonFile.object(folder.resolve(CONFIG)), folder.resolve(CONFIG).toString());
        Architecture architecture = Architecture.of(config);
        Decoder decoder = Architecture.decoder(config);
        Map<String, byte[]> files = smallFiles(folder);
        TokenizerFiles tokens = tokens(files, folder, decoder);
        try (WeightFiles weights = WeightFiles.open(folder, architecture, decoder, files)) {
            MultiLayerConfiguration network = decoder.configuration(type);
            // A vector: of a matrix DL4J's params() would give a view, whose close() frees nothing.
            INDArray parameters =
                    Nd4j.createUninitialized(halves ? held(weights.type(), type) : type, decoder.parameters());
            boolean loaded = false;
            try {
                List<Shard> shards = shards(weights, weights.copyTo(new NetworkParameters(network, parameters)));
                loaded = true;
                return new Held(
                        new ModelFolder(folder, architecture, decoder, files, tokens, shards), network, parameters);
            } finally {
                // Whatever was thrown, errors too.
                if (!loaded) {
                    parameters.close();
                }
            }
        }
    }

    private static DataType held(@Nullable TensorType ofWeights, DataType otherwise) {
        return ofWeights == TensorType.BF16
                ? DataType.BFLOAT16
                : ofWeights == TensorType.F16 ? DataType.FLOAT16 : otherwise;
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

    /** {@return the files of weights as they are now, with a copy of what isn't a weight} */
    private static List<Shard> shards(WeightFiles weights, Map<String, Long> checksums) throws IOException {
        List<Shard> shards = new ArrayList<>();
        for (Map.Entry<String, SafetensorsFile> file : weights.files().entrySet()) {
            List<Saved> tensors = new ArrayList<>();
            for (Tensor tensor : file.getValue().tensors()) {
                TensorLayout layout = weights.layouts().get(tensor.name());
                byte[] buffer = layout == null ? bytes(file.getValue(), tensor) : null;
                tensors.add(new Saved(tensor, layout, checksums.getOrDefault(tensor.name(), 0L), buffer));
            }
            shards.add(new Shard(
                    file.getKey(), file.getValue().header(), file.getValue().metadata(), tensors));
        }
        return shards;
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

    /** {@return number of the model's parameters} */
    public long parameters() {
        return decoder.parameters();
    }

    /** {@return number of token ids} */
    public int vocabulary() {
        return decoder.vocabulary();
    }

    /**
     * {@return what the model is called: as config.json says, or else as its folder}
     *
     * @throws IOException if config.json can't be read
     */
    public String name() throws IOException {
        JsonNode name = JsonFile.object(Objects.requireNonNull(files.get(CONFIG), CONFIG), CONFIG)
                .path("_name_or_path");
        return name.isTextual() && !name.asText().isBlank()
                ? name.asText()
                : String.valueOf(folder.toAbsolutePath().normalize().getFileName());
    }

    /** {@return where it was loaded from} */
    public Path path() {
        return folder;
    }

    /** {@return what the folder says about tokens; {@link TokenizerFiles#NONE} if it has no tokenizer.json} */
    public TokenizerFiles tokens() {
        return tokens;
    }

    Architecture architecture() {
        return architecture;
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
