package io.github.dl4jretention.lm.layers;

import io.github.dl4jretention.internal.Workers;
import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * The forward and backward pass of a {@link DecoderBlock}, from top to bottom.
 *
 * <p>Tokens are rows. Threads share the rows where each token is on its own, the heads of all sequences in attention,
 * and the rows of the weights' gradients; each part ends before the next begins. Two runs on one machine give the same
 * bits.
 */
final class FloatDecoder implements BlockArithmetic {

    private final DecoderBlock block;
    private final FloatBlockParameters weights;
    private final FloatRotary rotary;
    private final FloatBlockWorker[] workers;
    private FloatBlockParameters gradients;
    private INDArray gradientView;

    /** @param view the layer's parameters */
    FloatDecoder(DecoderBlock block, INDArray view) {
        this.block = block;
        weights = new FloatBlockParameters(block, view);
        rotary = block.getRotary() == null ? null : new FloatRotary(block.getRotary(), block.getHeadSize());
        workers = new FloatBlockWorker[Workers.ofMachine().products()];
        for (int i = 0; i < workers.length; i++) {
            workers[i] = new FloatBlockWorker(block, rotary);
        }
    }

    /** What backward needs of forward, for every token. */
    private final class Kept {
        private final FloatRows queryKeyValue;
        private final FloatRows rawQueryKey;
        private final FloatRows logSum;
        private final FloatRows mixed;
        private final FloatRows middle;
        private final FloatRows wide;

        Kept(Sequences sequences, INDArray memory) {
            FloatArena arena = new FloatArena(memory);
            int tokens = sequences.tokens();
            queryKeyValue = arena.take(tokens, block.queryKeyValueWidth());
            rawQueryKey =
                    block.isQueryKeyNorm() ? arena.take(tokens, block.queryWidth() + block.keyValueWidth()) : null;
            logSum = arena.take(sequences.batch() * block.getHeads(), sequences.time());
            mixed = arena.take(tokens, block.queryWidth());
            middle = arena.take(tokens, block.getWidth());
            wide = arena.take(tokens, block.upWidth());
        }
    }

    @Override
    public long kept() {
        long raw = block.isQueryKeyNorm() ? block.queryWidth() + block.keyValueWidth() : 0;
        return raw
                + block.queryKeyValueWidth()
                + block.getHeads()
                + block.queryWidth()
                + block.getWidth()
                + block.upWidth();
    }

    @Override
    public long forwardMemory(Sequences sequences) {
        return (long) sequences.tokens() * (block.getWidth() + block.getHidden()) + tiles(sequences);
    }

    @Override
    public long backwardMemory(Sequences sequences) {
        long ofToken = 6L * block.getWidth()
                + 2L * block.getHidden()
                + block.upWidth()
                + block.queryWidth()
                + block.queryKeyValueWidth();
        return sequences.tokens() * ofToken + 2 * tiles(sequences);
    }

    private long tiles(Sequences sequences) {
        return (long) workers.length * FloatAttention.tile(sequences) * sequences.total();
    }

