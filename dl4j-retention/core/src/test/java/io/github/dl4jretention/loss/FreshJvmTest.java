package io.github.dl4jretention.loss;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.Retention;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import io.github.dl4jretention.teacher.TeacherMultiDataSetIterator;
import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Map;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.autodiff.samediff.TrainingConfig;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.dataset.adapter.SingletonMultiDataSetIterator;
import org.nd4j.linalg.learning.config.Adam;

/** A saved student, loaded by a Java virtual machine that knows nothing else of it, scores the same. */
public class FreshJvmTest {

    private static final RetentionConfiguration CONF =
            RetentionConfiguration.builder().build();

    @TempDir
    private Path folder;

    private File model;
    private File batch;

    @BeforeEach
    void files() {
        model = folder.resolve("student.zip").toFile();
        batch = folder.resolve("batch.bin").toFile();
    }

    @Test
    void a_MultiLayerNetwork() throws Exception {
        MultiLayerNetwork pretrained = Networks.lstm(DataType.DOUBLE, 11);
        MultiLayerNetwork student = Retention.attach(pretrained, CONF);
        Teacher teacher = Teacher.of(pretrained);
        ExistingDataSetIterator batches = new ExistingDataSetIterator(Networks.batches(DataType.DOUBLE, 4, true));
        student.fit(new TeacherIterator(batches, teacher), 2);
        student.save(model, true);
        batches.reset();
        DataSet data = new TeacherIterator(batches, teacher).next();
        data.save(batch);
        assertEquals(student.score(data, false), scoreInFreshJvm("MultiLayerNetwork"), 1e-6);
    }

    @Test
    void a_ComputationGraph() throws Exception {
        ComputationGraph pretrained = Networks.graph(DataType.DOUBLE, 12);
        ComputationGraph student = Retention.attach(pretrained, CONF, "text");
        Teacher teacher = Teacher.of(pretrained, "text");
        MultiDataSet data = taught(Networks.graphBatch(DataType.DOUBLE, 3, 13), teacher);
        student.fit(data);
        student.fit(data);
        student.save(model, true);
        data.save(batch);
        assertEquals(student.score(data, false), scoreInFreshJvm("ComputationGraph"), 1e-6);
    }

    @Test
    void a_SameDiff_graph() throws Exception {
        Teacher teacher = Teacher.of(RetentionLossTest.model(14), "logits", "features");
        SameDiff student = RetentionLossTest.model(14);
        RetentionLoss.add(student, "logits", "labels", CONF);
        student.setTrainingConfig(TrainingConfig.builder()
                .updater(new Adam(0.02))
                .dataSetFeatureMapping("features")
                .dataSetLabelMapping("labels", RetentionLoss.TEACHER_LOGITS)
                .build());
        student.setListeners(new RetentionListener());
        MultiDataSet data = taught(RetentionLossTest.batch(15), teacher);
        student.fit(new SingletonMultiDataSetIterator(data), 3);
        student.save(model, true);
        data.save(batch);
        assertEquals(lossOf(student, data), scoreInFreshJvm("SameDiff"), 1e-6);
    }

    @Test
    void an_attached_and_a_detached_SameDiff() throws Exception {
        SameDiff pretrained = RetentionLossTest.model(16);
        Teacher teacher = Teacher.of(pretrained, "logits", "features");
        SameDiff student = Retention.attach(pretrained, CONF, "logits", "features");
        Retention.finetune(student, teacher, new SingletonMultiDataSetIterator(RetentionLossTest.batch(17)), 3);
        MultiDataSet data = taught(RetentionLossTest.batch(18), teacher);
        data.save(batch);
        student.save(model, true);
        assertEquals(lossOf(student, data), scoreInFreshJvm("SameDiff"), 1e-6);
        SameDiff plain = Retention.detach(student);
        plain.save(model, true);
        double expected = logitsOf(plain, data);
        assertEquals(logitsOf(student, data), expected, 0);
        assertEquals(expected, scoreInFreshJvm("detached SameDiff"), 1e-4 * Math.abs(expected));
    }

    /** A number that all logits have a part in. */
    private static double logitsOf(SameDiff sd, MultiDataSet data) {
        return sd.output(Map.of("features", data.getFeatures(0)), "logits")
                .get("logits")
                .norm2Number()
                .doubleValue();
    }

    private static MultiDataSet taught(MultiDataSet plain, Teacher teacher) {
        return (MultiDataSet) new TeacherMultiDataSetIterator(new SingletonMultiDataSetIterator(plain), teacher).next();
    }

    private static double lossOf(SameDiff student, MultiDataSet data) {
        return student.output(
                        Map.of(
                                "features",
                                data.getFeatures(0),
                                "labels",
                                data.getLabels(0),
                                RetentionLoss.TEACHER_LOGITS,
                                data.getLabels(1)),
                        RetentionLoss.LOSS)
                .get(RetentionLoss.LOSS)
                .getDouble(0);
    }

    private double scoreInFreshJvm(String kind) throws IOException, InterruptedException {
        Process process = new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "-cp",
                        System.getProperty("java.class.path"),
                        Score.class.getName(),
                        kind,
                        model.getPath(),
                        batch.getPath())
                .redirectErrorStream(true)
                .start();
        String printed = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(0, process.waitFor(), printed);
        return printed.lines()
                .filter(line -> line.startsWith("score "))
                .mapToDouble(line -> Double.parseDouble(line.substring("score ".length())))
                .findFirst()
                .orElseThrow(() -> new AssertionError(printed));
    }

    /** Loads a student and scores one batch. */
    public static final class Score {

        private Score() {}

        /** @param args kind of model, its file, the batch's file */
        public static void main(String[] args) throws IOException {
            File model = new File(args[1]);
            double score;
            if (args[0].equals("MultiLayerNetwork")) {
                DataSet data = new DataSet();
                data.load(new File(args[2]));
                score = MultiLayerNetwork.load(model, true).score(data, false);
            } else {
                MultiDataSet data = new MultiDataSet();
                data.load(new File(args[2]));
                score = switch (args[0]) {
                    case "SameDiff" -> lossOf(SameDiff.load(model, true), data);
                    case "detached SameDiff" -> logitsOf(SameDiff.load(model, true), data);
                    default -> ComputationGraph.load(model, true).score(data, false);
                };
            }
            System.out.println("score " + score);
        }
    }
}
