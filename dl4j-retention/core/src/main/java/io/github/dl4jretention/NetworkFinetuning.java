package io.github.dl4jretention;

import io.github.dl4jretention.internal.RetentionLayers;
import io.github.dl4jretention.loss.RetentionOutputLayer;
import io.github.dl4jretention.teacher.MovingAverageTeacher;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import io.github.dl4jretention.teacher.TeacherMultiDataSetIterator;
import io.github.dl4jretention.teacher.TeacherOutput;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.optimize.api.BaseTrainingListener;
import org.deeplearning4j.optimize.api.TrainingListener;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.dataset.api.iterator.MultiDataSetIterator;

/** {@code Retention.finetune} of networks and graphs. */
final class NetworkFinetuning {

    private NetworkFinetuning() {}

    static void run(MultiLayerNetwork student, Teacher teacher, DataSetIterator iterator, int epochs) {
        requireSame(RetentionLayers.of(student), teacher);
        withListener(teacher, student, student.getListeners());
        try (TeacherIterator batches = new TeacherIterator(iterator, teacher)) {
            student.fit(batches, epochs);
        }
    }

    static void run(ComputationGraph student, Teacher teacher, MultiDataSetIterator iterator, int epochs) {
        Map<String, RetentionOutputLayer> heads = RetentionLayers.of(student);
        Set<String> taught = teacher.outputs().stream().map(TeacherOutput::name).collect(Collectors.toSet());
        if (!taught.equals(heads.keySet())) {
            throw new IllegalArgumentException("teacher: expected one of the outputs " + heads.keySet()
                    + ", where the student has retention layers, got one of " + taught);
        }
        heads.values().forEach(head -> requireSame(head, teacher));
        withListener(teacher, student, student.getListeners());
        try (TeacherMultiDataSetIterator batches = new TeacherMultiDataSetIterator(iterator, teacher)) {
            student.fit(batches, epochs);
        }
    }

    /** The search's listener listens while the student is trained, and no longer. */
    @SuppressWarnings("unchecked")
    static <M extends Model> Averaged<M> averaged(M student, Averaging.Search<M> search, Runnable training) {
        TrainingListener listener = new BaseTrainingListener() {
            @Override
            public void iterationDone(Model model, int iteration, int epoch) {
                search.stepDone((M) model);
            }
        };
        student.addListeners(listener);
        try {
            training.run();
        } finally {
            List<TrainingListener> others = new ArrayList<>(
                    student instanceof MultiLayerNetwork network
                            ? network.getListeners()
                            : ((ComputationGraph) student).getListeners());
            others.remove(listener);
            student.setListeners(others);
        }
        return search.end(student);
    }

    private static void withListener(Teacher teacher, Model student, Collection<TrainingListener> present) {
        for (MovingAverageTeacher average : teacher.movingAverages()) {
            if (!present.contains(average.listener())) {
                student.addListeners(average.listener());
            }
        }
    }

    private static void requireSame(RetentionOutputLayer head, Teacher teacher) {
        boolean afresh = teacher.movingAverages().stream().anyMatch(average -> !average.hasMoved());
        if (head.getTaughtMinibatches() > 0 && afresh) {
            throw new IllegalStateException(
                    "teacher: this student was trained for " + head.getTaughtMinibatches()
                            + " minibatches near a moving average, got one that starts afresh; restore the saved average first");
        }
        String expected = head.getTeacher();
        if (expected != null && !expected.equals(teacher.sha256())) {
            throw new IllegalStateException("teacher: this student belongs to teacher " + expected
                    + " (SHA-256), got teacher " + teacher.sha256());
        }
    }
}
