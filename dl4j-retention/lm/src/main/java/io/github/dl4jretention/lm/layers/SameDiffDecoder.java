package io.github.dl4jretention.lm.layers;

import static java.util.Objects.requireNonNull;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.INDArrayIndex;
import org.nd4j.linalg.indexing.NDArrayIndex;

/**
 * The passes of a {@link DecoderBlock} as SameDiff operations, gradients by SameDiff: for number types and backends that
 * {@link FloatDecoder} doesn't serve, and to compare it with. Scores {@code [batch, heads, time, past + time]} exist in
 * full, and a graph is made anew when batch or times change.
 */
final class SameDiffDecoder implements BlockArithmetic {

    /** Added to the score of what isn't seen. */
    private static final float FAR = -1e9f;

    private static final String INPUT = "input";
    private static final String VISIBLE = "visible";
    private static final String HIDDEN = "hidden";
    private static final String PAST_KEYS = "pastKeys";
    private static final String PAST_VALUES = "pastValues";
    private static final String NEW_KEYS = "newKeys";
    private static final String NEW_VALUES = "newValues";
    private static final String KEPT_SCORES = "keptScores";
    private static final String KEPT_ATTENTION = "keptAttention";
    private static final String KEPT_FEED_FORWARD = "keptFeedForward";
    private static final String KEPT_OF_ADAPTER = "keptOf";

    private final DecoderBlock block;
    private final INDArray view;
    private final List<LowRankWeight> adapters;
    private @Nullable SameDiffPass pass;
    private List<Object> passShape = List.of();

    /**
     * @param view     the block's parameters
     * @param adapters beside some of them
     */
    SameDiffDecoder(DecoderBlock block, INDArray view, List<LowRankWeight> adapters) {
        this.block = block;
        this.view = view;
        this.adapters = adapters;
    }

    @Override
    public long kept() {
        return 0;
    }

    @Override
    public long forwardMemory(Sequences sequences, boolean backward) {
        return 0;
    }

    @Override
    public long backwardMemory(Sequences sequences) {
        return 0;
    }

    @Override
    public void forward(
            Sequences sequences,
            INDArray input,
            INDArray output,
            @Nullable INDArray kept,
            INDArray memory,
            INDArray @Nullable [] known) {
        Map<String, INDArray> placeholders = placeholders(sequences, input, known);
        Map<String, INDArray> found =
                pass(sequences, placeholders).forward(placeholders, SameDiffPass.OUTPUT, NEW_KEYS, NEW_VALUES);
        output.assign(found.get(SameDiffPass.OUTPUT));
        if (known != null) {
            int width = block.keyValueWidth();
            long[] shape = {sequences.batch(), sequences.time(), width};
            INDArrayIndex now = NDArrayIndex.interval(sequences.past(), sequences.total());
            known[0].get(NDArrayIndex.all(), now, NDArrayIndex.all())
                    .assign(requireNonNull(found.get(NEW_KEYS)).reshape(shape));
            known[1].get(NDArrayIndex.all(), now, NDArrayIndex.all())
                    .assign(requireNonNull(found.get(NEW_VALUES)).reshape(shape));
        }
    }

    @Override
    public void backward(
            Sequences sequences,
            INDArray input,
            INDArray kept,
            INDArray memory,
            INDArray @Nullable [] known,
            INDArray gradient,
            INDArray inputGradient,
            @Nullable INDArray gradients,
            Map<String, INDArray> ofAdapters) {
        try (MemoryWorkspace outside = Nd4j.getWorkspaceManager().scopeOutOfWorkspaces()) {
            Map<String, INDArray> placeholders = placeholders(sequences, input, known);
            Map<String, INDArray> found = pass(sequences, placeholders)
                    .backward(placeholders, gradient.castTo(SameDiffPass.type(gradient.dataType())), trains());
            inputGradient.assign(found.get(INPUT));
            if (gradients != null) {
                block.views(gradients).forEach((name, part) -> part.assign(found.get(name)));
            }
            ofAdapters.forEach((name, part) -> part.assign(found.get(name)));
        }
    }

