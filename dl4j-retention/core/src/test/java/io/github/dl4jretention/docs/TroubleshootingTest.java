package io.github.dl4jretention.docs;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.loss.RetentionLoss;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;
import org.bytedeco.javacpp.Pointer;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.autodiff.samediff.TrainingConfig;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.factory.Nd4jBackend;
import org.nd4j.linalg.learning.config.Adam;
import org.slf4j.LoggerFactory;

/** The messages that docs/troubleshooting.md explains are messages that somebody can still get. */
class TroubleshootingTest {

    private static final int MOST = 25;

    private final MultiLayerNetwork network = Networks.lstm(DataType.FLOAT, 1);

    /** Messages of DL4J and ND4J, each with the mistake that brings it. */
    private final Map<String, Executable> mistakes = Map.of(
            "Labels and preOutput must have equal shapes: got shapes ...",
            () -> network.fit(taught()),
            "New shape length doesn't match original length: ...",
            () -> network.evaluate(taught()),
            "The number of dataset label mapping variables set in the training configuration (2) must match ...",
            TroubleshootingTest::fitSameDiffWithoutTeacher,
            "Unable to wrap closed buffer.",
            () -> {
                MultiLayerNetwork closed = Networks.lstm(DataType.FLOAT, 1);
                closed.close();
                Teacher.of(closed);
            });

    /** Messages of a broken setup, which no test can bring about in its own JVM, each with the class that has it. */
    private static final Map<String, Class<?>> SETUP = Map.of(
            "Please ensure that you have an nd4j backend on your classpath", Nd4jBackend.class,
            "Failed to load class", LoggerFactory.class,
            "Physical memory usage is too high", Pointer.class);

    private static List<String> quoted() throws IOException {
        try (Stream<String> lines = Files.lines(Path.of("../../docs/troubleshooting.md"))) {
            return lines.filter(line -> line.startsWith("### `"))
                    .map(line -> line.substring(5, line.length() - 1))
                    .toList();
        }
    }

    private TeacherIterator taught() {
        DataSetIterator plain = new ExistingDataSetIterator(Networks.batches(DataType.FLOAT, 1, true));
        return new TeacherIterator(plain, Teacher.of(network));
    }

    private static void fitSameDiffWithoutTeacher() {
        SameDiff sd = SameDiff.create();
        SDVariable features = sd.placeHolder("features", DataType.FLOAT, -1, Networks.INPUTS);
        features.mmul(sd.var("w", Networks.normal(DataType.FLOAT, new Random(1), Networks.INPUTS, Networks.VOCABULARY)))
                .rename("logits");
        sd.placeHolder("labels", DataType.FLOAT, -1, Networks.VOCABULARY);
        RetentionLoss.add(
                sd, "logits", "labels", RetentionConfiguration.builder().build());
        sd.setTrainingConfig(TrainingConfig.builder()
                .updater(new Adam())
                .dataSetFeatureMapping("features")
                .dataSetLabelMapping("labels", RetentionLoss.TEACHER_LOGITS)
                .build());
        sd.fit(new ExistingDataSetIterator(Networks.batches(DataType.FLOAT, 1, false)), 1);
    }

    /** Our sources, strings that go over several lines made one, without escapes. */
    private static List<String> sources() throws IOException {
        List<String> sources = new ArrayList<>();
        for (String module : List.of("core", "lm", "sweep")) {
            try (Stream<Path> files = Files.walk(Path.of("..", module, "src/main/java"))) {
                for (Path file :
                        files.filter(f -> f.toString().endsWith(".java")).toList()) {
                    sources.add(Files.readString(file)
                            .replaceAll("\"\\s*\\+\\s*\"", "")
                            .replace("\\\"", "\"")
                            .replace("{}", "..."));
                }
            }
        }
        return sources;
    }

    private static boolean has(String source, String message) {
        int from = 0;
        for (String part : message.split("\\.\\.\\.")) {
            int found = source.indexOf(part.strip(), from);
            if (found < 0) {
                return false;
            }
            from = found + part.strip().length();
        }
        return true;
    }

    private static boolean isIn(Class<?> type, String message) throws IOException {
        try (InputStream bytes = type.getResourceAsStream(type.getSimpleName() + ".class")) {
            return new String(bytes.readAllBytes(), StandardCharsets.ISO_8859_1).contains(message);
        }
    }

    @Test
    void what_is_quoted_can_still_be_met() throws IOException {
        List<String> sources = sources();
        List<String> stale = new ArrayList<>();
        for (String message : quoted()) {
            if (mistakes.containsKey(message)) {
                String found = assertThrows(RuntimeException.class, mistakes.get(message))
                        .getMessage();
                assertTrue(found.startsWith(message.replace(" ...", "")), found);
            } else if (SETUP.containsKey(message)) {
                assertTrue(isIn(SETUP.get(message), message), message);
            } else if (sources.stream().noneMatch(source -> has(source, message))) {
                stale.add(message);
            }
        }
        assertEquals(List.of(), stale);
    }

    @Test
    void the_page_stays_short() throws IOException {
        assertEquals(MOST, quoted().size());
    }
}
