package io.github.dl4jretention.lm.onnx;

import static io.github.dl4jretention.Networks.assertClose;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.lm.ModelFiles;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.loss.RetentionListener;
import io.github.dl4jretention.loss.RetentionLoss;
import io.github.dl4jretention.loss.TokenLoss;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherMultiDataSetIterator;
import java.io.File;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import onnx.Onnx.GraphProto;
import onnx.Onnx.ModelProto;
import onnx.Onnx.TensorProto;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.autodiff.samediff.TrainingConfig;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.dataset.adapter.SingletonMultiDataSetIterator;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.shade.jackson.databind.JsonNode;

/** A transformer and an MLP that PyTorch exported to ONNX, against what PyTorch computes (make_onnx.py). */
class OnnxImportTest {

    private record Model(SameDiff graph, INDArray input, INDArray labels, JsonNode expected) {

        static Model load(String name) throws IOException {
            JsonNode json = ModelFiles.json(name + ".json");
            return new Model(
                    OnnxModels.load(ModelFiles.path(name + ".onnx")),
                    ModelFiles.array(json.get("input"), DataType.INT64),
                    ModelFiles.array(json.get("labels"), DataType.INT64),
                    json);
        }

        INDArray expectedLogits() {
            return ModelFiles.array(expected.get("logits"), DataType.FLOAT);
        }

        Teacher teacher() {
            return Teacher.of(graph, "logits", "input");
        }

        /** Makes the graph a student and returns its losses at the first step and after the last. */
        TokenLoss[] finetune(Teacher teacher, double coefficient, int steps) {
            RetentionConfiguration conf =
                    RetentionConfiguration.builder().coefficient(coefficient).build();
            OnnxModels.makeTrainable(graph, graph.hasVariable("prior") ? new String[] {"prior"} : new String[0]);
            graph.placeHolder("labels", DataType.INT64);
            RetentionLoss.add(graph, "logits", "labels", conf);
            RetentionLoss.bind(graph, teacher.sha256());
            graph.setTrainingConfig(TrainingConfig.builder()
                    .updater(new Adam(0.01))
                    .dataSetFeatureMapping("input")
                    .dataSetLabelMapping("labels", RetentionLoss.TEACHER_LOGITS)
                    .build());
            RetentionListener listener = new RetentionListener();
            graph.setListeners(listener);
            MultiDataSet batch = new MultiDataSet(input, labels);
            TeacherMultiDataSetIterator taught =
                    new TeacherMultiDataSetIterator(new SingletonMultiDataSetIterator(batch), teacher);
            graph.fit(taught, 1);
            TokenLoss first = listener.lastTokenLoss();
            graph.fit(taught, steps);
            return new TokenLoss[] {first, listener.lastTokenLoss()};
        }
    }

    private static INDArray logits(SameDiff graph, INDArray input) {
        return graph.output(Map.of("input", input), "logits").get("logits");
    }

    @ParameterizedTest
    @ValueSource(strings = {"attention", "mlp"})
    void logits_are_those_of_PyTorch(String name) throws Exception {
        Model model = Model.load(name);
        assertClose(model.expectedLogits(), logits(model.graph, model.input), 2e-6);
    }

    @ParameterizedTest
    @ValueSource(strings = {"attention", "mlp"})
    void a_dynamic_batch_may_have_another_size(String name) throws Exception {
        Model model = Model.load(name);
        INDArray input = model.input.get(NDArrayIndex.interval(0, 2)).dup();
        INDArray expected =
                model.expectedLogits().get(NDArrayIndex.interval(0, 2)).dup();
        assertClose(expected, logits(model.graph, input), 2e-6);
    }

    @ParameterizedTest
    @ValueSource(strings = {"attention", "mlp"})
    void a_student_goes_where_PyTorch_goes(String name) throws Exception {
        Model model = Model.load(name);
        JsonNode expected = model.expected.get("finetuned");
        TokenLoss[] losses = model.finetune(
                model.teacher(),
                expected.get("coefficient").asDouble(),
                expected.get("steps").asInt());
        assertEquals(0, losses[0].divergence(), 1e-6);
        assertEquals(expected.get("cross_entropy").asDouble(), losses[1].crossEntropy(), 1e-3);
        assertEquals(expected.get("divergence").asDouble(), losses[1].divergence(), 1e-3);
    }

    @ParameterizedTest
    @ValueSource(strings = {"attention", "mlp"})
    void a_larger_coefficient_keeps_the_student_nearer(String name) throws Exception {
        TokenLoss[] weak = finetune(name, 0.01);
        TokenLoss[] strong = finetune(name, 10);
        assertTrue(weak[1].crossEntropy() < strong[1].crossEntropy());
        assertTrue(strong[1].crossEntropy() < strong[0].crossEntropy());
        assertTrue(strong[1].divergence() < 0.5 * weak[1].divergence());
    }

