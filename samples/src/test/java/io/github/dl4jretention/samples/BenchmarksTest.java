package io.github.dl4jretention.samples;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Retention;
import io.github.dl4jretention.cache.TeacherCache;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.samples.benchmark.BenchmarkShape;
import io.github.dl4jretention.samples.benchmark.OutputHead;
import io.github.dl4jretention.samples.benchmark.PeerShape;
import io.github.dl4jretention.samples.benchmark.ProcessMemory;
import io.github.dl4jretention.samples.benchmark.TrainingSide;
import io.github.dl4jretention.samples.model.ModelKind;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.apache.commons.math3.stat.descriptive.DescriptiveStatistics;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.Pointer;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.runner.BenchmarkList;
import org.openjdk.jmh.runner.Runner;
import org.openjdk.jmh.runner.RunnerException;
import org.openjdk.jmh.runner.format.OutputFormatFactory;
import org.openjdk.jmh.runner.options.OptionsBuilder;
import org.openjdk.jmh.runner.options.VerboseMode;
import picocli.CommandLine;

/** What the benchmarks run and how they sum it up. No test looks at how long anything takes. */
class BenchmarksTest {

    private static final BenchmarkShape SMALL = new BenchmarkShape(20, 2, 8);
    private static final String[] SMALL_OPTIONS = {"--models=lstm", "--vocabulary=20", "--time=8", "--batch=2"};

    private static List<String> run(CommandLine program, int code, String... args) {
        return printed(
                program,
                code,
                Stream.concat(Arrays.stream(SMALL_OPTIONS), Arrays.stream(args)).toArray(String[]::new));
    }

    private static List<String> printed(CommandLine program, int code, String... args) {
        ByteArrayOutputStream printed = new ByteArrayOutputStream();
        PrintStream[] screens = {System.out, System.err};
        System.setOut(new PrintStream(printed, true, StandardCharsets.UTF_8));
        System.setErr(System.out);
        try {
            assertEquals(
                    code,
                    program.setOverwrittenOptionsAllowed(true).execute(args),
                    () -> printed.toString(StandardCharsets.UTF_8));
        } finally {
            System.setOut(screens[0]);
            System.setErr(screens[1]);
        }
        return printed.toString(StandardCharsets.UTF_8).lines().toList();
    }

    private static List<String> rows(List<String> lines, String start) {
        return lines.stream().filter(line -> line.startsWith(start)).toList();
    }

    private static DescriptiveStatistics of(double... values) {
        return new DescriptiveStatistics(values);
    }

    @Test
    void jmh_finds_every_benchmark() {
        Set<String> found = new TreeSet<>();
        BenchmarkList.defaultList()
                .getAll(
                        OutputFormatFactory.createFormatInstance(
                                new PrintStream(new ByteArrayOutputStream()), VerboseMode.SILENT),
                        List.of())
                .forEach(benchmark ->
                        found.add(benchmark.getUsername().replace("io.github.dl4jretention.samples.", "")));
        assertEquals(
                Set.of(
                        "HeadBenchmark.gradients",
                        "StepBenchmark.Steps.step",
                        "TeacherBenchmark.build",
                        "TeacherBenchmark.open",
                        "TeacherBenchmark.read",
                        "TeacherBenchmark.teacher"),
                found);
    }

    @Test
    void a_row_has_median_quartiles_and_the_ratio_to_the_first_side() {
        StepBenchmark program = new StepBenchmark();
        new CommandLine(program).parseArgs("--sides=CACHED,PLAIN");
        Map<TrainingSide, DescriptiveStatistics> milliseconds = new EnumMap<>(TrainingSide.class);
        milliseconds.put(TrainingSide.PLAIN, of(50, 10, 40, 20, 30));
        milliseconds.put(TrainingSide.CACHED, of(20, 20, 20));
        assertEquals(
                """
                lstm             20     8     2 cached        20.0      20.0      20.0   1.00
                lstm             20     8     2 plain         30.0      15.0      45.0   1.50
                """,
                program.rows(ModelKind.LSTM, SMALL, milliseconds));
    }

    @Test
    void the_peer_benchmark_runs_each_side_of_this_project_and_passes_over_those_that_are_not_installed() {
        for (String shape : List.of("lstm", "transformer")) {
            List<String> printed = printed(
                    PeerBenchmark.commandLine(),
                    0,
                    "--shapes=" + shape,
                    "--sides=stock,samediff,plain,cached,online,djl",
                    "--batch=2",
                    "--time=8",
                    "--rounds=1",
                    "--warm-up=0",
                    "--seconds=0");
            List<String> rows =
                    printed.stream().filter(line -> line.startsWith(shape)).toList();
            assertEquals(4, rows.size(), String.join("\n", printed));
            String[] sides = {shape.equals("lstm") ? "stock" : "samediff", "plain", "cached", "online"};
            for (int i = 0; i < sides.length; i++) {
                assertTrue(
                        rows.get(i)
                                .matches(shape + " +2 +8 " + sides[i]
                                        + "( +\\d+\\.\\d){3} +\\d+\\.\\d\\d +\\d+ +[A-Za-z]\\w+ *"),
                        rows.get(i));
            }
        }
    }

