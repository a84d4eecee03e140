package io.github.dl4jretention;

import static io.github.dl4jretention.Networks.assertClose;
import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.dl4jretention.internal.RetentionLayers;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import java.nio.file.Path;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.schedule.FixedSchedule;
import org.nd4j.linalg.schedule.MapSchedule;
import org.nd4j.linalg.schedule.RampSchedule;
import org.nd4j.linalg.schedule.ScheduleType;

/** Schedules of the coefficient begin at the student's first step; DL4J's RampSchedule needs no JSON. */
class SchedulesTest {

    @TempDir
    Path folder;

    private static final RetentionConfiguration WARM_UP = RetentionConfiguration.builder()
            .coefficient(new MapSchedule.Builder(ScheduleType.ITERATION)
                    .add(0, 0.25)
                    .add(3, 2)
                    .build())
            .build();

    private static MultiLayerNetwork trained() {
        MultiLayerNetwork pretrained = Networks.lstm(DataType.FLOAT, 1);
        pretrained.fit(new ExistingDataSetIterator(Networks.batches(DataType.FLOAT, 5, true)), 2);
        return pretrained;
    }

    @Test
    void a_warm_up_begins_at_the_students_first_step() throws Exception {
        MultiLayerNetwork pretrained = trained();
        assertEquals(10, pretrained.getIterationCount());
        MultiLayerNetwork student = Retention.attach(pretrained, WARM_UP);
        ExistingDataSetIterator batches = new ExistingDataSetIterator(Networks.batches(DataType.FLOAT, 2, true));
        assertEquals(0.25, RetentionLayers.of(student).coefficientAt(10, 2));
        student.fit(new TeacherIterator(batches, Teacher.of(pretrained)), 1);
        assertEquals(12, student.getIterationCount());
        assertEquals(0.25, Networks.lastLoss(student).factor());
        Path file = folder.resolve("student.zip");
        student.save(file.toFile(), true);
        MultiLayerNetwork loaded = MultiLayerNetwork.load(file.toFile(), true);
        loaded.fit(new TeacherIterator(batches, Teacher.of(pretrained)), 1);
        assertEquals(2, Networks.lastLoss(loaded).factor());
    }

    @Test
    void a_graphs_warm_up_begins_at_its_first_step() {
        ComputationGraph graph = trained().toComputationGraph();
        graph.getConfiguration().setIterationCount(10);
        ComputationGraph student = Retention.attach(graph, WARM_UP);
        RetentionLayers.of(student).values().forEach(head -> {
            assertEquals(0.25, head.coefficientAt(10, 0));
            assertEquals(2, head.coefficientAt(13, 0));
        });
    }

    @Test
    void a_RampSchedule_needs_no_JSON() {
        RampSchedule ramp = new RampSchedule(new FixedSchedule(0.1), 4);
        MultiLayerNetwork pretrained = Retention.withUpdater(Networks.lstm(DataType.FLOAT, 1), new Sgd(ramp));
        MultiLayerNetwork student = Retention.attach(
                pretrained, RetentionConfiguration.builder().coefficient(0).build());
        ExistingDataSetIterator batches = new ExistingDataSetIterator(Networks.batches(DataType.FLOAT, 3, true));
        student.fit(new TeacherIterator(batches, Teacher.of(pretrained)), 1);
        MultiLayerNetwork plain = Retention.detach(student);
        pretrained.fit(batches, 1);
        assertClose(pretrained.params(), plain.params(), 1e-5);
        ComputationGraph graph = Retention.withUpdater(Networks.graph(DataType.FLOAT, 1), new Sgd(ramp));
        Teacher.of(graph, "text");
        Retention.detach(Retention.attach(graph, WARM_UP, "text"));
    }
}
