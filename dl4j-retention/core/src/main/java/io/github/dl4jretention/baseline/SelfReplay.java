package io.github.dl4jretention.baseline;

import io.github.dl4jretention.checkpoint.RestartableIterator;
import io.github.dl4jretention.teacher.NetworkIdentity;
import io.github.dl4jretention.teacher.SoftmaxOutput;
import io.github.dl4jretention.teacher.Teacher;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.function.BiFunction;
import java.util.stream.IntStream;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.adapter.MultiDataSetIteratorAdapter;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.dataset.api.iterator.MultiDataSetIterator;

/**
 * Replay from the model itself: sequences that the pretrained model writes before it is finetuned, mixed into the target
 * text. They lie where the model knows something, which the target text may not, and no source text is seen:
 *
 * <pre>{@code
 * SelfReplay written = SelfReplay.of(pretrained, target).count(256).file(Path.of("written.json")).build();
 * ReplayIterator mixed = written.mixedInto(target, 0.5);
 * student.fit(new TeacherIterator(mixed, teacher, mixed.divergenceWeights(0, 1)), epochs);
 * }</pre>
 *
 * <p>The loss of a minibatch of n target and m written sequences, with the coefficient lambda of the student's
 * {@link io.github.dl4jretention.loss.RetentionConfiguration}, is
 *
 * <pre>
 * 1 / (n + m) [ sum over target tokens of  ( CE(y, p) + a lambda T^2 D(p0, p) )
 *             + sum over written tokens of ( c CE(y, p) + b lambda T^2 D(p0, p) ) ]
 * </pre>
 *
 * where a and b are those of {@link ReplayIterator#divergenceWeights(double, double)} and c is {@link Builder#labels}: with
 * a = 0, b = 1, c = 0 the model learns the target text and stays near its start on what it wrote (self-replay by the
 * divergence), with a = b = 1 it stays near on both, with b = 0 and c = 1 it learns what it wrote, token by token. With
 * lambda = 1, the default, a and b are the coefficients themselves.
 *
 * <p><b>How it is sampled.</b> Token by token from {@code softmax(z / temperature)}, after a start: the first tokens of
 * the target's sequences by default, or prompts. A sequence has one token more than the target's, features without the
 * last, labels without the first, in the arrays' form of the target's minibatches; shorter ones ({@link Builder#length})
 * are padded at the end, where the masks of features and labels are 0. Sequence i draws from a generator that
 * follows from the seed and i alone. Networks take one step for each token by {@code rnnTimeStep} (states of LSTMs, keys
 * and values of decoder blocks), if on a few tokens of the target it gives what a whole window gives; else, as for
 * SameDiff models and other teachers, each token costs a whole window. Any other way is a {@link NextToken}.
 *
 * <p>Sources: data-free replay by a language model's own text is Sun, Ho, Lee, LAMOL, arXiv 1909.03329, with the tokens
 * as labels; with the divergence, and which of the two: arXiv 2605.26097.
 */
public final class SelfReplay {

    private static final int COUNT = 256;

    /** Sequences of a minibatch that are taken from at a time. */
    private static final int ROWS = 32;

    private final TokenForm form;
    private final int[][] sequences;
    private final double labels;

    private SelfReplay(TokenForm form, int[][] sequences, double labels) {
        this.form = form;
        this.sequences = sequences;
        this.labels = labels;
    }

    /**
     * {@return a builder of what a network writes}
     *
     * @param base   the pretrained network, before it is finetuned; not changed
     * @param target the text to learn, at least one minibatch of tokens and next tokens, as ids or one-hot: read for the
     *     form of minibatches and for starts, and put back to its beginning
     * @throws IllegalArgumentException if the network doesn't end in softmax cross-entropy, or the target can't be reset
     */
    public static Builder of(MultiLayerNetwork base, DataSetIterator target) {
        return of(base, RestartableIterator.multi(target));
    }

    /**
     * {@return the same as {@link #of(MultiLayerNetwork, DataSetIterator)}}
     *
     * @param base   the pretrained network
     * @param target batches of one input and one output
     * @throws IllegalArgumentException if the network doesn't end in softmax cross-entropy, or the target can't be reset
     */
    public static Builder of(MultiLayerNetwork base, MultiDataSetIterator target) {
        SoftmaxOutput.require(base);
        return new Builder(NetworkIdentity.sha256(base), target, (form, example) -> {
            NextTokens.Stepping stepping = NextTokens.Stepping.of(base, form);
            return NextTokens.fastest(stepping, Teacher.of(base), true, form, example);
        });
    }

