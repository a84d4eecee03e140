package io.github.dl4jretention.spark;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.cache.TeacherCache;
import io.github.dl4jretention.sweep.SuccessiveHalving;
import io.github.dl4jretention.sweep.Sweep;
import io.github.dl4jretention.sweep.SweepListener;
import io.github.dl4jretention.sweep.outcome.CandidateOutcome;
import io.github.dl4jretention.sweep.outcome.SweepOutcome;
import io.github.dl4jretention.sweep.space.RetentionSpace;
import io.github.dl4jretention.sweep.space.Search;
import io.github.dl4jretention.sweep.task.FinetuneModel;
import io.github.dl4jretention.sweep.task.FinetuneSpace;
import io.github.dl4jretention.sweep.task.RetentionScore;
import io.github.dl4jretention.teacher.Teacher;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Sweeps on two executors against sweeps on two threads. */
class SparkSweepTest {

    @TempDir
    private Path folder;

    private void assertSame(Sweep.Builder sweep) throws IOException {
        SweepOutcome local = sweep.folder(folder.resolve("local")).build().run();
        List<Integer> ended = new ArrayList<>();
        SweepOutcome cluster = SparkSweep.on(
                        TestCluster.shared(),
                        sweep.folder(folder.resolve("cluster"))
                                .listener(noting(ended))
                                .build())
                .run();
        assertEquals(TestSweeps.essence(local), TestSweeps.essence(cluster));
        assertEquals(ended.stream().distinct().count(), ended.size(), "counted twice: " + ended);
        assertSameModels(local);
    }

    /** Models on the front, bit for bit. */
    private void assertSameModels(SweepOutcome sweep) throws IOException {
        FinetuneModel model = FinetuneModel.of(io.github.dl4jretention.Networks.lstm(TestSweeps.TYPE, 1));
        for (CandidateOutcome candidate : sweep.front()) {
            String name = "models/candidate-%03d.zip".formatted(candidate.index());
            Object local = model.load(folder.resolve("local").resolve(name));
            Object cluster = model.load(folder.resolve("cluster").resolve(name));
            assertEquals(
                    ((org.deeplearning4j.nn.multilayer.MultiLayerNetwork) local).params(),
                    ((org.deeplearning4j.nn.multilayer.MultiLayerNetwork) cluster).params());
        }
        try (Stream<Path> models = Files.list(folder.resolve("cluster/models"))) {
            assertEquals(sweep.front().size(), models.count());
        }
    }

    static SweepListener noting(List<Integer> ended) {
        return new SweepListener() {
            @Override
            public void onCandidate(SweepOutcome sweep, CandidateOutcome candidate) {
                ended.add(candidate.index());
            }
        };
    }

    /** A learning rate of 1e20 gives NaN: that candidate fails, as it does on one machine, and no other. */
    @Test
    void a_grid_is_that_of_one_machine_with_a_candidate_that_fails() throws Exception {
        Sweep.Builder sweep = TestSweeps.grid(folder)
                .space(FinetuneSpace.builder()
                        .retention(RetentionSpace.builder().coefficients(0.1, 1).build())
                        .learningRates(0.01, 1e20)
                        .steps(6)
                        .build());
        assertSame(sweep);
        SweepOutcome outcome = SweepOutcome.fromJson(Files.readString(folder.resolve("cluster/sweep.json")));
        assertEquals(2, outcome.failed().size(), outcome.candidates().toString());
        assertEquals(2, outcome.complete().size());
    }

    @Test
    void a_pruned_sweep_is_that_of_one_machine() throws Exception {
        assertSame(TestSweeps.grid(folder)
                .space(FinetuneSpace.builder()
                        .retention(
                                RetentionSpace.builder().coefficients(1, 2, 4).build())
                        .learningRates(0.05, 1e-6)
                        .steps(8)
                        .build())
                .search(Search.grid(3))
                .score(RetentionScore.weighted(0))
                .pruning(new SuccessiveHalving(2, 2)));
        SweepOutcome outcome = SweepOutcome.fromJson(Files.readString(folder.resolve("cluster/sweep.json")));
        assertTrue(outcome.complete().size() < outcome.candidates().size(), "some are pruned: " + outcome.candidates());
    }

    @Test
    void a_genetic_search_is_that_of_one_machine() throws Exception {
        assertSame(
                TestSweeps.grid(folder).search(Search.genetic(4)).candidates(8).space(TestSweeps.space(2)));
    }

