package io.github.dl4jretention.sweep.task;

import io.github.dl4jretention.baseline.Importance;
import io.github.dl4jretention.baseline.ReplayMultiDataSetIterator;
import io.github.dl4jretention.baseline.ReplayUnit;
import io.github.dl4jretention.baseline.SelfReplay;
import io.github.dl4jretention.sweep.space.FinetuneConfiguration;
import io.github.dl4jretention.sweep.space.FinetuneMethod;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherMultiDataSetIterator;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.stream.Collectors;
import org.deeplearning4j.arbiter.optimize.api.Candidate;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.dataset.api.iterator.MultiDataSetIterator;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.learning.config.IUpdater;

/**
 * Everything that the candidates of a sweep share: pretrained model, teacher, texts, updater and seed. <p>The losses of
 * the pretrained model on validation text are computed once, when they are first asked for.
 */
public final class FinetuneProblem {

    /**
     * A candidate diverges at this many times the largest of a uniform guess's loss, the base's and the first
     * minibatch's.
     */
    static final double DIVERGED = 2;

    private final FinetuneModel model;
    private final Teacher teacher;
    private final SweepData data;
    private final IUpdater updater;
    private final long seed;
    private final Map<FinetuneMethod, Importance> importance = new EnumMap<>(FinetuneMethod.class);
    private @Nullable SelfReplay written;
    private @Nullable Losses baseLosses;
    private double largestLoss = Double.NaN;
    private int trainingBatches = -1;

    /**
     * @param model   where every candidate starts
     * @param teacher what candidates stay near, or a cache of it; safe for several threads
     * @param data    texts
     * @param updater of all candidates, each with a learning rate and a state of its own
     * @param seed    of the random numbers of training (dropout), the same for all candidates
     * @throws IllegalArgumentException if the updater has no learning rate
     */
    public FinetuneProblem(FinetuneModel model, Teacher teacher, SweepData data, IUpdater updater, long seed) {
        this.model = Objects.requireNonNull(model, "model");
        this.teacher = Objects.requireNonNull(teacher, "teacher");
        this.data = Objects.requireNonNull(data, "data");
        this.updater = Objects.requireNonNull(updater, "updater");
        this.seed = seed;
        if (!updater.hasLearningRate()) {
            throw new IllegalArgumentException("updater: expected one with a learning rate, got " + updater);
        }
    }

    /**
     * Makes a problem with the model as its own teacher, Adam, and seed 0.
     *
     * @param model where every candidate starts
     * @param data  texts
     */
    public FinetuneProblem(FinetuneModel model, SweepData data) {
        this(model, model.teacher(), data, new Adam(), 0);
    }

    /** {@return what tells it from other problems, by name, but for its texts; see {@link SweepData#identities()}} */
    public Map<String, String> identity() {
        Map<String, String> map = new LinkedHashMap<>();
        map.put("model", model.sha256());
        map.put("modelSettings", model.settings());
        map.put("outputs", model.outputs());
        map.put("teacher", teacher.sha256());
        map.put("teacherEncoding", teacher.encoding());
        map.put("updater", SweepIdentity.of(updater));
        map.put("seed", String.valueOf(seed));
        return map;
    }

    /** Of another process, which has computed them. */
    FinetuneProblem withBaseLosses(Losses known) {
        baseLosses = known;
        return this;
    }

    /** {@return where every candidate starts} */
    public FinetuneModel model() {
        return model;
    }

    /** {@return what candidates stay near} */
    public Teacher teacher() {
        return teacher;
    }

    /** {@return the texts} */
    public SweepData data() {
        return data;
    }

    /** {@return a copy of the updater, with the learning rate it was given with} */
    public IUpdater updater() {
        return updater.clone();
    }

    /**
     * Asks the teacher for the first batch of training.
     *
     * @throws IllegalArgumentException if its values do not fit the labels or the model, or it follows its student,
     *     which is another one for every candidate
     */
    public void requireTeacherFits() {
        if (!teacher.movingAverages().isEmpty()) {
            throw new IllegalArgumentException(
                    "teacher: expected one that stays as it is, got a moving average, which candidates have no part in");
        }
        MultiDataSet batch = data.training().iterator().next();
        String expected = shapes(model.teacher(), batch);
        String found = shapes(teacher, batch);
        if (!expected.equals(found)) {
            throw new IllegalArgumentException(
                    "teacher: expected values of shape " + expected + ", as the model has them, got " + found);
        }
        try (TeacherMultiDataSetIterator taught =
                new TeacherMultiDataSetIterator(data.training().iterator(), teacher)) {
            taught.setPrefetch(false).next();
        }
    }