    @Test
    void the_layer_profile_has_every_kind_of_layer_and_the_work_of_a_step() {
        List<String> printed = printed(
                LayerProfile.commandLine(),
                0,
                "--shapes=transformer",
                "--batch=2",
                "--time=8",
                "--warm-up=0",
                "--steps=2");
        for (String part : List.of(
                "TokenEmbedding forward",
                "DecoderBlock forward",
                "DecoderBlock backward",
                "RetentionOutputLayer, loss and gradients",
                "updater, the next minibatch")) {
            assertTrue(printed.stream().anyMatch(line -> line.startsWith(part)), String.join("\n", printed));
        }
        // 16 tokens meet 3 x (4 blocks of 12 x 128 x 128 weights and 128 x 2000 of the head) and half of 8 tokens.
        double expected = 6e-9 * 16 * (4 * (12 * 128 * 128 + 8 * 128) + 128 * 2000);
        String whole = printed.get(printed.size() - 1);
        assertEquals("%.2f".formatted(expected), whole.split(" +")[3], whole);
    }

    @Test
    void every_peer_network_trains_on_its_tokens() {
        for (PeerShape shape : List.of(PeerShape.LSTM, PeerShape.TRANSFORMER)) {
            MultiLayerNetwork network = Retention.attach(
                    shape.network(false, 2, 8), RetentionConfiguration.builder().build());
            DataSet batch = shape.tokens(1, 2, 8).get(0);
            double before = network.score(batch);
            for (int step = 0; step < 50; step++) {
                network.fit(batch);
            }
            assertTrue(network.score(batch) < before, shape + ": " + network.score(batch) + " after " + before);
        }
    }

    @Test
    void the_step_benchmark_runs_each_side_and_tells_why_one_cannot_run() {
        List<String> rows = rows(
                run(StepBenchmark.commandLine(), 0, "--sides=zero", "--blocks=1", "--steps=2", "--warm-up=0"), "lstm ");
        assertEquals(1, rows.size());
        assertTrue(rows.get(0).matches("lstm +20 +8 +2 zero( +\\d+\\.\\d){3} +1\\.00"), rows.get(0));
        // A second vocabulary, after the first.
        List<String> failed = run(StepBenchmark.commandLine(), 1, "--sides=plain", "--vocabulary=0", "--blocks=1");
        assertEquals(1, rows(failed, "error: ").size(), failed.toString());
        assertEquals(1, rows(failed, "lstm ").size(), failed.toString());
    }

    @ParameterizedTest
    @EnumSource(
            value = TrainingSide.class,
            names = {"SELF_REPLAY", "TRUST_REGION", "DPO", "PULL", "MIXOUT", "AVERAGE"})
    void the_sides_of_other_methods_train(TrainingSide side, @TempDir Path folder) throws IOException {
        BenchmarkShape shape = new BenchmarkShape(20, 4, 8);
        for (ModelKind kind : ModelKind.values()) {
            MultiLayerNetwork base = shape.network(kind);
            TrainingSide.Training training = side.start(base, shape.tokens(2, 1), folder);
            for (int step = 0; step < 3; step++) {
                training.step();
                assertTrue(Double.isFinite(training.network().score()), kind + " " + step);
            }
            assertTrue(training.network().params().distance2(base.params()) > 1e-4, kind.toString());
        }
    }

    private static INDArray trained(MultiLayerNetwork base, TrainingSide side, List<DataSet> batches, Path cache)
            throws IOException {
        TrainingSide.Training training = side.start(base, batches, cache);
        for (int step = 0; step < 6; step++) {
            training.step();
        }
        return training.network().params();
    }

    private static INDArray taught(MultiLayerNetwork base, List<DataSet> batches, Teacher teacher) {
        MultiLayerNetwork student =
                Retention.attach(base, RetentionConfiguration.builder().build());
        student.fit(new TeacherIterator(new ExistingDataSetIterator(batches), teacher));
        return student.params();
    }

    private static double farthest(INDArray one, INDArray two) {
        return Differences.largest(one, two);
    }

