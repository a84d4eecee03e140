package io.github.dl4jretention.lm.keras;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.modelimport.keras.Hdf5Archive;
import org.deeplearning4j.nn.modelimport.keras.KerasModel;
import org.deeplearning4j.nn.modelimport.keras.KerasSequentialModel;
import org.deeplearning4j.nn.modelimport.keras.exceptions.InvalidKerasConfigurationException;
import org.deeplearning4j.nn.modelimport.keras.exceptions.UnsupportedKerasConfigurationException;
import org.deeplearning4j.nn.modelimport.keras.utils.KerasModelBuilder;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.shade.jackson.core.JsonProcessingException;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;
import org.nd4j.shade.jackson.databind.node.ObjectNode;

/** A Keras 2 model: one HDF5 file, or one with the weights and a JSON file with the architecture. */
final class KerasFile {

    private static final byte[] HDF5 = HexFormat.of().parseHex("894844460d0a1a0a");
    private static final byte[] ZIP = HexFormat.of().parseHex("504b0304");

    private static final String VERSION = "keras_version";
    private static final int VERSION_LENGTH = 5;
    private static final String BACKEND = "backend";
    private static final String MODEL = "model_config";
    private static final String KERAS_3 =
            " is from Keras 3, and DL4J reads Keras 2's .h5 files. Build the model in Keras 2"
                    + " (pip install tf_keras), load its weights there, and call model.save(\"model.h5\")";

    /** How a builder's model becomes a network. */
    @FunctionalInterface
    private interface Import<T> {
        T of(KerasModelBuilder builder)
                throws IOException, InvalidKerasConfigurationException, UnsupportedKerasConfigurationException;
    }

    private final Path file;
    private final @Nullable Path json;

    /** @param json null if the model is in the file itself */
    KerasFile(Path file, @Nullable Path json) {
        this.file = file;
        this.json = json;
    }

    MultiLayerNetwork sequential() throws IOException {
        return load(List.of("Sequential"), "functional", builder -> {
            KerasSequentialModel model = builder.buildSequential();
            MultiLayerNetwork network = model.getMultiLayerNetwork();
            requireShapes(model, network.getLayers());
            return network;
        });
    }

    ComputationGraph functional() throws IOException {
        return load(List.of("Functional", "Model"), "sequential", builder -> {
            KerasModel model = builder.buildModel();
            ComputationGraph graph = model.getComputationGraph();
            requireShapes(model, graph.getLayers());
            return graph;
        });
    }

    /** DL4J copies what it can of weights of another size, and leaves the rest random. */
    private void requireShapes(KerasModel model, Layer[] layers) throws IOException {
        for (Layer layer : layers) {
            String name = layer.conf().getLayer().getLayerName();
            for (Map.Entry<String, INDArray> parameter : layer.paramTable().entrySet()) {
                INDArray weights = Objects.requireNonNull(model.getLayers().get(name), name)
                        .getWeights()
                        .get(parameter.getKey());
                if (weights == null || weights.length() != parameter.getValue().length()) {
                    throw new IOException(
                            file + ": layer \"" + name + "\": expected " + parameter.getKey() + " of shape "
                                    + Arrays.toString(parameter.getValue().shape()) + ", got "
                                    + (weights == null ? "none" : Arrays.toString(weights.shape()))
                                    + ": the weights are those of another model");
                }
            }
        }
    }

