package io.github.dl4jretention.lm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Retention;
import io.github.dl4jretention.checkpoint.FinetuningRun;
import io.github.dl4jretention.lm.huggingface.ReferenceModels;
import io.github.dl4jretention.lm.layers.DecoderBlock;
import io.github.dl4jretention.lm.layers.NativeAdam;
import io.github.dl4jretention.lm.layers.NativeLayers;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.merge.Merge;
import io.github.dl4jretention.merge.MergeMethod;
import io.github.dl4jretention.teacher.Teacher;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.cpu.nativecpu.bindings.Nd4jCpu;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;

class MemoryEstimateTest {

    @TempDir
    Path temporary;

    private static LanguageModel model() throws IOException {
        return LanguageModel.load(ReferenceModels.folder("llama"));
    }

    private static DecoderBlock block(MultiLayerNetwork network) {
        return (DecoderBlock) network.getLayerWiseConfigurations().getConf(1).getLayer();
    }

    @Test
    void parts_are_those_that_are_added_up_by_hand() throws IOException {
        LanguageModel model = model();
        long parameters = model.network().numParams();
        Map<String, Long> parts =
                MemoryEstimate.builder(model).batch(2).sequenceLength(5).build().parts();
        assertEquals(4 * parameters, parts.get("student"));
        assertEquals(4 * parameters, parts.get("gradients"));
        assertEquals(8 * parameters, parts.get("Adam's moments"));
        assertEquals(4 * parameters, parts.get("teacher"));
        assertEquals(2L * 10 * model.vocabulary() * 4, parts.get("teacher's values"));
        assertTrue(!parts.containsKey("sums of gradients"));

        MemoryEstimate less = MemoryEstimate.builder(model)
                .batch(1)
                .sequenceLength(5)
                .accumulate(2)
                .recompute(true)
                .halfTeacher(true)
                .build();
        long block = model.network().getLayer(1).numParams();
        assertEquals(4 * parameters, less.parts().get("sums of gradients"));
        assertEquals(2 * parameters + 4 * block, less.parts().get("teacher"));
        assertTrue(less.parts().get("activations") < parts.get("activations") / 2, less.toString());
        assertEquals(
                less.total(),
                less.parts().values().stream().mapToLong(bytes -> bytes).sum());

        Map<String, Long> adapters = MemoryEstimate.builder(model)
                .trained(100)
                .sharedTeacher(true)
                .build()
                .parts();
        assertEquals(4 * parameters + 400, adapters.get("student"));
        assertEquals(400, adapters.get("gradients"));
        assertEquals(800, adapters.get("Adam's moments"));
        assertEquals(0, adapters.get("teacher"));
    }

    @Test
    void what_cannot_fit_is_refused_with_the_parts() throws IOException {
        MemoryEstimate estimate = MemoryEstimate.builder(model()).build();
        estimate.requireFits(estimate.total(), "the machine has");
        String message = assertThrows(
                        IllegalStateException.class,
                        () -> estimate.requireFits(estimate.total() - 1, "the machine has"))
                .getMessage();
        assertTrue(message.startsWith("memory: expected at most the "), message);
        assertTrue(message.contains("Adam's moments") && message.contains("teacher's values"), message);
        MemoryEstimate huge = MemoryEstimate.builder(model())
                .batch(1 << 30)
                .sequenceLength(1 << 20)
                .build();
        assertThrows(IllegalStateException.class, huge::requireFits);
    }

