package io.github.dl4jretention.baseline;

import static io.github.dl4jretention.Networks.assertClose;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.Retention;
import io.github.dl4jretention.cache.CacheCodec;
import io.github.dl4jretention.cache.TeacherCache;
import io.github.dl4jretention.checkpoint.FinetuningRun;
import io.github.dl4jretention.checkpoint.RestartableIterator;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.loss.RetentionOutputLayerRuntime;
import io.github.dl4jretention.teacher.DivergenceMask;
import io.github.dl4jretention.teacher.NetworkIdentity;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import io.github.dl4jretention.teacher.TeacherMultiDataSetIterator;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.DoubleRange;
import net.jqwik.api.constraints.IntRange;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.layers.recurrent.Bidirectional;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.adapter.MultiDataSetIteratorAdapter;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.dataset.api.iterator.MultiDataSetIterator;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

class SelfReplayTest {

    private static final int V = Networks.VOCABULARY;
    private static final int TIME = 5;

    @TempDir
    private Path folder;

    private static RnnOutputLayer head(int nIn) {
        return new RnnOutputLayer.Builder(LossFunction.MCXENT)
                .nIn(nIn)
                .nOut(V)
                .activation(Activation.SOFTMAX)
                .dataFormat(RNNFormat.NCW)
                .build();
    }

    private static MultiLayerNetwork lstm(DataType type, long seed) {
        return Networks.languageModel(type, seed);
    }

    private static ComputationGraph graph(DataType type) {
        ComputationGraph graph = new ComputationGraph(new NeuralNetConfiguration.Builder()
                .dataType(type)
                .seed(3)
                .graphBuilder()
                .addInputs("in")
                .addLayer("lstm", new LSTM.Builder().nIn(V).nOut(9).build(), "in")
                .addLayer("out", head(9), "lstm")
                .setOutputs("out")
                .build());
        graph.init();
        graph.params().muli(3);
        return graph;
    }

    /** Each token's row of a table, added to those before it: causal. */
    private static SameDiff sameDiff() {
        SameDiff sd = SameDiff.create();
        SDVariable features = sd.placeHolder("features", DataType.FLOAT, -1, TIME, V);
        SDVariable w = sd.var("w", Networks.normal(DataType.FLOAT, new Random(4), V, V));
        INDArray before = Nd4j.zeros(DataType.FLOAT, 1, TIME, TIME);
        for (int t = 0; t < TIME; t++) {
            for (int s = 0; s <= t; s++) {
                before.putScalar(new int[] {0, t, s}, 1);
            }
        }
        SDVariable sums = sd.mmul(
                sd.constant("before", before)
                        .mul(sd.reshape(features, -1, TIME, V)
                                .sum(true, 2)
                                .mul(0)
                                .add(1)),
                features);
        sums.reshape(-1, V).mmul(w).reshape(-1, TIME, V).rename("logits");
        sd.placeHolder("labels", DataType.FLOAT, -1, TIME, V);
        return sd;
    }

    private static DataSet text(DataType type, int rows, int time, long seed) {
        return Networks.text(type, rows, time, seed);
    }

    private static DataSetIterator target(DataType type, int batches) {
        return new ExistingDataSetIterator(IntStream.range(0, batches)
                .mapToObj(i -> text(type, 3, TIME, i))
                .toList());
    }

    private static MultiDataSetIterator multi(DataType type, int batches) {
        return new MultiDataSetIteratorAdapter(target(type, batches));
    }

    /** Time first: {@code [batch, time, V]}. */
    private static MultiDataSetIterator timeFirst(int batches) {
        MultiDataSetIterator iterator = multi(DataType.FLOAT, batches);
        iterator.setPreProcessor(batch -> {
            batch.setFeatures(0, batch.getFeatures(0).permute(0, 2, 1).dup('c'));
            batch.setLabels(0, batch.getLabels(0).permute(0, 2, 1).dup('c'));
        });
        return iterator;
    }

    /** Pearson's statistic of counts, which has a mean of (classes - 1) and a deviation of sqrt(2 (classes - 1)). */
    private static double chiSquare(double[] probabilities, int[] counts) {
        int total = Arrays.stream(counts).sum();
        double sum = 0;
        for (int i = 0; i < counts.length; i++) {
            double expected = total * probabilities[i];
            sum += (counts[i] - expected) * (counts[i] - expected) / expected;
        }
        return sum;
    }

    @ParameterizedTest
    @ValueSource(doubles = {0.5, 1, 2})
    void a_token_is_drawn_from_the_softmax_at_the_temperature(double temperature) {
        double[] logProbabilities = {
            Math.log(0.5), Math.log(0.3), Math.log(0.15), Math.log(0.05), Double.NEGATIVE_INFINITY
        };
        double[] expected = Arrays.stream(logProbabilities)
                .map(p -> Math.exp(p / temperature))
                .toArray();
        double sum = Arrays.stream(expected).sum();
        SplittableRandom random = new SplittableRandom(7);
        int[] counts = new int[5];
        for (int i = 0; i < 20_000; i++) {
            counts[NextTokens.draw(logProbabilities, temperature, random)]++;
        }
        assertEquals(0, counts[4], "impossible");
        double statistic =
                chiSquare(Arrays.stream(expected).limit(4).map(p -> p / sum).toArray(), Arrays.copyOf(counts, 4));
        // The 99.9 % point with 3 degrees of freedom.
        assertTrue(statistic < 16.27, statistic + " of " + Arrays.toString(counts));
    }