    /**
     * Refuses texts that can't be read as often as candidates need.
     *
     * @param space of the candidates
     * @throws IllegalArgumentException if the training text can't be reset and is shorter than the longest training
     *     or is what the model's own text begins with, or the source text can't be reset and is replayed; the message names the text
     */
    public void requireResets(FinetuneSpace space) {
        long steps = space.mostSteps(trainingBatches());
        if (steps > trainingBatches() && !data.training().iterator().resetSupported()) {
            throw new IllegalArgumentException("training: expected batches that can be reset for up to " + steps
                    + " steps, got " + trainingBatches() + " that cannot");
        }
        if (space.writes() && !data.training().iterator().resetSupported()) {
            throw new IllegalArgumentException("training: expected batches that can be reset, whose first tokens begin"
                    + " what the model writes, got others");
        }
        if (space.has(FinetuneMethod.REPLAY) && !source().resetSupported()) {
            throw new IllegalArgumentException(
                    "trainingSource: expected batches that can be reset, which are replayed, got others");
        }
    }

    private static String shapes(Teacher teacher, MultiDataSet batch) {
        return Arrays.stream(teacher.values(batch))
                .map(values -> Arrays.toString(values.shape()))
                .collect(Collectors.joining(", "));
    }

    /** {@return seed of the random numbers of training} */
    public long seed() {
        return seed;
    }

    /**
     * {@return losses of the pretrained model on validation text, in nats per token}
     *
     * @throws IllegalArgumentException if the model cannot take a text, or its loss is no finite number; the message
     *     names the text
     */
    public synchronized Losses baseLosses() {
        if (baseLosses == null) {
            baseLosses = new Losses(
                    baseLoss("validationTarget", data.validationTarget()),
                    baseLoss("validationSource", data.validationSource()));
        }
        return baseLosses;
    }

    private double baseLoss(String name, Batches text) {
        double loss;
        try {
            loss = model.loss(text);
        } catch (IllegalArgumentException e) {
            throw new IllegalArgumentException(name + ": " + e.getMessage(), e);
        }
        if (!Double.isFinite(loss)) {
            throw new IllegalArgumentException(name + ": expected a finite loss of the pretrained model, got " + loss);
        }
        return loss;
    }

    /**
     * {@return losses of a tuned network on validation text, in nats per token}
     *
     * @param plain of the model's class
     */
    public Losses validation(Object plain) {
        return model.losses(plain, data.validationTarget(), data.validationSource());
    }

    /**
     * {@return losses of the pretrained model on test text, in nats per token; computed at each call}
     *
     * @throws IllegalArgumentException if the model cannot take a text, or its loss is no finite number; the message
     *     names the text
     */
    public Losses baseTestLosses() {
        return new Losses(baseLoss("testTarget", data.testTarget()), baseLoss("testSource", data.testSource()));
    }

    /**
     * {@return losses of a tuned network on test text, in nats per token}
     *
     * @param plain of the model's class
     */
    public Losses test(Object plain) {
        return model.losses(plain, data.testTarget(), data.testSource());
    }

    /**
     * Trains one candidate.
     *
     * @param configuration how
     * @return a network of the model's class without any part of this library
     * @throws IllegalStateException if it fails, or the thread is interrupted, which it stays then; the message says
     *     why
     */
    public Object finetune(FinetuneConfiguration configuration) {
        SingleResult result = new SingleResult();
        new FinetuneTask(
                        new Candidate<>(configuration, 0, new double[0]),
                        this,
                        (validation, plain) -> validation.target(),
                        result,
                        List.of(),
                        null)
                .call();
        return result.network();
    }

    FinetuneModel.CandidateTraining start(FinetuneConfiguration configuration) {
        if (configuration.frozenUpTo() >= model.freezable()) {
            throw new IllegalArgumentException("frozenUpTo: expected at most " + (model.freezable() - 1)
                    + ", the last layer of this model that can be frozen, got " + configuration.frozenUpTo());
        }
        IUpdater own = updater.clone();
        own.setLrAndSchedule(configuration.learningRate(), null);
        data.requireFits(configuration.method());
        return model.training(configuration, own, teacher(configuration), importance(configuration.method()));
    }

    /** Of methods that train with source text, for which it was checked that there is one. */
    private MultiDataSetIterator source() {
        return Objects.requireNonNull(data.trainingSource(), "trainingSource").iterator();
    }

