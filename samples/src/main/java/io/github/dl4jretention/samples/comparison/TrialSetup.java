package io.github.dl4jretention.samples.comparison;

import io.github.dl4jretention.Retention;
import io.github.dl4jretention.baseline.Importance;
import io.github.dl4jretention.baseline.SelfReplay;
import io.github.dl4jretention.eval.LabelLosses;
import io.github.dl4jretention.samples.text.Corpus;
import java.util.function.Supplier;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.learning.config.IUpdater;

/**
 * What a method makes a training of.
 *
 * @param base       the pretrained model
 * @param importance of its parameters for the source text, estimated when it is asked for
 * @param written    what the base writes, sampled when it is asked for
 * @param rejected   what the base writes after the prompts of {@link #pairs}, sampled when it is asked for
 * @param losses     of the base on target text, measured when they are asked for
 */
record TrialSetup(
        MultiLayerNetwork base,
        Trial trial,
        Plan plan,
        TokenCorpus corpus,
        Supplier<Importance> importance,
        Supplier<SelfReplay> written,
        Supplier<SelfReplay> rejected,
        Supplier<LabelLosses> losses) {

    /** Of replayed text, so that its windows are not those of the target. */
    private static final long SOURCE_SEED = 1_000_003;

    double strength() {
        return trial.strength();
    }

    long seed() {
        return trial.seed();
    }

    int targetExamples() {
        return trial.method().targetExamples(plan.batch(), trial.strength());
    }

    int replayedExamples() {
        return trial.method().replayedExamples(plan.batch(), trial.strength());
    }

    IUpdater updater() {
        return new Adam(trial.learningRate());
    }

    /** The base with a fresh updater. */
    MultiLayerNetwork fresh() {
        return Retention.withUpdater(base, updater(), trial.warmUp());
    }

    DataSetIterator targetBatches() {
        return targetBatches(plan.batch());
    }

    DataSetIterator targetBatches(int examples) {
        return targetWindows(corpus, trial.pair(), examples, plan.steps(), trial.seed());
    }

    /** Windows of target text, and what the base writes in the place of their second half. */
    DataSetIterator pairs() {
        int pairs = plan.batch() / 2;
        return PreferencePairs.of(targetBatches(pairs), rejected.get().iterator(pairs), prompt(corpus));
    }

    /** Tokens of a window that both sequences of a pair begin with. */
    static int prompt(TokenCorpus corpus) {
        return Math.max(1, corpus.model().window() / 2);
    }

    static DataSetIterator targetWindows(TokenCorpus corpus, Plan.Pair pair, int examples, int batches, long seed) {
        return corpus.training(examples, batches, seed, pair.target(), Corpus.Part.FINETUNE);
    }

    /** At least so many windows for every step, the sources in turn. */
    DataSetIterator sourceBatches(int examples) {
        return sourceWindows(corpus, trial.pair(), examples * plan.steps(), trial.seed() + SOURCE_SEED);
    }

    /**
     * Text of the sources that the base was pretrained on: each batch has one window of each, so that shares are equal.
     */
    static DataSetIterator sourceWindows(TokenCorpus corpus, Plan.Pair pair, int atLeast, long seed) {
        int[][] texts = pair.sources().stream()
                .map(domain -> corpus.text(domain, Corpus.Part.PRETRAIN))
                .toArray(int[][]::new);
        int batches = (atLeast + texts.length - 1) / texts.length;
        return corpus.model().training(texts.length, batches, seed, texts);
    }
}