    @Test
    void what_is_no_distribution_is_never_drawn_from() {
        for (double wrong : new double[] {Double.NaN, Double.NEGATIVE_INFINITY, Double.POSITIVE_INFINITY}) {
            assertThrows(
                    IllegalStateException.class,
                    () -> NextTokens.draw(new double[] {wrong, wrong}, 1, new SplittableRandom(1)));
        }
    }

    /** Pairs of the second and third token, of which the network tells the joint distribution. */
    @ParameterizedTest
    @EnumSource(
            value = DataType.class,
            names = {"FLOAT", "DOUBLE"})
    void sequences_have_the_networks_distribution(DataType type) throws IOException {
        MultiLayerNetwork network = lstm(type, 3);
        int count = 4000;
        int[][] written = SelfReplay.of(network, target(type, 1))
                .count(count)
                .prompts(new int[] {2})
                .seed(11)
                .build()
                .sequences();
        double[] expected = new double[V * V];
        int[] counts = new int[V * V];
        for (int second = 0; second < V; second++) {
            INDArray features = Nd4j.create(type, 1, V, 2);
            features.putScalar(new int[] {0, 2, 0}, 1);
            features.putScalar(new int[] {0, second, 1}, 1);
            INDArray output = network.output(features);
            for (int third = 0; third < V; third++) {
                expected[second * V + third] = output.getDouble(0, second, 0) * output.getDouble(0, third, 1);
            }
        }
        for (int[] row : written) {
            assertEquals(TIME + 1, row.length);
            assertEquals(2, row[0]);
            counts[row[1] * V + row[2]]++;
        }
        double statistic = chiSquare(expected, counts);
        // The 99.9 % point with 35 degrees of freedom.
        assertTrue(statistic < 66.62, "chi-square " + statistic);
        // It would notice another distribution.
        double[] even = new double[V * V];
        Arrays.fill(even, 1.0 / (V * V));
        assertTrue(chiSquare(even, counts) > 200, "the network is far from even");
    }

    @Test
    void steps_and_windows_of_every_kind_of_model_write_the_same() throws IOException {
        MultiLayerNetwork network = lstm(DataType.DOUBLE, 3);
        int[][] stepped = SelfReplay.of(network, target(DataType.DOUBLE, 2))
                .count(40)
                .temperature(1.3)
                .build()
                .sequences();
        try (Teacher teacher = Teacher.of(network)) {
            int[][] windows = SelfReplay.of(teacher, multi(DataType.DOUBLE, 2))
                    .count(40)
                    .temperature(1.3)
                    .build()
                    .sequences();
            assertArrayEquals(stepped, windows);
        }
        ComputationGraph graph = graph(DataType.DOUBLE);
        int[][] steppedGraph = SelfReplay.of(graph, multi(DataType.DOUBLE, 2))
                .count(40)
                .build()
                .sequences();
        try (Teacher teacher = Teacher.of(graph)) {
            assertArrayEquals(
                    steppedGraph,
                    SelfReplay.of(teacher, multi(DataType.DOUBLE, 2))
                            .count(40)
                            .build()
                            .sequences());
        }
    }

    @Test
    void an_lstm_is_asked_for_steps_and_keeps_its_own_state() throws IOException {
        MultiLayerNetwork network = lstm(DataType.FLOAT, 3);
        INDArray state = network.rnnTimeStep(text(DataType.FLOAT, 1, 1, 5).getFeatures());
        TokenForm form = TokenForm.of(text(DataType.FLOAT, 2, TIME, 1).toMultiDataSet());
        try (NextTokens fastest = NextTokens.fastest(
                NextTokens.Stepping.of(network, form), Teacher.of(network), true, form, new int[] {1, 2, 3, 4, 5})) {
            assertTrue(fastest.model() instanceof NextTokens.Stepping, "no window for each token");
        }
        MultiLayerNetwork same = lstm(DataType.FLOAT, 3);
        same.rnnTimeStep(text(DataType.FLOAT, 1, 1, 5).getFeatures());
        INDArray next = text(DataType.FLOAT, 1, 1, 6).getFeatures();
        assertClose(same.rnnTimeStep(next), network.rnnTimeStep(next), 0);
        assertFalse(state.isEmpty());
    }

    @Test
    void a_sameDiff_model_writes_by_whole_windows() throws IOException {
        SameDiff sd = sameDiff();
        try (Teacher teacher = Teacher.of(sd, "logits", "features")) {
            int[][] written = SelfReplay.of(teacher, timeFirst(2))
                    .count(3000)
                    .prompts(new int[] {1})
                    .build()
                    .sequences();
            INDArray features = Nd4j.create(DataType.FLOAT, 1, TIME, V);
            features.putScalar(new int[] {0, 0, 1}, 1);
            INDArray output = teacher.logProbabilities(features, null);
            double[] expected = IntStream.range(0, V)
                    .mapToDouble(v -> Math.exp(output.getDouble(0, 0, v)))
                    .toArray();
            int[] counts = new int[V];
            Arrays.stream(written).forEach(row -> counts[row[1]]++);
            // The 99.9 % point with 5 degrees of freedom.
            assertTrue(chiSquare(expected, counts) < 20.52, Arrays.toString(counts));
        }
    }