    private <T> T load(List<String> classes, String otherMethod, Import<T> network) throws IOException {
        requireHdf5();
        try (KerasModelBuilder builder = new KerasModel().modelBuilder()) {
            ObjectNode model = open(builder);
            String name = model.path("class_name").asText();
            if (!classes.contains(name)) {
                throw new IOException(source() + " holds a " + name + " model: load it by KerasModels." + otherMethod);
            }
            List<String> layers = model.findValuesAsText("class_name");
            if (layers.contains("CuDNNLSTM") || layers.contains("CuDNNGRU")) {
                throw new IOException(
                        source() + " has a layer of CuDNN weights, which DL4J can't read. In Keras, build the"
                                + " same model from LSTM layers, call its load_weights on this file, which converts the"
                                + " weights, and save that model");
            }
            // Keras' default for recurrent weights. The file's weights replace what's drawn here, but the SVD that an
            // orthogonal matrix takes often never ends in FLOAT.
            builder.modelJson(model.toString().replace("\"Orthogonal\"", "\"GlorotUniform\""));
            builder.enforceTrainingConfig(false);
            return network.of(builder);
        } catch (InvalidKerasConfigurationException
                | UnsupportedKerasConfigurationException
                | RuntimeException
                | NoClassDefFoundError e) {
            throw new IOException(
                    file + ": DL4J can't import this model: "
                            + String.valueOf(e.getMessage()).replaceAll("\\s+", " "),
                    e);
        } catch (UnsatisfiedLinkError e) {
            throw new IOException(
                    "The HDF5 library for this system isn't on the class path: add the dependency"
                            + " org.bytedeco:hdf5-platform:1.12.1-1.5.7",
                    e);
        }
    }

    private Path source() {
        return json == null ? file : json;
    }

    private void requireHdf5() throws IOException {
        if (Files.isDirectory(file)) {
            throw new IOException(
                    file + " is a folder, and DL4J reads .h5 files: in Keras 2, call model.save(\"model.h5\")");
        }
        if (!Files.exists(file)) {
            throw new NoSuchFileException(file.toString(), null, "there's no such file");
        }
        try (RandomAccessFile bytes = new RandomAccessFile(file.toFile(), "r")) {
            if (startsWith(bytes, 0, ZIP)) {
                throw new IOException(file + KERAS_3);
            }
            // The signature comes first, or after a user's block of 512 bytes, or of twice that, and so on.
            for (long at = 0; at < bytes.length(); at = Math.max(512, 2 * at)) {
                if (startsWith(bytes, at, HDF5)) {
                    return;
                }
            }
        }
        throw new IOException(file + " isn't an HDF5 file: in Keras 2, call model.save(\"model.h5\")");
    }

    private static boolean startsWith(RandomAccessFile bytes, long at, byte[] signature) throws IOException {
        byte[] start = new byte[signature.length];
        if (bytes.length() < at + start.length) {
            return false;
        }
        bytes.seek(at);
        bytes.readFully(start);
        return Arrays.equals(start, signature);
    }

    /** Opens the file's weights and returns the model's configuration with its version and backend, as DL4J wants it. */
    private ObjectNode open(KerasModelBuilder builder) throws IOException, UnsupportedKerasConfigurationException {
        if (json == null) {
            builder.weightsHdf5Filename(file.toString());
        } else {
            builder.weightsHdf5FilenameNoRoot(file.toString());
        }
        Hdf5Archive archive = builder.getWeightsArchive();
        if (json == null && !archive.hasAttribute(MODEL)) {
            throw new IOException(
                    file + " holds weights but no model. In Keras, write model.to_json() to a file and pass"
                            + " both: KerasModels.sequential(json, weights) or functional(json, weights)");
        }
        ObjectNode model = json == null ? parse(file, archive.readAttributeAsJson(MODEL)) : parse(json, read(json));
        if (!model.has(VERSION) && archive.hasAttribute(VERSION)) {
            model.put(VERSION, archive.readAttributeAsFixedLengthString(VERSION, VERSION_LENGTH));
        }
        if (!model.has(BACKEND) && archive.hasAttribute(BACKEND)) {
            model.put(BACKEND, archive.readAttributeAsString(BACKEND));
        }
        if (model.path(VERSION).asText().startsWith("3")) {
            throw new IOException(source() + KERAS_3);
        }
        return model;
    }

    private static String read(Path json) throws IOException {
        if (!Files.exists(json)) {
            throw new NoSuchFileException(json.toString(), null, "there's no such file");
        }
        return Files.readString(json);
    }

    private static ObjectNode parse(Path source, String text) throws IOException {
        try {
            JsonNode node = new ObjectMapper().readTree(text);
            if (node instanceof ObjectNode model) {
                return model;
            }
        } catch (JsonProcessingException e) {
            throw new IOException(source + " isn't the JSON of a Keras model: " + e.getOriginalMessage(), e);
        }
        throw new IOException(source + " isn't the JSON of a Keras model: expected what model.to_json() returns");
    }
}