    /**
     * {@return a builder of what a graph of one input and one output writes}
     *
     * @param base   as in {@link #of(MultiLayerNetwork, DataSetIterator)}
     * @param target as there
     * @throws IllegalArgumentException if an output isn't softmax cross-entropy, or the target can't be reset
     */
    public static Builder of(ComputationGraph base, MultiDataSetIterator target) {
        SoftmaxOutput.require(base);
        return new Builder(NetworkIdentity.sha256(base), target, (form, example) -> {
            NextTokens.Stepping stepping = NextTokens.Stepping.of(base, form);
            return NextTokens.fastest(stepping, Teacher.of(base), true, form, example);
        });
    }

    /**
     * {@return a builder of what any teacher writes, one of a SameDiff model say, a whole window for each token}
     *
     * @param base   a teacher of one output; stays open
     * @param target as in {@link #of(MultiLayerNetwork, DataSetIterator)}
     * @throws IllegalArgumentException if the target can't be reset
     */
    public static Builder of(Teacher base, MultiDataSetIterator target) {
        return new Builder(
                base.sha256(), target, (form, example) -> NextTokens.fastest(null, base, false, form, example));
    }

    /**
     * {@return a builder of what a model writes in a way of its own}
     *
     * @param base   gives the next token
     * @param sha256 of the base, as {@link Teacher#sha256()} of its teacher
     * @param target as in {@link #of(MultiLayerNetwork, DataSetIterator)}
     * @throws IllegalArgumentException if the target can't be reset
     */
    public static Builder of(NextToken base, String sha256, MultiDataSetIterator target) {
        return new Builder(sha256, target, (form, example) -> new NextTokens(base, ROWS, () -> {}));
    }

    /** {@return the sequences' ids, one more than the {@link Builder#length}; a copy} */
    public int[][] sequences() {
        return Arrays.stream(sequences).map(int[]::clone).toArray(int[][]::new);
    }

    /**
     * {@return the sequences as minibatches in the form of the target's, in their order; for building a cache of the
     * teacher, say} Their label mask holds the weight of their tokens as labels, if that isn't 1.
     *
     * @param batch sequences of a minibatch, at least 1; the last may have fewer
     * @throws IllegalArgumentException if it's below 1
     */
    public DataSetIterator iterator(int batch) {
        if (batch < 1) {
            throw new IllegalArgumentException("batch: expected at least 1, got " + batch);
        }
        Iterable<DataSet> batches = () -> IntStream.range(0, (sequences.length + batch - 1) / batch)
                .mapToObj(i -> form.batch(
                        Arrays.copyOfRange(sequences, i * batch, Math.min(sequences.length, (i + 1) * batch)), labels))
                .iterator();
        return new ExistingDataSetIterator(batches);
    }

    /**
     * {@return the target's minibatches with written sequences after their own, for networks of one input and one
     * output} Give its {@link ReplayIterator#divergenceWeights} to the teacher's iterator; without a mask both parts are
     * held with weight 1.
     *
     * @param target of the form that the builder was given
     * @param share  of written sequences among all, in [0, 1): at 0.5 as many as of the target, at 0.25 four beside
     *     twelve
     * @throws IllegalArgumentException if the share is outside of its range
     */
    public ReplayIterator mixedInto(DataSetIterator target, double share) {
        return new ReplayIterator(target, iterator(ROWS), share);
    }

    /**
     * {@return what {@link #mixedInto(DataSetIterator, double)} returns, for graphs and SameDiff models}
     *
     * @param target of the form that the builder was given
     * @param share  as there
     * @throws IllegalArgumentException if the share is outside of its range
     */
    public ReplayMultiDataSetIterator mixedInto(MultiDataSetIterator target, double share) {
        return ReplayMultiDataSetIterator.ofWritten(target, new MultiDataSetIteratorAdapter(iterator(ROWS)), share);
    }

    /** Builds a {@link SelfReplay}. */
    public static final class Builder {

        private final String base;
        private final MultiDataSetIterator target;
        private final BiFunction<TokenForm, int[], NextTokens> model;
        private int[][] prompts = {};
        private int prefix = 1;
        private int count = COUNT;
        private @Nullable Integer length;
        private double temperature = 1;
        private double labels;
        private long seed;
        private @Nullable Path file;

        private Builder(String base, MultiDataSetIterator target, BiFunction<TokenForm, int[], NextTokens> model) {
            this.base = Objects.requireNonNull(base, "sha256");
            this.target = target;
            this.model = model;
            if (!target.resetSupported()) {
                throw new IllegalArgumentException("target: expected an iterator that can be reset");
            }
        }

        /**
         * @param count sequences to write, at least 1; default 256
         * @return this builder
         */
        public Builder count(int count) {
            this.count = positive(count, "count");
            return this;
        }

        /**
         * @param tokens of a written sequence, at least 1 and at most as many as the target's have; default as many as
         *     the target's. Shorter ones are cheaper to write; in a minibatch they take as long as the target's
         * @return this builder
         */
        public Builder length(int tokens) {
            length = positive(tokens, "length");
            return this;
        }

