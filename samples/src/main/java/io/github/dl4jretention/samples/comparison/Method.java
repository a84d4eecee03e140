package io.github.dl4jretention.samples.comparison;

import io.github.dl4jretention.Retention;
import io.github.dl4jretention.baseline.KlTrustRegion;
import io.github.dl4jretention.baseline.Mixout;
import io.github.dl4jretention.baseline.PullToStart;
import io.github.dl4jretention.baseline.QuadraticPenalty;
import io.github.dl4jretention.baseline.ReplayIterator;
import io.github.dl4jretention.baseline.ReplayPart;
import io.github.dl4jretention.baseline.ReplayUnit;
import io.github.dl4jretention.lm.LowRankAdapters;
import io.github.dl4jretention.lm.layers.DecoderBlock;
import io.github.dl4jretention.loss.Divergence;
import io.github.dl4jretention.loss.Preference;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.loss.TokenWeight;
import io.github.dl4jretention.teacher.DivergenceMask;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import java.util.Locale;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import org.deeplearning4j.datasets.iterator.MultiDataSetWrapperIterator;
import org.deeplearning4j.nn.api.Updater;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;

/** A way to finetune. A divergence counts for all tokens, of prompts too, of which nothing is learned. */
public enum Method {
    /** Cross-entropy alone; no strength. Its learning rate and when it stops are baselines too. */
    PLAIN(false, false),
    /** Forward KL to the start; strength: lambda. */
    RETENTION(true, false),
    /** Reverse KL to the start; strength: lambda. */
    RETENTION_REVERSE(true, false),
    /** Cross-entropy with smoothed labels; strength: epsilon. */
    LABEL_SMOOTHING(true, false),
    /** L2 to the start; strength: of the penalty. */
    L2_SP(true, false),
    /** A pull to the start after every step; strength: rho, its share of the way back. */
    PULL(true, false),
    /** Cross-entropy alone, no step farther from the start than a limit; strength: the limit in nats per token. */
    TRUST_REGION(true, false),
    /** Cross-entropy alone, parameters mixed with the start in every step; strength: the probability of the start's. */
    MIXOUT(true, false),
    /** Elastic weight consolidation, the Fisher with labels that the model draws; strength: of the penalty. */
    EWC(true, true),
    /** Source text in every batch, in place of target text; strength: its share. */
    REPLAY(true, true),
    /** A quarter of source text, and retention on all; strength: lambda. */
    REPLAY_RETENTION(true, true),
    /** A quarter of text that the base wrote, and forward KL to the start on it alone; strength: lambda. */
    SELF_REPLAY(true, false),
    /** A quarter of text that the base wrote, and retention on all; strength: lambda. */
    SELF_REPLAY_RETENTION(true, false),
    /** Cross-entropy weighted by the entropy of the k likeliest classes; strength: k. */
    EAFT(true, false),
    /** Cross-entropy weighted by the label's probability; no strength. */
    DFT(false, false),
    /** Cross-entropy weighted by the label's probability to the power of 1 / tau; strength: tau. */
    TALR(true, false),
    /** Cross-entropy of labels that the base finds likely; strength: the share of the target's tokens that are kept. */
    SELECTIVE(true, false),
    /** Cross-entropy of sequences weighted by how well the base knows them; strength: tau in medians of their losses. */
    FLOW(true, false),
    /** Preference of target text over what the base writes in its place, by DPO; strength: beta. */
    DPO(true, false),
    /** The same by IPO; strength: beta. */
    IPO(true, false),
    /** The same by SimPO with gamma 0.5; strength: beta. */
    SIMPO(true, false),
    /** The same by DPO with beta 0.1, and retention on the beginnings that both go on from; strength: lambda. */
    DPO_RETENTION(true, false),
    /** Low-rank adapters; strength: their rank. */
    LORA(true, false),
    /** Low-rank adapters of rank 8 and retention; strength: lambda. */
    LORA_RETENTION(true, false);

