package io.github.dl4jretention.lm.layers;

import static java.util.Objects.requireNonNull;

import io.github.dl4jretention.internal.Workers;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * The forward and backward pass of a {@link DecoderBlock}, from top to bottom.
 *
 * <p>Tokens are rows. Threads share the rows where each token is on its own, the heads of all sequences in attention,
 * and the rows of the weights' gradients; each part ends before the next begins. Two runs on one machine give the same
 * bits.
 */
final class FloatDecoder implements BlockArithmetic {

    private static final List<String> QUERY_KEY_VALUE =
            List.of(DecoderBlock.QUERY, DecoderBlock.KEY, DecoderBlock.VALUE);
    private static final List<String> GATE_UP = List.of(DecoderBlock.GATE, DecoderBlock.UP);

    private final DecoderBlock block;
    private final FloatBlockParameters weights;
    private final @Nullable FloatRotary rotary;
    private final FloatAdapters adapters;
    private final FloatBlockWorker[] workers;
    private final FloatBlockMemory room;
    private @Nullable FloatBlockParameters gradients;
    private @Nullable INDArray gradientView;

    /**
     * @param view     the block's parameters
     * @param adapters beside some of them
     */
    FloatDecoder(DecoderBlock block, INDArray view, List<LowRankWeight> adapters) {
        this.block = block;
        this.adapters = new FloatAdapters(adapters);
        weights = new FloatBlockParameters(block, view);
        rotary = block.getRotary() == null ? null : new FloatRotary(block.getRotary(), block.getHeadSize());
        workers = new FloatBlockWorker[Workers.ofMachine().products()];
        for (int i = 0; i < workers.length; i++) {
            workers[i] = new FloatBlockWorker(block, rotary, i);
        }
        room = new FloatBlockMemory(block, this.adapters, workers.length);
    }

    @Override
    public long kept() {
        return room.kept();
    }

    @Override
    public long forwardMemory(Sequences sequences, boolean backward) {
        return room.forward(sequences, backward);
    }

    @Override
    public long backwardMemory(Sequences sequences) {
        return room.backward(sequences);
    }

