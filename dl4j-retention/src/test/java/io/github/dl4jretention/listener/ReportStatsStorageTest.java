package io.github.dl4jretention.listener;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.Retention;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.IOException;
import java.io.ObjectInputStream;
import java.io.ObjectOutputStream;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.deeplearning4j.core.storage.Persistable;
import org.deeplearning4j.core.storage.StatsStorage;
import org.deeplearning4j.core.storage.StatsStorageEvent;
import org.deeplearning4j.core.storage.StatsStorageListener;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.ui.model.storage.InMemoryStatsStorage;
import org.deeplearning4j.ui.model.storage.sqlite.J7FileStatsStorage;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.api.buffer.DataType;

/** Reports in DL4J's own storages. */
class ReportStatsStorageTest {

    private static final RetentionReport REPORT =
            new RetentionReport(7, 1, "text \u00e9", 1024, 1.5, Double.NaN, 0, 1.5, Double.NaN, 0.125);

    private static List<RetentionReport> reports(StatsStorage storage, String session) {
        return storage.getAllUpdatesAfter(session, PersistableReport.TYPE_ID, 0).stream()
                .map(update -> ((PersistableReport) update).getReport())
                .toList();
    }

    @Test
    void every_report_of_a_training_arrives_and_is_announced() throws IOException {
        List<StatsStorageListener.EventType> events = new ArrayList<>();
        StatsStorage storage = new InMemoryStatsStorage();
        storage.registerStatsStorageListener((StatsStorageEvent event) -> events.add(event.getEventType()));
        List<RetentionReport> expected = new ArrayList<>();
        ReportStatsStorage sink = new ReportStatsStorage(storage);
        MultiLayerNetwork pretrained = Networks.lstm(DataType.FLOAT, 1);
        MultiLayerNetwork student =
                Retention.attach(pretrained, RetentionConfiguration.builder().build());
        student.setListeners(
                RetentionTrainingListener.builder().to(expected::add).to(sink).build());
        student.fit(
                new TeacherIterator(
                        new ExistingDataSetIterator(Networks.batches(DataType.FLOAT, 4, true)), Teacher.of(pretrained)),
                2);
        assertEquals(8, expected.size());
        assertEquals(expected, reports(storage, sink.getSessionId()));
        assertEquals(List.of(sink.getSessionId()), storage.listSessionIDs());
        assertEquals(List.of(PersistableReport.TYPE_ID), storage.listTypeIDsForSession(sink.getSessionId()));
        assertEquals(
                List.of(ReportStatsStorage.WORKER_ID),
                storage.listWorkerIDsForSessionAndType(sink.getSessionId(), PersistableReport.TYPE_ID));
        assertTrue(events.contains(StatsStorageListener.EventType.NewSessionID), events.toString());
        assertEquals(
                8,
                events.stream()
                        .filter(event -> event == StatsStorageListener.EventType.PostUpdate)
                        .count());
    }

    @Test
    void reports_of_one_millisecond_are_all_kept_in_their_order() {
        StatsStorage storage = new InMemoryStatsStorage();
        ReportStatsStorage sink = new ReportStatsStorage(storage, "session", "worker");
        List<RetentionReport> expected = new ArrayList<>();
        for (int i = 0; i < 1000; i++) {
            expected.add(new RetentionReport(i, 0, "output", 1, 2, 3, 4, 5, 6, 7));
            sink.accept(expected.get(i));
        }
        assertEquals(expected, reports(storage, "session"));
    }

    @Test
    void a_file_keeps_them_over_a_restart(@TempDir Path folder) throws IOException {
        File file = folder.resolve("stats.db").toFile();
        StatsStorage storage = new J7FileStatsStorage(file);
        new ReportStatsStorage(storage, "session", "worker").accept(REPORT);
        storage.close();
        StatsStorage reopened = new J7FileStatsStorage(file);
        new ReportStatsStorage(reopened, "session", "worker").accept(REPORT);
        assertEquals(List.of(REPORT, REPORT), reports(reopened, "session"));
        Persistable latest = reopened.getLatestUpdate("session", PersistableReport.TYPE_ID, "worker");
        assertEquals("session", latest.getSessionID());
        assertEquals("worker", latest.getWorkerID());
        reopened.close();
    }

