package io.github.dl4jretention.lm.keras;

import static io.github.dl4jretention.Networks.assertClose;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.lm.ModelFiles;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.LossLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.activations.Activation;

/** Which files load, and what is said of those that don't. */
class KerasFileTest {

    private static final Path ARCHITECTURE = ModelFiles.path("char_lstm_architecture.json");
    private static final Path WEIGHTS = ModelFiles.path("char_lstm_weights.h5");

    @TempDir
    private Path folder;

    private static String refused(Executable load) {
        return refused(IOException.class, load);
    }

    private static String refused(Class<? extends Exception> type, Executable load) {
        String message = assertThrows(type, load).getMessage();
        assertEquals(1, message.lines().count(), message);
        return message;
    }

    private static void assertContains(String part, String message) {
        assertTrue(message.contains(part), message);
    }

    private Path write(String name, String content) throws IOException {
        return Files.writeString(folder.resolve(name), content);
    }

    private Path architecture(String word, String replacement) throws IOException {
        String json = Files.readString(ARCHITECTURE);
        assertContains(word, json);
        return write("architecture.json", json.replace(word, replacement));
    }

    @Test
    void a_model_loads_from_its_architecture_and_its_weights() throws IOException {
        MultiLayerNetwork split = KerasModels.sequential(ARCHITECTURE, WEIGHTS);
        MultiLayerNetwork whole = KerasModels.sequential(ModelFiles.path("char_lstm.h5"));
        assertClose(whole.params(), split.params(), 0);
    }

    @Test
    void an_architecture_takes_its_version_and_backend_from_the_weights() throws IOException {
        Path plain = architecture(", \"keras_version\": \"2.4.0\", \"backend\": \"tensorflow\"", "");
        assertClose(
                KerasModels.sequential(ARCHITECTURE, WEIGHTS).params(),
                KerasModels.sequential(plain, WEIGHTS).params(),
                0);
    }

    @Test
    void weights_alone_are_no_model() {
        assertContains("write model.to_json() to a file and pass both", refused(() -> KerasModels.sequential(WEIGHTS)));
        assertContains("write model.to_json() to a file and pass both", refused(() -> KerasModels.functional(WEIGHTS)));
    }

    @Test
    void a_layer_without_weights_in_the_file_is_refused() throws IOException {
        Path renamed = architecture("\"name\": \"lstm\"", "\"name\": \"lstm_1\"");
        String message = refused(() -> KerasModels.sequential(renamed, WEIGHTS));
        assertContains("DL4J can't import this model: ", message);
        assertContains("layer not in model (named lstm)", message);
    }

    @Test
    void weights_of_another_size_are_refused() throws IOException {
        Path wider = architecture("\"units\": 16", "\"units\": 17");
        assertContains(
                "layer \"lstm\": expected W of shape [12, 68], got [12, 64]",
                refused(() -> KerasModels.sequential(wider, WEIGHTS)));
        Path larger = architecture("\"units\": 12", "\"units\": 13");
        assertContains(
                "layer \"dense\": expected W of shape [16, 13], got [16, 12]",
                refused(() -> KerasModels.sequential(larger, WEIGHTS)));
    }

    /** Keras converts CuDNN weights when it loads them; DL4J has no such layer. */
    @Test
    void CuDNN_layers_are_refused() {
        assertContains(
                "has a layer of CuDNN weights",
                refused(() -> KerasModels.sequential(ModelFiles.path("char_cudnn_lstm.h5"))));
    }

    /** Their bias has twice the length, which DL4J would cut into the wrong gates. */
    @Test
    void CuDNN_weights_for_an_ordinary_LSTM_are_refused() {
        String message =
                refused(() -> KerasModels.sequential(ARCHITECTURE, ModelFiles.path("char_cudnn_lstm_weights.h5")));
        assertContains("DL4J can't import this model: ", message);
    }

    @Test
    void a_model_of_the_other_kind_is_refused() {
        assertContains(
                "char_lstm_functional.h5 holds a Functional model: load it by KerasModels.functional",
                refused(() -> KerasModels.sequential(ModelFiles.path("char_lstm_functional.h5"))));
        assertContains(
                "char_lstm.h5 holds a Sequential model: load it by KerasModels.sequential",
                refused(() -> KerasModels.functional(ModelFiles.path("char_lstm.h5"))));
    }

