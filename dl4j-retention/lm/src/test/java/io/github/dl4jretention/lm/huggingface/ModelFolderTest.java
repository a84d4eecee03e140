package io.github.dl4jretention.lm.huggingface;

import static io.github.dl4jretention.lm.huggingface.ReferenceModels.assertRelative;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.lm.huggingface.ModelFolder.Saved;
import io.github.dl4jretention.lm.huggingface.ModelFolder.Shard;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/** Every architecture and option against PyTorch. */
class ModelFolderTest {

    private static final int BATCH = 2;

    @TempDir
    Path temporary;

    static Stream<Arguments> modelsAndTypes() {
        return ReferenceModels.names().stream()
                .flatMap(name -> Stream.of(Arguments.of(name, DataType.FLOAT), Arguments.of(name, DataType.DOUBLE)));
    }

    static Stream<String> models() {
        return ReferenceModels.names().stream();
    }

    private static INDArray ids(Map<String, double[]> reference, DataType type) {
        double[] ids = reference.get("ids");
        return Nd4j.createFromArray(ids).reshape(BATCH, 1, ids.length / BATCH).castTo(type);
    }

    private static INDArray labels(Map<String, double[]> reference, int vocabulary, DataType type) {
        double[] labels = reference.get("labels");
        int time = labels.length / BATCH;
        INDArray oneHot = Nd4j.zeros(type, BATCH, vocabulary, time);
        for (int i = 0; i < labels.length; i++) {
            oneHot.putScalar(new int[] {i / time, (int) labels[i], i % time}, 1);
        }
        return oneHot;
    }

    /** Log-probabilities {@code [batch, time, vocabulary]}. */
    private static double[] logSoftmax(double[] logits, int vocabulary) {
        double[] result = logits.clone();
        for (int at = 0; at < logits.length; at += vocabulary) {
            double sum = 0;
            for (int i = 0; i < vocabulary; i++) {
                sum += Math.exp(logits[at + i]);
            }
            for (int i = 0; i < vocabulary; i++) {
                result[at + i] -= Math.log(sum);
            }
        }
        return result;
    }

    private static double[] flat(INDArray array) {
        return array.castTo(DataType.DOUBLE).dup('c').data().asDouble();
    }

    @ParameterizedTest
    @MethodSource("modelsAndTypes")
    void gives_the_logits_and_gradients_of_pytorch(String name, DataType type) throws IOException {
        Map<String, double[]> reference = ReferenceModels.reference(name);
        ModelFolder.Loaded loaded = ModelFolder.load(ReferenceModels.folder(name), type);
        MultiLayerNetwork network = loaded.network();
        int vocabulary = loaded.folder().vocabulary();
        INDArray output = network.output(ids(reference, type)).permute(0, 2, 1);
        double[] got = Arrays.stream(flat(output)).map(Math::log).toArray();
        // Models of random settings may be worse conditioned.
        double tolerance = System.getProperty("referenceModels") != null && type == DataType.FLOAT ? 1e-4 : 1e-5;
        assertRelative("logits", logSoftmax(reference.get("logits"), vocabulary), got, tolerance);

        network.setInput(ids(reference, type));
        network.setLabels(labels(reference, vocabulary, type));
        network.computeGradientAndScore();
        MultiLayerNetwork gradients = network.clone();
        gradients.setParams(network.getFlattenedGradients().dup());
        Weights weights = new Weights(new NetworkParameters(gradients));
        Set<String> compared = new HashSet<>(Set.of("ids", "labels", "logits"));
        for (Shard shard : loaded.folder().shards()) {
            for (Saved saved : shard.tensors()) {
                String tensor = saved.tensor().name();
                if (saved.layout() != null && reference.containsKey(tensor)) {
                    float[] numbers = new float[reference.get(tensor).length];
                    int[] at = {0};
                    weights.save(saved.layout(), TensorType.F32, bytes -> {
                        while (bytes.hasRemaining()) {
                            numbers[at[0]++] = bytes.getFloat();
                        }
                    });
                    double[] gradient = new double[numbers.length];
                    Arrays.setAll(gradient, i -> numbers[i]);
                    assertRelative("gradient of " + tensor, reference.get(tensor), gradient, tolerance);
                    compared.add(tensor);
                }
            }
        }
        assertEquals(reference.keySet(), compared);
    }

    @ParameterizedTest
    @MethodSource("modelsAndTypes")
    void untrained_comes_out_as_it_went_in(String name, DataType type) throws IOException {
        Path source = ReferenceModels.copy(name, temporary.resolve("in"));
        Files.writeString(source.resolve("README.md"), "the card of the base");
        ModelFolder.Loaded loaded = ModelFolder.load(source, type);
        Path out = temporary.resolve("out");
        new FolderWriter(loaded.folder(), new NetworkParameters(loaded.network()), null, "{}", "a card").write(out);
        assertEquals(
                ReferenceModels.files(source).size(), ReferenceModels.files(out).size());
        for (Path file : ReferenceModels.files(source)) {
            assertArrayEquals(
                    Files.readAllBytes(file), Files.readAllBytes(out.resolve(file.getFileName())), file.toString());
        }
    }

    @ParameterizedTest
    @MethodSource("models")
    void tuned_comes_out_with_its_weights_and_where_they_are_from(String name) throws IOException {
        ModelFolder.Loaded loaded = ModelFolder.load(ReferenceModels.folder(name), DataType.FLOAT);
        MultiLayerNetwork tuned = loaded.network().clone();
        tuned.params().muli(1.25);
        Path out = temporary.resolve("out");
        new FolderWriter(loaded.folder(), new NetworkParameters(tuned), "F32", "{\"base\":\"b\"}", "a card").write(out);
        ModelFolder.Loaded again = ModelFolder.load(out, DataType.FLOAT);
        assertEquals(tuned.params(), again.network().params());
        assertEquals("a card", Files.readString(out.resolve("README.md")));
        assertEquals(loaded.folder().shards().size(), again.folder().shards().size());
        for (int i = 0; i < again.folder().shards().size(); i++) {
            Shard before = loaded.folder().shards().get(i);
            Shard after = again.folder().shards().get(i);
            assertEquals("{\"base\":\"b\"}", after.metadata().get(FolderWriter.PROVENANCE));
            assertEquals(before.metadata().get("format"), after.metadata().get("format"));
            assertEquals(0, after.header().length % 8);
            for (int j = 0; j < before.tensors().size(); j++) {
                Tensor was = before.tensors().get(j).tensor();
                Tensor is = after.tensors().get(j).tensor();
                assertEquals(was.name(), is.name());
                assertEquals(was.shape(), is.shape());
                assertEquals(before.tensors().get(j).layout() == null ? was.type() : TensorType.F32, is.type());
            }
        }
        assertTrue(Files.list(temporary).allMatch(path -> path.endsWith("out")), "nothing else is left");
    }
}