    /** Of replayed examples in a minibatch, where the strength is something else. */
    static final double SHARE = 0.25;

    private static final int RANK = 8;
    private static final double BETA = 0.1;
    private static final double GAMMA = 0.5;

    private final boolean strength;
    private final boolean source;

    Method(boolean strength, boolean source) {
        this.strength = strength;
        this.source = source;
    }

    /**
     * What is trained.
     *
     * @param network to fit
     * @param batches on these
     * @param finish  makes a stock network of it
     * @param extra   numbers that are held beside the network: parameters of a teacher, start and importance of a penalty,
     *     blocks with their adapters added, and their gradients
     * @param release of what is held beside the network; null for nothing
     */
    record Training(
            MultiLayerNetwork network,
            DataSetIterator batches,
            UnaryOperator<MultiLayerNetwork> finish,
            long extra,
            @Nullable Runnable release)
            implements AutoCloseable {

        Training(MultiLayerNetwork network, DataSetIterator batches, UnaryOperator<MultiLayerNetwork> finish) {
            this(network, batches, finish, 0, null);
        }

        @Override
        public void close() {
            if (batches instanceof TeacherIterator taught) {
                taught.close();
            }
            if (release != null) {
                release.run();
            }
            free(network);
        }

        /** Frees a network's arrays; it can't be used any more. */
        static void free(MultiLayerNetwork network) {
            Updater updater = network.getUpdater(false);
            Stream.of(
                            network.params(),
                            network.getGradientsViewArray(),
                            updater == null ? null : updater.getStateViewArray())
                    .filter(array -> array != null && !array.isEmpty() && array.closeable())
                    .forEach(INDArray::close);
        }

        /** Bytes of parameters, gradients, updater state and what is held beside them; activations are not counted. */
        long bytes() {
            INDArray state = network.getUpdater().getStateViewArray();
            long numbers = 2 * network.numParams() + (state == null ? 0 : state.length()) + extra;
            return numbers * network.params().dataType().width();
        }
    }

