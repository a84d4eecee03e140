package io.github.dl4jretention.listener;

import static io.github.dl4jretention.Networks.assertClose;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.Retention;
import io.github.dl4jretention.loss.AdaptiveCoefficient;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.loss.RetentionOutputLayer;
import io.github.dl4jretention.loss.RetentionOutputLayerRuntime;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import io.github.dl4jretention.teacher.TeacherMultiDataSetIterator;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.adapter.SingletonMultiDataSetIterator;
import org.nd4j.linalg.factory.Nd4j;

class RetentionTrainingListenerTest {

    private static final RetentionConfiguration CONF =
            RetentionConfiguration.builder().coefficient(2).temperature(3).build();

    private final MultiLayerNetwork pretrained = Networks.lstm(DataType.DOUBLE, 1);
    private final Teacher teacher = Teacher.of(pretrained);
    private final MultiLayerNetwork student = Retention.attach(pretrained, CONF);
    private final List<RetentionReport> reports = new ArrayList<>();

    private TeacherIterator batches() {
        return new TeacherIterator(new ExistingDataSetIterator(Networks.batches(DataType.DOUBLE, 4, true)), teacher);
    }

    @Test
    void reports_what_the_loss_was() {
        student.setListeners(
                RetentionTrainingListener.builder().to(reports::add).build());
        student.fit(batches(), 2);
        assertEquals(8, reports.size());
        RetentionReport first = reports.get(0);
        assertEquals(0, first.iteration());
        assertEquals(15, first.tokens());
        assertEquals(0, first.divergence(), 1e-9);
        assertEquals(1, first.agreement());
        assertEquals(2, first.coefficient(), 1e-12);
        assertEquals(first.crossEntropy() + 2 * 9 * first.divergence(), first.total(), 1e-12);
        // Against the stock network's score: the divergence is 0 at first, its own regularisation apart.
        MultiLayerNetwork same = Retention.attach(pretrained, CONF);
        INDArray gradient = Networks.gradient(same, batches().next());
        assertEquals(gradient.norm2Number().doubleValue() / 3, first.gradientNorm(), 1e-9);
        RetentionReport last = reports.get(7);
        assertEquals(1, last.epoch());
        assertTrue(last.divergence() > 0);
        assertTrue(last.agreement() <= 1);
    }

    @Test
    void reports_every_so_many_iterations() {
        student.setListeners(RetentionTrainingListener.builder()
                .to(reports::add)
                .every(3)
                .agreement(false)
                .build());
        student.fit(batches(), 2);
        assertEquals(
                List.of(0, 3, 6),
                reports.stream().map(RetentionReport::iteration).toList());
        assertTrue(Double.isNaN(reports.get(1).agreement()));
        assertThrows(IllegalArgumentException.class, () -> RetentionTrainingListener.builder()
                .every(0));
    }

    @Test
    void agreement_is_measured_where_single_minibatches_are_fitted_and_not_beyond_reports() {
        student.setListeners(
                RetentionTrainingListener.builder().to(reports::add).every(2).build());
        for (int i = 0; i < 3; i++) {
            student.fit(batches().next());
        }
        assertEquals(
                List.of(0, 2), reports.stream().map(RetentionReport::iteration).toList());
        reports.forEach(report -> assertTrue(report.agreement() >= 0, report.toString()));
        student.setListeners();
        student.score(batches().next());
        assertTrue(Double.isNaN(Networks.lastLoss(student).agreement()));
    }

    @Test
    void a_graph_reports_its_retention_layers() {
        ComputationGraph graph = Networks.graph(DataType.FLOAT, 2);
        ComputationGraph taught = Retention.attach(graph, CONF, "text");
        taught.setListeners(RetentionTrainingListener.builder().to(reports::add).build());
        taught.fit(
                new TeacherMultiDataSetIterator(
                        new SingletonMultiDataSetIterator(Networks.graphBatch(DataType.FLOAT, 3, 3)),
                        Teacher.of(graph, "text")),
                2);
        reports.forEach(report -> assertTrue(report.agreement() >= 0, report.toString()));
        assertEquals(
                List.of("text", "text"),
                reports.stream().map(RetentionReport::output).toList());
    }

    @Test
    void a_loss_that_is_not_finite_stops_before_the_update() {
        student.setListeners(
                RetentionTrainingListener.builder().to(reports::add).build());
        DataSet poisoned = batches().next();
        poisoned.getFeatures().putScalar(5, Double.NaN);
        INDArray start = student.params().dup();
        ArithmeticException stopped = assertThrows(ArithmeticException.class, () -> student.fit(poisoned));
        assertTrue(stopped.getMessage().contains("cross-entropy NaN"), stopped.getMessage());
        assertClose(start, student.params(), 0);
        student.fit(batches());
        assertEquals(4, reports.size());
    }

