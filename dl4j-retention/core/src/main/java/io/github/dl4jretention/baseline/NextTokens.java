package io.github.dl4jretention.baseline;

import io.github.dl4jretention.internal.Configurations;
import io.github.dl4jretention.teacher.SoftmaxOutput;
import io.github.dl4jretention.teacher.Teacher;
import java.util.Arrays;
import java.util.SplittableRandom;
import java.util.function.UnaryOperator;
import org.deeplearning4j.nn.conf.layers.FeedForwardLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.INDArrayIndex;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Writes sequences with a model.
 *
 * @param model gives the next token
 * @param rows  sequences that are written at once
 * @param free  frees what was made for it
 */
record NextTokens(NextToken model, int rows, Runnable free) implements AutoCloseable {

    private static final Logger LOG = LoggerFactory.getLogger(SelfReplay.class);

    /** Tokens of a prompt that are computed at once. */
    private static final int PROMPT_STEP = 64;

    /** Tokens on which steps are compared with whole windows. */
    private static final int COMPARED = 16;

    /** Numbers of a window's predictions, of all rows. */
    private static final long NUMBERS = 1L << 26;

    private static final int ROWS = 32;

    /** Probabilities that FLOAT computes in another order differ by less. */
    private static final double TOLERANCE = 1e-3;

    @Override
    public void close() {
        free.run();
    }

    /**
     * {@return sequences that go on from starts} Each draws from a generator of its own.
     *
     * @param starts at least one token each
     * @param tokens of a sequence, the start's among them
     */
    int[][] write(int[][] starts, int tokens, double temperature, long seed) {
        SplittableRandom root = new SplittableRandom(seed);
        SplittableRandom[] randoms = new SplittableRandom[starts.length];
        Arrays.setAll(randoms, i -> root.split());
        int[][] written = new int[starts.length][];
        Arrays.setAll(written, i -> Arrays.copyOf(starts[i], tokens));
        long began = System.nanoTime();
        for (int from = 0; from < written.length; from += rows) {
            int to = Math.min(written.length, from + rows);
            int[][] part = Arrays.copyOfRange(written, from, to);
            int shortest = Arrays.stream(starts, from, to)
                    .mapToInt(start -> start.length)
                    .min()
                    .orElseThrow();
            for (int length = shortest; length < tokens; length++) {
                double[][] next = model.logProbabilities(part, length);
                for (int row = 0; row < part.length; row++) {
                    if (length >= starts[from + row].length) {
                        part[row][length] = draw(next[row], temperature, randoms[from + row]);
                    }
                }
            }
            double seconds = (System.nanoTime() - began) / 1e9;
            LOG.info(
                    "wrote {} of {} sequences of {} tokens in {} s, about {} s left",
                    to,
                    written.length,
                    tokens,
                    Math.round(seconds),
                    Math.round(seconds / to * (written.length - to)));
        }
        return written;
    }

    /**
     * A token of {@code softmax(logProbabilities / temperature)}.
     *
     * @throws IllegalStateException if there is no distribution
     */
    static int draw(double[] logProbabilities, double temperature, SplittableRandom random) {
        double largest = Arrays.stream(logProbabilities).max().orElse(Double.NaN);
        double[] weights = new double[logProbabilities.length];
        double sum = 0;
        for (int i = 0; i < weights.length; i++) {
            weights[i] = Math.exp((logProbabilities[i] - largest) / temperature);
            sum += weights[i];
        }
        if (!(sum > 0) || Double.isInfinite(sum)) {
            throw new IllegalStateException("base: expected log-probabilities of the next token, got NaN or none");
        }
        double left = random.nextDouble() * sum;
        int chosen = 0;
        for (int i = 0; i < weights.length && left >= 0; i++) {
            if (weights[i] > 0) {
                chosen = i;
                left -= weights[i];
            }
        }
        return chosen;
    }

    /** The whole window for each token, what isn't written yet being token 0. */
    static NextToken windows(Teacher teacher, TokenForm form) {
        return (sequences, length) -> {
            int[][] window = new int[sequences.length][];
            for (int i = 0; i < window.length; i++) {
                window[i] = Arrays.copyOf(Arrays.copyOf(sequences[i], length), form.time());
            }
            return window(teacher, form, window, length - 1)[0];
        };
    }

    /** Log-probabilities after the tokens of some places. */
    private static double[][][] window(Teacher teacher, TokenForm form, int[][] window, int... places) {
        try (INDArray features = form.features().of(window, 0, form.time());
                INDArray output = teacher.logProbabilities(features, null)) {
            int axis = teacher.outputs().get(0).classAxis(output.rank());
            double[][][] results = new double[places.length][][];
            for (int i = 0; i < places.length; i++) {
                results[i] = at(output, axis, places[i]);
            }
            return results;
        }
    }

    private static double[][] at(INDArray output, int axis, int place) {
        INDArrayIndex all = NDArrayIndex.all();
        INDArrayIndex point = NDArrayIndex.point(place);
        INDArray rows = output.rank() == 2 ? output : output.get(all, axis == 1 ? all : point, axis == 1 ? point : all);
        double[][] values = new double[(int) rows.size(0)][];
        for (int row = 0; row < values.length; row++) {
            values[row] = rows.getRow(row).dup('c').toDoubleVector();
        }
        return values;
    }