    @Test
    void a_model_that_sees_what_follows_is_refused() {
        MultiLayerNetwork both = Networks.stacked(
                DataType.FLOAT,
                1,
                new Bidirectional(new LSTM.Builder().nIn(V).nOut(4).build()),
                head(8));
        both.params().muli(3);
        String message = assertThrows(
                        IllegalArgumentException.class,
                        () -> SelfReplay.of(both, target(DataType.FLOAT, 1)).build())
                .getMessage();
        assertTrue(message.startsWith("base: expected a model that predicts a token from those before it"), message);
    }

    @Test
    void the_same_seed_writes_the_same_bytes() throws IOException {
        Path one = folder.resolve("one.json");
        Path other = folder.resolve("other.json");
        Path another = folder.resolve("another.json");
        SelfReplay.of(lstm(DataType.FLOAT, 3), target(DataType.FLOAT, 2))
                .seed(5)
                .count(70)
                .file(one)
                .build();
        SelfReplay.of(lstm(DataType.FLOAT, 3), target(DataType.FLOAT, 2))
                .seed(5)
                .count(70)
                .file(other)
                .build();
        SelfReplay.of(lstm(DataType.FLOAT, 3), target(DataType.FLOAT, 2))
                .seed(6)
                .count(70)
                .file(another)
                .build();
        assertArrayEquals(Files.readAllBytes(one), Files.readAllBytes(other));
        assertFalse(Arrays.equals(Files.readAllBytes(one), Files.readAllBytes(another)));
    }

    @Test
    void more_sequences_begin_with_the_same_ones() throws IOException {
        int[][] few = SelfReplay.of(lstm(DataType.DOUBLE, 3), target(DataType.DOUBLE, 2))
                .count(5)
                .build()
                .sequences();
        int[][] many = SelfReplay.of(lstm(DataType.DOUBLE, 3), target(DataType.DOUBLE, 2))
                .count(50)
                .build()
                .sequences();
        assertArrayEquals(few, Arrays.copyOf(many, 5));
    }

    @Test
    void a_file_is_read_in_place_of_sampling() throws IOException {
        Path file = folder.resolve("written.json");
        MultiLayerNetwork network = lstm(DataType.FLOAT, 3);
        int[][] written = SelfReplay.of(network, target(DataType.FLOAT, 2))
                .file(file)
                .build()
                .sequences();
        NextToken never = (sequences, length) -> {
            throw new AssertionError("asked though the file is there");
        };
        int[][] read = SelfReplay.of(never, NetworkIdentity.sha256(network), multi(DataType.FLOAT, 2))
                .file(file)
                .build()
                .sequences();
        assertArrayEquals(written, read);
        assertEquals(256, read.length);
    }

    @Test
    void a_file_of_another_base_or_other_settings_is_refused_by_name() throws IOException {
        Path file = folder.resolve("written.json");
        MultiLayerNetwork network = lstm(DataType.FLOAT, 3);
        SelfReplay.of(network, target(DataType.FLOAT, 2)).count(8).file(file).build();
        MultiLayerNetwork other = lstm(DataType.FLOAT, 4);
        refused(
                "base " + NetworkIdentity.sha256(other) + ", got those of " + NetworkIdentity.sha256(network),
                () -> SelfReplay.of(other, target(DataType.FLOAT, 2))
                        .count(8)
                        .file(file)
                        .build());
        refused("temperature 0.9, got those of 1.0", () -> SelfReplay.of(network, target(DataType.FLOAT, 2))
                .count(8)
                .temperature(0.9)
                .file(file)
                .build());
        refused("seed 1, got those of 0", () -> SelfReplay.of(network, target(DataType.FLOAT, 2))
                .count(8)
                .seed(1)
                .file(file)
                .build());
        refused("count 9, got those of 8", () -> SelfReplay.of(network, target(DataType.FLOAT, 2))
                .count(9)
                .file(file)
                .build());
        refused("SHA-256 of the starts", () -> SelfReplay.of(network, target(DataType.FLOAT, 2))
                .count(8)
                .prefix(2)
                .file(file)
                .build());
    }

    private interface Work {
        void run() throws IOException;
    }

    private static void refused(String part, Work work) {
        String message =
                assertThrows(IllegalArgumentException.class, work::run, part).getMessage();
        assertTrue(message.contains(part), message);
    }

    @Test
    void a_damaged_file_is_no_text() throws IOException {
        Path file = folder.resolve("written.json");
        MultiLayerNetwork network = lstm(DataType.FLOAT, 3);
        SelfReplay.of(network, target(DataType.FLOAT, 2)).count(8).file(file).build();
        String json = Files.readString(file);
        int at = json.indexOf("[[") + 2;
        for (String damaged : List.of(
                json.substring(0, at) + (json.charAt(at) == '5' ? '4' : '5') + json.substring(at + 1),
                json.substring(0, json.length() - 3),
                "[]",
                "")) {
            Files.writeString(file, damaged);
            String message = assertThrows(IOException.class, () -> SelfReplay.of(network, target(DataType.FLOAT, 2))
                            .count(8)
                            .file(file)
                            .build())
                    .getMessage();
            assertTrue(message.contains("damaged") && message.contains("written.json"), message);
        }
    }