    private String[] trains() {
        List<String> names = new ArrayList<>(block.getLayerParams().getParameterKeys());
        for (LowRankWeight adapter : adapters) {
            names.add(adapter.downName());
            names.add(adapter.upName());
        }
        names.add(INPUT);
        return names.toArray(String[]::new);
    }

    private SameDiffPass pass(Sequences sequences, Map<String, INDArray> placeholders) {
        List<Object> shape = List.of(sequences.batch(), sequences.time(), sequences.past(), sequences.training());
        SameDiffPass made = pass;
        if (made == null || !shape.equals(passShape)) {
            made = new SameDiffPass(placeholders, trains(), (sd, in) -> new Formula(sd, in, sequences).output());
            pass = made;
            passShape = shape;
        }
        return made;
    }

    private Map<String, INDArray> placeholders(Sequences sequences, INDArray input, INDArray @Nullable [] known) {
        DataType type = SameDiffPass.type(input.dataType());
        Map<String, INDArray> all = block.views(view);
        all.put(INPUT, input);
        for (LowRankWeight adapter : adapters) {
            all.put(adapter.downName(), adapter.down());
            all.put(adapter.upName(), adapter.up());
            int number = FloatAdapters.SEEDS_BEFORE + adapters.indexOf(adapter);
            if (sequences.training() && adapter.settings().dropout() > 0) {
                long[] shape = {sequences.tokens(), adapter.down().size(0)};
                all.put(
                        KEPT_OF_ADAPTER + adapter.weight(),
                        kept(adapter.settings().dropout(), sequences.seed() + number, type, shape));
            }
        }
        addVisible(sequences, type, all);
        if (sequences.past() > 0 && known != null) {
            INDArrayIndex before = NDArrayIndex.interval(0, sequences.past());
            all.put(
                    PAST_KEYS,
                    known[0].get(NDArrayIndex.all(), before, NDArrayIndex.all()).dup('c'));
            all.put(
                    PAST_VALUES,
                    known[1].get(NDArrayIndex.all(), before, NDArrayIndex.all()).dup('c'));
        }
        if (sequences.training()) {
            long[] rows = {sequences.tokens(), block.getWidth()};
            all.put(KEPT_SCORES, kept(block.getAttentionDropout(), sequences.seed(), type, scoresShape(sequences)));
            all.put(KEPT_ATTENTION, kept(block.getResidualDropout(), sequences.seed() + 1, type, rows));
            all.put(KEPT_FEED_FORWARD, kept(block.getResidualDropout(), sequences.seed() + 2, type, rows));
        }
        return SameDiffPass.cast(all);
    }

    /** Of heads that share keys: {@code [batch, keyValueHeads, group, time, past + time]}. */
    private long[] scoresShape(Sequences sequences) {
        int group = block.getHeads() / block.getKeyValueHeads();
        return new long[] {sequences.batch(), block.getKeyValueHeads(), group, sequences.time(), sequences.total()};
    }

    /**
     * Adds {@code [batch, 1, 1, time, past + time]} with 1 where a token sees another, and one with what is added to scores
     * elsewhere: nothing if it sees none, because softmax gives NaN where all are far below 0.
     */
    private void addVisible(Sequences sequences, DataType type, Map<String, INDArray> all) {
        int time = sequences.time();
        int total = sequences.total();
        float[] ones = new float[length(sequences.batch(), time, total)];
        float[] far = new float[ones.length];
        for (int i = 0; i < sequences.batch(); i++) {
            Sequences.Keys seen = sequences.keep(i);
            for (int t = 0; t < time; t++) {
                int position = sequences.past() + t;
                int first = Math.max(0, position - block.getWindow() + 1);
                int start = seen.starts() == null ? first : Math.max(first, seen.starts()[position]);
                int row = (i * time + t) * total;
                boolean any = false;
                for (int key = start; key <= position; key++) {
                    boolean sees = seen.keep() == null || seen.keep()[key];
                    ones[row + key] = sees ? 1 : 0;
                    any |= sees;
                }
                for (int key = 0; any && key < total; key++) {
                    far[row + key] = ones[row + key] == 1 ? 0 : FAR;
                }
            }
        }
        long[] shape = {sequences.batch(), 1, 1, time, total};
        all.put(VISIBLE, Nd4j.createFromArray(ones).reshape(shape).castTo(type));
        all.put(HIDDEN, Nd4j.createFromArray(far).reshape(shape).castTo(type));
    }

