package io.github.dl4jretention.lm;

import java.util.Arrays;
import java.util.Objects;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.jspecify.annotations.Nullable;

/**
 * Log-probabilities of texts that may follow a prompt, such as the choices of a question, in nats. What several prompts
 * begin with (the head, such as worked examples) is read once, and so is the prompt of several continuations: {@code
 * rnnTimeStep} keeps the keys and values of decoder blocks, and the states of LSTMs.
 *
 * <p>For continuation tokens {@code c1..cn} after a prompt x it gives {@code log p(ci | x, c1..c(i-1))} for each i.
 * The network's own stored state stays as it is. Not thread-safe. Close it: it keeps what it knows about the head.
 */
public final class ContinuationScorer implements AutoCloseable {

    /** Tokens that are computed at once. */
    private static final int STEP = 256;

    private final NetworkSteps steps;
    private int[] head = new int[0];
    private Steps.@Nullable State ofHead;

    private ContinuationScorer(NetworkSteps steps) {
        this.steps = steps;
    }

    /**
     * {@return a scorer of a network}
     *
     * @param network whose input is token ids, or one-hot, and whose last layer is a softmax, {@code [batch, V, time]}
     * @throws IllegalArgumentException if it's another
     */
    public static ContinuationScorer of(MultiLayerNetwork network) {
        return new ContinuationScorer(new NetworkSteps(Objects.requireNonNull(network, "network")));
    }

    /**
     * Says what all prompts that follow begin with.
     *
     * @param tokens any number
     */
    public void begin(int[] tokens) {
        if (Arrays.equals(head, tokens)) {
            return;
        }
        close();
        if (tokens.length > 0) {
            steps.clear();
            read(new int[][] {tokens}, tokens.length);
            ofHead = steps.state();
        }
        head = tokens.clone();
    }

    private void read(int[][] ids, int until) {
        for (int from = 0; from < until; from += STEP) {
            int start = from;
            int end = Math.min(until, from + STEP);
            steps.read(Arrays.stream(ids)
                    .map(row -> Arrays.copyOfRange(row, start, end))
                    .toArray(int[][]::new));
        }
    }

    /**
     * {@return of each prompt, of each continuation, of each token, its log-probability in nats}
     *
     * @param prompts       what follows the head, all of the same length of at least one token
     * @param continuations of each prompt, each of at least one token
     * @throws IllegalArgumentException if the lengths are others, or an id isn't the network's
     */
    public double[][][] score(int[][] prompts, int[][][] continuations) {
        int length = require(prompts, continuations);
        if (ofHead == null) {
            steps.clear();
        } else {
            steps.restore(ofHead, new int[prompts.length]);
        }
        int before = (length - 1) / STEP * STEP;
        read(prompts, before);
        double[][][] found = first(prompts, before, continuations);
        int[] rows =
                new int[Arrays.stream(continuations).mapToInt(c -> c.length).sum()];
        int[][] whole = new int[rows.length][];
        double[][] scores = new double[rows.length][];
        int longest = 0;
        for (int i = 0, row = 0; i < prompts.length; i++) {
            for (int j = 0; j < continuations[i].length; j++, row++) {
                rows[row] = i;
                whole[row] = continuations[i][j];
                scores[row] = found[i][j];
                longest = Math.max(longest, whole[row].length);
            }
        }
        if (longest > 1) {
            try (Steps.State ofPrompts = steps.state()) {
                steps.restore(ofPrompts, rows);
            }
            rest(whole, scores, longest - 1);
        }
        return found;
    }

    private static int require(int[][] prompts, int[][][] continuations) {
        if (prompts.length == 0 || prompts.length != continuations.length) {
            throw new IllegalArgumentException("prompts: expected at least one, and as many as continuations ("
                    + continuations.length + "), got " + prompts.length);
        }
        int length = prompts[0].length;
        for (int[] prompt : prompts) {
            if (prompt.length != length || length == 0) {
                throw new IllegalArgumentException(
                        "prompts: expected all of the same length of at least one token, got " + length + " and "
                                + prompt.length);
            }
        }
        for (int[][] choices : continuations) {
            for (int[] choice : choices) {
                if (choice.length == 0) {
                    throw new IllegalArgumentException(
                            "continuations: expected at least one token of each, got an empty one");
                }
            }
        }
        return length;
    }

    /** The prompts' last tokens give the first token of every continuation. */
    private double[][][] first(int[][] prompts, int from, int[][][] continuations) {
        int[][] rest = new int[prompts.length][];
        int[][][] wanted = new int[prompts.length][][];
        int last = prompts[0].length - 1 - from;
        for (int i = 0; i < prompts.length; i++) {
            rest[i] = Arrays.copyOfRange(prompts[i], from, prompts[i].length);
            wanted[i] = new int[last + 1][0];
            wanted[i][last] =
                    Arrays.stream(continuations[i]).mapToInt(c -> c[0]).toArray();
        }
        double[][][] firsts = steps.logProbabilities(rest, wanted);
        double[][][] found = new double[prompts.length][][];
        for (int i = 0; i < prompts.length; i++) {
            found[i] = new double[continuations[i].length][];
            for (int j = 0; j < found[i].length; j++) {
                found[i][j] = new double[continuations[i][j].length];
                found[i][j][0] = firsts[i][last][j];
            }
        }
        return found;
    }

    /** Shorter continuations are padded with their last token, which changes nothing before it. */
    private void rest(int[][] whole, double[][] scores, int count) {
        for (int from = 0; from < count; from += STEP) {
            int length = Math.min(STEP, count - from);
            int[][] ids = new int[whole.length][length];
            int[][][] wanted = new int[whole.length][length][];
            for (int row = 0; row < whole.length; row++) {
                int[] tokens = whole[row];
                for (int t = 0; t < length; t++) {
                    ids[row][t] = tokens[Math.min(from + t, tokens.length - 1)];
                    wanted[row][t] = from + t + 1 < tokens.length ? new int[] {tokens[from + t + 1]} : new int[0];
                }
            }
            double[][][] found = steps.logProbabilities(ids, wanted);
            for (int row = 0; row < whole.length; row++) {
                for (int t = 0; t < length && from + t + 1 < whole[row].length; t++) {
                    scores[row][from + t + 1] = found[row][t][0];
                }
            }
        }
    }

    /** Forgets the head. */
    @Override
    public void close() {
        if (ofHead != null) {
            ofHead.close();
            ofHead = null;
        }
        head = new int[0];
    }
}