    @Override
    public void forward(
            Sequences sequences,
            INDArray input,
            INDArray output,
            @Nullable INDArray kept,
            INDArray memory,
            INDArray @Nullable [] known) {
        int width = block.getWidth();
        int tokens = sequences.tokens();
        start(sequences);
        for (int i = 0; i < (tokens < workers.length ? 1 : workers.length); i++) {
            workers[i].start(weights);
        }
        FloatRows x = FloatRows.of(input, width);
        FloatRows y = FloatRows.of(output, width);
        FloatArena arena = new FloatArena(memory);
        FloatBlockMemory.Kept k = room.new Kept(sequences, kept == null ? arena : new FloatArena(kept), kept != null);
        FloatHeads heads = new FloatHeads(block, sequences, k.queryKeyValue, known);
        FloatBlockMemory.Window[] windows = room.windows(sequences, arena, kept != null);
        startAttention(sequences, arena, false);

        windows(tokens, windows, (worker, window, from, to) -> {
            FloatRows normal = window.normal.asRowsFrom(from);
            worker.attentionNorm(x, normal, from, to);
            product(normal, weights.queryKeyValue, k.queryKeyValue, from, to);
            for (String weight : QUERY_KEY_VALUE) {
                adapters.forward(
                        weight, sequences, normal, ofWeight(k.queryKeyValue, weight), window.ofAdapters, from, to);
            }
            worker.queryKeyValue(sequences, k.queryKeyValue, k.rawQueryKey, from, to);
            heads.remember(from, to);
        });
        each(sequences.batch() * block.getHeads(), (worker, item) -> {
            int sequence = item / block.getHeads();
            int head = item % block.getHeads();
            worker.attention.forward(
                    sequences,
                    heads.query(k.queryKeyValue, sequence, head),
                    heads.keys(sequence, head),
                    heads.values(sequence, head),
                    sequences.keep(sequence),
                    k.logSum.rows(item, item + 1),
                    heads.query(k.mixed, sequence, head),
                    place(sequences, item));
        });
        windows(tokens, windows, (worker, window, from, to) -> {
            FloatRows normal = window.normal.asRowsFrom(from);
            FloatRows hidden = window.hidden.asRowsFrom(from);
            FloatRows middle = window.middle == null ? requireNonNull(k.middle) : window.middle.asRowsFrom(from);
            FloatRows wide = window.wide == null ? requireNonNull(k.wide) : window.wide.asRowsFrom(from);
            product(k.mixed, weights.projection, y, from, to);
            adapters.forward(DecoderBlock.PROJECTION, sequences, k.mixed, y, window.ofAdapters, from, to);
            worker.addAttention(sequences, x, y, middle, from, to);
            worker.feedForwardNorm(block.isParallelResidual() ? x : middle, normal, from, to);
            product(normal, weights.up, wide, from, to);
            for (String weight : GATE_UP) {
                adapters.forward(weight, sequences, normal, ofWeight(wide, weight), window.ofAdapters, from, to);
            }
            worker.feedForward(wide, hidden, from, to);
            product(hidden, weights.down, y, from, to);
            adapters.forward(DecoderBlock.DOWN, sequences, hidden, y, window.ofAdapters, from, to);
            worker.addFeedForward(sequences, middle, y, y, from, to);
        });
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
            @Nullable INDArray view,
            Map<String, INDArray> ofAdapters) {
        int width = block.getWidth();
        int tokens = sequences.tokens();
        start(sequences);
        for (FloatBlockWorker worker : workers) {
            worker.startBackward(weights);
        }
        FloatRows x = FloatRows.of(input, width);
        FloatRows dy = FloatRows.of(gradient, width);
        FloatRows dx = FloatRows.of(inputGradient, width);
        FloatBlockMemory.Kept k = room.new Kept(sequences, new FloatArena(kept), true);
        FloatRows middle = requireNonNull(k.middle);
        FloatRows wide = requireNonNull(k.wide);
        FloatHeads heads = new FloatHeads(block, sequences, k.queryKeyValue, known);
        FloatArena arena = new FloatArena(memory);
        FloatRows dMiddle = arena.take(tokens, width);
        FloatRows dFeedForward = arena.take(tokens, width);
        FloatRows dAttention = arena.take(tokens, width);
        FloatRows dNormal = arena.take(tokens, width);
        FloatRows normalOfFeedForward = arena.take(tokens, width);
        FloatRows normalOfAttention = arena.take(tokens, width);
        FloatRows hidden = arena.take(tokens, block.getHidden());
        FloatRows dHidden = arena.take(tokens, block.getHidden());
        FloatRows dWide = arena.take(tokens, block.upWidth());
        FloatRows dMixed = arena.take(tokens, block.queryWidth());
        FloatRows dQueryKeyValue = arena.take(tokens, block.queryKeyValueWidth());
        FloatAdapters.Gradients low = adapters.new Gradients(arena, tokens);
        FloatAdapters.Memory[] lowMemory = new FloatAdapters.Memory[adapters.isEmpty() ? 0 : workers.length];
        for (int i = 0; i < lowMemory.length; i++) {
            lowMemory[i] = adapters.new Memory(arena, tokens);
        }
        AdapterWork back = (weight, dy1, dx1, from, to) -> {
            if (lowMemory.length > 0) {
                adapters.backward(weight, sequences, dy1, dx1, low, lowMemory[0], from, to);
            }
        };
        startAttention(sequences, arena, true);

        rows(tokens, (worker, from, to) -> {
            worker.feedForwardBranchBackward(sequences, dy, dFeedForward, from, to);
            productBack(dFeedForward, weights.down, dHidden, from, to);
            back.accept(DecoderBlock.DOWN, dFeedForward, dHidden, from, to);
            worker.feedForwardBackward(wide, dHidden, hidden, dWide, from, to);
            productBack(dWide, weights.up, dNormal, from, to);
            for (String weight : GATE_UP) {
                back.accept(weight, ofWeight(dWide, weight), dNormal, from, to);
            }
            FloatRows normalised = block.isParallelResidual() ? x : middle;
            worker.feedForwardNormBackward(normalised, dNormal, dy, dMiddle, normalOfFeedForward, from, to);
            FloatRows dSum = block.isParallelResidual() ? dy : dMiddle;
            worker.attentionBranchBackward(sequences, dSum, dAttention, from, to);
            productBack(dAttention, weights.projection, dMixed, from, to);
            back.accept(DecoderBlock.PROJECTION, dAttention, dMixed, from, to);
        });
        each(sequences.batch() * block.getKeyValueHeads(), (worker, item) -> {
            int sequence = item / block.getKeyValueHeads();
            int group = block.getHeads() / block.getKeyValueHeads();
            int first = item % block.getKeyValueHeads() * group;
            FloatRows dKeys = heads.newKeys(dQueryKeyValue, sequence, first);
            FloatRows dValues = heads.newValues(dQueryKeyValue, sequence, first);
            dKeys.clear();
            dValues.clear();
            for (int head = first; head < first + group; head++) {
                int row = sequence * block.getHeads() + head;
                worker.attention.backward(
                        sequences,
                        heads.query(k.queryKeyValue, sequence, head),
                        heads.keys(sequence, head),
                        heads.values(sequence, head),
                        sequences.keep(sequence),
                        k.logSum.rows(row, row + 1),
                        heads.query(dMixed, sequence, head),
                        heads.query(dQueryKeyValue, sequence, head),
                        dKeys,
                        dValues,
                        place(sequences, row));
            }
        });
        rows(tokens, (worker, from, to) -> {
            worker.queryKeyValueBackward(sequences, dQueryKeyValue, k.rawQueryKey, from, to);
            productBack(dQueryKeyValue, weights.queryKeyValue, dNormal, from, to);
            for (String weight : QUERY_KEY_VALUE) {
                back.accept(weight, ofWeight(dQueryKeyValue, weight), dNormal, from, to);
            }
            worker.attentionNormBackward(x, dNormal, dMiddle, dx, normalOfAttention, from, to);
        });
        if (lowMemory.length > 0) {
            FloatAdapters.Products products = new FloatAdapters.Products() {
                @Override
                public FloatRows input(String weight) {
                    return switch (weight) {
                        case DecoderBlock.PROJECTION -> k.mixed;
                        case DecoderBlock.DOWN -> hidden;
                        case DecoderBlock.GATE, DecoderBlock.UP -> normalOfFeedForward;
                        default -> normalOfAttention;
                    };
                }

                @Override
                public FloatRows gradient(String weight) {
                    return switch (weight) {
                        case DecoderBlock.PROJECTION -> dAttention;
                        case DecoderBlock.DOWN -> dFeedForward;
                        case DecoderBlock.GATE, DecoderBlock.UP -> ofWeight(dWide, weight);
                        default -> ofWeight(dQueryKeyValue, weight);
                    };
                }
            };
            Workers.run(
                    workers.length,
                    part -> adapters.gradients(
                            sequences, products, low, lowMemory[part], ofAdapters, part, workers.length));
        }
        if (view == null) {
            return;
        }
        FloatBlockParameters d = gradients(view);
        Workers.run(workers.length, part -> {
            weightGradient(dFeedForward, hidden, d.down, part);
            weightGradient(dWide, normalOfFeedForward, d.up, part);
            weightGradient(dAttention, k.mixed, d.projection, part);
            weightGradient(dQueryKeyValue, normalOfAttention, d.queryKeyValue, part);
        });
        FloatBlockWorker.sumGradients(workers, d);
    }