    @Test
    void a_gradient_that_is_not_finite_leaves_an_adaptive_coefficient_as_it_was() {
        MultiLayerNetwork adaptive = Retention.attach(
                pretrained,
                RetentionConfiguration.builder()
                        .coefficient(AdaptiveCoefficient.toward(0.1))
                        .build());
        adaptive.setListeners(RetentionTrainingListener.builder().build());
        adaptive.fit(batches());
        RetentionOutputLayerRuntime head = (RetentionOutputLayerRuntime) adaptive.getOutputLayer();
        double coefficient = head.currentCoefficient();
        INDArray weights = head.getParam("W").mul(1e200);
        adaptive.params().assign(0);
        head.setParam("W", weights);
        String message = assertThrows(ArithmeticException.class, () -> adaptive.fit(batches()))
                .getMessage();
        assertTrue(message.contains("gradient norm Infinity"), message);
        assertTrue(Double.isFinite(head.lastTokenLoss().sum()), message);
        assertEquals(coefficient, head.currentCoefficient(), 0);
        assertEquals(4, head.layerConf().getTaughtMinibatches());
        head.refuseUpdate();
        assertEquals(4, head.layerConf().getTaughtMinibatches());
    }

    @Test
    void a_refused_update_leaves_no_mask_to_the_next_minibatch() {
        student.setListeners(RetentionTrainingListener.builder().build());
        DataSet poisoned = batches().next();
        poisoned.getFeatures().putScalar(5, Double.NaN);
        poisoned.setLabelsMaskArray(Nd4j.ones(DataType.DOUBLE, 3, Networks.TIME));
        assertThrows(ArithmeticException.class, () -> student.fit(poisoned));
        assertNull(student.getOutputLayer().getMaskArray());
    }

    @Test
    void a_refused_update_binds_no_student() {
        MultiLayerNetwork unbound = Networks.stacked(
                DataType.DOUBLE,
                1,
                new LSTM.Builder().nIn(Networks.INPUTS).nOut(5).build(),
                new RetentionOutputLayer.Builder(CONF)
                        .nIn(5)
                        .nOut(Networks.VOCABULARY)
                        .build());
        RetentionOutputLayer head = ((RetentionOutputLayerRuntime) unbound.getOutputLayer()).layerConf();
        unbound.setListeners(RetentionTrainingListener.builder().build());
        DataSet poisoned = batches().next();
        poisoned.getFeatures().putScalar(5, Double.NaN);
        assertThrows(ArithmeticException.class, () -> unbound.fit(poisoned));
        assertNull(head.getTeacher());
        unbound.fit(batches());
        assertEquals(teacher.sha256(), head.getTeacher());
    }

    @Test
    void a_graph_reports_the_coefficient_that_it_trained_with() {
        ComputationGraph graph = Networks.graph(DataType.DOUBLE, 2);
        RetentionConfiguration adaptive = RetentionConfiguration.builder()
                .coefficient(AdaptiveCoefficient.toward(0.1))
                .build();
        ComputationGraph taught = Retention.attach(graph, adaptive, "text");
        taught.setListeners(RetentionTrainingListener.builder().to(reports::add).build());
        RetentionOutputLayerRuntime head = (RetentionOutputLayerRuntime) taught.getLayer("text");
        double trainedWith = head.currentCoefficient();
        taught.fit(new TeacherMultiDataSetIterator(
                new SingletonMultiDataSetIterator(Networks.graphBatch(DataType.DOUBLE, 3, 3)),
                Teacher.of(graph, "text")));
        assertEquals(trainedWith, reports.get(0).coefficient(), 1e-12);
        assertNotEquals(trainedWith, head.currentCoefficient());
    }

    @Test
    void two_listeners_both_report_agreement() {
        List<RetentionReport> others = new ArrayList<>();
        student.setListeners(
                RetentionTrainingListener.builder().to(reports::add).every(2).build(),
                RetentionTrainingListener.builder().to(others::add).every(3).build());
        student.fit(batches());
        reports.forEach(report -> assertTrue(report.agreement() >= 0, report.toString()));
        others.forEach(report -> assertTrue(report.agreement() >= 0, report.toString()));
        assertEquals(4, reports.size() + others.size());
    }