    @Test
    void settings_out_of_range_are_refused() {
        SelfReplay.Builder builder = SelfReplay.of(lstm(DataType.FLOAT, 3), target(DataType.FLOAT, 1));
        for (double wrong : new double[] {0, -1, Double.NaN, Double.POSITIVE_INFINITY}) {
            refused("temperature: expected a finite number above 0, got " + wrong, () -> builder.temperature(wrong));
        }
        refused("labels: expected a finite number of at least 0, got -0.5", () -> builder.labels(-0.5));
        refused("count: expected at least 1, got 0", () -> builder.count(0));
        refused("prefix: expected at least 1, got 0", () -> builder.prefix(0));
        refused("prefix: expected 1 to 5 tokens, as many as a written sequence has, got 6", () -> builder.prefix(6)
                .build());
        refused("length: expected at least 1, got 0", () -> builder.length(0));
        refused(
                "length: expected at most 5 tokens, as many as a sequence of the target has, got 6",
                () -> SelfReplay.of(lstm(DataType.FLOAT, 3), target(DataType.FLOAT, 1))
                        .length(6)
                        .build());
        refused("prefix: expected 1 to 2 tokens", () -> SelfReplay.of(
                        lstm(DataType.FLOAT, 3), target(DataType.FLOAT, 1))
                .length(2)
                .prefix(3)
                .build());
        refused("prompts: expected 1 to 5 tokens", () -> builder.prompts(new int[0])
                .build());
        refused("prompts: expected at least one, got none", builder::prompts);
        refused("share", () -> builder.prefix(1).build().mixedInto(target(DataType.FLOAT, 1), 1));
        refused("target: expected at least one minibatch", () -> SelfReplay.of(
                        lstm(DataType.FLOAT, 3), new ExistingDataSetIterator(List.of()))
                .build());
        refused("features: expected tokens", () -> SelfReplay.of(
                        lstm(DataType.FLOAT, 3),
                        new ExistingDataSetIterator(List.of(Networks.sequences(DataType.FLOAT, 2, 1))))
                .build());
        ReplayIterator mixed =
                new ReplayIterator(target(DataType.FLOAT, 1), target(DataType.FLOAT, 1), 0.5, ReplayUnit.EXAMPLES, 1);
        refused("target: expected a finite number of at least 0, got -1.0", () -> mixed.divergenceWeights(-1, 1));
        refused(
                "source: expected a finite number of at least 0, got NaN",
                () -> mixed.divergenceWeights(1, Double.NaN));
    }

    /** An iterator that counts its epochs is at its first again. */
    @Test
    void reading_the_target_for_starts_leaves_it_at_its_beginning() throws IOException {
        class Counting extends ExistingDataSetIterator implements RestartableIterator {
            private static final long serialVersionUID = 1L;
            private int epoch;

            Counting(List<DataSet> all) {
                super(all);
            }

            @Override
            public void reset() {
                restart(epoch + 1);
            }

            @Override
            public void restart(int number) {
                super.reset();
                epoch = number;
            }
        }
        Counting target = new Counting(List.of(text(DataType.FLOAT, 2, TIME, 1), text(DataType.FLOAT, 2, TIME, 2)));
        SelfReplay written =
                SelfReplay.of(lstm(DataType.FLOAT, 3), target).count(3).build();
        assertEquals(0, target.epoch);
        ReplayIterator mixed = written.mixedInto(target, 0.5);
        mixed.next();
        mixed.next();
        assertFalse(mixed.hasNext());
        mixed.reset();
        assertEquals(1, target.epoch);
        mixed.restart(0);
        assertEquals(0, target.epoch, "the first epoch, not the one after the last");
    }

    @Test
    void starts_are_prefixes_of_the_target() throws IOException {
        int[][] written = SelfReplay.of(lstm(DataType.FLOAT, 3), target(DataType.FLOAT, 2))
                .count(8)
                .prefix(3)
                .build()
                .sequences();
        for (int i = 0; i < 8; i++) {
            INDArray ids = Nd4j.argMax(text(DataType.FLOAT, 3, TIME, i % 6 / 3).getFeatures(), 1);
            for (int t = 0; t < 3; t++) {
                assertEquals(ids.getInt(i % 3, t), written[i][t], "sequence " + i + ", token " + t);
            }
        }
    }

