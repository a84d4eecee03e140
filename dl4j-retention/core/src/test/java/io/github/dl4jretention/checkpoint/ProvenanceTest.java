package io.github.dl4jretention.checkpoint;

import static io.github.dl4jretention.Networks.assertClose;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.Retention;
import io.github.dl4jretention.loss.RetentionListener;
import io.github.dl4jretention.merge.Merge;
import io.github.dl4jretention.merge.MergeMethod;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import io.github.dl4jretention.teacher.TeacherMultiDataSetIterator;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;
import org.nd4j.shade.jackson.databind.node.ObjectNode;

/** What made a model is known from its file, whoever wrote it. */
class ProvenanceTest {

    @TempDir
    private Path folder;

    private Path file;

    private Object trained(Kind kind) throws IOException {
        file = folder.resolve("model");
        return kind.builder(folder.resolve("run")).build().run();
    }

    private static void save(Object model, Path file) throws IOException {
        if (model instanceof MultiLayerNetwork network) {
            network.save(file.toFile(), true);
        } else if (model instanceof ComputationGraph graph) {
            graph.save(file.toFile(), true);
        } else {
            ((SameDiff) model).save(file.toFile(), true);
        }
    }

    @ParameterizedTest
    @EnumSource(Kind.class)
    void a_runs_student_saves_it_with_itself(Kind kind) throws IOException {
        save(trained(kind), file);
        assertEquals(Provenance.read(FinetuningRunTest.newest(folder.resolve("run"))), Provenance.read(file));
    }

    @Test
    void a_network_that_is_trained_on_since_its_run_is_not_taken_for_the_runs() throws IOException {
        MultiLayerNetwork student = (MultiLayerNetwork) trained(Kind.MULTI_LAYER_NETWORK);
        student.fit(new TeacherIterator(
                        new ExistingDataSetIterator(
                                Networks.batches(student.params().dataType(), 1, true)),
                        Kind.MULTI_LAYER_NETWORK.teacher(1))
                .next());
        save(student, file);
        Provenance provenance = Provenance.read(file);
        assertEquals(student.getIterationCount(), provenance.iteration());
        assertEquals("", provenance.data());
        assertEquals(Kind.MULTI_LAYER_NETWORK.teacher(1).sha256(), provenance.teacher());
    }

    @Test
    void a_SameDiff_graph_that_is_trained_on_since_its_run_is_not_taken_for_the_runs() throws IOException {
        SameDiff student = (SameDiff) trained(Kind.SAME_DIFF);
        student.setListeners(new RetentionListener());
        student.fit(new TeacherMultiDataSetIterator(Kind.SAME_DIFF.iterator(9), Kind.SAME_DIFF.teacher(1)).next());
        save(student, file);
        Provenance provenance = Provenance.read(file);
        assertEquals(student.getTrainingConfig().getIterationCount(), provenance.iteration());
        assertEquals("", provenance.data());
        assertEquals(Kind.SAME_DIFF.teacher(1).sha256(), provenance.teacher());
    }

    @Test
    void a_runs_counters_are_the_networks() throws IOException {
        file = folder.resolve("model");
        MultiLayerNetwork student =
                (MultiLayerNetwork) Kind.MULTI_LAYER_NETWORK.student().model();
        student.setIterationCount(100);
        student = FinetuningRun.builder()
                .student(student)
                .teacher(Kind.MULTI_LAYER_NETWORK.teacher(1))
                .iterator(new ExistingDataSetIterator(
                        Networks.batches(student.params().dataType(), 3, true)))
                .folder(folder.resolve("run"))
                .build()
                .run();
        save(student, file);
        assertEquals(103, Provenance.read(file).iteration());
    }

