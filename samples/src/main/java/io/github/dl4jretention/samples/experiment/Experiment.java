package io.github.dl4jretention.samples.experiment;

import io.github.dl4jretention.Retention;
import io.github.dl4jretention.cache.TeacherCache;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.samples.console.Progress;
import io.github.dl4jretention.samples.model.ModelKind;
import io.github.dl4jretention.samples.text.ByteWindowIterator;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.zip.CRC32;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.learning.config.Adam;

/**
 * Finetunes one base model on one task plainly and with retention, each from the same weights on the same batches.
 *
 * @param base         the pretrained model
 * @param task         texts
 * @param steps        minibatches
 * @param batch        sequences of a minibatch
 * @param learningRate Adam's
 * @param seed         of the batches
 * @param cache a teacher's cache with folder and codec, with which every retention is run once more; null for none
 */
public record Experiment(
        MultiLayerNetwork base,
        Task task,
        int steps,
        int batch,
        double learningRate,
        long seed,
        TeacherCache.@Nullable Builder cache) {

    /**
     * @param base what the base model is worth
     * @param runs plain finetuning first, then one for each coefficient
     */
    public record Outcome(Measurement base, List<Run> runs) {}

    /**
     * Runs plain finetuning and retention at every coefficient.
     *
     * @throws IOException if the teacher's cache cannot be written
     */
    public Outcome run(List<Double> coefficients) throws IOException {
        Teacher teacher = Teacher.of(base);
        Measurement before = Measurement.of(base, teacher, task);
        List<Run> runs = new ArrayList<>();
        MultiLayerNetwork plain = Retention.withUpdater(base, new Adam(learningRate));
        double seconds = train("plain", plain, batches());
        runs.add(new Run("plain", Double.NaN, plain, Measurement.of(plain, teacher, task), seconds));
        TeacherCache cached = cache == null ? null : cached(cache, teacher);
        for (double coefficient : coefficients) {
            String name = "retention " + coefficient;
            runs.add(retention(name, coefficient, teacher, teacher));
            if (cached != null) {
                runs.add(retention(name + " cached", coefficient, cached, teacher));
            }
        }
        return new Outcome(before, runs);
    }

    private Run retention(String name, double coefficient, Teacher teacher, Teacher whole) {
        MultiLayerNetwork student = Retention.attach(
                Retention.withUpdater(base, new Adam(learningRate)),
                RetentionConfiguration.builder().coefficient(coefficient).build());
        double seconds = train(name, student, new TeacherIterator(batches(), teacher).setReleaseLabels(true));
        MultiLayerNetwork tuned = Retention.detach(student);
        return new Run(name, coefficient, tuned, Measurement.of(tuned, whole, task), seconds);
    }

    private TeacherCache cached(TeacherCache.Builder cache, Teacher teacher) throws IOException {
        CRC32 checksum = new CRC32();
        checksum.update(task.training());
        TeacherCache cached = cache.teacher(teacher)
                .data("%d x %d windows, seed %d, of text %08x".formatted(steps, batch, seed, checksum.getValue()))
                .tokenisation("bytes")
                .build(batches());
        System.out.println("teacher's cache: " + cached.statistics());
        return cached;
    }

    private DataSetIterator batches() {
        return ByteWindowIterator.training(batch, ModelKind.CONTEXT, steps, seed, task.training());
    }

    private double train(String name, MultiLayerNetwork network, DataSetIterator batches) {
        double[] seconds = new double[steps];
        try (Progress progress = new Progress(name, steps)) {
            for (int step = 0; batches.hasNext(); step++) {
                long started = System.nanoTime();
                network.fit(batches.next());
                seconds[step] = (System.nanoTime() - started) / 1e9;
                if (!Double.isFinite(network.score())) {
                    throw new ArithmeticException(
                            "loss of run \"" + name + "\" at step " + (step + 1) + ": expected a finite number, got "
                                    + network.score() + "; a lower --learning-rate may help");
                }
                progress.step(() -> "loss %.3f nats per byte".formatted(network.score() / ModelKind.CONTEXT));
            }
        }
        Arrays.sort(seconds);
        return seconds[steps / 2];
    }
}