    /** Padding counts nowhere: the gradient is that of sequences that end where the written ones do. */
    @ParameterizedTest
    @EnumSource(
            value = DataType.class,
            names = {"FLOAT", "DOUBLE"})
    void shorter_sequences_are_padded(DataType type) throws IOException {
        MultiLayerNetwork base = lstm(type, 3);
        SelfReplay.Builder builder =
                SelfReplay.of(base, target(type, 2)).count(4).labels(0.5);
        int[][] whole = builder.build().sequences();
        SelfReplay written = builder.length(3).build();
        int[][] ids = written.sequences();
        for (int i = 0; i < 4; i++) {
            assertArrayEquals(Arrays.copyOf(whole[i], 4), ids[i], "the same draws, fewer of them");
        }
        DataSet padded = written.iterator(4).next();
        assertArrayEquals(new long[] {4, V, TIME}, padded.getFeatures().shape());
        DataSet ended = new DataSet(
                laidOut(ids, 0, 3, 3, type)
                        .get(NDArrayIndex.all(), NDArrayIndex.interval(0, V), NDArrayIndex.all())
                        .dup('c'),
                laidOut(ids, 1, 3, 3, type)
                        .get(NDArrayIndex.all(), NDArrayIndex.interval(0, V), NDArrayIndex.all())
                        .dup('c'),
                null,
                Nd4j.valueArrayOf(new long[] {4, 3}, 0.5, type));
        try (Teacher teacher = Teacher.of(base)) {
            MultiLayerNetwork student = Retention.attach(
                    Networks.moved(base, 0.3, 5),
                    RetentionConfiguration.builder().build(),
                    teacher);
            assertClose(
                    gradient(student, teacher, ended, DivergenceMask.ALL_TOKENS),
                    gradient(student, teacher, padded, DivergenceMask.ALL_TOKENS),
                    type == DataType.DOUBLE ? 1e-6 : 1e-4);
            ReplayIterator mixed = written.mixedInto(target(type, 1), 0.5);
            INDArray together = Networks.gradient(
                    student, new TeacherIterator(mixed, teacher, mixed.divergenceWeights(0, 1)).next());
            INDArray ofTarget = gradient(
                    student, teacher, text(type, 3, TIME, 0), (b, o, n, t) -> Nd4j.zeros(DataType.FLOAT, n, t));
            DataSet three = written.iterator(3).next();
            INDArray ofWritten = gradient(student, teacher, three, DivergenceMask.ALL_TOKENS);
            assertClose(ofTarget.add(ofWritten), together, type == DataType.DOUBLE ? 1e-6 : 1e-4);
        }
    }

    @Test
    void prompts_of_different_lengths_are_gone_on_from() throws IOException {
        int[][] written = SelfReplay.of(lstm(DataType.DOUBLE, 3), target(DataType.DOUBLE, 2))
                .count(6)
                .prompts(new int[] {0, 1, 2, 3}, new int[] {4})
                .build()
                .sequences();
        int[][] alone = SelfReplay.of(lstm(DataType.DOUBLE, 3), target(DataType.DOUBLE, 2))
                .count(6)
                .prompts(new int[] {4})
                .build()
                .sequences();
        for (int i = 0; i < 6; i += 2) {
            assertArrayEquals(new int[] {0, 1, 2, 3}, Arrays.copyOf(written[i], 4));
            assertArrayEquals(alone[i + 1], written[i + 1], "as if no other sequence were longer");
        }
    }

    /** Minibatches keep the form of the target's, whatever it is. */
    @Property(tries = 60, seed = "20261130")
    void sequences_take_the_form_of_the_target(
            @ForAll @IntRange(min = 0, max = 4) int featureLayout,
            @ForAll @IntRange(min = 0, max = 4) int labelLayout,
            @ForAll @IntRange(min = 2, max = 9) int time,
            @ForAll @IntRange(min = 1, max = 4) int rows,
            @ForAll long seed) {
        Random random = new Random(seed);
        int[][] ids = new int[rows][time + 1];
        for (int[] row : ids) {
            Arrays.setAll(row, i -> random.nextInt(7));
        }
        DataSet given = new DataSet(
                laidOut(ids, 0, time, featureLayout, DataType.FLOAT),
                laidOut(ids, 1, time, labelLayout, DataType.INT32));
        TokenForm form = TokenForm.of(given.toMultiDataSet());
        assertEquals(time, form.time());
        DataSet made = form.batch(ids, 0.25);
        assertClose(given.getFeatures(), made.getFeatures(), 0);
        assertClose(given.getLabels(), made.getLabels(), 0);
        assertEquals(DataType.INT32, made.getLabels().dataType());
        assertClose(Nd4j.valueArrayOf(new long[] {rows, time}, 0.25, DataType.FLOAT), made.getLabelsMaskArray(), 0);
        for (int row = 0; row < rows; row++) {
            assertArrayEquals(Arrays.copyOf(ids[row], time), form.features().ids(given.getFeatures())[row]);
        }
    }

    private static INDArray laidOut(int[][] ids, int from, int time, int layout, DataType type) {
        INDArray flat = Nd4j.create(type, ids.length, time);
        INDArray oneHot = Nd4j.create(type, ids.length, 11, time);
        for (int row = 0; row < ids.length; row++) {
            for (int t = 0; t < time; t++) {
                flat.putScalar(row, t, ids[row][from + t]);
                oneHot.putScalar(new int[] {row, ids[row][from + t], t}, 1);
            }
        }
        return switch (layout) {
            case 0 -> flat;
            case 1 -> flat.reshape(ids.length, 1, time);
            case 2 -> flat.reshape(ids.length, time, 1);
            case 3 -> oneHot;
            default -> oneHot.permute(0, 2, 1).dup('c');
        };
    }

    @Property(tries = 60, seed = "20261201")
    void the_share_is_exact_over_any_number_of_minibatches(
            @ForAll @DoubleRange(min = 0, max = 0.9) double share,
            @ForAll @IntRange(min = 1, max = 40) int batches,
            @ForAll @IntRange(min = 1, max = 3) int epochs)
            throws IOException {
        NextToken even = (sequences, length) -> new double[sequences.length][V];
        SelfReplay written =
                SelfReplay.of(even, "base", multi(DataType.FLOAT, 1)).count(5).build();
        ReplayIterator mixed = written.mixedInto(target(DataType.FLOAT, batches), share);
        long replayed = 0;
        for (int epoch = 0; epoch < epochs; epoch++) {
            while (mixed.hasNext()) {
                replayed += mixed.next().getFeatures().size(0) - 3;
            }
            mixed.reset();
        }
        assertEquals(3.0 * batches * epochs * share / (1 - share), replayed, 0.5 + 1e-6);
    }