    Training prepare(TrialSetup setup) {
        return switch (this) {
            case PLAIN -> new Training(setup.fresh(), setup.targetBatches(), UnaryOperator.identity());
            case RETENTION -> retained(setup, setup.targetBatches());
            case RETENTION_REVERSE -> retained(
                    setup,
                    conf(setup, setup.strength())
                            .divergence(Divergence.REVERSE_KL)
                            .build(),
                    setup.targetBatches());
            case LABEL_SMOOTHING -> {
                RetentionConfiguration conf = RetentionConfiguration.builder()
                        .coefficient(0)
                        .labelSmoothing(setup.strength())
                        .build();
                yield new Training(Retention.attach(setup.fresh(), conf), setup.targetBatches(), Retention::detach);
            }
            case L2_SP -> penalised(setup, QuadraticPenalty.toStart(setup.base(), setup.strength()), 1);
            case PULL -> {
                MultiLayerNetwork network = setup.fresh();
                network.addListeners(
                        PullToStart.of(setup.base(), setup.strength()).listener());
                yield new Training(network, setup.targetBatches(), UnaryOperator.identity(), network.numParams(), null);
            }
            case TRUST_REGION -> {
                Training training = retained(setup, conf(setup, 0).build(), setup.targetBatches());
                training.network()
                        .addListeners(KlTrustRegion.of(setup.strength()).listener());
                yield training;
            }
            case MIXOUT -> {
                MultiLayerNetwork network = setup.fresh();
                Mixout mixout = Mixout.of(setup.base(), setup.strength(), setup.seed());
                yield new Training(
                        network,
                        new MultiDataSetWrapperIterator(mixout.iterator(network, setup.targetBatches())),
                        UnaryOperator.identity(),
                        3 * network.numParams(),
                        mixout::close);
            }
            case EWC -> penalised(
                    setup,
                    QuadraticPenalty.weighted(setup.base(), setup.importance().get(), setup.strength()),
                    2);
            case REPLAY -> new Training(setup.fresh(), replayed(setup), UnaryOperator.identity());
            case REPLAY_RETENTION -> retained(setup, replayed(setup));
            case SELF_REPLAY -> {
                ReplayIterator mixed = selfReplayed(setup);
                yield retained(
                        setup,
                        conf(setup, setup.strength()).build(),
                        mixed,
                        mixed.divergenceOn(ReplayPart.SOURCE, DivergenceMask.ALL_TOKENS));
            }
            case SELF_REPLAY_RETENTION -> retained(setup, selfReplayed(setup));
            case EAFT, DFT, TALR -> {
                RetentionConfiguration conf =
                        conf(setup, 0).tokenWeight(weight(setup.strength())).build();
                yield new Training(Retention.attach(setup.fresh(), conf), setup.targetBatches(), Retention::detach);
            }
            case SELECTIVE -> weighted(setup, setup.losses().get().perplexity(setup.strength()));
            case FLOW -> weighted(setup, setup.strength() * setup.losses().get().median());
            case DPO -> preferred(setup, Preference.dpo(setup.strength()), 0);
            case IPO -> preferred(setup, Preference.ipo(setup.strength()), 0);
            case SIMPO -> preferred(setup, Preference.simpo(setup.strength(), GAMMA), 0);
            case DPO_RETENTION -> preferred(setup, Preference.dpo(BETA), setup.strength());
            case LORA -> new Training(
                    adapted(setup, (int) setup.strength()),
                    setup.targetBatches(),
                    LowRankAdapters::merge,
                    setup.base().numParams(),
                    null);
            case LORA_RETENTION -> {
                MultiLayerNetwork adapted = adapted(setup, RANK);
                Teacher teacher = LowRankAdapters.teacher(adapted);
                yield new Training(
                        Retention.attach(adapted, conf(setup, setup.strength()).build(), teacher),
                        new TeacherIterator(setup.targetBatches(), teacher, DivergenceMask.ALL_TOKENS),
                        LowRankAdapters::merge,
                        setup.base().numParams(),
                        teacher::close);
            }
        };
    }

    /** Whether it has a strength. */
    public boolean hasStrength() {
        return strength;
    }

    /** Whether it sees source text. */
    public boolean seesSource() {
        return source;
    }

    /** Whether source examples, or what the base wrote, take places of target examples. */
    boolean replays() {
        return this == REPLAY || this == REPLAY_RETENTION || this == SELF_REPLAY || this == SELF_REPLAY_RETENTION;
    }

    /** Whether it replays what the base wrote. */
    boolean selfReplays() {
        return this == SELF_REPLAY || this == SELF_REPLAY_RETENTION;
    }

    /** Whether it learns from pairs of sequences. */
    private boolean prefers() {
        return this == DPO || this == IPO || this == SIMPO || this == DPO_RETENTION;
    }

    /** Whether it holds the student by a divergence, beside which there can be a weight of tokens. */
    boolean retains() {
        return switch (this) {
            case RETENTION,
                    RETENTION_REVERSE,
                    REPLAY_RETENTION,
                    SELF_REPLAY,
                    SELF_REPLAY_RETENTION,
                    LORA_RETENTION -> true;
            default -> false;
        };
    }

    /** Whether a training can have such a strength. */
    boolean allows(double strength) {
        return switch (this) {
            case PLAIN, DFT -> false;
            case EAFT -> strength >= 2 && strength == Math.rint(strength);
            case SELECTIVE -> strength > 0 && strength <= 1;
            case LORA -> strength >= 1 && strength == Math.rint(strength);
            case LABEL_SMOOTHING, REPLAY, PULL, MIXOUT -> strength > 0 && strength < 1;
            default -> strength > 0 && Double.isFinite(strength);
        };
    }

    /** Whether a training with such minibatches can have such a strength. */
    boolean allows(double strength, int batch) {
        long replayed = Math.round(strength * batch);
        return allows(strength) && (this != REPLAY || replayed >= 1 && replayed < batch) && (!prefers() || batch >= 2);
    }