    /** Numbers of an array that's made on the Java heap. */
    private static int length(long... shape) {
        long length = Arrays.stream(shape).reduce(1, Math::multiplyExact);
        if (length > Integer.MAX_VALUE) {
            throw new IllegalArgumentException("input: expected sequences whose scores have at most "
                    + Integer.MAX_VALUE + " numbers, got " + Arrays.toString(shape)
                    + "; give fewer or shorter sequences at once");
        }
        return (int) length;
    }

    /** What numbers are multiplied with: 0 for those that are dropped. */
    private static INDArray kept(double rate, long seed, DataType type, long... shape) {
        double[] factors = new double[length(shape)];
        Arrays.fill(factors, 1);
        new DoubleDropout(rate).apply(factors, 0, factors.length, seed, 0);
        return Nd4j.createFromArray(factors).reshape(shape).castTo(type);
    }

    /** The block's formula on rows of tokens. */
    private final class Formula {

        private final SameDiff sd;
        private final Map<String, SDVariable> in;
        private final Sequences sequences;
        private final int batch;
        private final int time;
        private final int keyHeads = block.getKeyValueHeads();
        private final int group = block.getHeads() / keyHeads;
        private final int size = block.getHeadSize();

        Formula(SameDiff sd, Map<String, SDVariable> in, Sequences sequences) {
            this.sd = sd;
            this.in = in;
            this.sequences = sequences;
            batch = sequences.batch();
            time = sequences.time();
        }

        private SDVariable in(String name) {
            return requireNonNull(in.get(name), name);
        }

        SDVariable output() {
            SDVariable x = in(INPUT);
            SDVariable middle = x.add(attention(norm(x, DecoderBlock.ATTENTION_NORM)));
            SDVariable fed = block.isParallelResidual() ? x : middle;
            return middle.add(feedForward(norm(fed, DecoderBlock.FEED_FORWARD_NORM)));
        }

        private SDVariable norm(SDVariable rows, String gain) {
            return SameDiffNorm.norm(rows, block.getEpsilon(), in(gain), in.get(gain + "Bias"));
        }

        private SDVariable product(SDVariable rows, String weight) {
            SDVariable product = rows.mmul(in(weight));
            SDVariable bias = in.get(weight + "Bias");
            product = bias == null ? product : product.add(bias);
            for (LowRankWeight adapter : adapters) {
                if (adapter.weight().equals(weight)) {
                    SDVariable factors = in.get(KEPT_OF_ADAPTER + weight);
                    SDVariable kept = factors == null ? rows : rows.mul(factors);
                    product = product.add(kept.mmul(in(adapter.downName()))
                            .mmul(in(adapter.upName()))
                            .mul(adapter.settings().scale()));
                }
            }
            return product;
        }

        private SDVariable dropped(SDVariable values, String factors) {
            return sequences.training() ? values.mul(in(factors)) : values;
        }