    @Test
    void every_way_to_encode_can_be_decoded() throws Exception {
        PersistableReport report = new PersistableReport("session", "worker", 123L, REPORT);
        byte[] bytes = report.encode();
        assertEquals(bytes.length, report.encodingLengthBytes());
        ByteBuffer buffer = ByteBuffer.allocate(bytes.length);
        report.encode(buffer);
        assertEquals(ByteBuffer.wrap(bytes), buffer.flip());
        ByteArrayOutputStream stream = new ByteArrayOutputStream();
        report.encode(stream);
        assertTrue(Arrays.equals(bytes, stream.toByteArray()));
        PersistableReport fromBytes = new PersistableReport();
        fromBytes.decode(bytes);
        PersistableReport fromBuffer = new PersistableReport();
        fromBuffer.decode(buffer);
        PersistableReport fromStream = new PersistableReport();
        fromStream.decode(new ByteArrayInputStream(bytes));
        ByteArrayOutputStream serialized = new ByteArrayOutputStream();
        try (ObjectOutputStream out = new ObjectOutputStream(serialized)) {
            out.writeObject(report);
        }
        Object deserialized = new ObjectInputStream(new ByteArrayInputStream(serialized.toByteArray())).readObject();
        for (Object decoded : List.of(fromBytes, fromBuffer, fromStream, deserialized)) {
            assertEquals(report, decoded);
            assertEquals(report.hashCode(), decoded.hashCode());
        }
    }

    @Test
    void bytes_of_other_things_are_refused() {
        byte[] good = new PersistableReport("session", "worker", 123L, REPORT).encode();
        for (int length = 0; length < good.length; length++) {
            byte[] truncated = Arrays.copyOf(good, length);
            assertThrows(IllegalArgumentException.class, () -> new PersistableReport().decode(truncated));
        }
        Random random = new Random(3);
        for (int i = 0; i < 200; i++) {
            byte[] flipped = good.clone();
            flipped[random.nextInt(good.length)] ^= (byte) (1 << random.nextInt(8));
            PersistableReport report = new PersistableReport();
            try {
                report.decode(flipped);
                assertEquals(good.length, report.encodingLengthBytes());
            } catch (IllegalArgumentException refused) {
                assertTrue(refused.getMessage().contains("expected an encoded report"), refused.getMessage());
            }
        }
    }

    /** Who does not use the sink needs no deeplearning4j-core. */
    @Test
    void the_other_classes_load_without_the_storage() throws Exception {
        List<URL> urls = new ArrayList<>();
        for (String entry : System.getProperty("java.class.path").split(File.pathSeparator)) {
            if (!entry.contains("deeplearning4j-core") && !entry.contains("deeplearning4j-ui-model")) {
                urls.add(Path.of(entry).toUri().toURL());
            }
        }
        try (URLClassLoader loader =
                new URLClassLoader(urls.toArray(URL[]::new), ClassLoader.getPlatformClassLoader())) {
            String here = getClass().getPackageName();
            Class<?> listener = Class.forName(here + ".RetentionTrainingListener", true, loader);
            Object builder = listener.getMethod("builder").invoke(null);
            builder.getClass().getMethod("build").invoke(builder);
            Class.forName("io.github.dl4jretention.checkpoint.FinetuningRun", true, loader)
                    .getMethods();
            NoClassDefFoundError error = assertThrows(
                    NoClassDefFoundError.class, () -> Class.forName(here + ".ReportStatsStorage", true, loader)
                            .getMethods());
            assertTrue(error.getMessage().contains("deeplearning4j/core/storage"), error.getMessage());
        }
    }
}