    /** Kills its executor in the midst of the first candidate; the next executor finds the mark. */
    @Test
    void an_executor_that_is_killed_loses_no_candidate() throws Exception {
        SweepOutcome local = TestSweeps.grid(folder.resolve("local")).build().run();
        String mark = folder.resolve("killed").toString();
        List<Integer> ended = new ArrayList<>();
        SweepOutcome cluster = SparkSweep.on(
                        TestCluster.shared(),
                        TestSweeps.grid(folder.resolve("cluster"))
                                .listener(noting(ended))
                                .build())
                .teacher(pretrained -> killedOnce(mark, pretrained))
                .run();
        assertTrue(Files.exists(Path.of(mark)));
        assertEquals(TestSweeps.essence(local), TestSweeps.essence(cluster));
        assertEquals(List.of(0, 1, 2, 3), ended.stream().sorted().toList());
    }

    static Teacher killedOnce(String mark, Teacher pretrained) throws IOException {
        try {
            Files.createFile(Path.of(mark));
        } catch (FileAlreadyExistsException e) {
            return pretrained;
        }
        new ProcessBuilder("kill", "-9", String.valueOf(ProcessHandle.current().pid())).start();
        try {
            Thread.sleep(60_000);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        throw new IllegalStateException("expected to be killed");
    }

    @Test
    void a_driver_that_is_killed_goes_on_from_the_journal() throws Exception {
        SweepOutcome local = TestSweeps.grid(folder.resolve("local")).build().run();
        Path part = folder.resolve("cluster");
        List<String> command = new ArrayList<>(
                List.of(Path.of(System.getProperty("java.home"), "bin", "java").toString()));
        ManagementFactory.getRuntimeMXBean().getInputArguments().stream()
                .filter(argument -> argument.startsWith("--add-opens"))
                .forEach(command::add);
        command.addAll(List.of(
                "-Djava.io.tmpdir=" + System.getProperty("java.io.tmpdir"),
                "-cp",
                System.getProperty("java.class.path"),
                Driver.class.getName(),
                part.toString()));
        TestCluster.stop();
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String printed = new String(process.getInputStream().readAllBytes());
        assertEquals(Driver.CODE, process.waitFor(), printed);
        SweepOutcome found = SweepOutcome.fromJson(Files.readString(part.resolve("sweep.json")));
        assertFalse(found.finished());
        int there = found.candidates().size();
        assertTrue(there >= 2 && there < 4, there + " candidates");
        List<Integer> ended = new ArrayList<>();
        SweepOutcome resumed = SparkSweep.on(
                        TestCluster.shared(),
                        TestSweeps.grid(part).listener(noting(ended)).build())
                .run();
        assertEquals(TestSweeps.essence(local), TestSweeps.essence(resumed));
        assertEquals(4 - there, ended.size());
    }

    /** Halts when two candidates have ended, as if killed. */
    public static final class Driver {

        private static final int CODE = 9;

        private Driver() {}

        public static void main(String[] args) throws IOException {
            SparkSweep.on(
                            TestCluster.shared(),
                            TestSweeps.grid(Path.of(args[0]))
                                    .listener(new SweepListener() {
                                        @Override
                                        public void onCandidate(SweepOutcome sweep, CandidateOutcome candidate) {
                                            if (sweep.candidates().size() == 2) {
                                                Runtime.getRuntime().halt(CODE);
                                            }
                                        }
                                    })
                                    .build())
                    .run();
        }
    }

    @Test
    void a_cache_serves_executors_as_it_serves_threads() throws Exception {
        Path caches = folder.resolve("caches");
        FinetuneModel model = FinetuneModel.of(io.github.dl4jretention.Networks.lstm(TestSweeps.TYPE, 1));
        TeacherCache cache = TeacherCache.builder()
                .teacher(model.teacher())
                .folder(caches)
                .build(TestSweeps.data().training().iterator());
        SweepOutcome local =
                TestSweeps.grid(folder.resolve("local")).teacher(cache).build().run();
        Sweep sweep = TestSweeps.grid(folder.resolve("cluster")).teacher(cache).build();
        String message = assertThrows(IllegalArgumentException.class, () -> SparkSweep.on(TestCluster.shared(), sweep)
                        .run())
                .getMessage();
        assertTrue(message.startsWith("teacher: expected SparkSweep.teacher(factory)"), message);
        String place = caches.toString();
        SweepOutcome cluster = SparkSweep.on(TestCluster.shared(), sweep)
                .teacher(pretrained -> TeacherCache.builder()
                        .teacher(pretrained)
                        .folder(Path.of(place))
                        .open())
                .run();
        assertEquals(TestSweeps.essence(local), TestSweeps.essence(cluster));
        Sweep again = TestSweeps.grid(folder.resolve("unseen")).teacher(cache).build();
        String unseen = assertThrows(IllegalStateException.class, () -> SparkSweep.on(TestCluster.shared(), again)
                        .teacher(pretrained -> TeacherCache.builder()
                                .teacher(pretrained)
                                .folder(Path.of("only/on/the/driver"))
                                .open())
                        .run())
                .getMessage();
        assertTrue(unseen.contains(" on host "), unseen);
        assertTrue(unseen.contains("check that this machine sees the folder"), unseen);
    }
}