    /**
     * ND4J counts the memory of all arrays in a process, so the run has one of its own: other tests' garbage would be counted,
     * too.
     */
    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void what_it_names_is_what_a_run_takes(boolean halfTeacher) throws IOException, InterruptedException {
        Process process = new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "-cp",
                        System.getProperty("java.class.path"),
                        MeasuredRun.class.getName(),
                        Boolean.toString(halfTeacher),
                        temporary.toString())
                .redirectErrorStream(true)
                .start();
        String printed = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(0, process.waitFor(), printed);
        String ratio = printed.lines()
                .filter(line -> line.startsWith("named by taken "))
                .findFirst()
                .orElseThrow(() -> new AssertionError(printed));
        assertEquals(1, Double.parseDouble(ratio.substring("named by taken ".length())), 0.15, printed);
    }

    /** Trains three minibatches, and prints what the estimate names by what they took. */
    static final class MeasuredRun {

        private static final int BATCH = 128;
        private static final int TIME = 64;

        /** @param args whether the teacher is in half precision, and a folder for the run */
        public static void main(String[] args) throws IOException {
            boolean halfTeacher = Boolean.parseBoolean(args[0]);
            LanguageModel model = model();
            MemoryEstimate estimate = MemoryEstimate.builder(model)
                    .batch(BATCH)
                    .sequenceLength(TIME)
                    .halfTeacher(halfTeacher)
                    .build();
            List<DataSet> data = new ArrayList<>();
            for (int i = 0; i < 3; i++) {
                INDArray ids = Nd4j.createFromArray(new Random(i)
                                .ints((long) BATCH * TIME, 0, model.vocabulary())
                                .asDoubleStream()
                                .toArray())
                        .castTo(DataType.FLOAT)
                        .reshape(BATCH, TIME);
                data.add(new DataSet(ids, ids.reshape(BATCH, 1, TIME)));
            }
            long before = arrays();
            long[] taken = {0};
            try (Teacher teacher = halfTeacher ? Teacher.ofHalf(model.network()) : Teacher.of(model.network())) {
                MultiLayerNetwork student = Retention.attach(
                        Retention.withUpdater(model.network(), new NativeAdam(1e-3)),
                        RetentionConfiguration.builder().build(),
                        teacher);
                FinetuningRun.builder()
                        .student(student)
                        .keepStudent(false)
                        .teacher(teacher)
                        .iterator(new ExistingDataSetIterator(data))
                        .folder(Path.of(args[1]))
                        .report(1, report -> taken[0] = Math.max(taken[0], workspaces() + arrays() - before))
                        .build()
                        .run();
            }
            long named = estimate.total() - estimate.parts().get("Java");
            System.out.println(estimate + ", taken " + taken[0]);
            System.out.println("named by taken " + (double) named / taken[0]);
            System.exit(0);
        }

        private static long arrays() {
            return Nd4jCpu.Environment.getInstance().getDeviceCounter(0);
        }

        /** Those of the thread that trains say how large they are; beside them its teacher's thread has some for one block's pass. */
        private static long workspaces() {
            return Nd4j.getWorkspaceManager().getAllWorkspacesForCurrentThread().stream()
                    .mapToLong(MemoryWorkspace::getCurrentSize)
                    .sum();
        }
    }

    /** Of a view {@code close()} would free nothing, without a word. */
    @Test
    void closing_the_parameters_of_a_network_frees_them() throws IOException {
        MultiLayerNetwork loaded = model().network();
        MultiLayerNetwork adapted = LowRankAdapters.attach(loaded, LowRankAdapters.rank(1));
        List<MultiLayerNetwork> networks = List.of(
                adapted,
                LowRankAdapters.merge(adapted),
                Merge.networks(MergeMethod.linear())
                        .models(List.of(loaded, loaded))
                        .merge(),
                loaded);
        for (MultiLayerNetwork network : networks) {
            INDArray parameters = network.params();
            assertTrue(parameters.closeable());
            parameters.close();
            assertTrue(network.params().wasClosed());
        }
    }

    @Test
    void a_loaded_model_recomputes_to_the_same_gradients() throws IOException {
        LanguageModel model = model();
        INDArray ids = Nd4j.createFromArray(new float[][] {{1, 2, 3, 4, 5, 6}, {6, 5, 4, 3, 2, 1}});
        DataSet batch = new DataSet(ids, ids.reshape(2, 1, 6));
        INDArray[] trained = new INDArray[2];
        for (int i = 0; i < 2; i++) {
            NativeLayers.recompute(model.network(), i == 1);
            assertEquals(i == 1, block(model.network()).isRecompute());
            MultiLayerNetwork student = Retention.attach(
                    model.network(), RetentionConfiguration.builder().build());
            assertEquals(i == 1, block(student).isRecompute());
            student.fit(batch);
            trained[i] = student.params();
        }
        assertEquals(trained[0], trained[1]);
    }
}