    private static TokenLoss[] finetune(String name, double coefficient) throws IOException {
        Model model = Model.load(name);
        return model.finetune(model.teacher(), coefficient, 20);
    }

    @Test
    void weights_are_trained_and_fixed_tables_are_not() throws Exception {
        Model model = Model.load("mlp");
        INDArray embedding =
                model.graph.getVariable("embedding.weight").getArr().dup();
        INDArray prior = model.graph.getVariable("prior").getArr().dup();
        model.finetune(model.teacher(), 1, 2);
        assertTrue(
                embedding.distance2(model.graph.getVariable("embedding.weight").getArr()) > 1e-3);
        assertClose(prior, model.graph.getVariable("prior").getArr(), 0);
    }

    @Test
    void a_saved_student_computes_the_same(@TempDir Path folder) throws Exception {
        Model model = Model.load("attention");
        model.finetune(model.teacher(), 1, 2);
        File file = folder.resolve("student.fb").toFile();
        model.graph.save(file, true);
        SameDiff loaded = SameDiff.load(file, true);
        assertClose(logits(model.graph, model.input), logits(loaded, model.input), 0);
    }

    @Test
    void a_model_keeps_its_identity(@TempDir Path folder) throws Exception {
        Model model = Model.load("attention");
        String identity = model.teacher().sha256();
        assertEquals(identity, Model.load("attention").teacher().sha256(), "imported again");
        File file = folder.resolve("pretrained.fb").toFile();
        model.graph.save(file, true);
        SameDiff loaded = SameDiff.load(file, true);
        assertEquals(identity, Teacher.of(loaded, "logits", "input").sha256(), "saved and loaded");
        OnnxModels.makeTrainable(model.graph);
        assertEquals(identity, model.teacher().sha256(), "made trainable");
    }

    private static String refused(Executable load) {
        String message = assertThrows(IOException.class, load).getMessage();
        assertEquals(1, message.lines().count(), message);
        return message;
    }

    private static void assertRefused(String expected, Path file) {
        String message = refused(() -> OnnxModels.load(file));
        assertTrue(message.contains(expected), message);
    }

    @Test
    void other_files_are_refused(@TempDir Path folder) throws Exception {
        assertRefused("missing.onnx: there's no such file", folder.resolve("missing.onnx"));
        assertRefused(" is a folder", folder);
        assertRefused("isn't an ONNX model", Files.writeString(folder.resolve("text.onnx"), "no model".repeat(50)));
        assertRefused("isn't an ONNX model", Files.createFile(folder.resolve("empty.onnx")));
        assertRefused("isn't an ONNX model", ModelFiles.path("char_lstm.h5"));
        byte[] bytes = Files.readAllBytes(ModelFiles.path("mlp.onnx"));
        assertRefused(
                "isn't an ONNX model",
                Files.write(folder.resolve("half.onnx"), Arrays.copyOf(bytes, bytes.length / 2)));
    }

    /** A sparse file: it takes no room. */
    @Test
    void a_file_beyond_2_GiB_is_refused(@TempDir Path folder) throws Exception {
        Path file = folder.resolve("large.onnx");
        try (RandomAccessFile sparse = new RandomAccessFile(file.toFile(), "rw")) {
            sparse.setLength(Integer.MAX_VALUE + 1L);
        }
        assertRefused("got 2147483648", file);
    }

    @Test
    void weights_in_other_files_are_refused(@TempDir Path folder) throws Exception {
        ModelProto model = ModelProto.parseFrom(Files.readAllBytes(ModelFiles.path("mlp.onnx")));
        GraphProto.Builder graph = model.getGraph().toBuilder();
        graph.getInitializerBuilder(0).clearRawData().setDataLocation(TensorProto.DataLocation.EXTERNAL);
        byte[] split = model.toBuilder().setGraph(graph).build().toByteArray();
        assertRefused("keeps its weights in other files", Files.write(folder.resolve("split.onnx"), split));
    }

    @Test
    void an_operation_that_DL4J_lacks_is_named(@TempDir Path folder) throws Exception {
        ModelProto model = ModelProto.parseFrom(Files.readAllBytes(ModelFiles.path("mlp.onnx")));
        GraphProto.Builder graph = model.getGraph().toBuilder();
        for (int i = 0; i < graph.getNodeCount(); i++) {
            if (graph.getNode(i).getOpType().equals("Tanh")) {
                graph.getNodeBuilder(i).setOpType("NoSuchOperation");
            }
        }
        byte[] unknown = model.toBuilder().setGraph(graph).build().toByteArray();
        assertRefused("NoSuchOperation", Files.write(folder.resolve("unknown.onnx"), unknown));
    }

    @Test
    void a_fixed_name_must_be_a_variable() throws Exception {
        Model model = Model.load("mlp");
        assertEquals(
                "fixed: expected names of the model's variables, got \"priors\"",
                assertThrows(IllegalArgumentException.class, () -> OnnxModels.makeTrainable(model.graph, "priors"))
                        .getMessage());
    }
}