    @Test
    void a_layer_that_DL4J_lacks_is_named() throws IOException {
        Path gru = architecture("\"class_name\": \"LSTM\"", "\"class_name\": \"GRU\"");
        assertContains("Unsupported keras layer type GRU", refused(() -> KerasModels.sequential(gru, WEIGHTS)));
    }

    @Test
    void Keras_3_is_refused() throws IOException {
        Path archive = folder.resolve("model.keras");
        try (ZipOutputStream zip = new ZipOutputStream(Files.newOutputStream(archive))) {
            zip.putNextEntry(new ZipEntry("metadata.json"));
            zip.write("{\"keras_version\": \"3.0.0\"}".getBytes(StandardCharsets.UTF_8));
        }
        assertContains("model.keras is from Keras 3", refused(() -> KerasModels.sequential(archive)));
        Path json = architecture("2.4.0", "3.5.0");
        assertContains("architecture.json is from Keras 3", refused(() -> KerasModels.sequential(json, WEIGHTS)));
    }

    @Test
    void other_files_are_refused() throws IOException {
        Path text = write("model.h5", "no HDF5 file, though its name ends like one's".repeat(100));
        assertContains("model.h5 isn't an HDF5 file", refused(() -> KerasModels.sequential(text)));
        Path empty = write("empty.h5", "");
        assertContains("empty.h5 isn't an HDF5 file", refused(() -> KerasModels.sequential(empty)));
        Path missing = folder.resolve("missing.h5");
        assertContains("missing.h5: there's no such file", refused(() -> KerasModels.sequential(missing)));
        assertContains("missing.h5: there's no such file", refused(() -> KerasModels.sequential(missing, WEIGHTS)));
        assertContains(" is a folder", refused(() -> KerasModels.functional(folder)));
        assertContains(
                "model.h5 isn't the JSON of a Keras model", refused(() -> KerasModels.sequential(text, WEIGHTS)));
        Path list = write("list.json", "[]");
        assertContains(
                "list.json isn't the JSON of a Keras model", refused(() -> KerasModels.sequential(list, WEIGHTS)));
    }

    @Test
    void a_truncated_file_is_refused() throws IOException {
        byte[] bytes = Files.readAllBytes(ModelFiles.path("char_lstm.h5"));
        Path half = Files.write(folder.resolve("half.h5"), Arrays.copyOf(bytes, bytes.length / 2));
        assertContains("half.h5: DL4J can't import this model", refused(() -> KerasModels.sequential(half)));
    }

    @Test
    void an_output_that_is_no_softmax_is_refused() {
        MultiLayerNetwork sigmoid = new MultiLayerNetwork(new NeuralNetConfiguration.Builder()
                .list()
                .layer(new LSTM.Builder().nOut(4).build())
                .layer(new DenseLayer.Builder()
                        .name("out")
                        .nOut(3)
                        .activation(Activation.SIGMOID)
                        .build())
                .setInputType(InputType.recurrent(3))
                .build());
        sigmoid.init();
        assertEquals(
                "expected softmax or linear as the activation of DenseLayer \"out\", got sigmoid",
                refused(IllegalArgumentException.class, () -> KerasModels.withRnnOutput(sigmoid)));
    }

    @Test
    void an_output_that_is_no_dense_layer_is_refused() {
        ComputationGraphConfiguration conf = new NeuralNetConfiguration.Builder()
                .graphBuilder()
                .addInputs("in")
                .addLayer("loss", new LossLayer.Builder().build(), "in")
                .setInputTypes(InputType.feedForward(3))
                .setOutputs("loss")
                .build();
        ComputationGraph graph = new ComputationGraph(conf);
        graph.init();
        assertEquals(
                "expected a DenseLayer at the end, got LossLayer \"loss\"",
                refused(IllegalArgumentException.class, () -> KerasModels.withRnnOutputs(graph)));
    }
}
