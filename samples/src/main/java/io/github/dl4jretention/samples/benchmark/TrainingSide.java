package io.github.dl4jretention.samples.benchmark;

import io.github.dl4jretention.Retention;
import io.github.dl4jretention.baseline.KlTrustRegion;
import io.github.dl4jretention.baseline.Mixout;
import io.github.dl4jretention.baseline.PullToStart;
import io.github.dl4jretention.baseline.ReplayIterator;
import io.github.dl4jretention.baseline.SelfReplay;
import io.github.dl4jretention.cache.TeacherCache;
import io.github.dl4jretention.loss.Preference;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.loss.TokenWeight;
import io.github.dl4jretention.teacher.DivergenceMask;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.datasets.iterator.MultiDataSetWrapperIterator;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;

/** The ways to train a network that the benchmarks compare. */
public enum TrainingSide {
    /** Plain DL4J: the network with its own output layer. */
    PLAIN,
    /** The retention layer at coefficient 0, without a teacher. */
    ZERO,
    /** Coefficient 1; the teacher computes the next batch while the student trains on this one. */
    ONLINE,
    /** Coefficient 1; teacher and student take turns. */
    ONLINE_IN_TURN,
    /** Coefficient 1; the teacher's values come from a cache with the default codec. */
    CACHED,
    /** As online, each token weighted by the entropy of its 20 likeliest classes. */
    EAFT(TokenWeight.eaft(20)),
    /** As online, each token weighted by its label's probability. */
    DFT(TokenWeight.dft()),
    /** As online, each token weighted by a power of its label's probability. */
    TALR(TokenWeight.talr(3)),
    /** As online, with labels only that the teacher finds likely. */
    SELECTIVE(TokenWeight.selective(1000)),
    /** As online, each sequence weighted by the teacher's loss. */
    FLOW(TokenWeight.flow(5)),
    /** A quarter of each minibatch is what the network wrote before, with the divergence on it alone. */
    SELF_REPLAY,
    /** Coefficient 0, with a limit on the divergence from the start after each step. */
    TRUST_REGION,
    /** Pairs of sequences, of which the first is preferred; the teacher computes the next batch meanwhile. */
    DPO,
    /** Plain DL4J, pulled to the start after each step. */
    PULL,
    /** Plain DL4J, its parameters mixed with the start in each step. */
    MIXOUT,
    /** Plain DL4J, with a running average of the parameters. */
    AVERAGE;

    private static final int WRITTEN = 32;

    private final @Nullable TokenWeight weight;

    TrainingSide() {
        this(null);
    }

    TrainingSide(@Nullable TokenWeight weight) {
        this.weight = weight;
    }

    /**
     * A network that is ready to train.
     *
     * @param network with its output layer or with a retention layer
     * @param batches for it, without end
     */
    public record Training(MultiLayerNetwork network, DataSetIterator batches) {

        /** Trains on the next minibatch. */
        public void step() {
            network.fit(batches.next());
        }
    }

    /**
     * Sets a training up.
     *
     * @param base    the pretrained network; it isn't changed
     * @param batches to train on, over and over
     * @param cache   folder of the teacher's cache; {@link #CACHED} writes the cache if it isn't there
     */
    public Training start(MultiLayerNetwork base, List<DataSet> batches, Path cache) throws IOException {
        DataSetIterator endless = endless(batches);
        return switch (this) {
            case PLAIN -> new Training(base.clone(), endless);
            case ZERO -> new Training(student(base, 0), endless);
            case ONLINE, EAFT, DFT, TALR, SELECTIVE, FLOW -> taught(base, endless, Teacher.of(base), true);
            case ONLINE_IN_TURN -> taught(base, endless, Teacher.of(base), false);
            case CACHED -> taught(base, endless, cached(base, batches, cache), true);
            case SELF_REPLAY -> selfReplay(base, batches);
            case TRUST_REGION -> {
                Training training =
                        taught(student(base, 0), endless, Teacher.of(base), true, DivergenceMask.LABEL_MASK);
                training.network.addListeners(KlTrustRegion.of(0.1).listener());
                yield training;
            }
            case DPO -> taught(
                    Retention.attach(
                            base,
                            RetentionConfiguration.builder()
                                    .coefficient(0)
                                    .preference(Preference.dpo(0.1))
                                    .build()),
                    endless,
                    Teacher.of(base),
                    true,
                    DivergenceMask.LABEL_MASK);
            case PULL -> {
                MultiLayerNetwork network = base.clone();
                network.addListeners(PullToStart.of(base, 0.001).listener());
                yield new Training(network, endless);
            }
            case MIXOUT -> {
                MultiLayerNetwork network = base.clone();
                yield new Training(
                        network,
                        new MultiDataSetWrapperIterator(Mixout.of(base, 0.7, 1).iterator(network, endless)));
            }
            case AVERAGE -> {
                MultiLayerNetwork network = base.clone();
                network.addListeners(Teacher.movingAverage(base, 0.99).listener());
                yield new Training(network, endless);
            }
        };
    }

    private static DataSetIterator endless(List<DataSet> batches) {
        return new ExistingDataSetIterator(
                Stream.generate(() -> batches).flatMap(List::stream).iterator());
    }

    /** As many sequences in all as the others have. */
    private Training selfReplay(MultiLayerNetwork base, List<DataSet> batches) throws IOException {
        int batch = batches.get(0).numExamples();
        int written = Math.max(1, batch / 4);
        List<DataSet> targets = batches.stream()
                .map(all -> (DataSet) all.getRange(0, batch - written))
                .toList();
        ReplayIterator mixed = SelfReplay.of(base, new ExistingDataSetIterator(targets))
                .count(WRITTEN)
                .build()
                .mixedInto(endless(targets), (double) written / batch);
        return taught(student(base, 1), mixed, Teacher.of(base), true, mixed.divergenceWeights(0, 1));
    }

    /** The side's name in tables. */
    public String label() {
        return name().toLowerCase(Locale.ROOT);
    }

    private MultiLayerNetwork student(MultiLayerNetwork base, double coefficient) {
        return Retention.attach(
                base,
                RetentionConfiguration.builder()
                        .coefficient(coefficient)
                        .tokenWeight(weight)
                        .build());
    }

    private Training taught(MultiLayerNetwork base, DataSetIterator batches, Teacher teacher, boolean prefetch) {
        return taught(student(base, 1), batches, teacher, prefetch, DivergenceMask.LABEL_MASK);
    }

    private static Training taught(
            MultiLayerNetwork student,
            DataSetIterator batches,
            Teacher teacher,
            boolean prefetch,
            DivergenceMask mask) {
        return new Training(
                student,
                new TeacherIterator(batches, teacher, mask)
                        .setReleaseLabels(true)
                        .setPrefetch(prefetch));
    }

    private static TeacherCache cached(MultiLayerNetwork base, List<DataSet> batches, Path folder) throws IOException {
        return TeacherCache.builder()
                .pretrained(base)
                .folder(folder)
                .data("random tokens")
                .build(new ExistingDataSetIterator(batches));
    }
}