    @ParameterizedTest
    @EnumSource(Kind.class)
    void of_a_student_without_a_run_its_teacher_and_losses_are_known(Kind kind) throws IOException {
        file = folder.resolve("model");
        Object student = kind.student().model();
        save(student, file);
        Provenance provenance = Provenance.read(file);
        assertEquals(kind.teacher(1).sha256(), provenance.teacher());
        assertEquals("unknown", provenance.versions().library());
        assertEquals(kind == Kind.COMPUTATION_GRAPH ? 2 : 1, provenance.losses().size());
        provenance.losses().values().forEach(loss -> assertEquals(new Provenance.Loss(Kind.CONF, 1), loss));
    }

    @Test
    void a_detached_network_is_written_with_it_and_known_as_a_teacher() throws IOException {
        MultiLayerNetwork student = (MultiLayerNetwork) trained(Kind.MULTI_LAYER_NETWORK);
        MultiLayerNetwork plain = Retention.detach(student);
        Provenance.of(student, "some data", 3).write(plain, file);
        MultiLayerNetwork loaded = MultiLayerNetwork.load(file.toFile(), true);
        assertClose(plain.params(), loaded.params(), 0);
        assertClose(plain.getUpdater().getStateViewArray(), loaded.getUpdater().getStateViewArray(), 0);
        Provenance provenance = Provenance.read(file);
        assertEquals(Teacher.of(loaded).sha256(), provenance.model());
        assertEquals("some data", provenance.data());
        assertEquals(3, provenance.seed());
        assertEquals(Kind.BATCHES, provenance.iteration());
        assertEquals(student.getEpochCount(), provenance.epoch());
        assertTrue(provenance.toJson().contains(provenance.teacher()), provenance.toJson());
        assertThrows(IllegalArgumentException.class, () -> Provenance.of(plain, "no student", 0));
    }

    @Test
    void a_detached_graph_is_written_with_it() throws IOException {
        ComputationGraph student = (ComputationGraph) trained(Kind.COMPUTATION_GRAPH);
        Provenance.of(student, "", 0).write(Retention.detach(student), file);
        ComputationGraph loaded = ComputationGraph.load(file.toFile(), true);
        assertClose(student.params(), loaded.params(), 0);
        assertEquals(Teacher.of(loaded).sha256(), Provenance.read(file).model());
    }

    @Test
    void a_SameDiff_graph_keeps_it() throws IOException {
        SameDiff student = (SameDiff) trained(Kind.SAME_DIFF);
        Provenance.of(student, "first", 0).write(student, file);
        Provenance.of(student, "a second text, of another length", 0).write(student, file);
        SameDiff loaded = SameDiff.load(file.toFile(), true);
        assertClose(Kind.everything(student), Kind.everything(loaded), 0);
        Path again = folder.resolve("again");
        loaded.save(again.toFile(), false);
        Provenance provenance = Provenance.read(again);
        assertEquals("a second text, of another length", provenance.data());
        assertEquals(64, provenance.model().length());
    }

    @ParameterizedTest
    @EnumSource(Kind.class)
    void a_merge_of_runs_students_is_not_taken_for_a_runs(Kind kind) throws IOException {
        Object student = trained(kind);
        Object merged =
                switch (kind) {
                    case MULTI_LAYER_NETWORK -> Merge.networks(MergeMethod.linear())
                            .models(List.of((MultiLayerNetwork) student, (MultiLayerNetwork) student))
                            .merge();
                    case COMPUTATION_GRAPH -> Merge.graphs(MergeMethod.linear())
                            .models(List.of((ComputationGraph) student, (ComputationGraph) student))
                            .merge();
                    case SAME_DIFF -> Merge.sameDiffs(MergeMethod.linear())
                            .models(List.of((SameDiff) student, (SameDiff) student))
                            .merge();
                };
        save(merged, file);
        assertIsNoRuns(kind, file);
        if (kind != Kind.SAME_DIFF) {
            Path one = folder.resolve("one.zip");
            save(student, one);
            assertIsNoRuns(
                    kind,
                    Merge.files(MergeMethod.linear(), folder.resolve("merged.zip"))
                            .models(List.of(one, one))
                            .merge());
        }
        save(student, file);
        assertEquals("random sequences", Provenance.read(file).data());
    }