    static Method of(String label) {
        return valueOf(label.toUpperCase(Locale.ROOT));
    }

    /** The name in results. */
    public String label() {
        return name().toLowerCase(Locale.ROOT);
    }

    /** With the weight of tokens that the plan has beside the divergence. */
    private static RetentionConfiguration.Builder conf(TrialSetup setup, double coefficient) {
        RetentionConfiguration.Builder conf = RetentionConfiguration.builder().coefficient(coefficient);
        String weight = setup.trial().method().tokenWeight();
        return weight == null ? conf : conf.tokenWeight(TokenWeight.of(weight));
    }

    private TokenWeight weight(double parameter) {
        return new TokenWeight(TokenWeight.Kind.valueOf(name()), parameter);
    }

    /** By a weight that needs the teacher. */
    private Training weighted(TrialSetup setup, double parameter) {
        return retained(setup, conf(setup, 0).tokenWeight(weight(parameter)).build(), setup.targetBatches());
    }

    /** As many sequences as without preferences, half of them chosen and half rejected. */
    private static Training preferred(TrialSetup setup, Preference preference, double coefficient) {
        return retained(
                setup,
                conf(setup, coefficient).preference(preference).build(),
                setup.pairs(),
                coefficient == 0 ? DivergenceMask.LABEL_MASK : DivergenceMask.PROMPTS);
    }

    private static Training retained(TrialSetup setup, DataSetIterator batches) {
        return retained(setup, conf(setup, setup.strength()).build(), batches);
    }

    private static Training retained(TrialSetup setup, RetentionConfiguration conf, DataSetIterator batches) {
        return retained(setup, conf, batches, DivergenceMask.ALL_TOKENS);
    }

    private static Training retained(
            TrialSetup setup, RetentionConfiguration conf, DataSetIterator batches, DivergenceMask mask) {
        Teacher teacher = Teacher.of(setup.base());
        return new Training(
                Retention.attach(setup.fresh(), conf, teacher),
                new TeacherIterator(batches, teacher, mask),
                Retention::detach,
                setup.base().numParams(),
                teacher::close);
    }

    /** @param vectors of the size of the parameters that the penalty holds */
    private static Training penalised(TrialSetup setup, QuadraticPenalty penalty, int vectors) {
        MultiLayerNetwork network = setup.fresh();
        network.addListeners(penalty.listener());
        return new Training(
                network, setup.targetBatches(), UnaryOperator.identity(), vectors * network.numParams(), null);
    }

    /** Beside queries and values of a transformer, as in section 7.1 of the paper; beside all weights of an LSTM. */
    private static MultiLayerNetwork adapted(TrialSetup setup, int rank) {
        boolean attends = Stream.of(setup.base().getLayers())
                .anyMatch(layer -> layer.conf().getLayer() instanceof DecoderBlock);
        LowRankAdapters.Settings settings =
                LowRankAdapters.rank(rank).alpha(2.0 * rank).seed(setup.seed());
        MultiLayerNetwork adapted =
                LowRankAdapters.attach(setup.base(), attends ? settings.layers("q", "v") : settings);
        return Retention.withUpdater(adapted, setup.updater(), setup.trial().warmUp());
    }

    private static ReplayIterator selfReplayed(TrialSetup setup) {
        int examples = setup.replayedExamples();
        int ofText = setup.targetExamples();
        return setup.written().get().mixedInto(setup.targetBatches(ofText), (double) examples / (ofText + examples));
    }

    /** As many examples in all as without replay, unless replayed ones come beside. */
    private static DataSetIterator replayed(TrialSetup setup) {
        int ofText = setup.targetExamples();
        int examples = setup.replayedExamples();
        return new ReplayIterator(
                setup.targetBatches(ofText),
                setup.sourceBatches(examples),
                (double) examples / (ofText + examples),
                ReplayUnit.EXAMPLES,
                setup.seed());
    }
}