    /**
     * One step for each token, with the network's own memory of those before, if that gives what whole windows give;
     * else whole windows.
     *
     * @param own     whether the teacher is closed in the end
     * @param example tokens to compare with
     * @throws IllegalArgumentException if the tokens that follow change a prediction
     */
    static NextTokens fastest(
            @Nullable Stepping stepping, Teacher teacher, boolean own, TokenForm form, int[] example) {
        Runnable free = own ? teacher::close : () -> {};
        try {
            return fastest(stepping, teacher, form, example, free);
        } catch (RuntimeException | Error e) {
            free.run();
            throw e;
        }
    }

    private static NextTokens fastest(
            @Nullable Stepping stepping, Teacher teacher, TokenForm form, int[] example, Runnable free) {
        int count = Math.min(form.time(), COMPARED);
        int[] places = new int[count];
        Arrays.setAll(places, i -> i);
        double[][][] expected = window(teacher, form, new int[][] {example}, places);
        int known = (count + 1) / 2;
        double[][][] halves = window(
                teacher,
                form,
                new int[][] {Arrays.copyOf(Arrays.copyOf(example, known), form.time())},
                Arrays.copyOf(places, known));
        if (!close(expected, halves)) {
            throw new IllegalArgumentException(
                    "base: expected a model that predicts a token from those before it, got one whose predictions change"
                            + " with the tokens that follow");
        }
        long numbers = (long) expected[0][0].length * form.time();
        NextTokens windows =
                new NextTokens(windows(teacher, form), (int) Math.max(1, Math.min(ROWS, NUMBERS / numbers)), free);
        if (stepping == null) {
            return windows;
        }
        try {
            if (close(expected, steps(stepping, example, count))) {
                return new NextTokens(stepping, ROWS, () -> {
                    stepping.clear();
                    free.run();
                });
            }
            LOG.info(
                    "the base's rnnTimeStep gives other predictions than its whole windows: each token costs a window");
        } catch (RuntimeException e) {
            LOG.info("the base has no rnnTimeStep, each token costs a whole window: {}", e.toString());
        }
        stepping.clear();
        return windows;
    }

    /** One token after another; then a prompt's at once, but for its last. */
    private static double[][][] steps(Stepping stepping, int[] example, int count) {
        int[][] written = {example};
        double[][][] stepped = new double[count][][];
        for (int i = 0; i < count - 1; i++) {
            stepped[i] = stepping.logProbabilities(written, i + 1);
        }
        stepped[count - 1] = stepping.logProbabilities(new int[][] {example}, count);
        return stepped;
    }

    private static boolean close(double[][][] expected, double[][][] found) {
        for (int i = 0; i < found.length; i++) {
            for (int v = 0; v < found[i][0].length; v++) {
                if (!(Math.abs(Math.exp(expected[i][0][v]) - Math.exp(found[i][0][v])) <= TOLERANCE)) {
                    return false;
                }
            }
        }
        return true;
    }

    /** A network's {@code rnnTimeStep}, on a second network with the same parameters and a state of its own. */
    static final class Stepping implements NextToken {

        private final UnaryOperator<INDArray> step;
        private final Runnable clear;
        private final TokenForm form;
        private final int axis;
        private int[][] written = {};
        private int seen;

        Stepping(UnaryOperator<INDArray> step, Runnable clear, TokenForm form, int axis) {
            this.step = step;
            this.clear = clear;
            this.form = form;
            this.axis = axis;
        }

        /** Forgets the tokens before, and their keys and values. */
        void clear() {
            clear.run();
            written = new int[0][];
            seen = 0;
        }

        static Stepping of(MultiLayerNetwork base, TokenForm form) {
            FeedForwardLayer output = SoftmaxOutput.require(base);
            MultiLayerNetwork other = new MultiLayerNetwork(Configurations.copy(base.getLayerWiseConfigurations()));
            other.init(base.params(), false);
            return new Stepping(
                    other::rnnTimeStep, other::rnnClearPreviousState, form, SoftmaxOutput.classAxis(output));
        }

        static Stepping of(ComputationGraph base, TokenForm form) {
            String name = SoftmaxOutput.require(base).get(0);
            ComputationGraph other = new ComputationGraph(Configurations.copy(base.getConfiguration()));
            other.init(base.params(), false);
            return new Stepping(
                    input -> other.rnnTimeStep(input)[0],
                    other::rnnClearPreviousState,
                    form,
                    SoftmaxOutput.classAxis(SoftmaxOutput.require(base, name)));
        }

        @Override
        public double[][] logProbabilities(int[][] sequences, int length) {
            if (sequences != written || length <= seen) {
                clear();
                written = sequences;
            }
            double[][] last = {};
            while (seen < length) {
                // The last token alone: of those before nobody needs the distribution.
                int count = seen < length - 1 ? Math.min(PROMPT_STEP, length - 1 - seen) : 1;
                try (MemoryWorkspace outside = Nd4j.getWorkspaceManager().scopeOutOfWorkspaces();
                        INDArray input = form.features().of(sequences, seen, count);
                        INDArray output = step.apply(input)) {
                    last = at(output, output.rank() == 2 ? 1 : axis, count - 1);
                }
                seen += count;
            }
            for (double[] row : last) {
                Arrays.setAll(row, v -> Math.log(row[v]));
            }
            return last;
        }
    }
}