    private interface AdapterWork {
        void accept(String weight, FloatRows dy, FloatRows dx, int from, int to);
    }

    /** The columns of a weight's results where several weights' lie side by side; no column for one that isn't there. */
    private FloatRows ofWeight(FloatRows rows, String weight) {
        int query = block.queryWidth();
        int keyValue = block.keyValueWidth();
        int hidden = block.getHidden();
        return switch (weight) {
            case DecoderBlock.QUERY -> columns(rows, 0, query);
            case DecoderBlock.KEY -> columns(rows, query, keyValue);
            case DecoderBlock.VALUE -> columns(rows, query + keyValue, keyValue);
            case DecoderBlock.GATE -> columns(rows, 0, hidden);
            default -> columns(rows, rows.columns() - hidden, hidden);
        };
    }

    private static FloatRows columns(FloatRows rows, int from, int count) {
        return rows.part(0, rows.rows(), from, from + count);
    }

    private void start(Sequences sequences) {
        weights.requireOpen();
        adapters.requireOpen();
        if (rotary != null) {
            rotary.prepare(sequences.total());
        }
    }

    /** DL4J sets the view of the gradients once, before the first backward pass. */
    private FloatBlockParameters gradients(INDArray view) {
        if (gradients == null || gradientView != view) {
            gradients = new FloatBlockParameters(block, view);
            gradientView = view;
        }
        return gradients;
    }

