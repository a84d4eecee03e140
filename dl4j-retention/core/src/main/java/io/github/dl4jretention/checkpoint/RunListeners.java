package io.github.dl4jretention.checkpoint;

import io.github.dl4jretention.listener.ReportSink;
import io.github.dl4jretention.listener.RetentionTrainingListener;
import io.github.dl4jretention.loss.RetentionListener;
import io.github.dl4jretention.teacher.MovingAverageTeacher;
import java.util.ArrayList;
import java.util.List;
import org.deeplearning4j.optimize.api.TrainingListener;
import org.jspecify.annotations.Nullable;
import org.nd4j.autodiff.listeners.Listener;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Who listens to a run: the guard against losses that are not finite, which reports, the user's listeners, and last the
 * teacher's moving averages.
 *
 * @param every    iterations from one report to the next
 * @param sinks    where reports go
 * @param network  the user's listeners of a network
 * @param sameDiff the user's listeners of a SameDiff model
 */
record RunListeners(int every, List<ReportSink> sinks, List<TrainingListener> network, List<Listener> sameDiff) {

    private static final Logger LOG = LoggerFactory.getLogger(RunListeners.class);

    RunListeners {
        sinks = List.copyOf(sinks);
        network = List.copyOf(network);
        sameDiff = List.copyOf(sameDiff);
        if (sameDiff.stream().anyMatch(RetentionListener.class::isInstance)) {
            throw new IllegalArgumentException(
                    "listener: expected others than a RetentionListener, of which the run has one of its own");
        }
    }

    List<TrainingListener> ofNetwork(List<MovingAverageTeacher> averages, @Nullable AccumulatedGradients accumulated) {
        List<TrainingListener> all = new ArrayList<>();
        if (accumulated != null) {
            all.add(accumulated);
        }
        all.add(reports().build());
        all.addAll(network);
        for (MovingAverageTeacher average : averages) {
            if (!all.contains(average.listener())) {
                all.add(average.listener());
            }
        }
        return all;
    }

    List<Listener> ofSameDiff(List<MovingAverageTeacher> averages) {
        RetentionListener retention = new RetentionListener();
        List<Listener> all = new ArrayList<>();
        all.add(retention);
        all.add(reports().build(retention));
        all.addAll(sameDiff);
        averages.forEach(average -> all.add(average.sameDiffListener()));
        return all;
    }

    private RetentionTrainingListener.Builder reports() {
        RetentionTrainingListener.Builder builder =
                RetentionTrainingListener.builder().every(every).agreement(!sinks.isEmpty());
        sinks.forEach(builder::to);
        return builder;
    }

    /**
     * Warns of listeners that will not be called.
     *
     * @throws IllegalArgumentException if there are listeners of another kind of model
     */
    void requireFor(Student<?> student) {
        if (!student.listeners().isEmpty()) {
            LOG.warn(
                    "the student's own listeners are not called, add them to the run: {}",
                    student.listeners().stream()
                            .map(listener -> listener.getClass().getName())
                            .toList());
        }
        boolean ofSameDiff = student instanceof SameDiffStudent;
        List<?> others = ofSameDiff ? network : sameDiff;
        if (!others.isEmpty()) {
            throw new IllegalArgumentException("listener: expected "
                    + (ofSameDiff ? "SameDiff's listeners" : "TrainingListeners") + " for a "
                    + Checkpoints.kind(student) + ", got "
                    + others.stream()
                            .map(listener -> listener.getClass().getName())
                            .toList());
        }
    }
}