    /** The gradient of the sum over examples, which DL4J divides afterwards. */
    private static INDArray gradient(MultiLayerNetwork student, Teacher teacher, DataSet batch, DivergenceMask mask) {
        DataSet taught = new TeacherIterator(new ExistingDataSetIterator(List.of(batch)), teacher, mask).next();
        return Networks.gradient(student, taught);
    }

    @ParameterizedTest
    @EnumSource(
            value = DataType.class,
            names = {"FLOAT", "DOUBLE"})
    void the_gradient_is_that_of_both_parts(DataType type) throws IOException {
        MultiLayerNetwork base = lstm(type, 3);
        try (Teacher teacher = Teacher.of(base)) {
            MultiLayerNetwork student = Retention.attach(
                    Networks.moved(base, 0.3, 5),
                    RetentionConfiguration.builder()
                            .coefficient(0.8)
                            .temperature(1.5)
                            .build(),
                    teacher);
            DataSet text = text(type, 4, TIME, 9);
            SelfReplay written =
                    SelfReplay.of(base, target(type, 2)).count(6).labels(0.4).build();
            ReplayIterator mixed = written.mixedInto(new ExistingDataSetIterator(List.of(text)), 0.6);
            DataSet mixture = new TeacherIterator(mixed, teacher, mixed.divergenceWeights(0.3, 2)).next();
            assertEquals(10, mixture.getFeatures().size(0));
            INDArray together = Networks.gradient(student, mixture);

            // Each part on its own, with masks by hand.
            INDArray ofTarget = gradient(
                    student, teacher, text, (b, o, n, t) -> Nd4j.valueArrayOf(new long[] {n, t}, 0.3, DataType.FLOAT));
            DataSet samples = written.iterator(6).next();
            assertClose(Nd4j.valueArrayOf(new long[] {6, TIME}, 0.4, DataType.FLOAT), samples.getLabelsMaskArray(), 0);
            INDArray ofSamples = gradient(
                    student,
                    teacher,
                    samples,
                    (b, o, n, t) -> Nd4j.valueArrayOf(new long[] {n, t}, 2.0, DataType.FLOAT));
            assertClose(ofTarget.add(ofSamples), together, type == DataType.DOUBLE ? 1e-6 : 1e-4);

            // By the divergence alone, the labels of what was written could be anything.
            SelfReplay alone = SelfReplay.of(base, target(type, 2)).count(6).build();
            DataSet masked = alone.iterator(6).next();
            INDArray before = gradient(student, teacher, masked.copy(), DivergenceMask.ALL_TOKENS);
            masked.setLabels(Nd4j.reverse(masked.getLabels().dup('c')));
            assertClose(before, gradient(student, teacher, masked, DivergenceMask.ALL_TOKENS), 0);
        }
    }

    /** What was written has no labels, so the label mask would hold nothing of it. */
    @Test
    void without_a_mask_of_ones_own_both_parts_are_held() throws IOException {
        MultiLayerNetwork base = lstm(DataType.DOUBLE, 3);
        SelfReplay written =
                SelfReplay.of(base, target(DataType.DOUBLE, 2)).count(6).build();
        try (Teacher teacher = Teacher.of(base)) {
            MultiLayerNetwork student = Retention.attach(
                    Networks.moved(base, 0.3, 5),
                    RetentionConfiguration.builder().build(),
                    teacher);
            ReplayIterator mixed = written.mixedInto(target(DataType.DOUBLE, 2), 0.5);
            INDArray both = Networks.gradient(
                    student, new TeacherIterator(mixed, teacher, mixed.divergenceWeights(1, 1)).next());
            assertEquals(6 * TIME, Networks.lastLoss(student).divergenceTokens());
            ReplayIterator again = written.mixedInto(target(DataType.DOUBLE, 2), 0.5);
            assertClose(both, Networks.gradient(student, new TeacherIterator(again, teacher).next()), 0);
            var multi = written.mixedInto(multi(DataType.DOUBLE, 2), 0.5);
            assertEquals(
                    new TeacherMultiDataSetIterator(multi, teacher)
                            .next()
                            .getLabels(0)
                            .shapeInfoToString(),
                    new TeacherIterator(written.mixedInto(target(DataType.DOUBLE, 2), 0.5), teacher)
                            .next()
                            .getLabels()
                            .shapeInfoToString());

            // The calls that make the teacher's iterator themselves.
            Retention.finetune(student, teacher, written.mixedInto(target(DataType.DOUBLE, 2), 0.5), 1);
            assertEquals(6 * TIME, Networks.lastLoss(student).divergenceTokens());
        }
        ComputationGraph graph = graph(DataType.DOUBLE);
        try (Teacher teacher = Teacher.of(graph)) {
            ComputationGraph student =
                    Retention.attach(graph, RetentionConfiguration.builder().build());
            Retention.finetune(student, teacher, written.mixedInto(target(DataType.DOUBLE, 2), 0.5), 1);
            var head = (RetentionOutputLayerRuntime) student.getLayer("out");
            assertEquals(6 * TIME, head.lastTokenLoss().divergenceTokens());
        }
        MultiLayerNetwork[] tuned = new MultiLayerNetwork[2];
        for (int named = 0; named < 2; named++) {
            ReplayIterator mixed = written.mixedInto(target(DataType.DOUBLE, 2), 0.5);
            FinetuningRun.Builder<MultiLayerNetwork> run = FinetuningRun.builder()
                    .student(Retention.attach(
                            base, RetentionConfiguration.builder().build()))
                    .teacher(Teacher.of(base))
                    .iterator(mixed)
                    .folder(folder.resolve("run" + named));
            tuned[named] = (named == 0 ? run : run.divergenceMask(mixed.divergenceWeights(1, 1)))
                    .build()
                    .run();
        }
        assertClose(tuned[1].params(), tuned[0].params(), 0);
    }