    private static void assertIsNoRuns(Kind kind, Path file) throws IOException {
        Provenance provenance = Provenance.read(file);
        assertEquals("", provenance.data());
        assertEquals("unknown", provenance.versions().library());
        assertEquals(kind.teacher(1).sha256(), provenance.teacher());
    }

    @Test
    void files_without_it_are_refused() throws IOException {
        Path missing = folder.resolve("missing");
        Path empty = Files.createFile(folder.resolve("empty"));
        Path text = Files.writeString(folder.resolve("text"), "PK, but no zip");
        Path plain = folder.resolve("plain.zip");
        Kind.twoTexts(1).save(plain.toFile());
        Path graph = folder.resolve("graph.fb");
        Kind.graph(1, false).save(graph.toFile(), false);
        for (Path bad : List.of(missing, folder, empty, text, plain, graph)) {
            String message =
                    assertThrows(IOException.class, () -> Provenance.read(bad)).getMessage();
            assertTrue(message.contains(bad.toString()) && message.contains("expected"), message);
        }
    }

    @ParameterizedTest
    @EnumSource(Kind.class)
    void damaged_files_are_noticed(Kind kind) throws IOException {
        save(trained(kind), file);
        Provenance provenance = Provenance.read(file);
        byte[] good = Files.readAllBytes(file);
        Random random = new Random(13);
        int refused = 0;
        for (int i = 0; i < 120; i++) {
            byte[] bad = i % 3 == 0 ? Arrays.copyOf(good, random.nextInt(good.length)) : good.clone();
            for (int flips = 20 * (i % 3); flips > 0; flips--) {
                bad[random.nextInt(bad.length)] ^= (byte) (1 << random.nextInt(8));
            }
            Files.write(file, bad);
            try {
                Provenance read = Provenance.read(file);
                assertEquals(provenance.teacher(), read.teacher());
                // A graph's file has no checksums but those of its texts; one whose name was hit is not found.
                assertTrue(kind == Kind.SAME_DIFF && read.data().isEmpty() || provenance.equals(read), read.toJson());
            } catch (IOException e) {
                assertTrue(e.getMessage().contains(file.toString()), e.getMessage());
                refused++;
            }
        }
        assertTrue(refused > 40, "refused " + refused);
    }

    @Test
    void JSON_of_other_things_is_refused() throws IOException {
        trained(Kind.MULTI_LAYER_NETWORK);
        Provenance provenance = Provenance.read(FinetuningRunTest.newest(folder.resolve("run")));
        ObjectMapper mapper = new ObjectMapper();
        List<String> bad = new ArrayList<>(List.of("", "null", "[]", "5", "{", "\"text\""));
        for (String path : List.of("", "/versions", "/losses/output", "/losses/output/configuration")) {
            JsonNode whole = mapper.readTree(provenance.toJson());
            whole.at(path).fieldNames().forEachRemaining(name -> {
                for (String value : List.of("[1]", "{\"a\": {}}", "\"no such value\"", "-1e400")) {
                    bad.add(changed(mapper, provenance, path, name, value));
                }
                bad.add(changed(mapper, provenance, path, name, null));
            });
        }
        int refused = 0;
        for (String json : bad) {
            try {
                Provenance read = Json.read(json.getBytes(StandardCharsets.UTF_8), Provenance.class, folder);
                // A text may stand where any text may, and a default where none is given.
                assertTrue(read.losses().size() == 1 && read.versions() != null, json);
            } catch (IOException e) {
                assertTrue(e.getMessage().contains("expected JSON of a Provenance"), e.getMessage());
                refused++;
            }
        }
        assertTrue(refused > 0.8 * bad.size(), refused + " of " + bad.size());
    }

    private static String changed(ObjectMapper mapper, Provenance provenance, String path, String name, String value) {
        try {
            JsonNode whole = mapper.readTree(provenance.toJson());
            ObjectNode parent = (ObjectNode) whole.at(path);
            if (value == null) {
                parent.remove(name);
            } else {
                parent.set(name, mapper.readTree(value));
            }
            return mapper.writeValueAsString(whole);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