    /** Batches of a candidate's training, with the teacher's values where its student takes them. */
    MultiDataSetIterator training(FinetuneConfiguration configuration) {
        MultiDataSetIterator text = data.training().iterator();
        if (configuration.method() == FinetuneMethod.REPLAY) {
            text = new ReplayMultiDataSetIterator(text, source(), configuration.strength(), ReplayUnit.EXAMPLES, seed);
        }
        if (configuration.method().writes()) {
            ReplayMultiDataSetIterator mixed = written().mixedInto(text, configuration.strength());
            double ofTarget = configuration.method() == FinetuneMethod.SELF_REPLAY ? 0 : 1;
            return new TeacherMultiDataSetIterator(mixed, teacher(configuration), mixed.divergenceWeights(ofTarget, 1))
                    .setReleaseLabels(true);
        }
        boolean taught = configuration.method() == FinetuneMethod.RETENTION || !model.plainWithoutTeacher();
        return taught ? new TeacherMultiDataSetIterator(text, teacher(configuration)).setReleaseLabels(true) : text;
    }

    /** A cache may lack what is replayed, and may hold samples at a temperature other than 1. */
    private Teacher teacher(FinetuneConfiguration configuration) {
        boolean sampled = teacher.sampledAt().isPresent() && configuration.method() != FinetuneMethod.RETENTION;
        boolean mixed = configuration.method() == FinetuneMethod.REPLAY
                || configuration.method().writes();
        return mixed || sampled ? model.teacher() : teacher;
    }

    /** What the model writes, once for all candidates. */
    private synchronized SelfReplay written() {
        if (written == null) {
            try {
                written = model.writing(data.training().iterator()).seed(seed).build();
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
        return written;
    }

    /** Importance of the parameters on source text, one pass for all candidates of a method; null without. */
    private synchronized @Nullable Importance importance(FinetuneMethod method) {
        return switch (method) {
            case EWC -> importance.computeIfAbsent(
                    method, m -> model.importance().empiricalFisher(source()));
            case MAS -> importance.computeIfAbsent(
                    method, m -> model.importance().memoryAwareSynapses(source()));
            case PLAIN, RETENTION, L2_SP, REPLAY, SELF_REPLAY, SELF_REPLAY_RETENTION, LABEL_SMOOTHING -> null;
        };
    }

    /** The largest cross-entropy of a minibatch that is no divergence. */
    synchronized double largestLoss() {
        if (Double.isNaN(largestLoss)) {
            largestLoss = DIVERGED
                    * Math.max(Math.log((double) vocabulary()), baseLosses().target());
        }
        return largestLoss;
    }

    private long vocabulary() {
        MultiDataSet batch = data.validationTarget().iterator().next();
        INDArray predicted = model.teacher().logProbabilities(batch.getFeatures(), batch.getFeaturesMaskArrays())[0];
        return predicted.size(model.teacher().outputs().get(0).classAxis(predicted.rank()));
    }

    /** Number of batches of the training text. */
    synchronized int trainingBatches() {
        if (trainingBatches < 0) {
            trainingBatches = 0;
            for (MultiDataSetIterator text = data.training().iterator(); text.hasNext(); text.next()) {
                trainingBatches++;
            }
        }
        return trainingBatches;
    }

    /** Keeps what became of one candidate. */
    private static final class SingleResult implements FinetuneObserver {

        private @Nullable Object network;
        private @Nullable Throwable failure;
        private @Nullable Throwable error;

        @Override
        public void onResult(
                int candidate,
                FinetuneConfiguration configuration,
                FinetuneResult result,
                @Nullable Double score,
                @Nullable Object plain) {
            network = plain;
        }

        @Override
        public void onFailure(int candidate, @Nullable FinetuneConfiguration configuration, Throwable reason) {
            failure = reason;
        }

        @Override
        public void onError(int candidate, Throwable reason) {
            error = reason;
        }

        Object network() {
            if (error instanceof InterruptedException) {
                Thread.currentThread().interrupt();
                throw new IllegalStateException("candidate: interrupted before it was trained", error);
            }
            if (error instanceof Error fatal) {
                throw fatal;
            }
            if (error instanceof RuntimeException exception) {
                throw exception;
            }
            Throwable reason = failure == null ? error : failure;
            if (reason != null) {
                throw new IllegalStateException("candidate: " + reason.getMessage(), reason);
            }
            return Objects.requireNonNull(network);
        }
    }
}