    /** Padding that a label of zeros or the features mask leaves out counts in a mixture no more than it does alone. */
    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void the_targets_padding_counts_nowhere_in_a_mixture(boolean byFeatures) throws IOException {
        MultiLayerNetwork base = lstm(DataType.DOUBLE, 3);
        DataSet text = text(DataType.DOUBLE, 4, TIME, 9);
        INDArray ones = Nd4j.ones(DataType.DOUBLE, 4, TIME);
        if (byFeatures) {
            text.setFeaturesMaskArray(ones.dup().putScalar(0, 4, 0).putScalar(2, 3, 0));
        } else {
            text.getLabels()
                    .get(NDArrayIndex.point(1), NDArrayIndex.all(), NDArrayIndex.interval(3, TIME))
                    .assign(0);
        }
        SelfReplay written =
                SelfReplay.of(base, target(DataType.DOUBLE, 2)).count(4).build();
        try (Teacher teacher = Teacher.of(base)) {
            MultiLayerNetwork student = Retention.attach(
                    Networks.moved(base, 0.3, 5),
                    RetentionConfiguration.builder().build(),
                    teacher);
            DataSetIterator single = new ExistingDataSetIterator(List.of(text));
            INDArray alone = Networks.gradient(student, new TeacherIterator(single, teacher).next())
                    .dup();
            assertEquals(4 * TIME - 2, Networks.lastLoss(student).divergenceTokens());
            INDArray samples = gradient(student, teacher, written.iterator(4).next(), DivergenceMask.ALL_TOKENS);
            ReplayIterator mixed = written.mixedInto(new ExistingDataSetIterator(List.of(text)), 0.5);
            INDArray together = Networks.gradient(
                    student, new TeacherIterator(mixed, teacher, mixed.divergenceWeights(1, 1)).next());
            assertEquals(8 * TIME - 2, Networks.lastLoss(student).divergenceTokens());
            assertClose(alone.add(samples), together, 1e-9);
            mixed = written.mixedInto(new ExistingDataSetIterator(List.of(text)), 0.5);
            Networks.gradient(
                    student, new TeacherIterator(mixed, teacher, mixed.divergenceOn(ReplayPart.TARGET)).next());
            assertEquals(4 * TIME - 2, Networks.lastLoss(student).divergenceTokens());
        }
    }

    @ParameterizedTest
    @EnumSource(
            value = DataType.class,
            names = {"FLOAT", "DOUBLE", "HALF", "INT"})
    void a_label_mask_of_any_type_weighs_the_targets_part(DataType type) throws IOException {
        MultiLayerNetwork base = lstm(DataType.FLOAT, 3);
        DataSet text = text(DataType.FLOAT, 4, TIME, 9);
        text.setLabelsMaskArray(
                Nd4j.ones(DataType.FLOAT, 4, TIME).putScalar(1, 2, 0).castTo(type));
        SelfReplay written = SelfReplay.of(base, new ExistingDataSetIterator(List.of(text)))
                .count(4)
                .build();
        try (Teacher teacher = Teacher.of(base)) {
            MultiLayerNetwork student =
                    Retention.attach(base, RetentionConfiguration.builder().build());
            ReplayIterator mixed = written.mixedInto(new ExistingDataSetIterator(List.of(text)), 0.5);
            Networks.gradient(student, new TeacherIterator(mixed, teacher, mixed.divergenceWeights(0.25, 2)).next());
            assertEquals(
                    0.25 * (4 * TIME - 1) + 2 * 4 * TIME,
                    Networks.lastLoss(student).divergenceTokens(),
                    1e-6);
        }
    }