        /**
         * @param tokens of each of the target's sequences that a written one begins with, at least 1 and at most the
         *     {@link #length}; default 1. As many of the target's sequences as there are to write, in turn if it has fewer
         * @return this builder
         */
        public Builder prefix(int tokens) {
            prefix = positive(tokens, "prefix");
            prompts = new int[0][];
            return this;
        }

        /**
         * @param prompts ids that sequences begin with, in turn, in place of the target's: the token that begins a text,
         *     say. Each at least one, and at most the {@link #length}
         * @return this builder
         */
        public Builder prompts(int[]... prompts) {
            if (prompts.length == 0) {
                throw new IllegalArgumentException("prompts: expected at least one, got none");
            }
            this.prompts = Arrays.stream(prompts).map(int[]::clone).toArray(int[][]::new);
            return this;
        }

        /**
         * @param temperature of the sampling, finite and above 0; default 1, the model's own distribution
         * @return this builder
         */
        public Builder temperature(double temperature) {
            if (!(temperature > 0) || Double.isInfinite(temperature)) {
                throw new IllegalArgumentException("temperature: expected a finite number above 0, got " + temperature);
            }
            this.temperature = temperature;
            return this;
        }

        /**
         * @param weight of the cross-entropy with written tokens as labels, finite and at least 0; default 0, the
         *     divergence alone
         * @return this builder
         */
        public Builder labels(double weight) {
            if (!(weight >= 0) || Double.isInfinite(weight)) {
                throw new IllegalArgumentException("labels: expected a finite number of at least 0, got " + weight);
            }
            this.labels = weight;
            return this;
        }

        /**
         * @param seed of the sampling; default 0
         * @return this builder
         */
        public Builder seed(long seed) {
            this.seed = seed;
            return this;
        }

        /**
         * @param file where the sequences are kept, with the base's SHA-256 and all settings: written once they are
         *     sampled, read if it's there; default none
         * @return this builder
         */
        public Builder file(Path file) {
            this.file = file;
            return this;
        }

        /**
         * {@return the sequences, from the file if it is there, else sampled} Progress goes to the log.
         *
         * @throws IOException if the file can't be read or written, or is damaged; the message names it
         * @throws IllegalArgumentException if the file is of another base or other settings, a prompt doesn't fit, the
         *     target holds no tokens, or the base's predictions depend on the tokens that follow
         */
        public SelfReplay build() throws IOException {
            ReplayMultiDataSetIterator.rewind(target);
            List<int[]> sequences = new ArrayList<>();
            TokenForm form = null;
            while (target.hasNext() && (form == null || prompts.length == 0 && sequences.size() < count)) {
                MultiDataSet batch = target.next();
                form = form == null ? TokenForm.of(batch) : form;
                sequences.addAll(Arrays.asList(form.features().ids(batch.getFeatures(0))));
            }
            ReplayMultiDataSetIterator.rewind(target);
            if (form == null) {
                throw new IllegalArgumentException("target: expected at least one minibatch, got none");
            }
            int tokens = length == null ? form.time() : length;
            if (tokens > form.time()) {
                throw new IllegalArgumentException("length: expected at most " + form.time()
                        + " tokens, as many as a sequence of the target has, got " + tokens);
            }
            int[][] starts = starts(tokens, sequences);
            WrittenSequences.Settings settings = new WrittenSequences.Settings(
                    base, temperature, seed, count, tokens + 1, WrittenSequences.sha256(starts));
            if (file != null && Files.exists(file)) {
                return new SelfReplay(form, WrittenSequences.read(file, settings), labels);
            }
            int[][] written;
            try (NextTokens next = model.apply(form, sequences.get(0))) {
                written = next.write(starts, tokens + 1, temperature, seed);
            }
            if (file != null) {
                WrittenSequences.write(file, settings, written);
            }
            return new SelfReplay(form, written, labels);
        }

        private int[][] starts(int tokens, List<int[]> sequences) {
            int[][] starts = new int[count][];
            for (int i = 0; i < count; i++) {
                int[] sequence = sequences.get(i % sequences.size());
                starts[i] = prompts.length == 0 ? Arrays.copyOf(sequence, prefix) : prompts[i % prompts.length];
                if (starts[i].length == 0 || starts[i].length > tokens) {
                    throw new IllegalArgumentException((prompts.length == 0 ? "prefix" : "prompts") + ": expected 1 to "
                            + tokens + " tokens, as many as a written sequence has, got " + starts[i].length);
                }
            }
            return starts;
        }

        private static int positive(int number, String name) {
            if (number < 1) {
                throw new IllegalArgumentException(name + ": expected at least 1, got " + number);
            }
            return number;
        }
    }
}