    @Test
    void a_model_without_a_retention_layer_is_refused() {
        pretrained.setListeners(RetentionTrainingListener.builder().build());
        assertThrows(IllegalArgumentException.class, () -> pretrained.fit(Networks.sequences(DataType.DOUBLE, 2, 1)));
    }

    @Test
    void a_CSV_file_is_written_line_by_line_and_continued(@TempDir Path folder) throws IOException {
        Path file = folder.resolve("reports.csv");
        for (int run = 0; run < 2; run++) {
            try (RetentionTrainingListener listener =
                    RetentionTrainingListener.builder().to(new ReportCsv(file)).build()) {
                student.setListeners(listener);
                student.fit(batches());
                assertEquals(1 + 4 * (run + 1), Files.readAllLines(file).size());
            }
        }
        List<String> lines = Files.readAllLines(file);
        assertTrue(lines.get(0).startsWith("iteration,epoch,output,tokens,cross_entropy,divergence"), lines.get(0));
        assertTrue(lines.get(8).startsWith("7,1,output,15.0,"), lines.get(8));
        Files.writeString(file, "8,2,out", StandardOpenOption.APPEND);
        new ReportCsv(file).close();
        Path inNewFolder = folder.resolve("run/reports.csv");
        new ReportCsv(inNewFolder).close();
        assertEquals(1, Files.readAllLines(inNewFolder).size());
        assertEquals(10, Files.readAllLines(file).size());
        assertTrue(Files.readString(file).endsWith("8,2,out\r\n"));
        Path other = Files.writeString(folder.resolve("other.csv"), "something else\n");
        assertThrows(IOException.class, () -> new ReportCsv(other));
        assertEquals("something else\n", Files.readString(other));
        Path binary = Files.write(folder.resolve("binary.csv"), new byte[] {'P', 'K', (byte) 0xff, (byte) 0xfe, 0});
        String message =
                assertThrows(IOException.class, () -> new ReportCsv(binary)).getMessage();
        assertTrue(message.contains(binary.toString()), message);
    }

    @Test
    void the_norm_of_a_HALF_gradient_does_not_overflow() {
        assertEquals(1e5, Reports.norm2(Nd4j.valueArrayOf(new long[] {10_000}, 1000, DataType.FLOAT16)), 100);
    }

    @Test
    void the_norm_of_a_large_FLOAT_gradient_is_as_in_double() {
        INDArray gradient = Nd4j.rand(DataType.FLOAT, 1, 20_000_000);
        double expected = gradient.castTo(DataType.DOUBLE).norm2Number().doubleValue();
        assertEquals(expected, Reports.norm2(gradient), 1e-5 * expected);
    }

    @Test
    void the_iterations_that_follow_are_counted_from_the_first_report() {
        ReportLog log = new ReportLog(100);
        log.line(new RetentionReport(10_000, 0, "output", 512, 1, 1, 1, 1, 1, 1), 0);
        String line = log.line(new RetentionReport(10_050, 0, "output", 512, 1, 1, 1, 1, 1, 1), 50);
        assertTrue(line.contains("iteration 10050 of 10100") && line.endsWith(", 49 s left"), line);
        String late = log.line(new RetentionReport(10_200, 0, "output", 512, 1, 1, 1, 1, 1, 1), 200);
        assertTrue(late.endsWith(", 0 s left"), late);
    }

    @Test
    void a_run_that_picks_up_after_a_stop_keeps_its_total() {
        ReportLog log = new ReportLog(100);
        log.start(10_000);
        String line = log.line(new RetentionReport(10_040, 0, "output", 512, 1, 1, 1, 1, 1, 1), 0);
        assertTrue(line.contains("iteration 10040 of 10100"), line);
    }

    @Test
    void a_log_line_says_how_long_it_will_take() {
        ReportLog log = new ReportLog(100);
        RetentionReport report = new RetentionReport(24, 0, "output", 1024, 1.5, 0.25, 2, 2, 0.75, 0.125);
        assertTrue(!log.line(new RetentionReport(4, 0, "output", 512, 1, 1, 1, 1, 1, 1), 0)
                .contains("per second"));
        String line = log.line(report, 50);
        assertTrue(line.contains("iteration 24 of 104"), line);
        assertTrue(line.contains("CE 1.5000, divergence 0.2500, lambda 2.000, total 2.0000, agreement 75.0 %"), line);
        assertTrue(line.contains("307 tokens per second, 50 s, 198 s left"), line);
        assertTrue(ReportLog.memory().matches(", heap \\d+ MB, resident \\d+ MB"), ReportLog.memory());
    }
}
