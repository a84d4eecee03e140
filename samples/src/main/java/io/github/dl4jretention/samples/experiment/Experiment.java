package io.github.dl4jretention.samples.experiment;

import io.github.dl4jretention.Retention;
import io.github.dl4jretention.cache.TeacherCache;
import io.github.dl4jretention.lm.LanguageModel;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.samples.console.Progress;
import io.github.dl4jretention.samples.model.TextModel;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import java.io.IOException;
import java.nio.ByteBuffer;
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
        TextModel base,
        Task task,
        int steps,
        int batch,
        double learningRate,
        long seed,
        TeacherCache.@Nullable Builder cache) {

    /** The name of the run without retention. */
    static final String PLAIN = "plain";

    /** The name of a run with retention. */
    static String name(double coefficient, boolean cached) {
        return "retention " + coefficient + (cached ? " cached" : "");
    }

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
        MultiLayerNetwork pretrained = base.network();
        try (Teacher teacher = Teacher.of(pretrained)) {
            return run(coefficients, pretrained, teacher);
        }
    }

    private Outcome run(List<Double> coefficients, MultiLayerNetwork pretrained, Teacher teacher) throws IOException {
        Measurement before = Measurement.of(base, pretrained, teacher, task);
        List<Run> runs = new ArrayList<>();
        MultiLayerNetwork plain = Retention.withUpdater(base.network(), new Adam(learningRate));
        double seconds = train(PLAIN, plain, batches());
        runs.add(run(PLAIN, Double.NaN, plain, teacher, seconds));
        try (TeacherCache cached = cache == null ? null : cached(cache, teacher)) {
            for (double coefficient : coefficients) {
                runs.add(retention(name(coefficient, false), coefficient, teacher, teacher));
                if (cached != null) {
                    runs.add(retention(name(coefficient, true), coefficient, cached, teacher));
                }
            }
        }
        return new Outcome(before, runs);
    }

    private Run retention(String name, double coefficient, Teacher teacher, Teacher whole) {
        MultiLayerNetwork student = Retention.attach(
                Retention.withUpdater(base.network(), new Adam(learningRate)),
                RetentionConfiguration.builder().coefficient(coefficient).build());
        double seconds;
        try (TeacherIterator batches = new TeacherIterator(batches(), teacher)) {
            seconds = train(name, student, batches);
        }
        return run(name, coefficient, student, whole, seconds);
    }

    private Run run(String name, double coefficient, MultiLayerNetwork trained, Teacher teacher, double seconds) {
        LanguageModel folder = base.folder() == null ? null : base.folder().withNetwork(trained);
        MultiLayerNetwork tuned =
                folder != null ? folder.network() : Double.isNaN(coefficient) ? trained : Retention.detach(trained);
        return new Run(name, coefficient, tuned, folder, Measurement.of(base, tuned, teacher, task), seconds);
    }

    private TeacherCache cached(TeacherCache.Builder cache, Teacher teacher) throws IOException {
        CRC32 checksum = new CRC32();
        for (int token : task.training()) {
            checksum.update(ByteBuffer.allocate(Integer.BYTES).putInt(0, token));
        }
        TeacherCache cached = cache.teacher(teacher)
                .data("%d x %d windows, seed %d, of text %08x".formatted(steps, batch, seed, checksum.getValue()))
                .tokenisation(base.folder() == null ? "bytes" : "the model folder's")
                .build(batches());
        System.out.println("teacher's cache: " + cached.statistics());
        return cached;
    }

    private DataSetIterator batches() {
        return base.training(batch, steps, seed, task.training());
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
                progress.step(() -> "loss %.3f nats per %s".formatted(network.score() / base.window(), base.unit()));
            }
        }
        Arrays.sort(seconds);
        return seconds[steps / 2];
    }
}
