package io.github.dl4jretention.tasks;

import io.github.dl4jretention.lm.ContinuationScorer;
import io.github.dl4jretention.lm.Generator;
import io.github.dl4jretention.lm.LanguageModel;
import io.github.dl4jretention.lm.Tokenizer;
import io.github.dl4jretention.teacher.NetworkIdentity;
import java.io.IOException;
import java.util.Objects;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.autodiff.samediff.SameDiff;

/**
 * A model that tasks are asked of: a network of tokens, its tokenizer, and how many tokens it takes. MultiLayerNetworks,
 * LSTMs and language models of folders among them, read what several prompts begin with once; ComputationGraphs and
 * SameDiff models read each text as a whole, and give the same numbers more slowly.
 *
 * <p>The model stays as it is and is the caller's to free; close this one when it's no longer needed.
 */
public abstract class TaskModel implements AutoCloseable {

    private final Tokenizer tokenizer;
    private final int context;

    TaskModel(Tokenizer tokenizer, int context) {
        this.tokenizer = Objects.requireNonNull(tokenizer, "tokenizer");
        this.context = context;
        if (context < 2) {
            throw new IllegalArgumentException("context: expected a number of at least 2, got " + context);
        }
    }

    /**
     * {@return the model of a folder}
     *
     * @param model with a tokenizer
     * @throws IOException if its tokenizer is missing or can't be read
     */
    public static TaskModel of(LanguageModel model) throws IOException {
        return of(model.network(), model.tokenizer(), model.contextLength());
    }

    /**
     * {@return a network of tokens, such as LSTMs}
     *
     * @param network   whose input is token ids, or one-hot, and whose last layer is a softmax, {@code [batch, V, time]}
     * @param tokenizer of its tokens
     * @param context   tokens that it takes, at most
     */
    public static TaskModel of(MultiLayerNetwork network, Tokenizer tokenizer, int context) {
        return new SteppedModel(network, tokenizer, context);
    }

    /**
     * {@return a graph of one input, of token ids or one-hot, and one output of a softmax}
     *
     * @param graph     as said
     * @param tokenizer of its tokens
     * @param context   tokens that it takes, at most
     */
    public static TaskModel of(ComputationGraph graph, Tokenizer tokenizer, int context) {
        return WholeModel.whole(graph, tokenizer, context);
    }

    /**
     * {@return a SameDiff model} Its placeholder takes token ids {@code [batch, time]} or {@code [batch, 1, time]}, or
     * one-hot tokens {@code [batch, V, time]}, as its shape says; a fixed time is padded to.
     *
     * @param model     as said
     * @param logits    name of the variable of the logits, the classes last
     * @param features  name of the placeholder
     * @param tokenizer of its tokens
     * @param context   tokens that it takes, at most
     */
    public static TaskModel of(SameDiff model, String logits, String features, Tokenizer tokenizer, int context) {
        return WholeModel.whole(model, logits, features, tokenizer, context);
    }

    /** {@return of its tokens} */
    public final Tokenizer tokenizer() {
        return tokenizer;
    }

    /** {@return tokens that it takes, at most} */
    public final int context() {
        return context;
    }

    /** {@return SHA-256 of the model's parameters and structure} */
    abstract String sha256();

    /**
     * {@return of each prompt, of each continuation, of each token, its log-probability in nats}
     *
     * @param head          what all prompts begin with, which may be empty
     * @param prompts       what follows it, all of the same length of at least one token
     * @param continuations of each prompt
     */
    abstract double[][][] score(int[] head, int[][] prompts, int[][][] continuations);

    /** {@return writes with it} */
    abstract Generator generator();

    @Override
    public abstract void close();

    /** Reads tokens step by step. */
    private static final class SteppedModel extends TaskModel {

        private final MultiLayerNetwork network;
        private final ContinuationScorer scorer;

        SteppedModel(MultiLayerNetwork network, Tokenizer tokenizer, int context) {
            super(tokenizer, context);
            this.network = Objects.requireNonNull(network, "network");
            scorer = ContinuationScorer.of(network);
        }

        @Override
        String sha256() {
            return NetworkIdentity.sha256(network);
        }

        @Override
        double[][][] score(int[] head, int[][] prompts, int[][][] continuations) {
            scorer.begin(head);
            return scorer.score(prompts, continuations);
        }

        @Override
        Generator generator() {
            return Generator.of(network, tokenizer(), context());
        }

        @Override
        public void close() {
            scorer.close();
        }
    }
}