        private SDVariable attention(SDVariable normal) {
            SDVariable query = heads(normal, DecoderBlock.QUERY, DecoderBlock.QUERY_NORM, block.getHeads())
                    .reshape(batch, time, keyHeads, group, size)
                    .permute(0, 2, 3, 1, 4)
                    .reshape(batch, keyHeads, group * time, size);
            SDVariable newKeys = heads(normal, DecoderBlock.KEY, DecoderBlock.KEY_NORM, keyHeads)
                    .rename(NEW_KEYS);
            SDVariable newValues = product(normal, DecoderBlock.VALUE).rename(NEW_VALUES);
            SDVariable keys = withPast(newKeys, PAST_KEYS);
            SDVariable values = withPast(newValues, PAST_VALUES);
            SDVariable scores = sd.mmul(query, keys, false, true, false)
                    .mul(1 / Math.sqrt(size))
                    .reshape(scoresShape(sequences))
                    .add(in(HIDDEN));
            SDVariable weights = sd.nn.softmax(scores, -1).mul(in(VISIBLE));
            SDVariable mixed = sd.mmul(
                            dropped(weights, KEPT_SCORES).reshape(batch, keyHeads, group * time, sequences.total()),
                            values)
                    .reshape(batch, keyHeads, group, time, size)
                    .permute(0, 3, 1, 2, 4)
                    .reshape(batch * time, block.queryWidth());
            return dropped(product(mixed, DecoderBlock.PROJECTION), KEPT_ATTENTION);
        }

        /** Heads {@code [tokens * count, headSize]}, normalised and turned. */
        private SDVariable heads(SDVariable normal, String weight, String gain, int count) {
            SDVariable heads = product(normal, weight).reshape(batch * time * count, size);
            if (block.isQueryKeyNorm()) {
                heads = SameDiffNorm.norm(heads, block.getEpsilon(), in(gain), null);
            }
            return block.getRotary() == null ? heads : turned(heads, block.getRotary(), count);
        }

        /** {@code x cos + (x S) sin}, where S puts the one of a pair in the other's place, with its sign. */
        private SDVariable turned(SDVariable heads, RotaryPositions rotary, int count) {
            double[] frequencies = rotary.frequencies(size);
            double[][] cosines = new double[batch * time * count][size];
            double[][] sines = new double[batch * time * count][size];
            double[][] swap = new double[size][size];
            for (int r = 0; r < cosines.length; r++) {
                Arrays.fill(cosines[r], 1);
                int position = sequences.past() + r / count % time;
                for (int i = 0; i < frequencies.length; i++) {
                    int a = rotary.isInterleaved() ? 2 * i : i;
                    int b = rotary.isInterleaved() ? 2 * i + 1 : i + frequencies.length;
                    cosines[r][a] = cosines[r][b] = Math.cos(position * frequencies[i]);
                    sines[r][a] = sines[r][b] = Math.sin(position * frequencies[i]);
                    swap[b][a] = -1;
                    swap[a][b] = 1;
                }
            }
            return heads.mul(constant(cosines)).add(heads.mmul(constant(swap)).mul(constant(sines)));
        }

        private SDVariable constant(double[][] values) {
            return sd.constant(Nd4j.createFromArray(values).castTo(in(INPUT).dataType()));
        }

        /** {@code [batch, keyValueHeads, past + time, headSize]}. */
        private SDVariable withPast(SDVariable rows, String past) {
            SDVariable now = rows.reshape(batch, time, keyHeads, size);
            SDVariable all = in.containsKey(past)
                    ? sd.concat(1, in(past).reshape(batch, sequences.past(), keyHeads, size), now)
                    : now;
            return all.permute(0, 2, 1, 3);
        }

        private SDVariable feedForward(SDVariable normal) {
            SDVariable up = product(normal, DecoderBlock.UP);
            SDVariable hidden =
                    switch (block.getFeedForward()) {
                        case GELU -> up.mul(
                                sd.math.erf(up.mul(Math.sqrt(0.5))).add(1).mul(0.5));
                        case GELU_TANH -> {
                            SDVariable cube = up.mul(up).mul(up).mul(0.044715);
                            SDVariable tanh = sd.math.tanh(up.add(cube).mul(Math.sqrt(2 / Math.PI)));
                            yield up.mul(tanh.add(1).mul(0.5));
                        }
                        case RELU -> sd.nn.relu(up, 0);
                        case SWIGLU -> {
                            SDVariable gate = product(normal, DecoderBlock.GATE);
                            yield gate.mul(sd.nn.sigmoid(gate)).mul(up);
                        }
                    };
            return dropped(product(hidden, DecoderBlock.DOWN), KEPT_FEED_FORWARD);
        }
    }
}