    /** Several tokens at once, as a prompt's, may go wrong where one after another go right. */
    @Test
    void steps_that_are_wrong_for_several_tokens_at_once_are_not_taken() {
        MultiLayerNetwork base = lstm(DataType.FLOAT, 3);
        MultiLayerNetwork other = base.clone();
        TokenForm form = TokenForm.of(multi(DataType.FLOAT, 1).next());
        int[] example = {1, 2, 0, 4, 3};
        List<Integer> cleared = new ArrayList<>();
        for (boolean wrong : new boolean[] {false, true}) {
            NextTokens.Stepping stepping = new NextTokens.Stepping(
                    input -> {
                        INDArray output = other.rnnTimeStep(input);
                        if (wrong && input.size(2) > 1) {
                            other.rnnClearPreviousState();
                        }
                        return output;
                    },
                    () -> {
                        cleared.add(1);
                        other.rnnClearPreviousState();
                    },
                    form,
                    1);
            try (Teacher teacher = Teacher.of(base);
                    NextTokens found = NextTokens.fastest(stepping, teacher, false, form, example);
                    NextTokens windows = NextTokens.fastest(null, teacher, false, form, example)) {
                int[][] starts = {{1, 2, 3, 4}, {0, 2, 1, 5}};
                assertArrayEquals(windows.write(starts, TIME + 1, 0.7, 5), found.write(starts, TIME + 1, 0.7, 5));
                cleared.clear();
            }
            // A state of many rows isn't kept for nobody.
            assertEquals(wrong ? 0 : 1, cleared.size());
        }
    }

    @Test
    void a_student_that_is_its_teacher_has_no_gradient_on_what_it_wrote() throws IOException {
        MultiLayerNetwork base = lstm(DataType.DOUBLE, 3);
        try (Teacher teacher = Teacher.of(base)) {
            MultiLayerNetwork student =
                    Retention.attach(base, RetentionConfiguration.builder().build());
            DataSet samples = SelfReplay.of(base, target(DataType.DOUBLE, 2))
                    .count(6)
                    .build()
                    .iterator(6)
                    .next();
            INDArray gradient = gradient(student, teacher, samples, DivergenceMask.ALL_TOKENS);
            assertClose(Nd4j.zerosLike(gradient), gradient, 1e-6);
            assertEquals(0, Networks.lastLoss(student).sum(), 1e-6);
        }
    }

    @Test
    void a_cache_of_text_and_sequences_serves_every_mixture() throws IOException {
        MultiLayerNetwork base = lstm(DataType.FLOAT, 3);
        SelfReplay written =
                SelfReplay.of(base, target(DataType.FLOAT, 4)).count(7).build();
        List<DataSet> all = new ArrayList<>();
        target(DataType.FLOAT, 4).forEachRemaining(all::add);
        written.iterator(4).forEachRemaining(all::add);
        try (TeacherCache cache = TeacherCache.builder()
                .pretrained(base)
                .folder(folder.resolve("cache"))
                .codec(CacheCodec.half())
                .data("text and what the base wrote")
                .build(new ExistingDataSetIterator(all))) {
            MultiLayerNetwork student = Retention.attach(
                    Networks.moved(base, 0.3, 5),
                    RetentionConfiguration.builder().build(),
                    cache);
            ReplayIterator one = written.mixedInto(target(DataType.FLOAT, 4), 0.4);
            ReplayIterator other = written.mixedInto(target(DataType.FLOAT, 4), 0.4);
            try (Teacher teacher = Teacher.of(base)) {
                DataSetIterator cached = new TeacherIterator(one, cache, one.divergenceWeights(0, 1));
                DataSetIterator live = new TeacherIterator(other, teacher, other.divergenceWeights(0, 1));
                for (int epoch = 0; epoch < 3; epoch++) {
                    while (live.hasNext()) {
                        assertClose(
                                Networks.gradient(student, live.next()),
                                Networks.gradient(student, cached.next()),
                                1e-2);
                    }
                    assertFalse(cached.hasNext());
                    live.reset();
                    cached.reset();
                }
            }
        }
    }

    private FinetuningRun.Builder<MultiLayerNetwork> run(String name, MultiLayerNetwork base, double weight)
            throws IOException {
        ReplayIterator mixed = SelfReplay.of(base, target(DataType.FLOAT, 5))
                .count(7)
                .file(folder.resolve("written.json"))
                .build()
                .mixedInto(target(DataType.FLOAT, 5), 0.3);
        return FinetuningRun.builder()
                .student(Retention.attach(base, RetentionConfiguration.builder().build()))
                .teacher(Teacher.of(base))
                .iterator(mixed)
                .divergenceMask(mixed.divergenceWeights(0, weight))
                .epochs(3)
                .every(4)
                .folder(folder.resolve(name));
    }

    @Test
    void a_run_that_is_killed_ends_with_the_same_bits() throws IOException {
        MultiLayerNetwork base = lstm(DataType.FLOAT, 3);
        MultiLayerNetwork whole = run("whole", base, 1).build().run();
        run("parts", base, 1).epochs(2).build().run();
        // What a process that was killed after its second checkpoint leaves.
        try (var files = Files.list(folder.resolve("parts"))) {
            List<Path> checkpoints = files.filter(file -> file.toString().endsWith(".zip"))
                    .sorted()
                    .toList();
            assertTrue(checkpoints.size() > 1, checkpoints.toString());
            Files.delete(checkpoints.get(checkpoints.size() - 1));
        }
        MultiLayerNetwork parts = run("parts", base, 1).build().run();
        assertClose(whole.params(), parts.params(), 0);
        assertClose(whole.getUpdater().getStateViewArray(), parts.getUpdater().getStateViewArray(), 0);
        String message = assertThrows(
                        IllegalStateException.class,
                        () -> run("parts", base, 2).epochs(4).build().run())
                .getMessage();
        assertTrue(message.contains("weights 0.0 of the target, 2.0 of what is replayed"), message);
    }
}
