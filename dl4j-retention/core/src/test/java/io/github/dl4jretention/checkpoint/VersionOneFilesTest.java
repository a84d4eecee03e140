package io.github.dl4jretention.checkpoint;

import static io.github.dl4jretention.Networks.assertClose;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.Retention;
import io.github.dl4jretention.cache.CacheCodec;
import io.github.dl4jretention.cache.TeacherCache;
import io.github.dl4jretention.merge.Merge;
import io.github.dl4jretention.merge.MergeMethod;
import io.github.dl4jretention.teacher.NetworkIdentity;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import java.io.File;
import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

/** Files that the first version wrote, see MakeFiles.java beside them: they load, or are refused in one line. */
class VersionOneFilesTest {

    @TempDir
    Path folder;

    /** Tests write into copies. */
    @BeforeEach
    void copy() throws IOException, URISyntaxException {
        Path files = Path.of(VersionOneFilesTest.class.getResource("/version1").toURI());
        try (Stream<Path> all = Files.walk(files)) {
            for (Path file : all.filter(Files::isRegularFile).toList()) {
                Path copy = folder.resolve(files.relativize(file).toString());
                Files.createDirectories(copy.getParent());
                Files.copy(file, copy);
            }
        }
    }

    /** One epoch by the first version and one by this end where two by this do. */
    @ParameterizedTest
    @EnumSource(Kind.class)
    void runs_go_on_from_checkpoints(Kind kind) throws IOException {
        Path run = folder.resolve(kind.name().toLowerCase(Locale.ROOT));
        Checkpoints.Saved<?> saved = Checkpoints.read(run.resolve("checkpoint-000000007.zip"), kind.student());
        assertEquals(Kind.BATCHES, saved.state().iteration());
        assertNotNull(Provenance.read(run.resolve("checkpoint-000000007.zip")).teacher());
        INDArray expected = Kind.everything(
                kind.builder(folder.resolve("whole")).epochs(2).build().run());
        assertClose(
                expected, Kind.everything(kind.builder(run).epochs(2).build().run()), 1e-4);
    }

    @Test
    void students_load_with_their_provenance_and_detach() throws IOException {
        File file = folder.resolve("student.zip").toFile();
        MultiLayerNetwork student = MultiLayerNetwork.load(file, true);
        Provenance provenance = Provenance.read(file.toPath());
        assertEquals(Kind.BATCHES, provenance.iteration());
        MultiLayerNetwork tuned =
                MultiLayerNetwork.load(folder.resolve("tuned.zip").toFile(), true);
        assertEquals(NetworkIdentity.sha256(tuned), NetworkIdentity.sha256(Retention.detach(student)));
        Provenance ofTuned = Provenance.read(folder.resolve("tuned.zip"));
        assertEquals(NetworkIdentity.sha256(tuned), ofTuned.model());
        assertEquals(provenance.teacher(), ofTuned.teacher());
        Path merged = Merge.files(MergeMethod.linear(), folder.resolve("merged.zip"))
                .models(List.of(folder.resolve("tuned.zip"), folder.resolve("tuned.zip")))
                .merge();
        assertClose(
                tuned.params(), MultiLayerNetwork.load(merged.toFile(), false).params(), 1e-6);
    }

    /** The first version did not write down which losses the loss took the place of. */
    @Test
    void a_SameDiff_student_loads_goes_on_and_detaches() throws IOException {
        SameDiff student = SameDiff.load(folder.resolve("student.fb").toFile(), true);
        assertEquals(Kind.BATCHES, Provenance.read(folder.resolve("student.fb")).iteration());
        assertEquals(Kind.BATCHES, new SameDiffStudent(student).iterationCount());
        SameDiff plain = Retention.detach(student);
        assertEquals(
                Kind.graph(1, true).variableMap().keySet(), plain.variableMap().keySet());
        assertClose(student.getVariable("w").getArr(), plain.getVariable("w").getArr(), 0);
        assertEquals(List.of(), plain.getLossVariables());
        assertEquals(List.of("labels"), plain.getTrainingConfig().getDataSetLabelMapping());
        assertNull(plain.getVariables().get("retentionLoss"));
    }

    private TeacherCache.Builder cache(String codec) {
        return TeacherCache.builder()
                .pretrained(Networks.lstm(DataType.FLOAT, 1))
                .folder(folder.resolve("cache-" + codec.replace(":", "")))
                .data("random sequences")
                .codec(CacheCodec.of(codec));
    }

    @ParameterizedTest
    @ValueSource(strings = {"sample:32", "topK:3"})
    void caches_are_read_without_a_teacher(String codec) throws IOException {
        List<org.nd4j.linalg.dataset.DataSet> batches = Networks.batches(DataType.FLOAT, 3, true);
        TeacherCache cache = cache(codec).build(new ExistingDataSetIterator(batches));
        assertEquals(9, cache.statistics().sequences());
        assertEquals(0, cache.statistics().computed(), "nothing was written again");
        Teacher teacher = Teacher.of(Networks.lstm(DataType.FLOAT, 1));
        assertEquals(teacher.sha256(), cache.sha256());
        new TeacherIterator(new ExistingDataSetIterator(batches), cache).next();
        if (codec.startsWith("topK")) {
            INDArray features = batches.get(0).getFeatures();
            INDArray mask = batches.get(0).getFeaturesMaskArray();
            INDArray expected = teacher.logProbabilities(features, mask);
            INDArray found = cache.logProbabilities(features, mask);
            INDArray best = expected.max(1);
            assertTrue(
                    best.sub(found.max(1)).amaxNumber().doubleValue() < 0.02, "top classes are kept in half precision");
        }
    }

    @Test
    void a_codec_that_is_gone_is_refused_with_what_to_use() {
        String message = assertThrows(IllegalArgumentException.class, () -> cache("draws:8"))
                .getMessage();
        assertTrue(message.contains("draws") && message.contains("sample:"), message);
        assertFalse(message.contains("\n"), message);
    }
}