    @Override
    public void forward(
            Sequences sequences, INDArray input, INDArray output, INDArray kept, INDArray memory, INDArray[] known) {
        int width = block.getWidth();
        int tokens = sequences.tokens();
        start(sequences);
        FloatRows x = FloatRows.of(input, width);
        FloatRows y = FloatRows.of(output, width);
        Kept k = new Kept(sequences, kept);
        Heads heads = new Heads(sequences, k.queryKeyValue, known);
        FloatArena arena = new FloatArena(memory);
        FloatRows normal = arena.take(tokens, width);
        FloatRows hidden = arena.take(tokens, block.getHidden());
        startAttention(sequences, arena, false);

        rows(tokens, (worker, from, to) -> {
            worker.attentionNorm(x, normal, from, to);
            product(normal, weights.queryKeyValue, k.queryKeyValue, from, to);
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
        rows(tokens, (worker, from, to) -> {
            product(k.mixed, weights.projection, y, from, to);
            worker.addAttention(sequences, x, y, k.middle, from, to);
            worker.feedForwardNorm(block.isParallelResidual() ? x : k.middle, normal, from, to);
            product(normal, weights.up, k.wide, from, to);
            worker.feedForward(k.wide, hidden, from, to);
            product(hidden, weights.down, y, from, to);
            worker.addFeedForward(sequences, k.middle, y, y, from, to);
        });
    }

    @Override
    public void backward(
            Sequences sequences,
            INDArray input,
            INDArray kept,
            INDArray memory,
            INDArray[] known,
            INDArray gradient,
            INDArray inputGradient,
            INDArray view) {
        int width = block.getWidth();
        int tokens = sequences.tokens();
        start(sequences);
        FloatRows x = FloatRows.of(input, width);
        FloatRows dy = FloatRows.of(gradient, width);
        FloatRows dx = FloatRows.of(inputGradient, width);
        Kept k = new Kept(sequences, kept);
        Heads heads = new Heads(sequences, k.queryKeyValue, known);
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
        startAttention(sequences, arena, true);

        rows(tokens, (worker, from, to) -> {
            worker.feedForwardBranchBackward(sequences, dy, dFeedForward, from, to);
            productBack(dFeedForward, weights.down, dHidden, from, to);
            worker.feedForwardBackward(k.wide, dHidden, hidden, dWide, from, to);
            productBack(dWide, weights.up, dNormal, from, to);
            FloatRows normalised = block.isParallelResidual() ? x : k.middle;
            worker.feedForwardNormBackward(normalised, dNormal, dy, dMiddle, normalOfFeedForward, from, to);
            FloatRows dSum = block.isParallelResidual() ? dy : dMiddle;
            worker.attentionBranchBackward(sequences, dSum, dAttention, from, to);
            productBack(dAttention, weights.projection, dMixed, from, to);
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
            worker.attentionNormBackward(x, dNormal, dMiddle, dx, normalOfAttention, from, to);
        });
        FloatBlockParameters d = gradients(view);
        Workers.run(workers.length, part -> {
            weightGradient(dFeedForward, hidden, d.down, part);
            weightGradient(dWide, normalOfFeedForward, d.up, part);
            weightGradient(dAttention, k.mixed, d.projection, part);
            weightGradient(dQueryKeyValue, normalOfAttention, d.queryKeyValue, part);
        });
        FloatBlockWorker.sumGradients(workers, d);
    }

    private void start(Sequences sequences) {
        weights.requireOpen();
        if (rotary != null) {
            rotary.prepare(sequences.total());
        }
        for (FloatBlockWorker worker : workers) {
            worker.start(weights);
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

    private void rows(int tokens, RowWork work) {
        int parts = Math.min(workers.length, tokens);
        Workers.run(parts, part -> {
            int from = Workers.start(tokens, parts, part);
            work.accept(workers[part], from, Workers.start(tokens, parts, part + 1));
        });
    }

    private interface ItemWork {
        void accept(FloatBlockWorker worker, int item);
    }

    private void each(int items, ItemWork work) {
        rows(items, (worker, from, to) -> {
            for (int item = from; item < to; item++) {
                work.accept(worker, item);
            }
        });
    }

    /** {@code Y = X W^T}: what lies in memory as {@code [nOut, nIn]} is W transposed. */
    private static void product(FloatRows x, FloatRows weights, FloatRows y, int from, int to) {
        FloatRows.product(1, x.rows(from, to), false, weights, true, 0, y.rows(from, to));
    }

    private static void productBack(FloatRows dy, FloatRows weights, FloatRows dx, int from, int to) {
        FloatRows.product(1, dy.rows(from, to), false, weights, false, 0, dx.rows(from, to));
    }

    private void weightGradient(FloatRows dy, FloatRows x, FloatRows gradient, int part) {
        int from = Workers.start(gradient.rows(), workers.length, part);
        int to = Workers.start(gradient.rows(), workers.length, part + 1);
        FloatRows.product(1, dy.part(0, dy.rows(), from, to), true, x, false, 0, gradient.rows(from, to));
    }

    /** Where the numbers of a head lie, and the keys and values of tokens before this minibatch's. */
    private final class Heads {

        private final Sequences sequences;
        private final FloatRows queryKeyValue;
        private final FloatRows knownKeys;
        private final FloatRows knownValues;

        Heads(Sequences sequences, FloatRows queryKeyValue, INDArray[] known) {
            this.sequences = sequences;
            this.queryKeyValue = queryKeyValue;
            knownKeys = known == null ? null : FloatRows.of(known[0], block.keyValueWidth());
            knownValues = known == null ? null : FloatRows.of(known[1], block.keyValueWidth());
        }

        /** Adds rows of this minibatch to the keys and values that are known. */
        void remember(int from, int to) {
            if (knownKeys == null) {
                return;
            }
            int columns = block.keyValueWidth();
            float[] row = new float[columns];
            for (int r = from; r < to; r++) {
                int at = r / sequences.time() * sequences.capacity() + sequences.past() + r % sequences.time();
                queryKeyValue.get(r, block.queryWidth(), row, 0, columns);
                knownKeys.put(at, row);
                queryKeyValue.get(r, block.queryWidth() + columns, row, 0, columns);
                knownValues.put(at, row);
            }
        }

        FloatRows query(FloatRows rows, int sequence, int head) {
            return ofSequence(rows, sequence, head * block.getHeadSize());
        }

        FloatRows newKeys(FloatRows rows, int sequence, int head) {
            return ofSequence(rows, sequence, block.queryWidth() + column(head));
        }

        FloatRows newValues(FloatRows rows, int sequence, int head) {
            return ofSequence(rows, sequence, block.queryWidth() + block.keyValueWidth() + column(head));
        }

        FloatRows keys(int sequence, int head) {
            return knownKeys == null ? newKeys(queryKeyValue, sequence, head) : known(knownKeys, sequence, head);
        }

        FloatRows values(int sequence, int head) {
            return knownValues == null ? newValues(queryKeyValue, sequence, head) : known(knownValues, sequence, head);
        }

        private int column(int head) {
            return head / (block.getHeads() / block.getKeyValueHeads()) * block.getHeadSize();
        }

        private FloatRows known(FloatRows rows, int sequence, int head) {
            int first = sequence * sequences.capacity();
            int column = column(head);
            return rows.part(first, first + sequences.total(), column, column + block.getHeadSize());
        }

        private FloatRows ofSequence(FloatRows rows, int sequence, int column) {
            int first = sequence * sequences.time();
            return rows.part(first, first + sequences.time(), column, column + block.getHeadSize());
        }
    }
}