    @Test
    void every_side_trains_what_its_name_says(@TempDir Path folder) throws IOException {
        MultiLayerNetwork base = SMALL.network(ModelKind.LSTM);
        INDArray before = base.params().dup();
        List<DataSet> batches = SMALL.tokens(4, 1);
        List<DataSet> six = new ArrayList<>(batches);
        six.addAll(batches.subList(0, 2));

        MultiLayerNetwork plain = base.clone();
        plain.fit(new ExistingDataSetIterator(six));
        assertTrue(farthest(plain.params(), before) > 1e-4);
        assertEquals(0, farthest(plain.params(), trained(base, TrainingSide.PLAIN, batches, folder)));
        assertEquals(0, farthest(plain.params(), trained(base, TrainingSide.ZERO, batches, folder)), 1e-5);

        INDArray online = taught(base, six, Teacher.of(base));
        assertTrue(farthest(online, plain.params()) > 1e-5);
        assertEquals(0, farthest(online, trained(base, TrainingSide.ONLINE, batches, folder)));
        assertEquals(0, farthest(online, trained(base, TrainingSide.ONLINE_IN_TURN, batches, folder)));
        for (TrainingSide side : List.of(TrainingSide.EAFT, TrainingSide.DFT, TrainingSide.TALR, TrainingSide.FLOW)) {
            assertTrue(farthest(online, trained(base, side, batches, folder)) > 1e-5, side.label());
        }
        // Every label of a vocabulary this small is likelier than one in a thousand.
        assertEquals(0, farthest(online, trained(base, TrainingSide.SELECTIVE, batches, folder)), 1e-6);
        try (Stream<Path> files = Files.list(folder)) {
            assertEquals(0, files.count());
        }
        INDArray cached = trained(base, TrainingSide.CACHED, batches, folder);
        // The key of the cache has the description of its data, and with it its samples.
        TeacherCache cache = TeacherCache.builder()
                .pretrained(base)
                .folder(folder)
                .data("random tokens")
                .build(new ExistingDataSetIterator(List.of()));
        assertEquals(0, farthest(taught(base, six, cache), cached));
        assertNotEquals(0, farthest(online, cached));
        assertEquals(0, farthest(before, base.params()));
    }

    @Test
    void both_heads_compute_the_same_where_the_teacher_is_the_student() {
        OutputHead stock = OutputHead.of(OutputHead.Kind.STOCK, 30, 128);
        OutputHead retention = OutputHead.of(OutputHead.Kind.RETENTION, 30, 128);
        assertEquals(stock.input(), retention.input());
        double loss = stock.run();
        // 64 tokens of each example, guessed among 30 classes by a network that knows nothing.
        assertTrue(loss > 64 * Math.log(30) && loss < 64 * 6, "loss: " + loss);
        assertEquals(loss, retention.run(), 1e-3);
        assertEquals(
                0,
                farthest(
                        stock.network().getFlattenedGradients(),
                        retention.network().getFlattenedGradients()),
                1e-4);
        assertTrue(stock.network().getFlattenedGradients().norm2Number().doubleValue() > 1);
    }

    @Test
    void a_cached_teacher_is_measured() throws RunnerException {
        var results = new Runner(new OptionsBuilder()
                        .include("TeacherBenchmark.read")
                        .param("model", "LSTM")
                        .param("codec", "half")
                        .mode(Mode.SingleShotTime)
                        .forks(0)
                        .warmupIterations(0)
                        .measurementIterations(1)
                        .shouldFailOnError(true)
                        .verbosity(VerboseMode.SILENT)
                        .build())
                .run();
        assertEquals(1, results.size());
    }

    @Test
    @EnabledOnOs(OS.LINUX)
    void a_process_tells_its_peak_memory() throws IOException {
        double before = ProcessMemory.peak();
        // Native memory, for a heap grows as its collector likes. JavaCPP leaves shared memory out of what is resident.
        long size = (long) (before - Pointer.physicalBytes() / (1 << 20)) + 100;
        try (BytePointer held = new BytePointer(size << 20)) {
            Pointer.memset(held, 1, held.capacity());
            double more = ProcessMemory.peak() - before;
            assertTrue(more > 50 && more < 600, more + " MB");
        }
        assertTrue(ProcessMemory.peak() > before + 50);
    }

    @Test
    void a_slope_is_that_of_least_squares() {
        List<MemoryBenchmark.Sample> samples = new ArrayList<>();
        double[] heap = {1, 3, 2, 4};
        for (int i = 0; i < heap.length; i++) {
            samples.add(new MemoryBenchmark.Sample(i + 1, heap[i], 2.0 * i, 7));
        }
        // Slope 4 / 5; residuals 5 - 4 * 4 / 5 = 1.8, over 2 degrees of freedom and a variance of 5.
        assertEquals("800.000 +- 424.264", MemoryBenchmark.slope(samples, MemoryBenchmark.Sample::heap));
        assertEquals("2000.000 +- 0.000", MemoryBenchmark.slope(samples, MemoryBenchmark.Sample::resident));
        assertEquals("0.000 +- 0.000", MemoryBenchmark.slope(samples, MemoryBenchmark.Sample::descriptors));
    }
}