    private void startAttention(Sequences sequences, FloatArena arena, boolean backward) {
        int tile = FloatAttention.tile(sequences);
        for (FloatBlockWorker worker : workers) {
            FloatRows scores = arena.take(tile, sequences.total());
            FloatRows products = backward ? arena.take(tile, sequences.total()) : null;
            worker.attention.start(sequences, scores, products);
        }
    }

    /** Where the choices of dropout for a head's probabilities begin. */
    private static long place(Sequences sequences, int item) {
        return (long) item * sequences.time() * sequences.total();
    }

    private interface RowWork {
        void accept(FloatBlockWorker worker, int from, int to);
    }

    /** Each thread its own tokens; of fewer tokens than threads one does the loops, and they share the products' columns. */
    private void rows(int tokens, RowWork work) {
        if (tokens < workers.length) {
            work.accept(workers[0], 0, tokens);
        } else {
            shared(tokens, work);
        }
    }

    private void shared(int items, RowWork work) {
        Workers.split(items, Math.min(workers.length, items), (part, from, to) -> work.accept(workers[part], from, to));
    }

    private interface WindowWork {
        void accept(FloatBlockWorker worker, FloatBlockMemory.Window window, int from, int to);
    }

    /** Each thread its own tokens, a window of them at a time. */
    private void windows(int tokens, FloatBlockMemory.Window[] windows, WindowWork work) {
        rows(tokens, (worker, from, to) -> {
            FloatBlockMemory.Window window = windows[worker.number];
            for (int start = from; start < to; start += FloatBlockMemory.WINDOW) {
                work.accept(worker, window, start, Math.min(start + FloatBlockMemory.WINDOW, to));
            }
        });
    }

    private interface ItemWork {
        void accept(FloatBlockWorker worker, int item);
    }

    private void each(int items, ItemWork work) {
        shared(items, (worker, from, to) -> {
            for (int item = from; item < to; item++) {
                work.accept(worker, item);
            }
        });
    }

    /** {@code Y = X W^T}: what lies in memory as {@code [nOut, nIn]} is W transposed. */
    private void product(FloatRows x, FloatRows weights, FloatRows y, int from, int to) {
        if (y.rows() >= workers.length) {
            FloatRows.product(1, x.rows(from, to), false, weights, true, 0, y.rows(from, to));
            return;
        }
        Workers.split(
                weights.rows(),
                workers.length,
                (part, first, end) -> FloatRows.product(
                        1, x, false, weights.rows(first, end), true, 0, y.part(0, y.rows(), first, end)));
    }

    private static void productBack(FloatRows dy, FloatRows weights, FloatRows dx, int from, int to) {
        FloatRows.product(1, dy.rows(from, to), false, weights, false, 0, dx.rows(from, to));
    }

    private void weightGradient(FloatRows dy, FloatRows x, FloatRows gradient, int part) {
        int from = Workers.start(gradient.rows(), workers.length, part);
        int to = Workers.start(gradient.rows(), workers.length, part + 1);
        FloatRows.product(1, dy.part(0, dy.rows(), from, to), true, x, false, 0, gradient.rows(from, to));
    }
}
